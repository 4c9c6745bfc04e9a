// One version of everything this proxy runs, compiled and immutable; workers share it by pointer and a request pins the one it
// started with. Unchanged parts are shared between versions: one endpoint change costs that cluster only.
// Live counts (EndpointState, ClusterState) are found again by name and live outside.
// Snapshot is thread-safe; Compiler belongs to the main loop.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "proxy/balance/picker.h"
#include "proxy/config/config.h"
#include "proxy/guard/retry_budget.h"
#include "proxy/route/route.h"

namespace outrigger::snapshot {

// Outlives configuration: keyed by the cluster's name.
struct ClusterState {
  guard::RetryBudget retry_budget;
  SharedCount active_requests;
  uint32_t index = 0;  // dense, never reused in a process's life: the slot of per-worker metrics and pools
};

struct Cluster {
  config::Cluster config;
  std::shared_ptr<const balance::EndpointList> endpoints;  // null: never received, the cluster is not warm
  std::shared_ptr<ClusterState> state;
  bool warm() const { return endpoints != nullptr; }
};

struct Chain {
  config::FilterChain config;  // its inline_routes are moved into `routes`
  std::shared_ptr<const route::Table> routes;  // null: named, but not received yet; such a listener is not warm
};

struct Listener {
  config::Listener config;  // its chains are moved into `chains`
  std::vector<Chain> chains;
  // The most specific chain for a connection; null when none matches. `server_name` empty without TLS; port 0: unknown.
  const Chain* Find(std::string_view server_name, bool tls, uint16_t destination_port) const;
};

class Snapshot {
 public:
  uint64_t generation = 0;
  std::map<std::string, std::shared_ptr<const Listener>> listeners;
  std::map<std::string, std::shared_ptr<const route::Table>> routes;
  absl::flat_hash_map<std::string, std::shared_ptr<const Cluster>> clusters;  // for look-ups only: never iterated where order matters

  const Cluster* FindCluster(std::string_view name) const;
};

// Makes the next Snapshot out of resources, sharing what did not change with the one before. Listeners whose route tables are missing, and
// routes whose clusters are not warm yet, keep their former version (warming): see discovery/.
class Compiler {
 public:
  virtual ~Compiler() = default;
  // Each resource on its own, so that one bad one is refused and named while the others go on. The error says the field and why.
  virtual absl::Status SetListener(config::Listener listener) = 0;
  virtual absl::Status SetRoutes(config::RouteTable routes) = 0;
  virtual absl::Status SetCluster(config::Cluster cluster) = 0;
  virtual absl::Status SetEndpoints(config::EndpointSet endpoints) = 0;
  virtual void RemoveListener(const std::string& name) = 0;
  virtual void RemoveRoutes(const std::string& name) = 0;
  virtual void RemoveCluster(const std::string& name) = 0;   // with its endpoints
  // What is in force after all that. Cheap when nothing changed (the same pointer).
  virtual std::shared_ptr<const Snapshot> Build() = 0;
  // Names that Build() still waits for: route tables of listeners, endpoints of clusters.
  virtual std::vector<std::string> Missing() const = 0;
};
std::unique_ptr<Compiler> MakeCompiler();

}  // namespace outrigger::snapshot
