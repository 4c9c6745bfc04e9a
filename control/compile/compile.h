// Objects in, xDS resources out: docs/xds-mapping.md is the contract. Deterministic: the same objects give the same bytes, and
// what did not change keeps its pointer from one generation to the next.
// One thread (views are made on first use and kept); the resources themselves are immutable.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "control/model/object.h"
#include "control/store/store.h"
#include "google/protobuf/any.pb.h"

namespace outrigger::control {

// Which proxy: node id NAMESPACE/WORKLOAD. The workload is a Workload's or an injected Pod's name.
struct ProxyId {
  std::string namespace_, workload;
  std::string ToString() const { return namespace_ + "/" + workload; }
  auto operator<=>(const ProxyId&) const = default;
};

using Resource = std::shared_ptr<const google::protobuf::Any>;
// By resource name. The map is shared and keeps its pointer while all of its resources do: comparing pointers tells whether
// there is anything to send.
using ResourceMap = std::map<std::string, Resource>;
using ResourceMapPtr = std::shared_ptr<const ResourceMap>;

struct ResourceSet {  // never null
  ResourceMapPtr clusters;   // envoy.config.cluster.v3.Cluster
  ResourceMapPtr endpoints;  // envoy.config.endpoint.v3.ClusterLoadAssignment
  ResourceMapPtr listeners;  // envoy.config.listener.v3.Listener
  ResourceMapPtr routes;     // envoy.config.route.v3.RouteConfiguration
};

struct CompileOptions {
  std::string trust_domain = "cluster.local";
};

// What is known of a workload beside its resources: for identity, status and the admin.
struct WorkloadInfo {
  ProxyId id;
  std::string service_account;
  std::string identity;  // spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT
  std::string address;   // ip:port of its sidecar's inbound listener; empty when not known yet
  bool pod = false;
  std::vector<std::string> services;  // "orders.default:80", those it is an endpoint of, sorted
};

class CompiledMesh {
 public:
  virtual ~CompiledMesh() = default;
  virtual uint64_t generation() const = 0;
  // NotFound when nobody declared that workload.
  virtual absl::StatusOr<ResourceSet> For(const ProxyId& proxy) const = 0;
  virtual const WorkloadInfo* Find(const ProxyId& proxy) const = 0;  // null: not declared
  virtual const std::map<ProxyId, WorkloadInfo>& workloads() const = 0;
  // Accepted objects that do not work out together: a policy for a service that does not exist, two workloads on one address, a
  // target port that a workload lacks. Sorted; the rest is in force.
  virtual const std::vector<Problem>& problems() const = 0;
  virtual MtlsMode mtls() const = 0;
};

class Compiler {
 public:
  explicit Compiler(CompileOptions options);
  ~Compiler();
  // Keeps what it needs of the former result, to share what did not change.
  std::shared_ptr<const CompiledMesh> Compile(std::shared_ptr<const StoreSnapshot> snapshot);

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace outrigger::control
