// Objects put together: which workloads are a service's endpoints, which policy and which routes hold for it. Plain values, no
// protobuf; what the builders turn into resources. Pure and deterministic.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/compile/compile.h"
#include "control/compile/names.h"
#include "control/model/object.h"

namespace outrigger::control {

struct MeshEndpoint {
  std::string address;  // where to connect: the sidecar's inbound listener, or the endpoint itself without one
  uint16_t port = 0;
  bool mesh = false;    // has a sidecar: called with mTLS as `identity`
  bool draining = false;
  std::string namespace_, workload;  // empty when nobody declared it (an EndpointSlice's address)
  std::string identity;
  uint32_t weight = 1;
  Locality locality;
  bool operator==(const MeshEndpoint&) const = default;
};

// What holds for a service port after TrafficPolicy, MeshPolicy and the built-in defaults.
struct Settings {
  LoadBalancing load_balancing = LoadBalancing::kLeastRequest;
  uint32_t retry_attempts = 2;
  std::vector<std::string> retry_on;
  std::vector<int> retry_codes;
  std::optional<Duration> per_try_timeout, backoff_base, backoff_max;
  std::optional<RetryBudget> budget;
  Duration request_timeout{};  // zero: none
  Duration connect_timeout = std::chrono::seconds(1);
  std::optional<Duration> idle_timeout;
  bool operator==(const Settings&) const = default;
};

// One rule of a route that is attached to a service port, with its backends looked up.
struct AttachedBackend {
  std::string cluster;  // empty: there is no such backend, its share is answered 500
  uint32_t weight = 1;
};
struct AttachedRule {
  const Object* object = nullptr;  // the HTTPRoute or GRPCRoute
  const RouteRule* rule = nullptr;
  size_t index = 0;
  std::vector<AttachedBackend> backends;
};
struct AttachedMatch {
  const RouteMatch* match = nullptr;
  const AttachedRule* rule = nullptr;  // of AttachedRoutes::rules
  size_t index = 0;
};
struct AttachedRoutes {
  std::vector<AttachedRule> rules;
  std::vector<AttachedMatch> matches;  // in precedence, the first that matches wins
};

struct MeshPort {
  ServiceName service;
  std::string name;  // of the port
  uint16_t port = 0;
  bool only_port = false;
  AppProtocol protocol = AppProtocol::kDetect;
  Settings settings;
  std::vector<MeshEndpoint> endpoints;  // sorted
  std::vector<std::string> identities;  // of mesh endpoints, sorted, unique
  // By the namespace of the routes: the service's own are the producer's and hold for everybody; others only for callers of theirs, and
  // replace the producer's there.
  std::map<std::string, AttachedRoutes> routes;
};

// What one application port of a workload serves.
struct InboundPort {
  uint16_t port = 0;
  std::string name;                                      // of the workload's port; may be empty
  std::vector<std::pair<ServiceName, uint16_t>> services;  // service ports that lead here, sorted
  bool operator==(const InboundPort&) const = default;
};

struct MeshWorkload {
  WorkloadInfo info;
  std::string address;
  uint16_t inbound_port = 15006;
  std::vector<InboundPort> ports;  // by number
  std::vector<LocalListen> listen;
};

struct Mesh {
  MtlsMode mtls = MtlsMode::kStrict;
  std::optional<AccessLog> access_log;
  std::string trust_domain;
  std::map<std::pair<ServiceName, uint16_t>, MeshPort> ports;
  std::map<ProxyId, MeshWorkload> workloads;  // those with a sidecar
  std::vector<Problem> problems;
  bool needs_blackhole = false;  // some weighted route has a backend that does not exist
};

// The result points into `snapshot`, which must outlive it.
Mesh Resolve(const StoreSnapshot& snapshot, const CompileOptions& options);

// The parts, in the order in which Resolve runs them; each adds to `mesh` and may report.
void ResolveEndpoints(const StoreSnapshot& snapshot, Mesh* mesh);  // ports, their endpoints, workloads
void ResolvePolicies(const StoreSnapshot& snapshot, Mesh* mesh);   // MeshPort::settings
void ResolveRoutes(const StoreSnapshot& snapshot, Mesh* mesh);     // MeshPort::routes

void Report(const Object& object, int line, std::string field, std::string reason, Mesh* mesh);

}  // namespace outrigger::control
