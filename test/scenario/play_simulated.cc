#include "test/scenario/scenario.h"
#include "test/scenario/sim_environment.h"

namespace outrigger::scenario {

SimulatedRun PlaySimulated(const Scenario& scenario, uint64_t seed, void (*log)(const std::string& line)) {
  Random weather(seed ^ 0x6f7574726967ull);
  const sim::Faults faults = scenario.weather == Weather::kCalm ? sim::Faults::Calm(weather) : sim::Faults::Swarm(weather);
  SimEnvironment environment(seed, faults);
  if (log != nullptr) environment.world().trace().SetLog(log);
  const Instant start = environment.now();
  SimulatedRun run;
  scenario.play(environment, &run.report);
  // Everybody has ended: what the kernels still had to say is said in a minute, and then no connection is left.
  environment.world().RunFor(1min);
  if (run.report.failures.empty() && environment.world().open_connections() > 0) {
    run.report.Fail(std::to_string(environment.world().open_connections()) + " connections are left at the end");
  }
  for (const std::string& problem : environment.Problems()) run.report.Fail(problem);
  run.trace_hash = environment.world().trace_hash();
  run.events = environment.world().trace().events();
  run.virtual_time = environment.now() - start;
  run.faults = faults.Describe();
  return run;
}

const Scenario* FindScenario(std::string_view name) {
  for (const Scenario& scenario : Scenarios()) {
    if (scenario.name == name) return &scenario;
  }
  return nullptr;
}

}  // namespace outrigger::scenario
