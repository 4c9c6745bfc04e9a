// HTTPRoutes and GRPCRoutes as virtual hosts: precedence, shares, backends that are missing, whose routes hold for whom.
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
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CompileRoutesTest : public testing::MeshTest {
 protected:
  static std::string RouteYaml(const std::string& name, const std::string& rules, const std::string& more = "namespace: shop",
                               const std::string& kind = "HTTPRoute", const std::string& parent = "name: orders, namespace: shop") {
    return "---\n{apiVersion: gateway.networking.k8s.io/v1, kind: " + kind + ", metadata: {name: " + name + ", " + more +
           "}, spec: {parentRefs: [{group: '', kind: Service, " + parent + "}], rules: [" + rules + "]}}\n";
  }
  static std::string To(const std::string& match) { return "{matches: [" + match + "], backendRefs: [{name: orders, port: 80}]}"; }
  // What a proxy knows of a service port.
  envoy::config::route::v3::VirtualHost Host(const std::string& proxy, const std::string& name = "orders.shop:80") {
    return HostOf(Get<RouteConfiguration>(For(proxy).routes, "outbound"), name);
  }
  static std::vector<std::string> Paths(const envoy::config::route::v3::VirtualHost& host) {
    std::vector<std::string> paths;
    for (const auto& route : host.routes()) {
      const auto& match = route.match();
      paths.push_back(match.has_safe_regex() ? "~" + match.safe_regex().regex()
                                             : match.path() + match.path_separated_prefix() + match.prefix() +
                                                   (match.path().empty() ? "*" : "") + (match.headers().empty() ? "" : " if"));
    }
    return paths;
  }
};

TEST_F(CompileRoutesTest, TheMostSpecificMatchComesFirstWhateverTheOrder) {
  Load(kMesh + RouteYaml("r", To("{path: {value: /}}") + ", " + To("{path: {value: /a}}") + ", " + To("{path: {value: /a/b}}") + ", " +
                                  To("{path: {value: /a/b}, method: GET}") + ", " + To("{path: {type: RegularExpression, value: '/a.*'}}") +
                                  ", " + To("{path: {type: Exact, value: /z}}")));
  EXPECT_THAT(Problems(), IsEmpty());
  EXPECT_THAT(Paths(Host("shop/orders-1")), ElementsAre("/z", "~/a.*", "/a/b* if", "/a/b*", "/a*", "/*"));
}

TEST_F(CompileRoutesTest, WithARouteThereIsNoCatchAll) {
  Load(kMesh + RouteYaml("r", To("{path: {type: Exact, value: /only}}")));
  EXPECT_THAT(Paths(Host("shop/orders-1")), ElementsAre("/only"));
  EXPECT_EQ(Host("shop/orders-1").routes(0).name(), "shop/r/0");
}

TEST_F(CompileRoutesTest, SharesAreWeightsAndAMissingBackendsIsTheBlackholes) {
  Load(kMesh + RouteYaml("r", "{backendRefs: [{name: orders, port: 80, weight: 9}, {name: gone, port: 80, weight: 1}]}"));
  const auto host = Host("shop/orders-1");
  const auto& clusters = host.routes(0).route().weighted_clusters().clusters();
  ASSERT_EQ(clusters.size(), 2);
  EXPECT_EQ(clusters[0].name(), "outbound|80||orders.shop");
  EXPECT_EQ(clusters[0].weight().value(), 9u);
  EXPECT_EQ(clusters[1].name(), "blackhole");
  EXPECT_EQ(For("shop/orders-1").clusters->count("blackhole"), 1u);
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("spec.rules[0].backendRefs[1]: there is no Service shop/gone")));
}

TEST_F(CompileRoutesTest, ABackendOfAnotherNamespaceNeedsAGrant) {
  const std::string route = RouteYaml("r", "{backendRefs: [{name: inventory, namespace: stock, port: 80}]}");
  Load(kMesh + route);
  EXPECT_EQ(Host("shop/orders-1").routes(0).direct_response().status(), 500u);
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("no ReferenceGrant in namespace stock allows it")));
  Load(kMesh + route +
       "---\n{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: g, namespace: stock}, spec: {from: "
       "[{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}], to: [{group: '', kind: Service, name: inventory}]}}\n");
  EXPECT_THAT(Problems(), IsEmpty());
  EXPECT_EQ(Host("shop/orders-1").routes(0).route().cluster(), "outbound|80||inventory.stock");
}

TEST_F(CompileRoutesTest, ACallersOwnRoutesReplaceTheProducersThere) {
  Load(kMesh + RouteYaml("producers", To("{path: {value: /p}}")) +
       RouteYaml("callers", "{matches: [{path: {value: /c}}], backendRefs: [{name: orders, namespace: shop, port: 80}]}",
                 "namespace: stock"));
  EXPECT_THAT(Problems(), IsEmpty());
  EXPECT_THAT(Paths(Host("shop/orders-1")), ElementsAre("/p*"));
  EXPECT_THAT(Paths(Host("stock/inventory-1")), ElementsAre("/c*"));
}

TEST_F(CompileRoutesTest, ARedirectOutOfAPrefixToTheRootIsTwoRoutes) {
  Load(kMesh + RouteYaml("r", "{matches: [{path: {value: /a}}], filters: [{type: RequestRedirect, requestRedirect: {path: {type: "
                              "ReplacePrefixMatch, replacePrefixMatch: /}}}]}"));
  const auto host = Host("shop/orders-1");
  EXPECT_THAT(Paths(host), ElementsAre("/a", "/a/*"));
  EXPECT_EQ(host.routes(0).redirect().path_redirect(), "/");
  EXPECT_EQ(host.routes(1).redirect().prefix_rewrite(), "/");
}

TEST_F(CompileRoutesTest, OfBothKindsOnlyTheGrpcRoutesCount) {
  const std::string rule = "{backendRefs: [{name: inventory, port: 9090}]}";
  const std::string parent = "name: inventory, namespace: stock, port: 9090";
  Load(kMesh + RouteYaml("h", rule, "namespace: stock", "HTTPRoute", parent) +
       RouteYaml("g", "{matches: [{method: {service: s.S, method: M}}], backendRefs: [{name: inventory, port: 9090}]}", "namespace: stock",
                 "GRPCRoute", parent));
  EXPECT_THAT(Paths(Host("shop/orders-1", "inventory.stock:9090")), ElementsAre("/s.S/M"));
}

}  // namespace
}  // namespace outrigger::control
