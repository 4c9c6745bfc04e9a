// The proxy's internals as Prometheus metrics, after the service-level set of observe/.
#include <map>

#include "proxy/admin/version.h"
#include "proxy/admin/view.h"
#include "proxy/observe/metrics.h"

namespace outrigger::admin {
namespace {

class Writer {
 public:
  void Family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    observe::PrintHeader(name, type, help, &out);
  }
  void Sample(std::initializer_list<std::pair<std::string_view, std::string_view>> labels, double value) {
    observe::PrintLine(name_, observe::LabelText(labels), value, &out);
  }
  template <typename T>
  void One(std::string_view name, std::string_view type, std::string_view help, T value) {
    Family(name, type, help);
    Sample({}, static_cast<double>(value));
  }
  std::string out;

 private:
  std::string_view name_;
};

void Downstream(const View& view, const shard::Stats& stats, Writer* out) {
  const sidecar::Sidecar& sidecar = *view.sidecar;
  out->Family("outrigger_build_info", "gauge", "Always 1; the version is in the label.");
  out->Sample({{"version", kVersion}}, 1);
  out->One("outrigger_uptime_seconds", "gauge", "Since the proxy started.", UptimeSeconds(view));
  out->One("outrigger_ready", "gauge", "1 while /ready says LIVE.", sidecar.ready() ? 1 : 0);
  out->One("outrigger_workers", "gauge", "Threads that carry traffic.", sidecar.shard_count());
  out->One("outrigger_requests_in_flight", "gauge", "Requests under way.", stats.requests_active);
  out->One("outrigger_downstream_connections", "gauge", "Open connections of clients.", stats.connections_active);
  out->One("outrigger_downstream_connections_accepted_total", "counter", "Connections of clients accepted.", stats.connections_accepted);
  out->One("outrigger_downstream_handshakes_failed_total", "counter", "Handshakes with callers that failed.", stats.handshakes_failed);
}

void Upstream(const shard::Stats& stats, Writer* out) {
  size_t idle = 0, busy = 0, connecting = 0;
  for (const pool::Pool::EndpointCount& endpoint : stats.endpoints) {
    idle += endpoint.idle, busy += endpoint.busy, connecting += endpoint.connecting;
  }
  out->Family("outrigger_upstream_connections", "gauge", "Open connections to endpoints.");
  out->Sample({{"state", "idle"}}, static_cast<double>(idle));
  out->Sample({{"state", "busy"}}, static_cast<double>(busy));
  out->One("outrigger_upstream_connections_pending", "gauge", "Connections to endpoints that are being made.", connecting);
  out->One("outrigger_upstream_connections_opened_total", "counter", "Connections to endpoints made.", stats.pool.connections_opened);
  out->One("outrigger_upstream_connections_failed_total", "counter", "Connections to endpoints that could not be made.",
           stats.pool.connections_failed);
  out->One("outrigger_upstream_handshakes_resumed_total", "counter", "Handshakes with endpoints that resumed a session.",
           stats.pool.handshakes_resumed);
  out->One("outrigger_upstream_attempts_total", "counter", "Attempts sent to endpoints, retries included.", stats.pool.requests);
  out->One("outrigger_upstream_attempts_reused_total", "counter", "Attempts on a connection that had carried one before.",
           stats.pool.requests_reused);
  out->One("outrigger_upstream_retries_total", "counter", "Retries sent by policy.", stats.retries);
  out->One("outrigger_upstream_stale_retries_total", "counter", "Requests sent again because a pooled connection had been closed.",
           stats.stale_retries);
  out->One("outrigger_upstream_retries_refused_total", "counter", "Retries refused because the retry budget was spent.",
           stats.retries_refused_by_budget);
}

void Clusters(const View& view, Writer* out) {
  std::map<std::string_view, const snapshot::Cluster*> clusters;
  if (view.sidecar->snapshot() != nullptr) {
    for (const auto& [name, cluster] : view.sidecar->snapshot()->clusters) clusters.emplace(name, cluster.get());
  }
  if (clusters.empty()) return;
  out->Family("outrigger_upstream_requests_in_flight", "gauge", "Requests under way to a cluster.");
  for (const auto& [name, cluster] : clusters) {
    out->Sample({{"cluster", name}}, static_cast<double>(cluster->state->active_requests.load()));
  }
  out->Family("outrigger_upstream_retry_budget", "gauge", "Retries that a cluster may still be sent.");
  for (const auto& [name, cluster] : clusters) out->Sample({{"cluster", name}}, cluster->state->retry_budget.tokens());
  out->Family("outrigger_upstream_endpoints", "gauge", "Endpoints of a cluster; set_aside: failed lately and spared for a while.");
  for (const auto& [name, cluster] : clusters) {
    std::map<std::string_view, int> states = {{"draining", 0}, {"healthy", 0}, {"set_aside", 0}, {"unhealthy", 0}};
    for (size_t i = 0; cluster->warm() && i < cluster->endpoints->size(); ++i) {
      const balance::ListedEndpoint& endpoint = (*cluster->endpoints)[i];
      const bool good = endpoint.state->standing(view.now) == balance::EndpointState::Standing::kGood;
      ++states[endpoint.config.health == config::Health::kUnhealthy  ? "unhealthy"
               : endpoint.config.health == config::Health::kDraining ? "draining"
               : good                                                ? "healthy"
                                                                     : "set_aside"];
    }
    for (const auto& [state, count] : states) out->Sample({{"cluster", name}, {"state", state}}, count);
  }
}

void Link(const View& view, Writer* out) {
  using discovery::Type;
  const discovery::ControlLink& link = view.sidecar->link();
  const discovery::LinkStatus& status = link.status();
  constexpr Type kTypes[] = {Type::kCluster, Type::kEndpoint, Type::kListener, Type::kRoute};
  out->One("outrigger_xds_connected", "gauge", "1 while the control plane sends configuration.", status.connected ? 1 : 0);
  out->One("outrigger_xds_connects_total", "counter", "Connections made to the control plane.", status.connects);
  out->One("outrigger_xds_connect_failures_total", "counter", "Connections to the control plane that failed or ended.", status.failures);
  out->Family("outrigger_xds_updates_total", "counter", "Responses of the control plane that were accepted whole.");
  for (const Type type : kTypes) out->Sample({{"type", TypeName(type)}}, static_cast<double>(link.ads().status(type).updates));
  out->Family("outrigger_xds_rejected_total", "counter", "Responses of the control plane in which something was refused.");
  for (const Type type : kTypes) out->Sample({{"type", TypeName(type)}}, static_cast<double>(link.ads().status(type).rejected));
  out->Family("outrigger_xds_resources", "gauge", "Resources in force.");
  for (const Type type : kTypes) out->Sample({{"type", TypeName(type)}}, static_cast<double>(link.ads().status(type).resources));
  if (status.not_after != WallTime{}) {
    out->One("outrigger_certificate_expiry_seconds", "gauge", "Seconds until the certificate in force ends.",
             UnixSeconds(status.not_after) - UnixSeconds(view.wall_now));
  }
  out->One("outrigger_certificates_issued_total", "counter", "Certificates received from the control plane.", status.certificates_issued);
}

void AccessLog(const View& view, Writer* out) {
  out->One("outrigger_access_log_lines_total", "counter", "Lines of the access log.", view.access_log.lines);
  out->One("outrigger_access_log_dropped_total", "counter", "Requests without their line because there was no room for it.",
           view.access_log.dropped);
}

void Process(const View& view, Writer* out) {
  const ProcessFacts& process = view.process;
  out->One("process_cpu_seconds_total", "counter", "Processor time, user and system.", process.cpu_seconds);
  out->One("process_resident_memory_bytes", "gauge", "Resident memory.", process.resident_bytes);
  out->One("process_virtual_memory_bytes", "gauge", "Virtual memory.", process.virtual_bytes);
  out->One("process_open_fds", "gauge", "Open file descriptors.", process.open_fds);
  out->One("process_max_fds", "gauge", "Most file descriptors that may be open.", process.max_fds);
  out->One("process_threads", "gauge", "Threads.", process.threads);
  out->One("process_start_time_seconds", "gauge", "Start, in seconds since 1970.", UnixSeconds(view.wall_now) - UptimeSeconds(view));
}

}  // namespace

