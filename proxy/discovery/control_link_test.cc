// Reconnecting, and what stays in force meanwhile and over a restart.
#include "proxy/discovery/control_link.h"

#include <algorithm>

#include "proxy/discovery/link_testing.h"

namespace outrigger::discovery {
namespace {

using testing::ControlLinkTest;
using testing::RoutesTo;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// ---------------------------------------------------------------- connection

TEST_F(ControlLinkTest, ALostControlPlaneIsLookedForWithGrowingJitteredPauses) {
  Begin();
  control_process_.Kill();
  ASSERT_TRUE(world_.RunUntil([&] { return !proxy().link->status().connected; }, 5s));
  std::vector<double> pauses;
  uint64_t failures = proxy().link->status().failures;
  Instant last = world_.now();
  while (pauses.size() < 14) {
    ASSERT_TRUE(world_.RunUntil([&] { return proxy().link->status().failures > failures; }, 11s));
    failures = proxy().link->status().failures;
    pauses.push_back(std::chrono::duration<double>(world_.now() - last).count());
    last = world_.now();
  }
  for (size_t i = 0; i < pauses.size(); ++i) {
    const double ceiling = std::min(10.0, 0.2 * static_cast<double>(1 << i));
    EXPECT_GE(pauses[i], ceiling * 0.1) << i;
    EXPECT_LE(pauses[i], ceiling + 0.01) << i;
  }
  EXPECT_TRUE(std::any_of(pauses.begin() + 6, pauses.end(), [](double pause) { return pause > 2; }));
  std::sort(pauses.begin(), pauses.end());
  EXPECT_EQ(std::unique(pauses.begin(), pauses.end()), pauses.end()) << "no two pauses are the same";
  EXPECT_TRUE(InForce("orders")) << "what was in force stays in force";
}

TEST_F(ControlLinkTest, AControlPlaneThatComesBackIsFoundAndBringsWhatChanged) {
  Begin();
  control_process_.Kill();
  world_.RunFor(60s);
  Declare({"orders", "stock"});
  control_process_.Start();
  ASSERT_TRUE(world_.RunUntil([&] { return InForce("stock"); }, 11s));
  EXPECT_EQ(state_.issues.size(), 1u) << "the certificate it has is good";
  EXPECT_EQ(proxy().link->status().last_error, "");
}

TEST_F(ControlLinkTest, AStreamThatEndsIsOpenedAgainWithTheVersionsItHad) {
  Begin();
  const size_t before = state_.Of(Type::kCluster).size();
  control().EndStreams({rpc::Code::kUnavailable, "the control plane is shutting down"});
  ASSERT_TRUE(world_.RunUntil([&] { return state_.Of(Type::kCluster).size() > before; }, 11s));
  const auto request = state_.Of(Type::kCluster)[before];
  EXPECT_EQ(request.node().id(), "default/web-1");
  EXPECT_NE(request.version_info(), "");
  EXPECT_EQ(request.response_nonce(), "");
  EXPECT_THAT(log_, HasSubstr("the configuration stream ended: UNAVAILABLE: the control plane is shutting down"));
}

// ---------------------------------------------------------------- configuration

TEST_F(ControlLinkTest, ARefusedRouteTableKeepsTheLastGoodOne) {
  Begin();
  auto bad = RoutesTo({"stock"});
  bad.mutable_virtual_hosts(0)->mutable_routes(0)->mutable_route()->mutable_retry_policy()->set_retry_on("whenever");
  state_.resources[Type::kRoute]["outbound"].PackFrom(bad);
  control().Push(Type::kRoute);
  world_.RunFor(1s);
  EXPECT_TRUE(InForce("orders"));
  EXPECT_FALSE(InForce("stock"));
  const auto answer = state_.Of(Type::kRoute).back();
  EXPECT_THAT(answer.error_detail().message(),
              HasSubstr("outbound: virtual_hosts[stock].routes[0].route.retry_policy: retry_on: \"whenever\""));
  EXPECT_THAT(log_, HasSubstr("configuration was refused"));

  proxy_process_.Stop();
  control_process_.Stop();
  proxy_process_.Start();
  EXPECT_TRUE(InForce("orders")) << "what was refused is not what a restart finds";
}

TEST_F(ControlLinkTest, ARestartNeedsNeitherTokenNorControlPlane) {
  Begin();
  world_.RunFor(2s);
  control_process_.Kill();
  proxy_process_.Kill();
  token_.reset();
  proxy_process_.Start();
  ASSERT_NE(proxy().link, nullptr) << proxy().start_error.detail;
  EXPECT_TRUE(InForce("orders")) << "before anything else happens";
  EXPECT_TRUE(proxy().link->configured());
  ASSERT_EQ(proxy().identities.size(), 1u);
  EXPECT_EQ(proxy().identities[0]->own_id(), "spiffe://cluster.local/ns/default/sa/web");
  EXPECT_FALSE(proxy().link->status().connected);

  Declare({"orders", "stock"});
  control_process_.Start();
  ASSERT_TRUE(world_.RunUntil([&] { return InForce("stock"); }, 11s));
  EXPECT_EQ(state_.issues.size(), 1u);
}

TEST_F(ControlLinkTest, WhatIsKeptIsPrivate) {
  Begin();
  world_.RunFor(2s);
  for (const char* file : {"key.pem", "leaf.pem", "roots.pem",
                           "xds/clusters.pb", "xds/endpoints.pb", "xds/listeners.pb", "xds/routes.pb"}) {
    const auto mode = proxy_machine_.disk().Mode(std::string("/data/") + file);
    ASSERT_TRUE(mode.ok()) << file;
    EXPECT_EQ(*mode, 0600u) << file;
  }
}

TEST_F(ControlLinkTest, AStopKeepsWhatWasAcceptedAMomentBefore) {
  Begin();
  Declare({"orders", "stock"});
  control().Push(Type::kCluster);
  control().Push(Type::kRoute);
  ASSERT_TRUE(world_.RunUntil([&] { return InForce("stock"); }, 1s));
  proxy_process_.Stop();
  control_process_.Kill();
  proxy_process_.Start();
  EXPECT_TRUE(InForce("stock"));
}

TEST_F(ControlLinkTest, AfterItsCertificateEndedOnlyATokenHelpsAndItSaysSo) {
  Begin();
  control_process_.Kill();
  proxy_process_.Stop();
  token_.reset();
  proxy_machine_.ShiftWallClock(25h);
  proxy_process_.Start();
  EXPECT_EQ(proxy().link, nullptr);
  EXPECT_THAT(proxy().start_error.detail, HasSubstr("it ended at 2026-"));

  proxy_process_.Stop();
  proxy_machine_.ShiftWallClock(-25h);
  control_process_.Start();
  token_ = state_.token();
  proxy_process_.Start();
  ASSERT_TRUE(world_.RunUntil([&] { return proxy().link->status().connected; }, 5s));
}

TEST_F(ControlLinkTest, ALongAbsenceIsSurvivedByTheTokenOrToldWithoutOne) {
  state_.lifetime = 1h;
  Begin();
  control_process_.Kill();
  proxy_process_.Stop();
  token_.reset();
  proxy_process_.Start();
  ASSERT_NE(proxy().link, nullptr);
  world_.RunFor(2h);
  EXPECT_THAT(proxy().link->status().last_error, HasSubstr("there is no --token-file: make a token with `outrigger token create"));
  EXPECT_TRUE(InForce("orders"));
  control_process_.Start();
  world_.RunFor(1min);
  EXPECT_FALSE(proxy().link->status().connected);

  proxy_process_.Stop();
  token_ = state_.token();
  proxy_process_.Start();
  ASSERT_TRUE(world_.RunUntil([&] { return proxy().link->status().connected; }, 5s));
}

TEST_F(ControlLinkTest, EndpointsThatNeverComeHoldARouteUpForAWhileOnly) {
  Begin();
  Declare({"orders", "stock"});
  state_.resources[Type::kEndpoint].erase("outbound|80||stock.default");
  state_.withheld.insert(Type::kEndpoint);
  control().Push(Type::kCluster);
  control().Push(Type::kRoute);
  world_.RunFor(14s);
  EXPECT_FALSE(InForce("stock")) << "they may come yet";
  EXPECT_THAT(proxy().link->Missing(), ElementsAre("endpoints outbound|80||stock.default"));
  world_.RunFor(2s);
  EXPECT_TRUE(InForce("stock"));
  EXPECT_THAT(log_, HasSubstr("endpoints did not come and count as none first=outbound|80||stock.default count=1"));
}

TEST_F(ControlLinkTest, WhileTheControlPlaneIsAwayARouteThatWaitsGoesOnWaiting) {
  Begin();
  Declare({"orders", "stock"});
  state_.withheld.insert(Type::kEndpoint);
  control().Push(Type::kCluster);
  control().Push(Type::kRoute);
  world_.RunFor(5s);
  control_process_.Kill();
  world_.RunFor(5min);
  EXPECT_FALSE(InForce("stock"));
  EXPECT_TRUE(InForce("orders"));
}

}  // namespace
}  // namespace outrigger::discovery
