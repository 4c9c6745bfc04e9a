#include "control/admin/views.h"

#include <google/protobuf/util/json_util.h>

#include <utility>

#include "control/admin/duration.h"
#include "proxy/tls/certificate.h"

namespace outrigger::control {

namespace {

Json TypeJson(const TypeStatus& status) {
  Json json;
  json["sent"] = status.sent_version;
  json["accepted"] = status.accepted_version;
  json["pending"] = status.pending;
  if (status.refused) json["refused"] = status.reason;
  if (status.refusals > 0) json["refusals"] = status.refusals;
  return json;
}

Json RejectionJson(const Rejection& rejection) {
  Json json = ProblemJson(rejection.problem);
  json["previous_in_force"] = rejection.previous_in_force;
  return json;
}

Json ProxyWithCertificate(const StatusView& view, const ProxyStatus& proxy) {
  Json json = ProxyJson(proxy, view.snapshot->generation);
  std::optional<WallTime> expiry = proxy.certificate_expires;
  if (auto it = view.certificates.find(proxy.id); it != view.certificates.end()) expiry = std::max(expiry.value_or(it->second), it->second);
  if (expiry.has_value()) json["certificate_expires"] = tls::FormatTime(*expiry);
  return json;
}

class MetricsWriter {
 public:
  void Family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_ += "# HELP outrigger_control_" + name_ + " " + std::string(help) + "\n# TYPE outrigger_control_" + name_ +
             " " + std::string(type) + "\n";
  }
  void Sample(std::string_view suffix, std::string_view labels, const std::string& value) {
    text_ += "outrigger_control_" + name_ + std::string(suffix);
    if (!labels.empty()) text_ += "{" + std::string(labels) + "}";
    text_ += " " + value + "\n";
  }
  void One(std::string_view name, std::string_view type, std::string_view help, uint64_t value) {
    Family(name, type, help);
    Sample("", "", std::to_string(value));
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string name_;
  std::string text_;
};

std::string Decimal(double value) {
  char buffer[32];
  snprintf(buffer, sizeof(buffer), "%.6g", value);
  return buffer;
}

}  // namespace

std::string Dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

Json ProblemJson(const Problem& problem) {
  Json json;
  json["file"] = problem.file;
  json["line"] = problem.line;
  if (problem.key.has_value()) {
    json["kind"] = KindName(problem.key->kind);
    if (!problem.key->namespace_.empty()) json["namespace"] = problem.key->namespace_;
    json["name"] = problem.key->name;
  }
  if (!problem.field.empty()) json["field"] = problem.field;
  json["reason"] = problem.reason;
  return json;
}

std::string_view ProxyState(const ProxyStatus& proxy, uint64_t generation) {
  if (!proxy.connected) return "GONE";
  for (const TypeStatus& type : proxy.types) {
    if (type.refused) return "REFUSED";
  }
  return proxy.generation >= generation ? "READY" : "PENDING";
}

Json ProxyJson(const ProxyStatus& proxy, uint64_t generation) {
  Json json;
  json["workload"] = proxy.id.ToString();
  json["state"] = ProxyState(proxy, generation);
  json["connected"] = proxy.connected;
  json["generation"] = proxy.generation;
  json["remote"] = proxy.remote;
  json["program"] = proxy.user_agent;
  json["identity"] = proxy.identity;
  json["connected_since"] = tls::FormatTime(proxy.connected_since);
  json["last_seen"] = tls::FormatTime(proxy.last_seen);
  Json types = Json::object();
  for (Type type : kAllTypes) {
    const TypeStatus& status = proxy.types[static_cast<size_t>(type)];
    if (status.subscribed) types[std::string(TypeName(type))] = TypeJson(status);
  }
  json["types"] = std::move(types);
  return json;
}

Json StatusJson(const StatusView& view) {
  Json json;
  json["version"] = view.version;
  json["trust_domain"] = view.trust_domain;
  json["now"] = tls::FormatTime(view.now);
  json["started"] = tls::FormatTime(view.started);
  if (view.draining) json["draining"] = true;
  json["generation"] = view.snapshot->generation;
  json["mtls"] = view.mesh->mtls() == MtlsMode::kStrict ? "strict" : "permissive";
  std::map<std::string, size_t> kinds;
  for (const auto& [key, object] : view.snapshot->objects) ++kinds[std::string(KindName(key.kind))];
  json["objects"] = Json::object();
  for (const auto& [kind, count] : kinds) json["objects"][kind] = count;
  json["rejected"] = Json::array();
  for (const Rejection& rejection : view.snapshot->rejected) json["rejected"].push_back(RejectionJson(rejection));
  json["problems"] = Json::array();
  for (const Problem& problem : view.mesh->problems()) json["problems"].push_back(ProblemJson(problem));
  json["certificates"] = {{"root_expires", tls::FormatTime(view.root_not_after)},
                          {"root_spki_sha256", view.root_spki_sha256},
                          {"serving_expires", tls::FormatTime(view.serving_not_after)},
                          {"workload_lifetime", FormatDuration(view.certificate_lifetime)}};
  json["proxies"] = Json::array();
  for (const ProxyStatus& proxy : view.proxies) json["proxies"].push_back(ProxyWithCertificate(view, proxy));
  json["workloads"] = Json::array();
  for (const auto& [id, workload] : view.mesh->workloads()) {
    json["workloads"].push_back(
        {{"workload", id.ToString()}, {"identity", workload.identity}, {"address", workload.address}, {"services", workload.services}});
  }
  return json;
}

absl::StatusOr<std::string> ConfigJson(const ProxyId& proxy, uint64_t generation, const ResourceSet& resources) {
  std::string text = "{\n\"workload\": " + Json(proxy.ToString()).dump() + ",\n\"generation\": " + std::to_string(generation);
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;  // as Envoy's config_dump spells them
  const std::pair<std::string_view, const ResourceMapPtr*> groups[] = {{"clusters", &resources.clusters},
                                                                       {"endpoints", &resources.endpoints},
                                                                       {"listeners", &resources.listeners},
                                                                       {"routes", &resources.routes}};
  for (const auto& [name, map] : groups) {
    text += ",\n\"" + std::string(name) + "\": [";
    std::string_view comma = "\n";
    for (const auto& [resource_name, resource] : **map) {
      std::string item;
      const auto status = google::protobuf::util::MessageToJsonString(*resource, &item, options);
      if (!status.ok()) return absl::InternalError(resource_name + " cannot be shown: " + std::string(status.message()));
      text += comma;
      text += item;
      comma = ",\n";
    }
    text += "]";
  }
  return text + "\n}\n";
}

std::string MetricsText(const MetricsView& view) {
  MetricsWriter out;
  out.Family("build_info", "gauge", "Always 1; the version is a label.");
  out.Sample("", "version=\"" + view.version + "\"", "1");
  out.One("generation", "gauge", "Generation of the objects in force.", view.generation);
  out.Family("objects", "gauge", "Objects in force, by kind.");
  for (const auto& [kind, count] : view.objects) out.Sample("", "kind=\"" + kind + "\"", std::to_string(count));
  out.One("rejected_objects", "gauge", "Objects and files that are rejected now; their last good version stays in force.", view.rejected);
  out.One("problems", "gauge", "Objects in force that do not work out together.", view.problems);
  out.One("connected_proxies", "gauge", "Proxies with an open configuration stream.", view.connected);
  out.One("proxies_in_force", "gauge", "Connected proxies that have accepted the present generation.", view.in_force);
  out.Family("pushes_total", "counter", "Responses sent to proxies, by type.");
  for (Type type : kAllTypes) {
    out.Sample("", "type=\"" + std::string(TypeName(type)) + "\"", std::to_string(view.ads.pushes[static_cast<size_t>(type)]));
  }
  out.Family("nacks_total", "counter", "Responses that proxies refused, by type.");
  for (Type type : kAllTypes) {
    out.Sample("", "type=\"" + std::string(TypeName(type)) + "\"", std::to_string(view.ads.refusals[static_cast<size_t>(type)]));
  }
  out.One("streams_total", "counter", "Configuration streams accepted.", view.ads.streams);
  out.One("streams_refused_total", "counter", "Configuration streams refused: unknown workload or wrong identity.",
          view.ads.refused_streams);
  out.Family("push_duration_seconds", "histogram", "From a new generation, or a proxy's arrival, to its acceptance by that proxy.");
  for (size_t i = 0; i < AdsCounts::kBounds.size(); ++i) {
    out.Sample("_bucket", "le=\"" + Decimal(AdsCounts::kBounds[i]) + "\"", std::to_string(view.ads.push_duration[i]));
  }
  out.Sample("_bucket", "le=\"+Inf\"", std::to_string(view.ads.push_duration_count));
  out.Sample("_sum", "", Decimal(view.ads.push_duration_sum_s));
  out.Sample("_count", "", std::to_string(view.ads.push_duration_count));
  out.One("certificates_issued_total", "counter", "Workload certificates signed.", view.certificates_issued);
  out.One("certificates_refused_total", "counter", "Requests for certificates that were refused.", view.certificates_refused);
  out.Family("certificate_expiry_seconds", "gauge", "Seconds until the certificate ends.");
  out.Sample("", "certificate=\"root\"", std::to_string(view.root_expiry_s));
  out.Sample("", "certificate=\"serving\"", std::to_string(view.serving_expiry_s));
  return out.Take();
}

}  // namespace outrigger::control
