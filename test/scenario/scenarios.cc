#include "test/scenario/direct.h"
#include "test/scenario/mesh_scenarios.h"
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
      {.name = "mesh-steady",
       .what = "web calls three replicas through sidecars: nothing is lost, each serves",
       .weather = Weather::kCalm,
       .live = true,
       .play = PlayMeshSteady},
      {.name = "mesh-replica-killed",
       .what = "replicas' applications and sidecars and the control plane die, one at a time: nothing is lost or runs twice",
       .weather = Weather::kCalm,
       .live = true,
       .play = PlayMeshReplicaKilled},
      {.name = "mesh-storm",
       .what = "deaths, pauses, partitions, resets, power loss: everything ends, nothing runs twice, the mesh heals",
       .weather = Weather::kStorm,
       .live = false,
       .play = PlayMeshStorm},
  };
  return kScenarios;
}

}  // namespace outrigger::scenario
