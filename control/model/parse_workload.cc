// outrigger.dev/v1 Workload.
#include <set>

#include "control/model/reader.h"

namespace outrigger::control {
namespace {

// NAME or NAME.NAMESPACE.
void ReadServiceName(Document* document, const Value& value, const std::string& namespace_, LocalListen* listen) {
  std::optional<std::string> text = document->String(value);
  if (!text) return;
  size_t dot = text->find('.');
  listen->service = text->substr(0, dot);
  listen->service_namespace = dot == std::string::npos ? namespace_ : text->substr(dot + 1);
  std::string why;
  if (!IsLabel(listen->service, &why) || !IsLabel(listen->service_namespace, &why)) {
    document->Report(value, Cat("must be NAME or NAME.NAMESPACE of a Service, not ", Quoted(*text)));
  }
}

void ReadListen(Document* document, const Value& list, const std::string& namespace_, Workload* workload) {
  std::set<uint16_t> taken;
  document->Each(list, 1000, [&](const Value& value) {
    Fields fields(document, value);
    LocalListen listen;
    listen.line = value.line();
    if (auto port = fields.Require("port")) {
      listen.port = document->Port(*port).value_or(0);
      if (listen.port != 0 && !taken.insert(listen.port).second) {
        document->Report(*port, Cat(listen.port, " is declared by an earlier entry"));
      }
    }
    if (auto service = fields.Require("service")) ReadServiceName(document, *service, namespace_, &listen);
    if (auto port = fields.Get("servicePort")) listen.service_port = document->Port(*port).value_or(0);
    fields.Done();
    workload->listen.push_back(std::move(listen));
  });
}

void ReadPorts(Document* document, const Value& value, Workload* workload) {
  if (value.node->type != YamlNode::Type::kMap) {
    document->Report(value, "must be a map of names to port numbers, like {http: 8080}");
    return;
  }
  for (const YamlNode::Entry& entry : value.node->entries) {
    Value port{entry.value.get(), Cat(value.path, ".", entry.key)};
    YamlNode name = {};
    name.type = YamlNode::Type::kScalar;
    name.quoted = true;  // a key is a word, whatever it looks like
    name.scalar = entry.key;
    name.line = entry.line;
    std::optional<std::string> checked = document->PortName(Value{&name, port.path});
    std::optional<uint16_t> number = document->Port(port);
    if (checked && number) workload->ports[*checked] = *number;
  }
}

}  // namespace

Spec ParseWorkload(Fields& root, const std::string& namespace_) {
  Workload workload;
  Document* document = root.document();
  root.Ignore({"status"});
  std::optional<Value> value = root.Require("spec");
  if (!value) return workload;
  Fields spec(document, *value);
  if (auto address = spec.Require("address")) workload.address = document->Ip(*address).value_or("");
  if (workload.address == "0.0.0.0" || workload.address == "::") {
    document->Report(*spec.Get("address"), "must be an address that other sidecars can connect to");
  }
  if (auto port = spec.Get("inboundPort")) workload.inbound_port = document->Port(*port).value_or(0);
  if (auto account = spec.Get("serviceAccount")) workload.service_account = document->Subdomain(*account).value_or("");
  if (auto ports = spec.Get("ports")) ReadPorts(document, *ports, &workload);
  if (auto locality = spec.Get("locality")) {
    Fields fields(document, *locality);
    if (auto region = fields.Get("region")) workload.locality.region = document->String(*region).value_or("");
    if (auto zone = fields.Get("zone")) workload.locality.zone = document->String(*zone).value_or("");
    if (auto sub_zone = fields.Get("subZone")) workload.locality.sub_zone = document->String(*sub_zone).value_or("");
    fields.Done();
  }
  if (auto weight = spec.Get("weight")) workload.weight = static_cast<uint32_t>(document->Integer(*weight, 1, 1'000'000).value_or(1));
  if (auto listen = spec.Get("listen")) ReadListen(document, *listen, namespace_, &workload);
  for (const LocalListen& listen : workload.listen) {
    if (listen.port == workload.inbound_port) {
      document->Report(listen.line, "spec.listen", Cat(listen.port, " is the inboundPort already"));
    }
  }
  spec.Done();
  return workload;
}

}  // namespace outrigger::control
