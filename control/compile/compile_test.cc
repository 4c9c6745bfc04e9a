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
using testing::HostOf;
using testing::MeshTest;
using testing::Text;
using testing::Unpack;
using testing::WorkloadYaml;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

using CompileTest = MeshTest;

// orders (two workloads, one listening for inventory) and inventory (one workload in another namespace).
constexpr char kMesh[] = R"(
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec:
  selector: {app: orders}
  ports: [{name: http, port: 80, targetPort: http, appProtocol: http}]
---
apiVersion: outrigger.dev/v1
kind: Workload
metadata: {name: orders-1, namespace: shop, labels: {app: orders, version: v1}}
spec:
  address: 127.0.0.1
  inboundPort: 21006
  serviceAccount: orders
  ports: {http: 8080, admin: 9000}
  listen: [{port: 9001, service: inventory.stock}]
---
apiVersion: outrigger.dev/v1
kind: Workload
metadata: {name: orders-2, namespace: shop, labels: {app: orders}}
spec: {address: 127.0.0.1, inboundPort: 21007, serviceAccount: orders-canary, ports: {http: 8081}, weight: 3, locality: {region: eu, zone: a}}
---
apiVersion: v1
kind: Service
metadata: {name: inventory, namespace: stock}
spec:
  selector: {app: inventory}
  ports: [{name: rpc, port: 9090, targetPort: 7070, appProtocol: grpc}, {name: http, port: 80, targetPort: 7071}]
---
apiVersion: outrigger.dev/v1
kind: Workload
metadata: {name: inventory-1, namespace: stock, labels: {app: inventory}}
spec: {address: 10.0.0.9}
)";

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

// ---- Pods and slices

std::string PodYaml(const std::string& name, const std::string& ip, bool injected, const std::string& status = "",
                    const std::string& meta = "") {
  return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", labels: {app: a}" + meta +
         "}\nspec:\n  serviceAccountName: sa-" + name +
         "\n  containers: [{name: app, ports: [{name: http, containerPort: 8080}]}" +
         (injected ? ", {name: outrigger-proxy}" : "") + "]\nstatus: {podIP: " + ip + ", phase: Running" + status +
         "}\n---\n";
}
constexpr char kServiceA[] =
    "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {selector: {app: a}, ports: [{name: http, port: 80, "
    "targetPort: http}]}}\n---\n";

TEST_F(CompileTest, PodsAreEndpointsInjectedOnesByMtls) {
  Load(kServiceA + PodYaml("p1", "10.1.0.1", true) + PodYaml("p2", "10.1.0.2", false) +
       PodYaml("p3", "10.1.0.3", true, ", conditions: [{type: Ready, status: \"False\"}]") +
       PodYaml("p4", "10.1.0.4", true, "", ", deletionTimestamp: \"2024-01-01T00:00:00Z\""));
  EXPECT_THAT(Endpoints("outbound|80||a.default"),
              ElementsAre("10.1.0.1:15006 p1 mesh", "10.1.0.2:8080 p2", "10.1.0.4:15006 p4 mesh draining"));
  EXPECT_TRUE(mesh->For({"default", "p1"}).ok());
  EXPECT_FALSE(mesh->For({"default", "p2"}).ok()) << "no sidecar";
  Listener unready = Get<Listener>(For("default/p3").listeners, "inbound");
  EXPECT_THAT(unready.filter_chains(0).filter_chain_match().server_names(), ::testing::Contains("80.a.default.svc.outrigger.internal"))
      << "it serves, but nobody is sent there";
}

TEST_F(CompileTest, SlicesSayWhichPodsThereAre) {
  Load(std::string(kServiceA) + PodYaml("p1", "10.1.0.1", true) + PodYaml("p2", "10.1.0.2", true) + R"(
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a-1, labels: {kubernetes.io/service-name: a}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: [10.1.0.1], targetRef: {kind: Pod, name: p1, namespace: default}, zone: eu-1}
- {addresses: [10.9.9.9]}
- {addresses: [10.9.9.8], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [10.9.9.7], conditions: {ready: false}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a-2, labels: {kubernetes.io/service-name: a}}
addressType: IPv4
ports: [{name: http, port: 8080}, {name: other, port: 1}]
endpoints: [{addresses: [10.9.9.9]}]
)");
  EXPECT_THAT(Endpoints("outbound|80||a.default"),
              ElementsAre("10.9.9.8:8080 draining", "10.9.9.9:8080", "10.1.0.1:15006 p1 mesh eu-1"))
      << "p2 is in no slice, and an address counts once";
}

