// Client and application without a mesh between them: what the test applications themselves, and the network's model, can and cannot do.
#pragma once

#include "test/scenario/scenario.h"

namespace outrigger::scenario {

void PlayDirect(Environment& environment, Report* report);
void PlayDirectClosing(Environment& environment, Report* report);
void PlayDirectKilled(Environment& environment, Report* report);

}  // namespace outrigger::scenario
