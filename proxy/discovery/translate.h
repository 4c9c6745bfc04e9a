// xDS resources as config values: protobuf stops here. A resource is taken whole or refused whole; the status says the field and why,
// in words for the operator of the control plane. Strict: a field that is set and not understood is refused unless ignoring it
// changes neither traffic nor security. docs/xds-mapping.md has the names that our own control plane uses. Pure.
#pragma once

#include "absl/status/statusor.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "proxy/config/config.h"

namespace outrigger::discovery {

absl::StatusOr<config::Listener> Translate(const envoy::config::listener::v3::Listener& listener);
absl::StatusOr<config::RouteTable> Translate(const envoy::config::route::v3::RouteConfiguration& routes);
absl::StatusOr<config::Cluster> Translate(const envoy::config::cluster::v3::Cluster& cluster);
absl::StatusOr<config::EndpointSet> Translate(const envoy::config::endpoint::v3::ClusterLoadAssignment& assignment);

}  // namespace outrigger::discovery
