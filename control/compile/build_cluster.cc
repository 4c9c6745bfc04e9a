// Clusters and their endpoints.
#include "control/compile/build.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace outrigger::control {
namespace {

namespace cluster = envoy::config::cluster::v3;
namespace core = envoy::config::core::v3;
namespace tls = envoy::extensions::transport_sockets::tls::v3;
namespace http = envoy::extensions::upstreams::http::v3;

std::string_view ProtocolText(AppProtocol protocol) {
  switch (protocol) {
    case AppProtocol::kDetect: return "";
    case AppProtocol::kHttp: return "http";
    case AppProtocol::kH2c: return "kubernetes.io/h2c";
    case AppProtocol::kGrpc: return "grpc";
  }
  return "";
}

void SetProtocol(AppProtocol protocol, cluster::Cluster* out) {
  http::HttpProtocolOptions options;
  if (protocol == AppProtocol::kGrpc || protocol == AppProtocol::kH2c) {
    options.mutable_explicit_http_config()->mutable_http2_protocol_options();
  } else {
    options.mutable_explicit_http_config()->mutable_http_protocol_options();
  }
  (*out->mutable_typed_extension_protocol_options())["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"] = ToAny(options);
}

core::TransportSocket UpstreamTls(const ClusterInputs& inputs) {
  tls::UpstreamTlsContext context;
  context.set_sni(ServiceSni(inputs.service, inputs.port));
  tls::CommonTlsContext* common = context.mutable_common_tls_context();
  common->mutable_tls_params()->set_tls_minimum_protocol_version(tls::TlsParameters::TLSv1_3);
  common->add_tls_certificate_sds_secret_configs()->set_name(std::string(kLeafSecret));
  auto* combined = common->mutable_combined_validation_context();
  combined->mutable_validation_context_sds_secret_config()->set_name(std::string(kRootsSecret));
  auto* accepted = combined->mutable_default_validation_context();
  auto accept = [&](const std::string& identity) {
    tls::SubjectAltNameMatcher* matcher = accepted->add_match_typed_subject_alt_names();
    matcher->set_san_type(tls::SubjectAltNameMatcher::URI);
    matcher->mutable_matcher()->set_exact(identity);
  };
  for (const std::string& identity : inputs.identities) accept(identity);
  // An empty list would mean anybody. This is nobody's identity.
  if (inputs.identities.empty()) accept(Cat("spiffe://", inputs.trust_domain, "/nobody"));
  common->add_alpn_protocols("h2");
  common->add_alpn_protocols("http/1.1");
  core::TransportSocket socket;
  socket.set_name("envoy.transport_sockets.tls");
  *socket.mutable_typed_config() = ToAny(context);
  return socket;
}

core::TransportSocket Plaintext() {
  core::TransportSocket socket;
  socket.set_name("envoy.transport_sockets.raw_buffer");
  // The message has no fields, so its bytes are none.
  socket.mutable_typed_config()->set_type_url("type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer");
  return socket;
}

void SetAddress(const std::string& ip, uint16_t port, core::Address* out) {
  out->mutable_socket_address()->set_address(ip);
  out->mutable_socket_address()->set_port_value(port);
}

void AddEndpoint(const MeshEndpoint& endpoint, const std::string& sni, envoy::config::endpoint::v3::LbEndpoint* out) {
  SetAddress(endpoint.address, endpoint.port, out->mutable_endpoint()->mutable_address());
  out->set_health_status(endpoint.draining ? core::DRAINING : core::HEALTHY);
  out->mutable_load_balancing_weight()->set_value(endpoint.weight);
  auto& ours = *OurMetadata(out->mutable_metadata())->mutable_fields();
  if (!endpoint.workload.empty()) {
    ours["workload"].set_string_value(endpoint.workload);
    ours["namespace"].set_string_value(endpoint.namespace_);
  }
  if (!endpoint.mesh) return;
  ours["identity"].set_string_value(endpoint.identity);
  ours["sni"].set_string_value(sni);
  auto& match = (*out->mutable_metadata()->mutable_filter_metadata())["envoy.transport_socket_match"];
  (*match.mutable_fields())["tlsMode"].set_string_value("mesh");
}

}  // namespace

ClusterInputs InputsOf(const Mesh& mesh, const MeshPort& port) {
  return ClusterInputs{port.service,
                       port.port,
                       port.protocol,
                       port.settings.load_balancing,
                       port.settings.connect_timeout,
                       port.settings.budget,
                       port.identities,
                       mesh.mtls,
                       mesh.trust_domain};
}

