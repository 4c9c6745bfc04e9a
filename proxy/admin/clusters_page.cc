// /clusters and /listeners, in Envoy's lines and in the shape of its admin.v3.Clusters and admin.v3.Listeners.
#include <map>

#include "nlohmann/json.hpp"
#include "proxy/admin/view.h"

namespace outrigger::admin {
namespace {

using Json = nlohmann::ordered_json;
using Standing = balance::EndpointState::Standing;

// Clusters by name; connection counts by address.
struct Upstreams {
  std::map<std::string, const snapshot::Cluster*> clusters;
  std::map<net::Address, pool::Pool::EndpointCount> connections;
};

Upstreams UpstreamsOf(const View& view) {
  Upstreams upstreams;
  if (view.sidecar->snapshot() != nullptr) {
    for (const auto& [name, cluster] : view.sidecar->snapshot()->clusters) upstreams.clusters.emplace(name, cluster.get());
  }
  for (const pool::Pool::EndpointCount& count : SumOf(*view.shards).endpoints) upstreams.connections.emplace(count.address, count);
  return upstreams;
}

std::string HealthFlags(const balance::ListedEndpoint& endpoint, Standing standing) {
  std::string flags;
  if (standing != Standing::kGood) flags += "/failed_outlier_check";
  if (endpoint.config.health == config::Health::kUnhealthy) flags += "/failed_eds_health";
  if (endpoint.config.health == config::Health::kDraining) flags += "/eds_draining";
  return flags.empty() ? "healthy" : flags;
}

std::string_view EdsHealth(config::Health health) {
  switch (health) {
    case config::Health::kHealthy: return "HEALTHY";
    case config::Health::kDraining: return "DRAINING";
    case config::Health::kUnhealthy: return "UNHEALTHY";
  }
  return "UNKNOWN";
}

struct Locality {
  std::string region, zone, sub_zone;
};

Locality LocalityOf(const std::string& text) {
  Locality locality;
  const size_t first = text.find('/');
  locality.region = text.substr(0, first);
  if (first == std::string::npos) return locality;
  const size_t second = text.find('/', first + 1);
  locality.zone = text.substr(first + 1, second == std::string::npos ? second : second - first - 1);
  if (second != std::string::npos) locality.sub_zone = text.substr(second + 1);
  return locality;
}

// What is said about one endpoint, in the order of its lines.
struct Host {
  std::string address;
  std::vector<std::pair<std::string_view, std::string>> facts;
  Json json;
};

Json Stat(std::string_view name, std::string_view type, uint64_t value) {
  Json stat = {{"name", name}, {"value", std::to_string(value)}};
  if (type == "GAUGE") stat["type"] = type;  // COUNTER is the default and left out, as in proto JSON
  return stat;
}

Host HostOf(const View& view, const balance::ListedEndpoint& endpoint, const pool::Pool::EndpointCount& connections) {
  const balance::EndpointState& state = *endpoint.state;
  const Standing standing = state.standing(view.now);
  const uint64_t active = static_cast<uint64_t>(std::max<int64_t>(0, state.active.load()));
  const uint64_t total = state.requests.load(std::memory_order_relaxed);
  const uint64_t failed = state.failures.load(std::memory_order_relaxed);
  const uint64_t open = connections.idle + connections.busy;
  const int64_t now_ns = view.now.time_since_epoch().count();
  const int64_t aside_ms = std::max<int64_t>(0, (state.aside_until_ns() - now_ns) / 1'000'000);
  const Locality locality = LocalityOf(endpoint.config.locality);
  const std::string workload =
      endpoint.config.workload.empty() ? "" : endpoint.config.workload_namespace + "/" + endpoint.config.workload;

  Host host;
  host.address = endpoint.config.address_text;
  host.facts = {{"cx_active", std::to_string(open)},
                {"cx_connecting", std::to_string(connections.connecting)},
                {"rq_active", std::to_string(active)},
                {"rq_error", std::to_string(failed)},
                {"rq_success", std::to_string(total > failed ? total - failed : 0)},
                {"rq_total", std::to_string(total)},
                {"hostname", workload},
                {"health_flags", HealthFlags(endpoint, standing)},
                {"weight", std::to_string(endpoint.config.weight)},
                {"region", locality.region},
                {"zone", locality.zone},
                {"sub_zone", locality.sub_zone},
                {"canary", "false"},
                {"priority", "0"},
                {"success_rate", "-1"},
                {"workload", workload},
                {"identity", endpoint.config.identity},
                {"mtls", endpoint.config.mesh ? "true" : "false"},
                {"failures_in_a_row", std::to_string(state.consecutive_failures())},
                {"set_aside_ms", std::to_string(aside_ms)}};

  Json& json = host.json;
  if (endpoint.config.address.family() == net::Address::Family::kUnix) {
    json["address"]["pipe"]["path"] = endpoint.config.address.path();
  } else {
    json["address"]["socket_address"] = {{"address", endpoint.config.address.Ip()}, {"port_value", endpoint.config.address.port()}};
  }
  json["stats"] = Json::array({Stat("cx_active", "GAUGE", open), Stat("rq_active", "GAUGE", active), Stat("rq_error", "COUNTER", failed),
                               Stat("rq_success", "COUNTER", total > failed ? total - failed : 0), Stat("rq_total", "COUNTER", total)});
  json["health_status"]["eds_health_status"] = EdsHealth(endpoint.config.health);
  if (standing != Standing::kGood) json["health_status"]["failed_outlier_check"] = true;
  json["weight"] = endpoint.config.weight;
  if (!workload.empty()) json["hostname"] = workload;
  if (!locality.region.empty()) json["locality"] = {{"region", locality.region}, {"zone", locality.zone}, {"sub_zone", locality.sub_zone}};
  json["outrigger"] = {{"workload", workload},
                       {"identity", endpoint.config.identity},
                       {"mtls", endpoint.config.mesh},
                       {"failures_in_a_row", state.consecutive_failures()},
                       {"set_aside_ms", aside_ms}};
  return host;
}

std::string Decimal(double value) {
  char text[32];
  snprintf(text, sizeof text, "%.1f", value);
  return text;
}

}  // namespace

Response ClustersPage(const View& view, const Request& request) {
  const Upstreams upstreams = UpstreamsOf(view);
  std::string text;
  Json statuses = Json::array();
  for (const auto& [name, cluster] : upstreams.clusters) {
    const std::string prefix = name + "::";
    text += prefix + "observability_name::" + name + "\n";
    text += prefix + "added_via_api::true\n";
    text += prefix + "warm::" + (cluster->warm() ? "true" : "false") + "\n";
    text += prefix + "rq_active::" + std::to_string(cluster->state->active_requests.load()) + "\n";
    text += prefix + "retry_budget::" + Decimal(cluster->state->retry_budget.tokens()) + "\n";
    Json hosts = Json::array();
    for (size_t i = 0; cluster->warm() && i < cluster->endpoints->size(); ++i) {
      const balance::ListedEndpoint& endpoint = (*cluster->endpoints)[i];
      const auto count = upstreams.connections.find(endpoint.config.address);
      Host host = HostOf(view, endpoint, count == upstreams.connections.end() ? pool::Pool::EndpointCount() : count->second);
      for (const auto& [key, value] : host.facts) text += prefix + host.address + "::" + std::string(key) + "::" + value + "\n";
      hosts.push_back(std::move(host.json));
    }
    Json status = {{"name", name}, {"added_via_api", true}};
    if (!hosts.empty()) status["host_statuses"] = std::move(hosts);
    statuses.push_back(std::move(status));
  }
  if (request.Query("format") != "json") return Response::Text(200, std::move(text));
  return Response::Json(200, Json({{"cluster_statuses", std::move(statuses)}}).dump(1) + "\n");
}

// The addresses that are really bound, which is what the workers say; a `listen` port that could not be bound is told apart.
Response ListenersPage(const View& view, const Request& request) {
  std::map<std::string, net::Address> bound;
  for (const sidecar::ShardReport& report : *view.shards) bound.insert(report.stats.listeners.begin(), report.stats.listeners.end());
  std::string text;
  Json statuses = Json::array();
  const auto add = [&](const std::string& name, const net::Address& address, std::string_view state) {
    text += name + "::" + address.ToString() + (state.empty() ? "" : " " + std::string(state)) + "\n";
    Json status = {{"name", name}};
    if (address.family() == net::Address::Family::kUnix) {
      status["local_address"]["pipe"]["path"] = address.path();
    } else {
      status["local_address"]["socket_address"] = {{"address", address.Ip()}, {"port_value", address.port()}};
    }
    if (!state.empty()) status["outrigger"]["state"] = state;
    statuses.push_back(std::move(status));
  };
  const auto& snapshot = view.sidecar->snapshot();
  for (const auto& [name, address] : bound) {
    add(name, address, snapshot != nullptr && snapshot->listeners.contains(name) ? "" : "(no configuration yet)");
  }
  if (snapshot != nullptr) {
    for (const auto& [name, listener] : snapshot->listeners) {
      if (!bound.contains(name)) add(name, listener->config.address, "(not bound: the port is taken)");
    }
  }
  if (request.Query("format") != "json") return Response::Text(200, std::move(text));
  return Response::Json(200, Json({{"listener_statuses", std::move(statuses)}}).dump(1) + "\n");
}

}  // namespace outrigger::admin
