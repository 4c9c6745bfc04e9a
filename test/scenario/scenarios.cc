#include "test/scenario/direct.h"
#include "test/scenario/scenario.h"

namespace outrigger::scenario {

const std::vector<Scenario>& Scenarios() {
  static const std::vector<Scenario> kScenarios = {
      {.name = "direct",
       .what = "client and application without a mesh: nothing is lost",
       .weather = Weather::kCalm,
       .live = true,
       .play = PlayDirect},
      {.name = "direct-closing",
       .what = "the application closes connections after some answers: nothing is lost",
       .weather = Weather::kCalm,
       .live = true,
       .play = PlayDirectClosing},
      {.name = "direct-killed",
       .what = "the application is killed and restarted in a storm: nothing runs twice, everything ends",
       .weather = Weather::kStorm,
       .live = true,
       .play = PlayDirectKilled},
  };
  return kScenarios;
}

}  // namespace outrigger::scenario