TEST_F(CompileTest, WorkloadsCountBesideSlices) {
  Load(std::string(kServiceA) + WorkloadYaml("vm-1", "ports: {http: 80}, inboundPort: 20001", "app: a") + R"(
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a-1, labels: {kubernetes.io/service-name: a}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.9.9.9]}]
)");
  EXPECT_THAT(Endpoints("outbound|80||a.default"), ElementsAre("10.9.9.9:8080", "127.0.0.1:20001 vm-1 mesh"));
}

TEST_F(CompileTest, ANamedPortThatAWorkloadLacksIsReportedAndNoEndpoint) {
  Load(std::string(kServiceA) + WorkloadYaml("w", "ports: {web: 80}", "app: a"));
  EXPECT_THAT(Endpoints("outbound|80||a.default"), IsEmpty());
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("Service default/a: spec.ports[0].targetPort: Workload default/w (mesh.yaml:3) has no port "
                                                "named \"http\"")));
}

TEST_F(CompileTest, ClashesAreReported) {
  Load(WorkloadYaml("a", "inboundPort: 20001, listen: [{port: 9001, service: s}]") + "---\n" +
       WorkloadYaml("b", "inboundPort: 20001") + "---\n" +
       WorkloadYaml("c", "inboundPort: 20002, listen: [{port: 9001, service: s}]") + "---\n" +
       "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 80}]}}\n---\n" +
       PodYaml("a", "10.0.0.1", true));
  EXPECT_THAT(
      Problems(),
      ElementsAre(
          HasSubstr(
              "Workload default/b: spec.inboundPort: 127.0.0.1:20001 is the inbound address of Workload default/a too"),
          HasSubstr("Workload default/c: spec.listen: port 9001 of 127.0.0.1 is taken by Workload default/a"),
          HasSubstr("Pod default/a: metadata.name: a Workload has the same name")));
}

// ---- policies

TEST_F(CompileTest, ATrafficPolicyHoldsForItsServiceOverTheMeshsDefaults) {
  Load(std::string(kMesh) + R"(
---
apiVersion: outrigger.dev/v1
kind: MeshPolicy
metadata: {name: m}
spec:
  accessLog: {requests: errors}
  defaults: {timeout: {connect: 3s, request: 30s}, loadBalancing: {algorithm: random}, retry: {attempts: 1}}
---
apiVersion: outrigger.dev/v1
kind: TrafficPolicy
metadata: {name: p, namespace: shop}
spec:
  targetRefs: [{kind: Service, name: orders}]
  loadBalancing: {algorithm: roundRobin}
  timeout: {request: 5s, idle: 1m}
  retry: {on: [reset], statusCodes: [503], perTryTimeout: 1s, backoff: {base: 10ms, max: 1s}, budget: {ratio: 0.5, minPerSecond: 2}}
)");
  EXPECT_THAT(Problems(), IsEmpty());
  auto clusters = For("shop/orders-1").clusters;
  Cluster orders = Get<Cluster>(clusters, "outbound|80||orders.shop");
  EXPECT_EQ(orders.lb_policy(), Cluster::ROUND_ROBIN);
  EXPECT_EQ(orders.connect_timeout().seconds(), 3) << "the mesh's default";
  EXPECT_EQ(Text(orders.metadata().filter_metadata().at("outrigger.dev").fields().at("retry_budget")),
            R"({"min_per_second":2,"ratio":0.5})");
  EXPECT_EQ(Get<Cluster>(clusters, "outbound|80||inventory.stock").lb_policy(), Cluster::RANDOM);
  EXPECT_EQ(Get<Cluster>(clusters, "outbound|80||inventory.stock")
                .metadata()
                .filter_metadata()
                .at("outrigger.dev")
                .fields()
                .count("retry_budget"),
            0u);

  auto routes = Get<RouteConfiguration>(For("shop/orders-1").routes, "outbound");
  const auto& route = HostOf(routes, "orders.shop:80").routes(0).route();
  EXPECT_EQ(route.timeout().seconds(), 5);
  EXPECT_EQ(route.idle_timeout().seconds(), 60);
  EXPECT_EQ(route.retry_policy().num_retries().value(), 1u);
  EXPECT_EQ(route.retry_policy().retry_on(), "reset,retriable-status-codes");
  EXPECT_THAT(route.retry_policy().retriable_status_codes(), ElementsAre(503));
  EXPECT_EQ(route.retry_policy().per_try_timeout().seconds(), 1);
  EXPECT_EQ(route.retry_policy().retry_back_off().base_interval().nanos(), 10'000'000);
  EXPECT_EQ(HostOf(routes, "inventory.stock:80").routes(0).route().timeout().seconds(), 30);
  EXPECT_EQ(Text(Get<Listener>(For("shop/orders-1").listeners, "outbound").metadata().filter_metadata().at("outrigger.dev")),
            R"({"access_log":"errors","direction":"outbound"})");
}

