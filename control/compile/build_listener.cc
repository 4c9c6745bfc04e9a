// Listeners: outbound, listen|PORT, inbound.
#include "control/compile/build.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"

namespace outrigger::control {
namespace {

namespace listener = envoy::config::listener::v3;
namespace core = envoy::config::core::v3;
namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;
namespace tls = envoy::extensions::transport_sockets::tls::v3;

constexpr uint16_t kOutboundPort = 15001;

void SetAddress(std::string_view ip, uint16_t port, listener::Listener* out) {
  auto* address = out->mutable_address()->mutable_socket_address();
  address->set_address(std::string(ip));
  address->set_port_value(port);
}

hcm::HttpConnectionManager Manager(std::string_view stat_prefix) {
  hcm::HttpConnectionManager manager;
  manager.set_stat_prefix(std::string(stat_prefix));
  hcm::HttpFilter* filter = manager.add_http_filters();
  filter->set_name("envoy.filters.http.router");
  *filter->mutable_typed_config() = ToAny(envoy::extensions::filters::http::router::v3::Router());
  return manager;
}

void AddManager(const hcm::HttpConnectionManager& manager, listener::FilterChain* chain) {
  listener::Filter* filter = chain->add_filters();
  filter->set_name("envoy.filters.network.http_connection_manager");
  *filter->mutable_typed_config() = ToAny(manager);
}

void SetMetadata(const Mesh& mesh, std::string_view direction, listener::Listener* out) {
  auto& ours = *OurMetadata(out->mutable_metadata())->mutable_fields();
  ours["direction"].set_string_value(std::string(direction));
  if (direction == kInbound) ours["mtls"].set_string_value(mesh.mtls == MtlsMode::kStrict ? "strict" : "permissive");
  if (mesh.access_log) {
    ours["access_log"].set_string_value(*mesh.access_log == AccessLog::kAll      ? "all"
                                        : *mesh.access_log == AccessLog::kErrors ? "errors"
                                                                                 : "none");
  }
}

void AddOutboundChain(const std::string& routes, listener::Listener* out) {
  hcm::HttpConnectionManager manager = Manager(kOutbound);
  manager.mutable_rds()->set_route_config_name(routes);
  core::ConfigSource* source = manager.mutable_rds()->mutable_config_source();
  source->mutable_ads();
  source->set_resource_api_version(core::V3);
  AddManager(manager, out->add_filter_chains());
}

core::TransportSocket DownstreamTls() {
  tls::DownstreamTlsContext context;
  context.mutable_require_client_certificate()->set_value(true);
  tls::CommonTlsContext* common = context.mutable_common_tls_context();
  common->mutable_tls_params()->set_tls_minimum_protocol_version(tls::TlsParameters::TLSv1_3);
  common->add_tls_certificate_sds_secret_configs()->set_name(std::string(kLeafSecret));
  auto* combined = common->mutable_combined_validation_context();
  combined->mutable_default_validation_context();
  combined->mutable_validation_context_sds_secret_config()->set_name(std::string(kRootsSecret));
  common->add_alpn_protocols("h2");
  common->add_alpn_protocols("http/1.1");
  core::TransportSocket socket;
  socket.set_name("envoy.transport_sockets.tls");
  *socket.mutable_typed_config() = ToAny(context);
  return socket;
}

listener::FilterChain InboundChain(const InboundPort& port, std::string name) {
  hcm::HttpConnectionManager manager = Manager(kInbound);
  auto* config = manager.mutable_route_config();
  config->set_name(InboundCluster(port.port));
  auto* host = config->add_virtual_hosts();
  host->set_name("inbound");
  host->add_domains("*");
  auto* route = host->add_routes();
  route->set_name("default");
  route->mutable_match()->set_prefix("/");
  route->mutable_route()->set_cluster(InboundCluster(port.port));
  *route->mutable_route()->mutable_timeout() = ToProto(Duration());

  listener::FilterChain chain;
  chain.set_name(std::move(name));
  AddManager(manager, &chain);
  auto& ours = *OurMetadata(chain.mutable_metadata())->mutable_fields();
  auto* services = ours["services"].mutable_list_value();
  for (const auto& [service, number] : port.services) services->add_values()->set_string_value(ServiceLabel(service, number));
  ours["port"].set_number_value(port.port);
  return chain;
}

}  // namespace

listener::Listener BuildOutboundListener(const Mesh& mesh) {
  listener::Listener out;
  out.set_name(std::string(kOutbound));
  SetAddress("127.0.0.1", kOutboundPort, &out);
  AddOutboundChain(std::string(kOutbound), &out);
  SetMetadata(mesh, kOutbound, &out);
  return out;
}

listener::Listener BuildListen(const Mesh& mesh, const LocalListen& listen) {
  listener::Listener out;
  out.set_name(Cat("listen|", listen.port));
  SetAddress("127.0.0.1", listen.port, &out);
  AddOutboundChain(ServiceRoutes({listen.service_namespace, listen.service}, listen.service_port), &out);
  SetMetadata(mesh, kOutbound, &out);
  return out;
}

listener::Listener BuildInboundListener(const Mesh& mesh, const MeshWorkload& workload) {
  listener::Listener out;
  out.set_name(std::string(kInbound));
  SetAddress("0.0.0.0", workload.inbound_port, &out);
  SetMetadata(mesh, kInbound, &out);
  for (const InboundPort& port : workload.ports) {
    listener::FilterChain* chain = out.add_filter_chains();
    *chain = InboundChain(port, InboundCluster(port.port));
    chain->mutable_filter_chain_match()->set_transport_protocol("tls");
    for (const auto& [service, number] : port.services) {
      chain->mutable_filter_chain_match()->add_server_names(ServiceSni(service, number));
    }
    chain->mutable_filter_chain_match()->add_server_names(
        WorkloadSni(workload.info.id.namespace_, workload.info.id.workload, port.port));
    *chain->mutable_transport_socket() = DownstreamTls();
  }
  if (mesh.mtls != MtlsMode::kPermissive) return out;
  for (const InboundPort& port : workload.ports) {
    listener::FilterChain* chain = out.add_filter_chains();
    *chain = InboundChain(port, Cat(InboundCluster(port.port), "|plaintext"));
    chain->mutable_filter_chain_match()->set_transport_protocol("raw_buffer");
    chain->mutable_filter_chain_match()->mutable_destination_port()->set_value(port.port);
  }
  if (workload.ports.size() == 1) {
    // Nothing redirected the connection: its destination is the sidecar's own port and says nothing.
    listener::FilterChain* chain = out.add_filter_chains();
    *chain = InboundChain(workload.ports[0], Cat(InboundCluster(workload.ports[0].port), "|plaintext|any"));
    chain->mutable_filter_chain_match()->set_transport_protocol("raw_buffer");
  }
  return out;
}

}  // namespace outrigger::control
