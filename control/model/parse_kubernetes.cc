// v1 Service, Pod; discovery.k8s.io/v1 EndpointSlice. Fields that do not move traffic between sidecars are accepted and left
// alone; fields that would, and that we do not honour, are refused.
#include <set>

#include "control/model/reader.h"

namespace outrigger::control {
namespace {

TransportProtocol ReadTransport(Fields& fields) {
  if (auto value = fields.Get("protocol")) {
    std::optional<size_t> index = fields.document()->OneOf(*value, {"TCP", "UDP", "SCTP"});
    return static_cast<TransportProtocol>(index.value_or(0));
  }
  return TransportProtocol::kTcp;
}

AppProtocol ReadAppProtocol(Document* document, const Value& value) {
  std::optional<std::string> word = document->String(value);
  if (!word) return AppProtocol::kDetect;
  if (*word == "http") return AppProtocol::kHttp;
  if (*word == "kubernetes.io/h2c") return AppProtocol::kH2c;
  if (*word == "grpc") return AppProtocol::kGrpc;
  for (std::string_view later : {"https", "kubernetes.io/ws", "tcp", "kafka", "amqp"}) {
    if (*word == later) {
      document->Report(value, Cat("protocol ", later, " is ", kNotYet));
      return AppProtocol::kDetect;
    }
  }
  document->Report(value, Cat("must be http, kubernetes.io/h2c or grpc, not ", Quoted(*word)));
  return AppProtocol::kDetect;
}

ServicePort ReadServicePort(Document* document, const Value& value) {
  ServicePort port;
  port.line = value.line();
  Fields fields(document, value);
  if (auto name = fields.Get("name")) port.name = document->Label(*name).value_or("");
  if (auto number = fields.Require("port")) port.port = document->Port(*number).value_or(0);
  port.transport = ReadTransport(fields);
  port.target_port = port.port;
  if (auto target = fields.Get("targetPort")) {
    if (target->node->type == YamlNode::Type::kScalar && TypeOf(*target->node) == ScalarType::kString) {
      port.target_port_name = document->PortName(*target).value_or("");
      port.target_port = 0;
    } else {
      port.target_port = document->Port(*target).value_or(0);
    }
  }
  if (auto protocol = fields.Get("appProtocol")) port.app_protocol = ReadAppProtocol(document, *protocol);
  fields.Ignore({"nodePort"});
  fields.Done();
  return port;
}

void ReadServicePorts(Document* document, const Value& list, Service* service) {
  std::set<std::string> names;
  std::set<std::pair<uint16_t, TransportProtocol>> numbers;
  document->Each(list, 250, [&](const Value& value) {
    ServicePort port = ReadServicePort(document, value);
    if (list.node->items.size() > 1 && port.name.empty()) {
      document->Report(value.line(), value.path + ".name", "is required when a service has several ports");
    } else if (!names.insert(port.name).second) {
      document->Report(value.line(), value.path + ".name", Cat(Quoted(port.name), " is the name of an earlier port"));
    }
    if (port.port != 0 && !numbers.insert({port.port, port.transport}).second) {
      document->Report(value.line(), value.path + ".port", Cat(port.port, " is declared by an earlier port"));
    }
    service->ports.push_back(std::move(port));
  });
}

void RefuseUnless(Fields& fields, std::string_view name, std::string_view fine, std::string_view what) {
  std::optional<Value> value = fields.Get(name);
  if (!value) return;
  std::optional<std::string> word = fields.document()->String(*value);
  if (word && *word != fine) fields.document()->Report(*value, Cat(what, " ", Quoted(*word), " is ", kNotYet));
}

void ReadContainers(Document* document, const Value& list, Pod* pod, bool init) {
  document->Each(list, 1000, [&](const Value& value) {
    Fields container(document, value);
    std::optional<Value> name = container.Get("name"), ports = container.Get("ports");
    bool ours = name && name->node->scalar == "outrigger-proxy";
    if (ours) pod->injected = true;
    // Init containers have no ports to call, but for sidecars of their own (restartPolicy: Always), whose ports count.
    if (ports && !ours) {
      document->Each(*ports, 1000, [&](const Value& item) {
        Fields fields(document, item);
        ContainerPort port;
        if (auto port_name = fields.Get("name")) port.name = document->PortName(*port_name).value_or("");
        if (auto number = fields.Require("containerPort")) port.port = document->Port(*number).value_or(0);
        TransportProtocol transport = ReadTransport(fields);
        fields.Done(/*lenient=*/true);
        if (transport == TransportProtocol::kTcp && !init) pod->ports.push_back(std::move(port));
      });
    }
    container.Done(/*lenient=*/true);
  });
}

void ReadPodStatus(Fields& status, Pod* pod) {
  Document* document = status.document();
  if (auto ip = status.Get("podIP")) pod->ip = ip->node->scalar.empty() ? "" : document->Ip(*ip).value_or("");
  if (auto phase = status.Get("phase")) {
    std::optional<std::string> word = document->String(*phase);
    pod->finished = word == "Succeeded" || word == "Failed";
    if (word == "Pending") pod->ready = false;
  }
  if (auto conditions = status.Get("conditions")) {
    document->Each(*conditions, 100, [&](const Value& value) {
      Fields condition(document, value);
      std::optional<Value> type = condition.Get("type"), state = condition.Get("status");
      if (type && state && type->node->scalar == "Ready") pod->ready = state->node->scalar == "True";
    });
  }
}

SliceEndpoint ReadSliceEndpoint(Document* document, const Value& value) {
  SliceEndpoint endpoint;
  Fields fields(document, value);
  if (auto addresses = fields.Require("addresses")) {
    if (addresses->node->type == YamlNode::Type::kSequence && addresses->node->items.empty()) {
      document->Report(*addresses, "must hold at least one address");
    }
    size_t index = 0;
    // The first address is the one that counts; the others have been the same endpoint's since there are dual-stack slices.
    document->Each(*addresses, 100, [&](const Value& item) {
      std::optional<std::string> ip = document->Ip(item);
      if (index++ == 0) endpoint.address = ip.value_or("");
    });
  }
  if (auto value_of = fields.Get("conditions")) {
    Fields conditions(document, *value_of);
    if (auto ready = conditions.Get("ready")) endpoint.ready = document->Bool(*ready).value_or(true);
    endpoint.serving = endpoint.ready;
    if (auto serving = conditions.Get("serving")) endpoint.serving = document->Bool(*serving).value_or(true);
    if (auto terminating = conditions.Get("terminating")) endpoint.terminating = document->Bool(*terminating).value_or(false);
    conditions.Done();
  }
  if (auto target = fields.Get("targetRef")) {
    Fields ref(document, *target);
    ref.Ignore({"apiVersion", "fieldPath", "resourceVersion", "uid"});
    std::optional<Value> kind = ref.Get("kind"), name = ref.Get("name"), namespace_ = ref.Get("namespace");
    if (kind && kind->node->scalar == "Pod" && name) {
      endpoint.pod_name = document->Subdomain(*name).value_or("");
      if (namespace_) endpoint.pod_namespace = document->Label(*namespace_).value_or("");
    }
    ref.Done();
  }
  if (auto zone = fields.Get("zone")) endpoint.zone = document->String(*zone).value_or("");
  // Hints ask for preferring a zone; the cluster gives them only where trafficDistribution was asked for, which Service refuses.
  fields.Ignore({"hostname", "nodeName", "hints", "deprecatedTopology"});
  fields.Done();
  return endpoint;
}

}  // namespace

Spec ParseService(Fields& root) {
  Service service;
  Document* document = root.document();
  root.Ignore({"status"});
  std::optional<Value> value = root.Require("spec");
  if (!value) return service;
  Fields spec(document, *value);
  if (auto selector = spec.Get("selector")) service.selector = document->StringMap(*selector).value_or(Labels());
  if (auto ports = spec.Get("ports")) ReadServicePorts(document, *ports, &service);
  if (auto publish = spec.Get("publishNotReadyAddresses")) {
    service.publish_not_ready_addresses = document->Bool(*publish).value_or(false);
  }
  if (auto type = spec.Get("type")) {
    std::optional<size_t> index = document->OneOf(*type, {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"});
    if (index == 3u) document->Report(*type, Cat("type ExternalName is ", kNotYet));
  }
  RefuseUnless(spec, "sessionAffinity", "None", "session affinity");
  RefuseUnless(spec, "internalTrafficPolicy", "Cluster", "internal traffic policy");
  spec.NotYet({"trafficDistribution", "externalName"});
  spec.Ignore({"clusterIP", "clusterIPs", "sessionAffinityConfig", "externalIPs", "externalTrafficPolicy", "loadBalancerIP",
               "loadBalancerClass", "loadBalancerSourceRanges", "allocateLoadBalancerNodePorts", "healthCheckNodePort", "ipFamilies",
               "ipFamilyPolicy"});
  spec.Done();
  return service;
}

Spec ParsePod(Fields& root) {
  Pod pod;
  Document* document = root.document();
  if (auto value = root.Require("spec")) {
    Fields spec(document, *value);
    std::optional<Value> old_name = spec.Get("serviceAccount"), name = spec.Get("serviceAccountName");
    if (old_name) pod.service_account = document->Subdomain(*old_name).value_or("default");
    if (name) pod.service_account = document->Subdomain(*name).value_or("default");
    if (auto node = spec.Get("nodeName")) pod.node_name = document->String(*node).value_or("");
    if (auto containers = spec.Require("containers")) ReadContainers(document, *containers, &pod, /*init=*/false);
    if (auto containers = spec.Get("initContainers")) ReadContainers(document, *containers, &pod, /*init=*/true);
    spec.Done(/*lenient=*/true);
  }
  if (auto value = root.Get("status")) {
    Fields status(document, *value);
    ReadPodStatus(status, &pod);
  }
  return pod;
}

Spec ParseEndpointSlice(Fields& root, const Labels& labels) {
  EndpointSlice slice;
  Document* document = root.document();
  auto label = labels.find("kubernetes.io/service-name");
  if (label != labels.end()) slice.service = label->second;
  if (auto type = root.Require("addressType")) {
    std::optional<size_t> index = document->OneOf(*type, {"IPv4", "IPv6", "FQDN"});
    if (index == 2u) {
      document->Report(*type, Cat("address type FQDN is ", kNotYet));
      root.Ignore({"endpoints", "ports"});
      return slice;
    }
  }
  if (auto endpoints = root.Get("endpoints")) {
    document->Each(*endpoints, 1000, [&](const Value& value) { slice.endpoints.push_back(ReadSliceEndpoint(document, value)); });
  }
  if (auto ports = root.Get("ports")) {
    document->Each(*ports, 20'000, [&](const Value& value) {
      SlicePort port;
      Fields fields(document, value);
      if (auto name = fields.Get("name")) port.name = name->node->scalar.empty() ? "" : document->Label(*name).value_or("");
      if (auto number = fields.Get("port")) port.port = document->Port(*number);
      port.transport = ReadTransport(fields);
      fields.Ignore({"appProtocol"});  // the Service's own counts
      fields.Done();
      slice.ports.push_back(std::move(port));
    });
  }
  return slice;
}

}  // namespace outrigger::control
