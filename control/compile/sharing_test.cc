// What did not change is the same pointer, and what is equal for two proxies is one.
#include "control/compile/compile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/compile/testing.h"

namespace outrigger::control {
namespace {

using envoy::config::route::v3::RouteConfiguration;
using testing::Get;
using testing::HostOf;
using testing::kMesh;
using testing::MeshTest;
using testing::WorkloadYaml;
using ::testing::IsEmpty;

using CompileSharingTest = MeshTest;

TEST_F(CompileSharingTest, TheSameObjectsGiveTheSamePointers) {
  Load(kMesh);
  ResourceSet before = For("shop/orders-1");
  Load(kMesh);
  ResourceSet after = For("shop/orders-1");
  EXPECT_EQ(before.clusters, after.clusters);
  EXPECT_EQ(before.endpoints, after.endpoints);
  EXPECT_EQ(before.listeners, after.listeners);
  EXPECT_EQ(before.routes, after.routes);
}

TEST_F(CompileSharingTest, ANewEndpointChangesThatAssignmentOnly) {
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

TEST_F(CompileSharingTest, WhatIsTheSameForSeveralProxiesIsOne) {
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

TEST_F(CompileSharingTest, TheSameObjectsGiveTheSameBytesInAnotherProcess) {
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

TEST_F(CompileSharingTest, TheTrustDomainIsPartOfNamesAndIdentities) {
  compiler = std::make_unique<Compiler>(CompileOptions{"example.org"});
  Load(kMesh);
  EXPECT_EQ(mesh->Find({"shop", "orders-1"})->identity, "spiffe://example.org/ns/shop/sa/orders");
  auto routes = Get<RouteConfiguration>(For("shop/orders-1").routes, "outbound");
  EXPECT_THAT(HostOf(routes, "orders.shop:80").domains(), ::testing::Contains("orders.shop.svc.example.org"));
}

// 1,000 services with 10 endpoints each: that it ends, and that one change afterwards makes two new resources, is the test; the benchmark
// measures.
TEST_F(CompileSharingTest, ALargeMeshIsCompiledAndRecompiledByDifference) {
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
