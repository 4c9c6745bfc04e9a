// What the pages are printed from, and the printers: values in, text out. Internal to this folder.
#pragma once

#include <string>
#include <vector>

#include "proxy/admin/http_server.h"
#include "proxy/admin/pages.h"
#include "proxy/sidecar/sidecar.h"

namespace outrigger::admin {

// Lives as long as one answer takes to print.
struct View {
  const sidecar::Sidecar* sidecar = nullptr;
  const path::Self* self = nullptr;
  const std::vector<sidecar::ShardReport>* shards = nullptr;  // null for pages that need none
  ProcessFacts process;
  AccessLogFacts access_log;
  Instant now{};
  WallTime wall_now{};
};

shard::Stats SumOf(const std::vector<sidecar::ShardReport>& shards);

// Prometheus exposition format 0.0.4.
std::string MetricsPage(const View& view);
// Lines "name: value" with Envoy's names; ?filter=RE2, ?usedonly, ?format=json.
Response StatsPage(const View& view, const Request& request);
Response ClustersPage(const View& view, const Request& request);
Response ListenersPage(const View& view, const Request& request);
Response ServerInfoPage(const View& view);
Response CertsPage(const View& view);
Response MemoryPage(const View& view);
std::string IndexPage(const View& view);

// The configuration in force as it was received. `link` flushes what waits to be kept. protobuf stays in config_dump.cc.
Response ConfigDumpPage(discovery::ControlLink* link, const Request& request);

// Seconds since the process began to serve, on the loop's own time.
int64_t UptimeSeconds(const View& view);

}  // namespace outrigger::admin