TEST_F(CompileTest, WithoutAnyDeclarationRetriesAreAsTheContractSays) {
  Load(kMesh);
  auto routes = Get<RouteConfiguration>(For("shop/orders-1").routes, "outbound");
  const auto& route = HostOf(routes, "orders.shop:80").routes(0);
  EXPECT_EQ(route.match().prefix(), "/");
  EXPECT_TRUE(route.route().has_timeout());
  EXPECT_EQ(route.route().timeout().seconds(), 0);
  EXPECT_EQ(route.route().retry_policy().num_retries().value(), 2u);
  EXPECT_EQ(route.route().retry_policy().retry_on(), "connect-failure,refused-stream,reset,gateway-error");
  EXPECT_FALSE(route.route().retry_policy().has_retry_back_off());
}

TEST_F(CompileTest, NoAttemptsMeansNoRetryPolicy) {
  Load(std::string(kMesh) +
       "---\n{apiVersion: outrigger.dev/v1, kind: TrafficPolicy, metadata: {name: p, namespace: shop}, spec: "
       "{targetRefs: [{kind: Service, name: orders}], "
       "retry: {attempts: 0}}}\n");
  auto routes = Get<RouteConfiguration>(For("shop/orders-1").routes, "outbound");
  EXPECT_FALSE(HostOf(routes, "orders.shop:80").routes(0).route().has_retry_policy());
}

TEST_F(CompileTest, APolicyForOnePortGoesBeforeOneForTheService) {
  auto policy = [](const std::string& name, const std::string& section, const std::string& algorithm) {
    return "---\n{apiVersion: outrigger.dev/v1, kind: TrafficPolicy, metadata: {name: " + name +
           ", namespace: stock}, spec: {targetRefs: [{kind: " + "Service, name: inventory" + section +
           "}], loadBalancing: {algorithm: " + algorithm + "}}}\n";
  };
  Load(std::string(kMesh) + policy("a", "", "random") + policy("b", ", sectionName: rpc", "roundRobin") + policy("c", "", "leastRequest") +
       policy("d", ", sectionName: nix", "random"));
  auto clusters = For("shop/orders-1").clusters;
  EXPECT_EQ(Get<Cluster>(clusters, "outbound|9090||inventory.stock").lb_policy(), Cluster::ROUND_ROBIN);
  EXPECT_EQ(Get<Cluster>(clusters, "outbound|80||inventory.stock").lb_policy(), Cluster::RANDOM);
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("TrafficPolicy stock/c: spec.targetRefs[0]: Service stock/inventory "
                                                "has a policy already: TrafficPolicy stock/a"),
                                      HasSubstr("TrafficPolicy stock/d: spec.targetRefs[0].sectionName: Service "
                                                "stock/inventory has no port named \"nix\"")));
}

TEST_F(CompileTest, OfTwoMeshPoliciesTheOlderHoldsAndATrustDomainCannotChange) {
  Load(
      "{apiVersion: outrigger.dev/v1, kind: MeshPolicy, metadata: {name: a, creationTimestamp: "
      "'2024-02-01T00:00:00Z'}, spec: {mtls: permissive}}\n---\n"
      "{apiVersion: outrigger.dev/v1, kind: MeshPolicy, metadata: {name: b, creationTimestamp: "
      "'2024-01-01T00:00:00Z'}, spec: {trustDomain: example.org}}\n");
  EXPECT_EQ(mesh->mtls(), MtlsMode::kStrict);
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("MeshPolicy a: there may be only one; MeshPolicy b (mesh.yaml:3) is in force"),
                                      HasSubstr("MeshPolicy b: spec.trustDomain: the control plane runs with trust domain cluster.local")));
}

// ---- what is shared

TEST_F(CompileTest, TheSameObjectsGiveTheSamePointers) {
  Load(kMesh);
  ResourceSet before = For("shop/orders-1");
  Load(kMesh);
  ResourceSet after = For("shop/orders-1");
  EXPECT_EQ(before.clusters, after.clusters);
  EXPECT_EQ(before.endpoints, after.endpoints);
  EXPECT_EQ(before.listeners, after.listeners);
  EXPECT_EQ(before.routes, after.routes);
}

