// A mesh of Services and Workloads as clusters, endpoints, listeners and routes.
#include "control/compile/compile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/compile/testing.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace outrigger::control {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::listener::v3::Listener;
using envoy::config::route::v3::RouteConfiguration;
using testing::Get;
using testing::kMesh;
using testing::MeshTest;
using testing::Text;
using testing::Unpack;
using testing::WorkloadYaml;
using ::testing::ElementsAre;

using CompileTest = MeshTest;

TEST_F(CompileTest, AServicePortIsAClusterThatDemandsItsEndpointsIdentities) {
  Load(kMesh);
  Cluster cluster = Get<Cluster>(For("shop/orders-1").clusters, "outbound|80||orders.shop");
  EXPECT_EQ(cluster.type(), Cluster::EDS);
  EXPECT_TRUE(cluster.eds_cluster_config().eds_config().has_ads());
  EXPECT_EQ(cluster.connect_timeout().seconds(), 1);
  EXPECT_EQ(cluster.lb_policy(), Cluster::LEAST_REQUEST);
  EXPECT_EQ(Text(cluster.metadata().filter_metadata().at("outrigger.dev")),
            R"({"namespace":"shop","port":80,"protocol":"http","service":"orders"})");
  ASSERT_EQ(cluster.transport_socket_matches_size(), 1) << "strict: no plaintext";
  EXPECT_EQ(Text(cluster.transport_socket_matches(0).match()), R"({"tlsMode":"mesh"})");
  auto tls = Unpack<envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext>(
      cluster.transport_socket_matches(0).transport_socket().typed_config());
  EXPECT_EQ(tls.sni(), "80.orders.shop.svc.outrigger.internal");
  EXPECT_EQ(tls.common_tls_context().tls_certificate_sds_secret_configs(0).name(), "default");
  const auto& validation = tls.common_tls_context().combined_validation_context();
  EXPECT_EQ(validation.validation_context_sds_secret_config().name(), "ROOTCA");
  std::vector<std::string> accepted;
  for (const auto& matcher : validation.default_validation_context().match_typed_subject_alt_names())
    accepted.push_back(matcher.matcher().exact());
  EXPECT_THAT(accepted, ElementsAre("spiffe://cluster.local/ns/shop/sa/orders", "spiffe://cluster.local/ns/shop/sa/orders-canary"));
}

TEST_F(CompileTest, TheProtocolOfAClusterIsWhatTheServiceSays) {
  Load(kMesh);
  auto clusters = For("shop/orders-1").clusters;
  auto http2 = [&](const std::string& name) {
    const auto options = Get<Cluster>(clusters, name).typed_extension_protocol_options();
    return Unpack<envoy::extensions::upstreams::http::v3::HttpProtocolOptions>(
               options.at("envoy.extensions.upstreams.http.v3.HttpProtocolOptions"))
        .explicit_http_config()
        .has_http2_protocol_options();
  };
  EXPECT_FALSE(http2("outbound|80||orders.shop"));
  EXPECT_TRUE(http2("outbound|9090||inventory.stock")) << "grpc";
  EXPECT_FALSE(http2("outbound|80||inventory.stock")) << "not declared";
}

TEST_F(CompileTest, EndpointsAreTheSidecarsAddressesWithTheirIdentity) {
  Load(kMesh);
  auto assignment = Get<ClusterLoadAssignment>(For("stock/inventory-1").endpoints, "outbound|80||orders.shop");
  ASSERT_EQ(assignment.endpoints_size(), 2) << "two localities";
  const auto& plain = assignment.endpoints(0).lb_endpoints(0);
  EXPECT_FALSE(assignment.endpoints(0).has_locality());
  EXPECT_EQ(plain.endpoint().address().socket_address().address(), "127.0.0.1");
  EXPECT_EQ(plain.endpoint().address().socket_address().port_value(), 21006u);
  EXPECT_EQ(plain.health_status(), envoy::config::core::v3::HEALTHY);
  EXPECT_EQ(Text(plain.metadata().filter_metadata().at("envoy.transport_socket_match")), R"({"tlsMode":"mesh"})");
  EXPECT_EQ(Text(plain.metadata().filter_metadata().at("outrigger.dev")),
            R"({"identity":"spiffe://cluster.local/ns/shop/sa/orders","namespace":"shop",)"
            R"("sni":"80.orders.shop.svc.outrigger.internal","workload":"orders-1"})");
  EXPECT_EQ(assignment.endpoints(1).locality().region(), "eu");
  EXPECT_EQ(assignment.endpoints(1).lb_endpoints(0).load_balancing_weight().value(), 3u);
}

