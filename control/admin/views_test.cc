// What the control plane tells about itself: /status, a proxy's configuration, metrics.
#include "control/admin/views.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "control/compile/testing.h"

namespace outrigger::control {
namespace {

using testing::kMesh;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr WallTime kNow{std::chrono::seconds(1795255200)};  // 2026-11-21T10:00:00Z

// A proxy that was sent and accepted generation 1 of everything.
ProxyStatus Connected(const std::string& workload) {
  ProxyStatus proxy;
  proxy.id = {"shop", workload};
  proxy.connected = true;
  proxy.remote = "10.0.0.3:40000";
  proxy.user_agent = "outrigger-proxy 0.1.0";
  proxy.identity = "spiffe://cluster.local/ns/shop/sa/orders";
  proxy.connected_since = proxy.last_seen = kNow;
  proxy.generation = 1;
  for (TypeStatus& type : proxy.types) {
    type.subscribed = true;
    type.sent_version = type.accepted_version = 1;
  }
  return proxy;
}

class StatusViewTest : public testing::MeshTest {
 protected:
  StatusView View() {
    Load(kMesh);
    StatusView view;
    view.version = "0.1.0";
    view.trust_domain = "cluster.local";
    view.now = view.started = kNow;
    view.snapshot = snapshot;
    view.mesh = mesh;
    view.root_not_after = kNow + std::chrono::hours(48);
    view.root_spki_sha256 = "ab12";
    view.serving_not_after = kNow + 1h;
    view.certificate_lifetime = 24h;
    return view;
  }
};

TEST_F(StatusViewTest, CountsObjectsAndShowsWorkloadsAndCertificates) {
  const Json json = StatusJson(View());
  EXPECT_EQ(json["version"], "0.1.0");
  EXPECT_EQ(json["now"], "2026-11-21T10:00:00Z");
  EXPECT_EQ(json["generation"], 1);
  EXPECT_EQ(json["mtls"], "strict");
  EXPECT_EQ(json["objects"].dump(), R"({"Service":2,"Workload":3})");
  EXPECT_EQ(json["rejected"].dump(), "[]");
  EXPECT_EQ(json["certificates"]["root_expires"], "2026-11-23T10:00:00Z");
  EXPECT_EQ(json["certificates"]["workload_lifetime"], "24h");
  EXPECT_FALSE(json.contains("draining"));
  ASSERT_EQ(json["workloads"].size(), 3u);
  EXPECT_EQ(json["workloads"][0]["workload"], "shop/orders-1");
  EXPECT_EQ(json["workloads"][0]["address"], "127.0.0.1:21006");
  EXPECT_EQ(json["workloads"][0]["services"].dump(), R"(["orders.shop:80"])");
}

TEST_F(StatusViewTest, ARejectionHasItsPlaceAndWhetherTheLastGoodVersionHolds) {
  StatusView view = View();
  auto broken = std::make_shared<StoreSnapshot>(*snapshot);
  const ObjectKey orders{Kind::kService, "shop", "orders"};
  broken->rejected.push_back({Problem{"mesh.yaml", 12, "spec.ports[0].port", "must be a number", orders},
                              /*previous_in_force=*/true});
  broken->rejected.push_back({Problem{"torn.yaml", 0, "", "cannot be read", std::nullopt}, false});
  view.snapshot = broken;
  const Json json = StatusJson(view);
  EXPECT_EQ(json["rejected"][0].dump(), R"({"file":"mesh.yaml","line":12,"kind":"Service","namespace":"shop","name":"orders",)"
                                        R"("field":"spec.ports[0].port","reason":"must be a number","previous_in_force":true})");
  EXPECT_EQ(json["rejected"][1].dump(), R"({"file":"torn.yaml","line":0,"reason":"cannot be read","previous_in_force":false})");
}

TEST_F(StatusViewTest, AProxyHasTheLaterOfItsCertificates) {
  StatusView view = View();
  view.proxies.push_back(Connected("orders-1"));
  view.proxies[0].certificate_expires = kNow + 1h;
  view.certificates[{"shop", "orders-1"}] = kNow + 2h;
  const Json proxy = StatusJson(view)["proxies"][0];
  EXPECT_EQ(proxy["state"], "READY");
  EXPECT_EQ(proxy["certificate_expires"], "2026-11-21T12:00:00Z") << "renewed on a connection that is still of the old one";
  EXPECT_EQ(proxy["types"]["routes"].dump(), R"({"sent":1,"accepted":1,"pending":false})");
}

TEST(ProxyState, IsOneWord) {
  ProxyStatus proxy = Connected("a");
  EXPECT_EQ(ProxyState(proxy, 1), "READY");
  EXPECT_EQ(ProxyState(proxy, 2), "PENDING");
  proxy.types[static_cast<size_t>(Type::kRoute)].refused = true;
  EXPECT_EQ(ProxyState(proxy, 2), "REFUSED");
  proxy.connected = false;
  EXPECT_EQ(ProxyState(proxy, 2), "GONE");
}

TEST(ProxyJson, ShowsRefusalsAndLeavesOutTypesThatAreNotAskedFor) {
  ProxyStatus proxy = Connected("a");
  proxy.types[static_cast<size_t>(Type::kCluster)] = {};
  TypeStatus& routes = proxy.types[static_cast<size_t>(Type::kRoute)];
  routes.refused = true;
  routes.reason = "bad regex";
  routes.refusals = 2;
  const Json json = ProxyJson(proxy, 1);
  EXPECT_FALSE(json["types"].contains("clusters"));
  EXPECT_EQ(json["types"]["routes"]["refused"], "bad regex");
  EXPECT_EQ(json["types"]["routes"]["refusals"], 2);
}

TEST_F(StatusViewTest, AProxysConfigurationIsJsonAsEnvoySpellsIt) {
  Load(kMesh);
  const ProxyId id{"shop", "orders-1"};
  const auto text = ConfigJson(id, 1, *mesh->For(id));
  ASSERT_TRUE(text.ok()) << text.status();
  const Json json = Json::parse(*text);
  EXPECT_EQ(json["workload"], "shop/orders-1");
  EXPECT_EQ(json["generation"], 1);
  std::vector<std::string> listeners;
  for (const Json& listener : json["listeners"]) listeners.push_back(listener["name"]);
  EXPECT_THAT(listeners, ElementsAre("inbound", "listen|9001", "outbound"));
  for (const Json& cluster : json["clusters"]) EXPECT_TRUE(cluster.contains("name"));
  EXPECT_THAT(*text, HasSubstr("\"connect_timeout\"")) << "not connectTimeout";
}

TEST(Metrics, AreWellFormedAndHaveTheirNumbers) {
  MetricsView view;
  view.version = "0.1.0";
  view.generation = 7;
  view.objects = {{"Service", 2}};
  view.rejected = 1;
  view.connected = 3;
  view.in_force = 2;
  view.root_expiry_s = -5;
  const std::string text = MetricsText(view);
  for (const char* line : {"outrigger_control_build_info{version=\"0.1.0\"} 1\n", "outrigger_control_generation 7\n",
                           "outrigger_control_objects{kind=\"Service\"} 2\n", "outrigger_control_rejected_objects 1\n",
                           "outrigger_control_connected_proxies 3\n", "outrigger_control_proxies_in_force 2\n",
                           "outrigger_control_pushes_total{type=\"clusters\"} 0\n",
                           "outrigger_control_push_duration_seconds_bucket{le=\"+Inf\"} 0\n",
                           "outrigger_control_certificate_expiry_seconds{certificate=\"root\"} -5\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const bool comment = line.starts_with("# HELP outrigger_control_") || line.starts_with("# TYPE outrigger_control_");
    EXPECT_TRUE(comment || line.starts_with("outrigger_control_")) << line;
  }
}

TEST(Dump, NeverFailsOnBytesThatAreNoText) { EXPECT_THAT(Dump(Json("\xff\xfe")), HasSubstr("\xef\xbf\xbd")); }

}  // namespace
}  // namespace outrigger::control
