// Resolved values to xDS messages, one function per resource of docs/xds-mapping.md. Pure and deterministic.
#pragma once

#include <string>
#include <vector>

#include "control/compile/resolve.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "google/protobuf/any.pb.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/struct.pb.h"

namespace outrigger::control {

// Maps in key order, so that the same message always gives the same bytes.
std::string Bytes(const google::protobuf::Message& message);
google::protobuf::Any ToAny(const google::protobuf::Message& message);
google::protobuf::Duration ToProto(Duration d);
// The struct under metadata's `outrigger.dev`.
google::protobuf::Struct* OurMetadata(envoy::config::core::v3::Metadata* metadata);

// What of a MeshPort a Cluster is made of: equal inputs give an equal Cluster.
struct ClusterInputs {
  ServiceName service;
  uint16_t port = 0;
  AppProtocol protocol = AppProtocol::kDetect;
  LoadBalancing load_balancing = LoadBalancing::kLeastRequest;
  Duration connect_timeout{};
  std::optional<RetryBudget> budget;
  std::vector<std::string> identities;
  MtlsMode mtls = MtlsMode::kStrict;
  std::string trust_domain;
  bool operator==(const ClusterInputs&) const = default;
};
ClusterInputs InputsOf(const Mesh& mesh, const MeshPort& port);

envoy::config::cluster::v3::Cluster BuildOutboundCluster(const ClusterInputs& inputs);
envoy::config::cluster::v3::Cluster BuildInboundCluster(const InboundPort& port);
envoy::config::cluster::v3::Cluster BuildBlackhole();
envoy::config::endpoint::v3::ClusterLoadAssignment BuildEndpoints(const ServiceName& service, uint16_t port,
                                                                  const std::vector<MeshEndpoint>& endpoints);

// `viewer`: the namespace of the proxy. With `any_domain` the one of service|SERVICE.NAMESPACE|PORT.
envoy::config::route::v3::VirtualHost BuildVirtualHost(const Mesh& mesh, const MeshPort& port, const std::string& viewer, bool any_domain);

envoy::config::listener::v3::Listener BuildOutboundListener(const Mesh& mesh);
envoy::config::listener::v3::Listener BuildListen(const Mesh& mesh, const LocalListen& listen);
envoy::config::listener::v3::Listener BuildInboundListener(const Mesh& mesh, const MeshWorkload& workload);

}  // namespace outrigger::control