TEST_F(CompileTest, AServiceWithoutEndpointsHasAnEmptyAssignmentAndTrustsNobody) {
  Load("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {selector: {app: a}, ports: [{port: 80}]}}\n---\n" + WorkloadYaml("w"));
  EXPECT_EQ(Get<ClusterLoadAssignment>(For("default/w").endpoints, "outbound|80||a.default").endpoints_size(), 0);
  Cluster cluster = Get<Cluster>(For("default/w").clusters, "outbound|80||a.default");
  auto tls = Unpack<envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext>(
      cluster.transport_socket_matches(0).transport_socket().typed_config());
  const auto& accepted = tls.common_tls_context().combined_validation_context().default_validation_context();
  ASSERT_EQ(accepted.match_typed_subject_alt_names_size(), 1) << "none would mean anybody";
  EXPECT_EQ(accepted.match_typed_subject_alt_names(0).matcher().exact(), "spiffe://cluster.local/nobody");
}

TEST_F(CompileTest, TheInboundListenerHasAChainForEachApplicationPort) {
  Load(kMesh);
  Listener listener = Get<Listener>(For("shop/orders-1").listeners, "inbound");
  EXPECT_EQ(listener.address().socket_address().port_value(), 21006u);
  EXPECT_EQ(Text(listener.metadata().filter_metadata().at("outrigger.dev")), R"({"direction":"inbound","mtls":"strict"})");
  ASSERT_EQ(listener.filter_chains_size(), 2);
  const auto& http = listener.filter_chains(0);
  EXPECT_EQ(http.filter_chain_match().transport_protocol(), "tls");
  EXPECT_THAT(http.filter_chain_match().server_names(),
              ElementsAre("80.orders.shop.svc.outrigger.internal", "8080.orders-1.shop.workload.outrigger.internal"));
  EXPECT_EQ(Text(http.metadata().filter_metadata().at("outrigger.dev")), R"({"port":8080,"services":["orders.shop:80"]})");
  auto tls = Unpack<envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext>(http.transport_socket().typed_config());
  EXPECT_TRUE(tls.require_client_certificate().value());
  EXPECT_THAT(tls.common_tls_context().alpn_protocols(), ElementsAre("h2", "http/1.1"));
  EXPECT_EQ(tls.common_tls_context().tls_params().tls_minimum_protocol_version(),
            envoy::extensions::transport_sockets::tls::v3::TlsParameters::TLSv1_3);
  auto manager = Unpack<envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager>(
      http.filters(0).typed_config());
  const auto& route = manager.route_config().virtual_hosts(0).routes(0).route();
  EXPECT_EQ(route.cluster(), "inbound|8080");
  EXPECT_TRUE(route.has_timeout());
  EXPECT_EQ(route.timeout().seconds(), 0);
  EXPECT_THAT(listener.filter_chains(1).filter_chain_match().server_names(), ElementsAre("9000.orders-1.shop.workload.outrigger.internal"))
      << "no service leads there";

  Cluster cluster = Get<Cluster>(For("shop/orders-1").clusters, "inbound|9000");
  EXPECT_EQ(cluster.type(), Cluster::STATIC);
  EXPECT_EQ(cluster.load_assignment().endpoints(0).lb_endpoints(0).endpoint().address().socket_address().port_value(), 9000u);
  EXPECT_EQ(Text(cluster.metadata().filter_metadata().at("outrigger.dev")), R"({"port":9000,"port_name":"admin"})");
}

TEST_F(CompileTest, TargetPortsByNumberNeedNoDeclarationAtTheWorkload) {
  Load(kMesh);
  Listener listener = Get<Listener>(For("stock/inventory-1").listeners, "inbound");
  ASSERT_EQ(listener.filter_chains_size(), 2);
  EXPECT_THAT(listener.filter_chains(0).filter_chain_match().server_names(),
              ElementsAre("9090.inventory.stock.svc.outrigger.internal", "7070.inventory-1.stock.workload.outrigger.internal"));
  EXPECT_EQ(For("stock/inventory-1").clusters->count("inbound|7071"), 1u);
  EXPECT_EQ(For("stock/inventory-1").clusters->count("inbound|8080"), 0u) << "of others";
}

TEST_F(CompileTest, PermissiveModeAdmitsPlaintextOnBothSides) {
  Load(std::string(kMesh) + "---\n{apiVersion: outrigger.dev/v1, kind: MeshPolicy, metadata: {name: m}, spec: {mtls: permissive}}\n");
  EXPECT_EQ(mesh->mtls(), MtlsMode::kPermissive);
  Cluster cluster = Get<Cluster>(For("shop/orders-1").clusters, "outbound|80||orders.shop");
  ASSERT_EQ(cluster.transport_socket_matches_size(), 2);
  EXPECT_EQ(cluster.transport_socket_matches(1).name(), "plaintext");
  EXPECT_EQ(cluster.transport_socket_matches(1).match().fields_size(), 0);

  Listener two = Get<Listener>(For("shop/orders-1").listeners, "inbound");
  ASSERT_EQ(two.filter_chains_size(), 4);
  EXPECT_EQ(two.filter_chains(2).filter_chain_match().transport_protocol(), "raw_buffer");
  EXPECT_EQ(two.filter_chains(2).filter_chain_match().destination_port().value(), 8080u);
  EXPECT_FALSE(two.filter_chains(2).has_transport_socket());

  Listener one = Get<Listener>(For("shop/orders-2").listeners, "inbound");
  ASSERT_EQ(one.filter_chains_size(), 3) << "the only port: also for connections that nothing redirected";
  EXPECT_FALSE(one.filter_chains(2).filter_chain_match().has_destination_port());
  EXPECT_EQ(Text(one.metadata().filter_metadata().at("outrigger.dev")), R"({"direction":"inbound","mtls":"permissive"})");
}

