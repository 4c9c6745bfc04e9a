// /server_info, /certs, /memory and the index.
#include <algorithm>

#include "nlohmann/json.hpp"
#include "proxy/admin/version.h"
#include "proxy/admin/view.h"
#include "proxy/tls/certificate.h"
#include "proxy/tls/tls.h"

namespace outrigger::admin {
namespace {

using Json = nlohmann::ordered_json;

Json CertificateJson(const tls::Der& der, WallTime now) {
  Json json;
  Result<tls::CertificateInfo> info = tls::ParseCertificate(Bytes(der.data(), der.size()));
  if (!info) return {{"error", info.error().detail}};
  json["path"] = "<inline>";
  json["serial_number"] = info->serial_hex;
  json["subject_alt_names"] = Json::array();
  if (!info->spiffe_id.empty()) json["subject_alt_names"].push_back({{"uri", info->spiffe_id}});
  json["days_until_expiration"] = std::to_string(std::max<int64_t>(0, (UnixSeconds(info->not_after) - UnixSeconds(now)) / 86400));
  json["valid_from"] = tls::FormatTime(info->not_before);
  json["expiration_time"] = tls::FormatTime(info->not_after);
  return json;
}

std::string Escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

constexpr std::pair<std::string_view, std::string_view> kReads[] = {
    {"/ready", "LIVE, or what it waits for"},
    {"/server_info", "version, state, identity"},
    {"/clusters", "services and their endpoints: health, load, identity"},
    {"/listeners", "where it listens"},
    {"/config_dump", "the configuration in force"},
    {"/certs", "its certificate and the roots it trusts"},
    {"/stats", "numbers, one a line; ?filter=REGEX, ?usedonly"},
    {"/stats/prometheus", "metrics for Prometheus; /metrics is the same"},
    {"/memory", "memory of the process"},
};
constexpr std::pair<std::string_view, std::string_view> kChanges[] = {
    {"/logging", "?level=debug|info|warning|error; without it, shows the level"},
    {"/reopen_logs", "opens the access log's file again, after a rotation"},
    {"/drain", "finishes what is under way; the process stays"},
    {"/healthcheck/fail", "takes readiness away"},
    {"/healthcheck/ok", "gives readiness back"},
    {"/quitquitquit", "drains and ends the process"},
};

}  // namespace

Response ServerInfoPage(const View& view) {
  const sidecar::Sidecar& sidecar = *view.sidecar;
  const std::string uptime = std::to_string(UptimeSeconds(view)) + "s";
  const std::string id = view.self->workload_namespace + "/" + view.self->workload;
  Json json;
  json["version"] = kVersion;
  json["state"] = sidecar::StateName(sidecar.state());
  json["uptime_current_epoch"] = uptime;
  json["uptime_all_epochs"] = uptime;
  json["hot_restart_version"] = "disabled";
  json["command_line_options"]["concurrency"] = sidecar.shard_count();
  json["node"] = {{"id", id}, {"user_agent_name", "outrigger-proxy"}};
  Json& ours = json["outrigger"];
  ours["identity"] = sidecar.link().identity() == nullptr ? "" : sidecar.link().identity()->own_id();
  ours["ready"] = sidecar.ready();
  if (std::string why = sidecar.waiting_for(); !why.empty()) ours["waiting_for"] = why;
  ours["control_plane"]["connected"] = sidecar.link().status().connected;
  if (!sidecar.link().status().last_error.empty()) ours["control_plane"]["last_error"] = sidecar.link().status().last_error;
  ours["generation"] = sidecar.snapshot() == nullptr ? 0 : sidecar.snapshot()->generation;
  return Response::Json(200, json.dump(1) + "\n");
}

Response CertsPage(const View& view) {
  Json json;
  json["certificates"] = Json::array();
  if (const auto& identity = view.sidecar->link().identity(); identity != nullptr) {
    Json certificate;
    certificate["ca_cert"] = Json::array();
    certificate["cert_chain"] = Json::array();
    for (const tls::Der& root : identity->credentials().roots) certificate["ca_cert"].push_back(CertificateJson(root, view.wall_now));
    for (const tls::Der& link : identity->credentials().chain) certificate["cert_chain"].push_back(CertificateJson(link, view.wall_now));
    json["certificates"].push_back(std::move(certificate));
  }
  return Response::Json(200, json.dump(1) + "\n");
}

Response MemoryPage(const View& view) {
  const ProcessFacts& process = view.process;
  const Json json = {{"allocated", std::to_string(process.heap_allocated_bytes)},
                     {"heap_size", std::to_string(process.heap_reserved_bytes)},
                     {"pageheap_unmapped", "0"},
                     {"pageheap_free", std::to_string(process.heap_free_bytes)},
                     {"total_thread_cache", "0"},
                     {"total_physical_bytes", std::to_string(process.resident_bytes)}};
  return Response::Json(200, json.dump(1) + "\n");
}

std::string IndexPage(const View& view) {
  const std::string id = Escaped(view.self->workload_namespace + "/" + view.self->workload);
  std::string out = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>outrigger-proxy " + id +
                    "</title><style>body{font:15px/1.5 sans-serif;margin:2em}td{padding:.15em 1.5em .15em 0}code{font-size:14px}</style>"
                    "<h1>outrigger-proxy <code>" +
                    id + "</code></h1><p>" + std::string(sidecar::StateName(view.sidecar->state()));
  if (std::string why = view.sidecar->waiting_for(); !why.empty()) out += ": " + Escaped(why);
  out += "; version " + Escaped(kVersion) + "</p><table>";
  for (const auto& [path, text] : kReads) {
    out += "<tr><td><a href=\"" + std::string(path) + "\"><code>" + std::string(path) + "</code></a><td>" + Escaped(text);
  }
  for (const auto& [path, text] : kChanges) {
    out += "<tr><td><code>POST " + std::string(path) + "</code><td>" + Escaped(text);
  }
  return out + "</table></html>\n";
}

}  // namespace outrigger::admin