cluster::Cluster BuildOutboundCluster(const ClusterInputs& inputs) {
  cluster::Cluster out;
  out.set_name(OutboundCluster(inputs.service, inputs.port));
  out.set_type(cluster::Cluster::EDS);
  core::ConfigSource* source = out.mutable_eds_cluster_config()->mutable_eds_config();
  source->mutable_ads();
  source->set_resource_api_version(core::V3);
  *out.mutable_connect_timeout() = ToProto(inputs.connect_timeout);
  out.set_lb_policy(inputs.load_balancing == LoadBalancing::kRoundRobin ? cluster::Cluster::ROUND_ROBIN
                    : inputs.load_balancing == LoadBalancing::kRandom   ? cluster::Cluster::RANDOM
                                                                        : cluster::Cluster::LEAST_REQUEST);
  SetProtocol(inputs.protocol, &out);

  auto* mesh = out.add_transport_socket_matches();
  mesh->set_name("mesh");
  (*mesh->mutable_match()->mutable_fields())["tlsMode"].set_string_value("mesh");
  *mesh->mutable_transport_socket() = UpstreamTls(inputs);
  if (inputs.mtls == MtlsMode::kPermissive) {
    auto* plaintext = out.add_transport_socket_matches();
    plaintext->set_name("plaintext");
    plaintext->mutable_match();
    *plaintext->mutable_transport_socket() = Plaintext();
  }

  auto& ours = *OurMetadata(out.mutable_metadata())->mutable_fields();
  ours["service"].set_string_value(inputs.service.name);
  ours["namespace"].set_string_value(inputs.service.namespace_);
  ours["port"].set_number_value(inputs.port);
  ours["protocol"].set_string_value(std::string(ProtocolText(inputs.protocol)));
  if (inputs.budget) {
    auto& budget = *ours["retry_budget"].mutable_struct_value()->mutable_fields();
    budget["ratio"].set_number_value(inputs.budget->ratio);
    budget["min_per_second"].set_number_value(inputs.budget->min_per_second);
  }
  return out;
}

cluster::Cluster BuildInboundCluster(const InboundPort& port) {
  cluster::Cluster out;
  out.set_name(InboundCluster(port.port));
  out.set_type(cluster::Cluster::STATIC);
  *out.mutable_connect_timeout() = ToProto(std::chrono::seconds(1));
  out.mutable_load_assignment()->set_cluster_name(out.name());
  SetAddress("127.0.0.1", port.port,
             out.mutable_load_assignment()->add_endpoints()->add_lb_endpoints()->mutable_endpoint()->mutable_address());
  auto& ours = *OurMetadata(out.mutable_metadata())->mutable_fields();
  ours["port"].set_number_value(port.port);
  ours["port_name"].set_string_value(port.name);
  return out;
}

cluster::Cluster BuildBlackhole() {
  cluster::Cluster out;
  out.set_name(std::string(kBlackhole));
  out.set_type(cluster::Cluster::STATIC);
  *out.mutable_connect_timeout() = ToProto(std::chrono::seconds(1));
  out.mutable_load_assignment()->set_cluster_name(out.name());
  return out;
}

envoy::config::endpoint::v3::ClusterLoadAssignment BuildEndpoints(const ServiceName& service, uint16_t port,
                                                                  const std::vector<MeshEndpoint>& endpoints) {
  envoy::config::endpoint::v3::ClusterLoadAssignment out;
  out.set_cluster_name(OutboundCluster(service, port));
  const std::string sni = ServiceSni(service, port);
  envoy::config::endpoint::v3::LocalityLbEndpoints* group = nullptr;
  const Locality* locality = nullptr;
  for (const MeshEndpoint& endpoint : endpoints) {  // sorted by locality first
    if (group == nullptr || *locality != endpoint.locality) {
      group = out.add_endpoints();
      locality = &endpoint.locality;
      if (*locality != Locality()) {
        group->mutable_locality()->set_region(locality->region);
        group->mutable_locality()->set_zone(locality->zone);
        group->mutable_locality()->set_sub_zone(locality->sub_zone);
      }
    }
    AddEndpoint(endpoint, sni, group->add_lb_endpoints());
  }
  return out;
}

}  // namespace outrigger::control