TEST_F(CompileTest, ListenPortsBindLoopbackAndFixTheService) {
  Load(kMesh);
  Listener listener = Get<Listener>(For("shop/orders-1").listeners, "listen|9001");
  EXPECT_EQ(listener.address().socket_address().address(), "127.0.0.1");
  EXPECT_EQ(listener.address().socket_address().port_value(), 9001u);
  auto manager = Unpack<envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager>(
      listener.filter_chains(0).filters(0).typed_config());
  EXPECT_EQ(manager.rds().route_config_name(), "service|inventory.stock|80");
  auto routes = Get<RouteConfiguration>(For("shop/orders-1").routes, "service|inventory.stock|80");
  ASSERT_EQ(routes.virtual_hosts_size(), 1);
  EXPECT_THAT(routes.virtual_hosts(0).domains(), ElementsAre("*"));
  EXPECT_EQ(routes.virtual_hosts(0).routes(0).route().cluster(), "outbound|80||inventory.stock");
  EXPECT_EQ(For("shop/orders-2").routes->size(), 1u) << "only what its listeners use";
}

TEST_F(CompileTest, AListenForNobodyAnswers404AndIsReported) {
  Load(WorkloadYaml("w", "listen: [{port: 9001, service: nobody}]"));
  EXPECT_EQ(Get<RouteConfiguration>(For("default/w").routes, "service|nobody.default|80").virtual_hosts_size(), 0);
  EXPECT_THAT(Problems(), ElementsAre("Workload default/w: spec.listen[0].service: there is no Service default/nobody "
                                      "with port 80; requests get 404"));
}

TEST_F(CompileTest, HostsAreTheNamesThatResolveInTheNamespaceOfTheProxy) {
  Load(kMesh);
  auto hosts = [&](const std::string& proxy) {
    std::map<std::string, std::vector<std::string>> out;
    auto routes = Get<RouteConfiguration>(For(proxy).routes, "outbound");
    EXPECT_EQ(routes.name(), "outbound");
    for (const auto& host : routes.virtual_hosts()) out[host.name()].assign(host.domains().begin(), host.domains().end());
    return out;
  };
  EXPECT_THAT(hosts("stock/inventory-1")["orders.shop:80"],
              ElementsAre("orders.shop", "orders.shop:80", "orders.shop.svc", "orders.shop.svc:80", "orders.shop.svc.cluster.local",
                          "orders.shop.svc.cluster.local:80"));
  EXPECT_THAT(hosts("shop/orders-1")["orders.shop:80"], ::testing::IsSupersetOf({"orders", "orders:80"}));
  EXPECT_THAT(hosts("shop/orders-1")["inventory.stock:9090"],
              ElementsAre("inventory.stock:9090", "inventory.stock.svc:9090", "inventory.stock.svc.cluster.local:9090"))
      << "a bare name means port 80";
  EXPECT_EQ(hosts("shop/orders-1").size(), 3u);
}

TEST_F(CompileTest, ABareNameMeansTheOnlyPortEvenWhenItIsNot80) {
  Load(
      "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 8080, name: x}, {port: 53, name: d, "
      "protocol: UDP}]}}\n---\n" +
      WorkloadYaml("w"));
  auto routes = Get<RouteConfiguration>(For("default/w").routes, "outbound");
  ASSERT_EQ(routes.virtual_hosts_size(), 1) << "UDP is not part of the mesh";
  EXPECT_THAT(routes.virtual_hosts(0).domains(), ::testing::IsSupersetOf({"a", "a:8080", "a.default"}));
}

TEST_F(CompileTest, NobodyElseGetsAConfiguration) {
  Load(kMesh);
  EXPECT_EQ(mesh->For({"shop", "unknown"}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(mesh->For({"stock", "orders-1"}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(mesh->Find({"stock", "orders-1"}), nullptr);
  const WorkloadInfo* info = mesh->Find({"shop", "orders-1"});
  ASSERT_NE(info, nullptr);
  EXPECT_EQ(info->identity, "spiffe://cluster.local/ns/shop/sa/orders");
  EXPECT_EQ(info->address, "127.0.0.1:21006");
  EXPECT_THAT(info->services, ElementsAre("orders.shop:80"));
  EXPECT_EQ(mesh->workloads().size(), 3u);
}

TEST_F(CompileTest, AClientOnlyWorkloadHasAnInboundListenerWithoutChains) {
  Load(WorkloadYaml("w"));
  EXPECT_EQ(Get<Listener>(For("default/w").listeners, "inbound").filter_chains_size(), 0);
  EXPECT_EQ(For("default/w").listeners->count("outbound"), 1u);
}

}  // namespace
}  // namespace outrigger::control
