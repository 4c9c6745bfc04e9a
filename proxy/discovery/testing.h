// Resources from text, for tests of discovery/. Header only; test code.
#pragma once

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace outrigger::discovery::testing {

// Protobuf text format; an Any is written as `[type.googleapis.com/NAME] { ... }`.
template <typename T>
T Parse(const std::string& text) {
  T message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

// `text` with the first `from`, which must be there, replaced.
inline std::string Replaced(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  if (at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

// A mesh service port as our control plane writes it. Names in capitals are there to be replaced.
constexpr char kClusterText[] = R"(
name: "outbound|80||orders.default"
type: EDS
eds_cluster_config { eds_config { ads {} resource_api_version: V3 } }
connect_timeout { seconds: 2 }
lb_policy: ROUND_ROBIN
typed_extension_protocol_options { key: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions" value {
  [type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions] {
    common_http_protocol_options { idle_timeout { seconds: 7 } }
    explicit_http_config { http2_protocol_options {} }
  }
} }
transport_socket_matches {
  name: "mesh"
  match { fields { key: "tlsMode" value { string_value: "mesh" } } }
  transport_socket { name: "envoy.transport_sockets.tls" typed_config {
    [type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext] {
      sni: "80.orders.default.svc.outrigger.internal"
      common_tls_context {
        tls_params { tls_minimum_protocol_version: TLSv1_3 }
        alpn_protocols: "h2"
        tls_certificate_sds_secret_configs { name: "default" }
        combined_validation_context {
          validation_context_sds_secret_config { name: "ROOTCA" }
          default_validation_context {
            match_typed_subject_alt_names { san_type: URI matcher { exact: "spiffe://cluster.local/ns/default/sa/orders" } }
          }
        }
      }
    }
  } }
}
metadata { filter_metadata { key: "outrigger.dev" value {
  fields { key: "service" value { string_value: "orders" } }
  fields { key: "namespace" value { string_value: "default" } }
  fields { key: "port" value { number_value: 80 } }
} } }
)";

inline envoy::config::cluster::v3::Cluster EdsCluster(const std::string& service) {
  return Parse<envoy::config::cluster::v3::Cluster>(Replaced(kClusterText, "|80||orders.", "|80||" + service + "."));
}

// "10.0.0.2:15006" and more, each called by mTLS.
inline envoy::config::endpoint::v3::ClusterLoadAssignment Assignment(const std::string& service,
                                                                     const std::vector<std::string>& addresses) {
  envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
  assignment.set_cluster_name("outbound|80||" + service + ".default");
  for (const std::string& address : addresses) {
    const size_t colon = address.rfind(':');
    auto* endpoint = (assignment.endpoints_size() == 0 ? assignment.add_endpoints() : assignment.mutable_endpoints(0))->add_lb_endpoints();
    auto* socket = endpoint->mutable_endpoint()->mutable_address()->mutable_socket_address();
    socket->set_address(address.substr(0, colon));
    socket->set_port_value(static_cast<uint32_t>(std::stoul(address.substr(colon + 1))));
    auto& match = (*endpoint->mutable_metadata()->mutable_filter_metadata())["envoy.transport_socket_match"];
    (*match.mutable_fields())["tlsMode"].set_string_value("mesh");
  }
  return assignment;
}

// The listener `outbound`, whose routes come by RDS.
constexpr char kOutboundText[] = R"(
name: "outbound"
address { socket_address { address: "127.0.0.1" port_value: 15001 } }
metadata { filter_metadata { key: "outrigger.dev" value { fields { key: "direction" value { string_value: "outbound" } } } } }
filter_chains { filters { name: "http" typed_config {
  [type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager] {
    stat_prefix: "outbound"
    rds { route_config_name: "outbound" config_source { ads {} resource_api_version: V3 } }
    http_filters { name: "router" typed_config { [type.googleapis.com/envoy.extensions.filters.http.router.v3.Router] {} } }
  }
} } }
)";

inline envoy::config::listener::v3::Listener OutboundListener() {
  return Parse<envoy::config::listener::v3::Listener>(kOutboundText);
}

// The route table `outbound`: everything of each of these hosts to its own cluster.
inline envoy::config::route::v3::RouteConfiguration RoutesTo(const std::vector<std::string>& services) {
  envoy::config::route::v3::RouteConfiguration routes;
  routes.set_name("outbound");
  for (const std::string& service : services) {
    auto* host = routes.add_virtual_hosts();
    host->set_name(service);
    host->add_domains(service);
    auto* route = host->add_routes();
    route->mutable_match()->set_prefix("/");
    route->mutable_route()->set_cluster("outbound|80||" + service + ".default");
    route->mutable_route()->mutable_timeout();
  }
  return routes;
}

}  // namespace outrigger::discovery::testing
