// /stats: the same numbers under the names that Envoy's tools look for.
#include <re2/re2.h>

#include <map>

#include "nlohmann/json.hpp"
#include "proxy/admin/view.h"

namespace outrigger::admin {
namespace {

using Stats = std::map<std::string, int64_t>;

int64_t Signed(uint64_t value) { return static_cast<int64_t>(value); }

void AddRequests(const std::vector<sidecar::ShardReport>& shards, Stats* stats) {
  for (const std::string side : {"inbound", "outbound"}) {
    for (const char* name : {"1xx", "2xx", "3xx", "4xx", "5xx", "total"}) (*stats)["http." + side + ".downstream_rq_" + name] = 0;
  }
  for (const sidecar::ShardReport& report : shards) {
    for (const auto& [labels, series] : report.samples) {
      const std::string prefix = "http." + labels.direction + ".downstream_rq_";
      (*stats)[prefix + "total"] += Signed(series.requests);
      const char first = labels.response_code.empty() ? '0' : labels.response_code.front();
      if (first >= '1' && first <= '5') (*stats)[prefix + first + "xx"] += Signed(series.requests);
    }
  }
}

void AddClusters(const View& view, Stats* stats) {
  if (view.sidecar->snapshot() == nullptr) return;
  for (const auto& [name, cluster] : view.sidecar->snapshot()->clusters) {
    const std::string prefix = "cluster." + name + ".";
    int64_t healthy = 0, total = 0, requests = 0, failures = 0;
    for (size_t i = 0; cluster->warm() && i < cluster->endpoints->size(); ++i) {
      const balance::ListedEndpoint& endpoint = (*cluster->endpoints)[i];
      ++total;
      healthy += endpoint.config.health == config::Health::kHealthy &&
                 endpoint.state->standing(view.now) == balance::EndpointState::Standing::kGood;
      requests += Signed(endpoint.state->requests.load(std::memory_order_relaxed));
      failures += Signed(endpoint.state->failures.load(std::memory_order_relaxed));
    }
    (*stats)[prefix + "membership_total"] = total;
    (*stats)[prefix + "membership_healthy"] = healthy;
    (*stats)[prefix + "upstream_rq_active"] = cluster->state->active_requests.load();
    (*stats)[prefix + "upstream_rq_total"] = requests;
    (*stats)[prefix + "upstream_rq_failures"] = failures;
  }
  (*stats)["cluster_manager.active_clusters"] = Signed(view.sidecar->snapshot()->clusters.size());
  (*stats)["listener_manager.total_listeners_active"] = Signed(view.sidecar->snapshot()->listeners.size());
}

Stats Collect(const View& view) {
  using discovery::Type;
  Stats stats;
  const shard::Stats sum = SumOf(*view.shards);
  const discovery::ControlLink& link = view.sidecar->link();
  AddRequests(*view.shards, &stats);
  AddClusters(view, &stats);
  stats["downstream.cx_active"] = Signed(sum.connections_active);
  stats["downstream.cx_total"] = Signed(sum.connections_accepted);
  stats["downstream.rq_active"] = sum.requests_active;
  stats["downstream.ssl_connection_error"] = Signed(sum.handshakes_failed);
  stats["upstream.cx_active"] = Signed(sum.upstream_open);
  stats["upstream.cx_total"] = Signed(sum.pool.connections_opened);
  stats["upstream.cx_connect_fail"] = Signed(sum.pool.connections_failed);
  stats["upstream.ssl_session_reused"] = Signed(sum.pool.handshakes_resumed);
  stats["upstream.rq_total"] = Signed(sum.pool.requests);
  stats["upstream.rq_reused"] = Signed(sum.pool.requests_reused);
  stats["upstream.rq_retry"] = Signed(sum.retries);
  stats["upstream.rq_retry_stale"] = Signed(sum.stale_retries);
  stats["upstream.rq_retry_overflow"] = Signed(sum.retries_refused_by_budget);
  stats["control_plane.connected_state"] = link.status().connected ? 1 : 0;
  stats["control_plane.connects"] = Signed(link.status().connects);
  stats["control_plane.failures"] = Signed(link.status().failures);
  for (const Type type : {Type::kCluster, Type::kEndpoint, Type::kListener, Type::kRoute}) {
    const discovery::TypeStatus& status = link.ads().status(type);
    const std::string prefix = "xds." + std::string(TypeName(type)) + ".";
    stats[prefix + "update_success"] = Signed(status.updates);
    stats[prefix + "update_rejected"] = Signed(status.rejected);
    stats[prefix + "resources"] = Signed(status.resources);
  }
  stats["server.live"] = view.sidecar->ready() ? 1 : 0;
  stats["server.state"] = static_cast<int64_t>(view.sidecar->state());
  stats["server.uptime"] = UptimeSeconds(view);
  stats["server.concurrency"] = Signed(view.sidecar->shard_count());
  stats["server.memory_allocated"] = Signed(view.process.heap_allocated_bytes);
  stats["server.memory_physical_size"] = Signed(view.process.resident_bytes);
  if (const WallTime end = link.status().not_after; end != WallTime{}) {
    stats["server.days_until_first_cert_expiring"] = (UnixSeconds(end) - UnixSeconds(view.wall_now)) / 86400;
  }
  return stats;
}

}  // namespace

Response StatsPage(const View& view, const Request& request) {
  RE2::Options quiet;
  quiet.set_log_errors(false);
  const RE2 filter(std::string(request.Query("filter")), quiet);
  if (!filter.ok()) return Response::Text(400, "filter is no regular expression (RE2): " + filter.error() + "\n");
  const bool used_only = request.query.contains("usedonly");
  const std::string_view format = request.Query("format");
  if (!format.empty() && format != "json" && format != "text") {
    return Response::Text(400, "format must be text, json or prometheus\n");
  }
  std::string text;
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const auto& [name, value] : Collect(view)) {
    if (used_only && value == 0) continue;
    if (!RE2::PartialMatch(name, filter)) continue;
    if (format == "json") {
      json.push_back({{"name", name}, {"value", value}});
    } else {
      text += name + ": " + std::to_string(value) + "\n";
    }
  }
  if (format != "json") return Response::Text(200, std::move(text));
  return Response::Json(200, nlohmann::ordered_json({{"stats", std::move(json)}}).dump(1) + "\n");
}

}  // namespace outrigger::admin
