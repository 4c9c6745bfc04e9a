// Every scenario, on a few seeds of the simulation; test/sim:swarm plays thousands.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/scenario/scenario.h"
#include "test/sim/tls_seed/tls_seed.h"

namespace outrigger::scenario {
namespace {

using ::testing::IsEmpty;

SimulatedRun PlayOnFreshThread(const Scenario& scenario, uint64_t seed) {
  SimulatedRun run;
  sim::RunSeeded(seed, [&] { run = PlaySimulated(scenario, seed); });
  return run;
}

class SimulatedTest : public ::testing::TestWithParam<Scenario> {};

TEST_P(SimulatedTest, ComesThroughWellOnEverySeed) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const SimulatedRun run = PlayOnFreshThread(GetParam(), seed);
    EXPECT_THAT(run.report.failures, IsEmpty()) << "seed " << seed << ", faults " << run.faults << ", " << run.report.summary;
  }
}

TEST_P(SimulatedTest, TheSameSeedIsTheSameRunAndAnotherIsAnother) {
  const uint64_t hash = PlayOnFreshThread(GetParam(), 7).trace_hash;
  EXPECT_EQ(PlayOnFreshThread(GetParam(), 7).trace_hash, hash);
  EXPECT_NE(PlayOnFreshThread(GetParam(), 8).trace_hash, hash);
}

INSTANTIATE_TEST_SUITE_P(All, SimulatedTest, ::testing::ValuesIn(Scenarios()), [](const auto& test) {
  std::string name(test.param.name);
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

}  // namespace
}  // namespace outrigger::scenario
