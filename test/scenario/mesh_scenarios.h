// Stories of a mesh: web calls orders, which has three replicas.
#pragma once

#include "test/scenario/scenario.h"

namespace outrigger::scenario {

void PlayMeshSteady(Environment& environment, Report* report);
void PlayMeshReplicaKilled(Environment& environment, Report* report);
void PlayMeshStorm(Environment& environment, Report* report);

}  // namespace outrigger::scenario