TEST_F(CompileTest, ANewEndpointChangesThatAssignmentOnly) {
  Load(kMesh);
  ResourceSet before = For("shop/orders-1");
  Load(std::string(kMesh) + "---\n" +
       "{apiVersion: outrigger.dev/v1, kind: Workload, metadata: {name: orders-3, namespace: shop, labels: {app: "
       "orders}}, spec: {address: 10.0.0.3, "
       "serviceAccount: orders, ports: {http: 1}}}\n");
  ResourceSet after = For("shop/orders-1");
  EXPECT_EQ(before.clusters, after.clusters) << "the identities are the same";
  EXPECT_EQ(before.listeners, after.listeners);
  EXPECT_EQ(before.routes, after.routes);
  ASSERT_NE(before.endpoints, after.endpoints);
  for (const auto& [name, resource] : *before.endpoints) {
    EXPECT_EQ(resource != after.endpoints->at(name), name == "outbound|80||orders.shop") << name;
  }
}

TEST_F(CompileTest, WhatIsTheSameForSeveralProxiesIsOne) {
  Load(kMesh + std::string("---\n") +
       "{apiVersion: outrigger.dev/v1, kind: Workload, metadata: {name: orders-3, namespace: shop, labels: {app: "
       "orders}}, spec: {address: 10.0.0.3, "
       "ports: {http: 8081}}}\n");
  EXPECT_EQ(For("shop/orders-2").clusters, For("shop/orders-3").clusters);
  EXPECT_EQ(For("shop/orders-2").endpoints, For("stock/inventory-1").endpoints);
  EXPECT_EQ(For("shop/orders-2").routes, For("shop/orders-3").routes);
  EXPECT_NE(For("shop/orders-2").listeners, For("shop/orders-3").listeners);
  EXPECT_EQ(For("shop/orders-2").listeners->at("outbound"), For("stock/inventory-1").listeners->at("outbound"));
}

TEST_F(CompileTest, TheSameObjectsGiveTheSameBytesInAnotherProcess) {
  Load(kMesh);
  ResourceSet one = For("shop/orders-1");
  Compiler fresh{CompileOptions{}};
  auto other = fresh.Compile(snapshot)->For({"shop", "orders-1"});
  ASSERT_TRUE(other.ok());
  for (auto [a, b] : {std::pair{one.clusters, other->clusters}, {one.endpoints, other->endpoints}, {one.listeners, other->listeners},
                      {one.routes, other->routes}}) {
    ASSERT_EQ(a->size(), b->size());
    for (const auto& [name, resource] : *a) {
      EXPECT_NE(resource, b->at(name));
      EXPECT_EQ(resource->value(), b->at(name)->value()) << name;
    }
  }
}

TEST_F(CompileTest, TheTrustDomainIsPartOfNamesAndIdentities) {
  compiler = std::make_unique<Compiler>(CompileOptions{"example.org"});
  Load(kMesh);
  EXPECT_EQ(mesh->Find({"shop", "orders-1"})->identity, "spiffe://example.org/ns/shop/sa/orders");
  auto routes = Get<RouteConfiguration>(For("shop/orders-1").routes, "outbound");
  EXPECT_THAT(HostOf(routes, "orders.shop:80").domains(), ::testing::Contains("orders.shop.svc.example.org"));
}

// 1,000 services with 10 endpoints each: that it ends, and that one change afterwards makes two new resources, is the test; the benchmark
// measures.
TEST_F(CompileTest, ALargeMeshIsCompiledAndRecompiledByDifference) {
  std::string text;
  for (int s = 0; s < 1000; ++s) {
    std::string id = std::to_string(s);
    text += "{apiVersion: v1, kind: Service, metadata: {name: s" + id + "}, spec: {selector: {app: a" + id +
            "}, ports: [{port: 80, targetPort: 8080}]}}\n---\n";
    for (int e = 0; e < 10; ++e) {
      text += "{apiVersion: outrigger.dev/v1, kind: Workload, metadata: {name: w" + id + "-" + std::to_string(e) +
              ", labels: {app: a" + id + "}}, spec: {address: 10.1." + std::to_string(s / 250) + "." +
              std::to_string(s % 250) + ", inboundPort: " + std::to_string(20000 + e) + "}}\n---\n";
    }
  }
  Load(text);
  EXPECT_THAT(Problems(), IsEmpty());
  ResourceSet before = For("default/w0-0");
  EXPECT_EQ(before.clusters->size(), 1001u);
  Load(text + WorkloadYaml("w0-new", "inboundPort: 30000", "app: a0"));
  ResourceSet after = For("default/w0-0");
  EXPECT_EQ(before.clusters, after.clusters);
  EXPECT_EQ(before.routes, after.routes);
  EXPECT_EQ(before.listeners, after.listeners);
  size_t changed = 0;
  for (const auto& [name, resource] : *before.endpoints) changed += resource != after.endpoints->at(name) ? 1 : 0;
  EXPECT_EQ(changed, 1u);
}

}  // namespace
}  // namespace outrigger::control
