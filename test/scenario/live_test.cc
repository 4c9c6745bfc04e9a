// The scenarios on real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/scenario/live_environment.h"
#include "test/scenario/scenario.h"

namespace outrigger::scenario {
namespace {

using ::testing::IsEmpty;

std::vector<Scenario> LiveScenarios() {
  std::vector<Scenario> live;
  for (const Scenario& scenario : Scenarios()) {
    if (scenario.live) live.push_back(scenario);
  }
  return live;
}

class LiveTest : public ::testing::TestWithParam<Scenario> {};

TEST_P(LiveTest, ComesThroughWellOnRealSockets) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const Report report = PlayLive(GetParam(), seed);
    EXPECT_THAT(report.failures, IsEmpty()) << "seed " << seed << ", " << report.summary;
  }
}

INSTANTIATE_TEST_SUITE_P(All, LiveTest, ::testing::ValuesIn(LiveScenarios()), [](const auto& test) {
  std::string name(test.param.name);
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

}  // namespace
}  // namespace outrigger::scenario
