#include "proxy/balance/picker.h"

#include <map>

#include "gtest/gtest.h"

namespace outrigger::balance {
namespace {

constexpr Instant kNow{std::chrono::hours(1)};

EndpointList MakeList(const std::vector<uint32_t>& weights, config::Health health = config::Health::kHealthy) {
  std::vector<ListedEndpoint> endpoints;
  for (const uint32_t weight : weights) {
    config::Endpoint endpoint;
    endpoint.weight = weight;
    endpoint.health = health;
    endpoints.push_back({endpoint, std::make_shared<EndpointState>()});
  }
  return EndpointList(std::move(endpoints));
}

std::map<uint32_t, int> PickMany(Picker* picker, config::LbPolicy policy, const EndpointList& list, int times, uint64_t seed = 1) {
  Random random(seed);
  std::map<uint32_t, int> counts;
  for (int i = 0; i < times; ++i) ++counts[picker->Pick(policy, list, {}, kNow, random).value()];
  return counts;
}

TEST(Picker, HasNobodyToPickFromAnEmptyList) {
  Picker picker;
  Random random(1);
  EXPECT_EQ(picker.Pick(config::LbPolicy::kLeastRequest, MakeList({}), {}, kNow, random), std::nullopt);
}

TEST(Picker, NeverPicksUnhealthyEndpoints) {
  Picker picker;
  Random random(1);
  EXPECT_EQ(picker.Pick(config::LbPolicy::kRandom, MakeList({1, 1}, config::Health::kUnhealthy), {}, kNow, random), std::nullopt);
}

TEST(Picker, UsesDrainingEndpointsOnlyWhenNoneIsHealthy) {
  std::vector<ListedEndpoint> endpoints(2);
  for (ListedEndpoint& endpoint : endpoints) endpoint.state = std::make_shared<EndpointState>();
  endpoints[0].config.health = config::Health::kDraining;
  Picker picker;
  EXPECT_EQ(PickMany(&picker, config::LbPolicy::kRandom, EndpointList(endpoints), 100), (std::map<uint32_t, int>{{1, 100}}));
  endpoints.pop_back();
  EXPECT_EQ(PickMany(&picker, config::LbPolicy::kRandom, EndpointList(endpoints), 10), (std::map<uint32_t, int>{{0, 10}}));
}

TEST(Picker, RoundRobinTakesTurns) {
  Picker picker;
  EXPECT_EQ(PickMany(&picker, config::LbPolicy::kRoundRobin, MakeList({1, 1, 1}), 300),
            (std::map<uint32_t, int>{{0, 100}, {1, 100}, {2, 100}}));
}

TEST(Picker, RoundRobinFollowsWeightsExactly) {
  Picker picker;
  EXPECT_EQ(PickMany(&picker, config::LbPolicy::kRoundRobin, MakeList({1, 2, 5}), 800),
            (std::map<uint32_t, int>{{0, 100}, {1, 200}, {2, 500}}));
}

TEST(Picker, RandomFollowsWeightsOnAverage) {
  Picker picker;
  const auto counts = PickMany(&picker, config::LbPolicy::kRandom, MakeList({1, 3}), 40000);
  EXPECT_NEAR(counts.at(1), 30000, 600);
}

TEST(Picker, LeastRequestPrefersTheLessLoadedOfTwo) {
  EndpointList list = MakeList({1, 1});
  list[0].state->active.Add(10);
  Picker picker;
  const auto counts = PickMany(&picker, config::LbPolicy::kLeastRequest, list, 4000);
  // The loaded one is taken only when it is drawn twice: one time in four.
  EXPECT_NEAR(counts.at(0), 1000, 150);
}

TEST(Picker, LeastRequestCountsLoadPerUnitOfWeight) {
  EndpointList list = MakeList({1, 10});
  list[0].state->active.Add(1);
  list[1].state->active.Add(5);
  Picker picker;
  EXPECT_GT(PickMany(&picker, config::LbPolicy::kLeastRequest, list, 1000)[1], 650);
}

TEST(Picker, AvoidsWhatThisRequestHasTried) {
  EndpointList list = MakeList({1, 1, 1});
  Picker picker;
  Random random(3);
  const uint32_t tried[] = {0, 2};
  for (int i = 0; i < 200; ++i) EXPECT_EQ(picker.Pick(config::LbPolicy::kLeastRequest, list, tried, kNow, random), 1u);
}

TEST(Picker, TriesAgainWhatWasTriedWhenThereIsNothingElse) {
  EndpointList list = MakeList({1});
  Picker picker;
  Random random(3);
  const uint32_t tried[] = {0};
  EXPECT_EQ(picker.Pick(config::LbPolicy::kLeastRequest, list, tried, kNow, random), 0u);
}

TEST(Picker, GivesNothingToAnEndpointThatIsSetAside) {
  EndpointList list = MakeList({1, 1});
  list[0].state->OnFailure(kNow);
  Picker picker;
  EXPECT_EQ(PickMany(&picker, config::LbPolicy::kLeastRequest, list, 500), (std::map<uint32_t, int>{{1, 500}}));
}

TEST(Picker, ReadmitsASetAsideEndpointByOneRequest) {
  EndpointList list = MakeList({1, 1});
  list[0].state->OnFailure(kNow);
  const Instant later = kNow + EndpointState::kFirstAside;
  Picker picker;
  Random random(5);
  int trials = 0;
  for (int i = 0; i < 500; ++i) trials += picker.Pick(config::LbPolicy::kLeastRequest, list, {}, later, random) == 0u;
  EXPECT_EQ(trials, 1);
}

TEST(Picker, PrefersAnUntriedSetAsideEndpointToATriedOne) {
  EndpointList list = MakeList({1, 1});
  list[0].state->OnFailure(kNow);
  Picker picker;
  Random random(5);
  const uint32_t tried[] = {1};
  EXPECT_EQ(picker.Pick(config::LbPolicy::kLeastRequest, list, tried, kNow, random), 0u);
}

TEST(EndpointState, IsSetAsideLongerWithEachFailedTrial) {
  const auto owned = std::make_unique<EndpointState>();  // on the heap, where its alignment is kept under sanitizers too
  EndpointState& state = *owned;
  Instant now = kNow;
  Duration aside = EndpointState::kFirstAside;
  state.OnFailure(now);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(state.standing(now + aside - Duration(1)), EndpointState::Standing::kAside) << i;
    now += aside;
    EXPECT_EQ(state.standing(now), EndpointState::Standing::kTrial) << i;
    ASSERT_TRUE(state.TakeTrial(now));
    state.OnFailure(now);
    aside = std::min<Duration>(aside * 2, EndpointState::kLongestAside);
  }
  EXPECT_EQ(aside, EndpointState::kLongestAside);
}

TEST(EndpointState, CountsFailuresThatComeTogetherAsOne) {
  const auto owned = std::make_unique<EndpointState>();
  EndpointState& state = *owned;
  for (int i = 0; i < 20; ++i) state.OnFailure(kNow);
  EXPECT_EQ(state.consecutive_failures(), 1u);
  EXPECT_EQ(state.standing(kNow + EndpointState::kFirstAside), EndpointState::Standing::kTrial);
}

TEST(EndpointState, IsGoodAgainAfterASuccess) {
  const auto owned = std::make_unique<EndpointState>();
  EndpointState& state = *owned;
  state.OnFailure(kNow);
  state.OnSuccess();
  EXPECT_EQ(state.standing(kNow), EndpointState::Standing::kGood);
  state.OnFailure(kNow);
  EXPECT_EQ(state.standing(kNow + EndpointState::kFirstAside), EndpointState::Standing::kTrial) << "the doubling starts anew";
}

}  // namespace
}  // namespace outrigger::balance