shard::Stats SumOf(const std::vector<sidecar::ShardReport>& shards) {
  shard::Stats sum;
  std::map<net::Address, pool::Pool::EndpointCount> endpoints;
  for (const sidecar::ShardReport& report : shards) {
    const shard::Stats& stats = report.stats;
    sum.connections_accepted += stats.connections_accepted;
    sum.connections_active += stats.connections_active;
    sum.handshakes_failed += stats.handshakes_failed;
    sum.requests_active += stats.requests_active;
    sum.retries += stats.retries;
    sum.stale_retries += stats.stale_retries;
    sum.retries_refused_by_budget += stats.retries_refused_by_budget;
    sum.pool.connections_opened += stats.pool.connections_opened;
    sum.pool.connections_failed += stats.pool.connections_failed;
    sum.pool.handshakes_resumed += stats.pool.handshakes_resumed;
    sum.pool.requests += stats.pool.requests;
    sum.pool.requests_reused += stats.pool.requests_reused;
    sum.upstream_open += stats.upstream_open;
    for (const pool::Pool::EndpointCount& count : stats.endpoints) {
      pool::Pool::EndpointCount& into = endpoints[count.address];
      into.address = count.address;
      into.idle += count.idle, into.busy += count.busy, into.connecting += count.connecting;
    }
  }
  for (const auto& [address, count] : endpoints) sum.endpoints.push_back(count);
  return sum;
}

int64_t UptimeSeconds(const View& view) {
  return std::chrono::duration_cast<std::chrono::seconds>(view.now - view.sidecar->started()).count();
}

std::string MetricsPage(const View& view) {
  observe::Samples samples;
  for (const sidecar::ShardReport& report : *view.shards) observe::Merge(report.samples, &samples);
  const shard::Stats stats = SumOf(*view.shards);
  Writer out;
  observe::PrintPrometheus(samples, &out.out);
  Downstream(view, stats, &out);
  Upstream(stats, &out);
  Clusters(view, &out);
  Link(view, &out);
  AccessLog(view, &out);
  Process(view, &out);
  return std::move(out.out);
}

}  // namespace outrigger::admin
