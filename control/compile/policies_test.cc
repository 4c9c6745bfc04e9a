// TrafficPolicy and MeshPolicy in the clusters, routes and listeners they hold for.
#include "control/compile/compile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/compile/testing.h"

namespace outrigger::control {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::listener::v3::Listener;
using envoy::config::route::v3::RouteConfiguration;
using testing::Get;
using testing::HostOf;
using testing::kMesh;
using testing::MeshTest;
using testing::Text;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using CompilePoliciesTest = MeshTest;

TEST_F(CompilePoliciesTest, ATrafficPolicyHoldsForItsServiceOverTheMeshsDefaults) {
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

TEST_F(CompilePoliciesTest, WithoutAnyDeclarationRetriesAreAsTheContractSays) {
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

TEST_F(CompilePoliciesTest, NoAttemptsMeansNoRetryPolicy) {
  Load(std::string(kMesh) +
       "---\n{apiVersion: outrigger.dev/v1, kind: TrafficPolicy, metadata: {name: p, namespace: shop}, spec: "
       "{targetRefs: [{kind: Service, name: orders}], "
       "retry: {attempts: 0}}}\n");
  auto routes = Get<RouteConfiguration>(For("shop/orders-1").routes, "outbound");
  EXPECT_FALSE(HostOf(routes, "orders.shop:80").routes(0).route().has_retry_policy());
}

TEST_F(CompilePoliciesTest, APolicyForOnePortGoesBeforeOneForTheService) {
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

TEST_F(CompilePoliciesTest, OfTwoMeshPoliciesTheOlderHoldsAndATrustDomainCannotChange) {
  Load(
      "{apiVersion: outrigger.dev/v1, kind: MeshPolicy, metadata: {name: a, creationTimestamp: "
      "'2024-02-01T00:00:00Z'}, spec: {mtls: permissive}}\n---\n"
      "{apiVersion: outrigger.dev/v1, kind: MeshPolicy, metadata: {name: b, creationTimestamp: "
      "'2024-01-01T00:00:00Z'}, spec: {trustDomain: example.org}}\n");
  EXPECT_EQ(mesh->mtls(), MtlsMode::kStrict);
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("MeshPolicy a: there may be only one; MeshPolicy b (mesh.yaml:3) is in force"),
                                      HasSubstr("MeshPolicy b: spec.trustDomain: the control plane runs with trust domain cluster.local")));
}

}  // namespace
}  // namespace outrigger::control
