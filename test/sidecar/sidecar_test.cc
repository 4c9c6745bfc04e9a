#include <gmock/gmock.h>

#include "test/sidecar/fixture.h"

namespace outrigger {
namespace {

using ::testing::IsEmpty;

class SidecarTest : public OneSidecar {
 protected:
  // Drains with an answer that can be looked at.
  std::shared_ptr<std::optional<bool>> Drain(Duration grace, Duration limit) {
    auto cut = std::make_shared<std::optional<bool>>();
    sidecar().Drain(grace, limit, [cut](bool was_cut) { *cut = was_cut; });
    return cut;
  }
  // A request that the application holds.
  std::shared_ptr<Call> Hold() {
    auto call = BeginOrders("/slow");
    EXPECT_TRUE(env_.RunUntil([this] { return !app().held.empty(); }, 60s));
    return call;
  }
};

TEST_F(SidecarTest, IsInitializingUntilCertificateAndConfigurationAreInForceInEveryWorker) {
  StartProxy();
  EXPECT_EQ(sidecar().state(), sidecar::State::kInitializing);
  EXPECT_EQ(sidecar().waiting_for(), "no certificate yet");
  EXPECT_FALSE(sidecar().ready());
  ASSERT_TRUE(env_.RunUntil([this] { return sidecar().ready(); }, 60s));
  EXPECT_EQ(sidecar().state(), sidecar::State::kLive);
  EXPECT_THAT(sidecar().waiting_for(), IsEmpty());
  EXPECT_EQ(Wait(BeginOrders("/fast")).status, 200);
}

TEST_F(SidecarTest, StaysLiveWhileTheControlPlaneIsAway) {
  StartReadyProxy();
  env_.Stop(mesh_.control());
  env_.RunFor(60s);
  EXPECT_FALSE(sidecar().link().status().connected);
  EXPECT_TRUE(sidecar().ready());
  EXPECT_EQ(Wait(BeginOrders("/fast")).status, 200);
}

TEST_F(SidecarTest, ReadinessCanBeTakenAwayWithoutChangingItsState) {
  StartReadyProxy();
  sidecar().set_healthy(false);
  EXPECT_FALSE(sidecar().ready());
  EXPECT_EQ(sidecar().state(), sidecar::State::kLive);
  sidecar().set_healthy(true);
  EXPECT_TRUE(sidecar().ready());
}

TEST_F(SidecarTest, GathersTheWordOfEveryWorker) {
  StartReadyProxy();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Wait(BeginOrders("/fast")).status, 200);
  std::optional<std::vector<sidecar::ShardReport>> reports;
  sidecar().Gather([&](std::vector<sidecar::ShardReport> all) { reports = std::move(all); });
  EXPECT_FALSE(reports.has_value()) << "the answer comes in a later turn";
  ASSERT_TRUE(env_.RunUntil([&] { return reports.has_value(); }, 10s));
  ASSERT_EQ(reports->size(), 2u);
  uint64_t accepted = 0, requests = 0;
  for (const sidecar::ShardReport& report : *reports) {
    accepted += report.stats.connections_accepted;
    for (const auto& [labels, series] : report.samples) requests += series.requests;
    EXPECT_TRUE(report.stats.listeners.contains("outbound"));
    EXPECT_TRUE(report.stats.listeners.contains("inbound"));
  }
  EXPECT_EQ(requests, 40u) << "20 out and 20 in";
  EXPECT_GE(accepted, 20u);
}

TEST_F(SidecarTest, DrainOfAnIdleOneEndsAfterItsGrace) {
  StartReadyProxy();
  const Instant began = env_.now();
  const auto cut = Drain(3s, 60s);
  EXPECT_EQ(sidecar().state(), sidecar::State::kDraining);
  EXPECT_FALSE(sidecar().ready());
  ASSERT_TRUE(env_.RunUntil([&] { return cut->has_value(); }, 120s));
  EXPECT_FALSE(**cut);
  EXPECT_GE(env_.now() - began, 3s);
  EXPECT_LE(env_.now() - began, 5s);
}

TEST_F(SidecarTest, DrainServesNewRequestsDuringTheGraceAndThenOtherWorkloadsConnectNoMore) {
  StartReadyProxy();
  const auto held = Hold();
  const auto cut = Drain(3s, 600s);
  env_.RunFor(1s);
  EXPECT_EQ(Wait(BeginOrders("/fast")).status, 200);
  env_.RunFor(5s);
  // The inbound port is closed; the way out stays open for what is under way, and says what is wrong.
  EXPECT_EQ(Wait(Begin(env_.AddressOf(machine_, kInbound), "/fast", http::Method::kGet, "orders")).status, -1);
  EXPECT_EQ(Wait(BeginOrders("/fast")).status, 503);
  EXPECT_FALSE(cut->has_value());
  app().LetGo();
  EXPECT_EQ(Wait(held).status, 200);
  ASSERT_TRUE(env_.RunUntil([&] { return cut->has_value(); }, 60s));
  EXPECT_FALSE(**cut);
}

TEST_F(SidecarTest, DrainSaysWhenItHadToCut) {
  StartReadyProxy();
  const auto held = Hold();
  const Instant began = env_.now();
  const auto cut = Drain(1s, 10s);
  ASSERT_TRUE(env_.RunUntil([&] { return cut->has_value(); }, 120s));
  EXPECT_TRUE(**cut);
  EXPECT_GE(env_.now() - began, 10s);
  EXPECT_FALSE(held->reply.has_value());
}

TEST_F(SidecarTest, AskedToDrainAgainOnlyTheLastOneHears) {
  StartReadyProxy();
  const auto held = Hold();
  const auto first = Drain(1s, 10s);
  env_.RunFor(5s);
  const auto second = Drain(1s, 100s);
  env_.RunFor(20s);
  EXPECT_FALSE(second->has_value());
  app().LetGo();
  ASSERT_TRUE(env_.RunUntil([&] { return second->has_value(); }, 60s));
  EXPECT_FALSE(**second);
  EXPECT_FALSE(first->has_value());
}

TEST_F(SidecarTest, AConnectionThatNeverSpeaksDoesNotHoldUpTheDrain) {
  StartReadyProxy();
  sim::Recorder silent_in, silent_out;
  auto in = person_loop_->Connect({.address = env_.AddressOf(machine_, kInbound)}, &silent_in);
  auto out = person_loop_->Connect({.address = net::Address::Loopback(kOutbound)}, &silent_out);
  ASSERT_TRUE(env_.RunUntil([&] { return silent_in.connected && silent_out.connected; }, 10s));
  const auto cut = Drain(1s, 600s);
  ASSERT_TRUE(env_.RunUntil([&] { return cut->has_value(); }, 5s));
  EXPECT_FALSE(**cut);
}

TEST_F(SidecarTest, AnAnswerThatComesAfterItsEndIsNoHarm) {
  StartReadyProxy();
  bool called = false;
  sidecar().Gather([&](const std::vector<sidecar::ShardReport>&) { called = true; });
  env_.Stop(proxy_);
  env_.RunFor(10s);
  EXPECT_FALSE(called);
  EXPECT_THAT(env_.Problems(), IsEmpty());
}

}  // namespace
}  // namespace outrigger
