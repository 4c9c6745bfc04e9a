// A scenario: a story that programs must come through well, told once and played on the simulation and on real sockets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "test/check/ledger.h"
#include "test/scenario/environment.h"

namespace outrigger::scenario {

struct Report {
  std::vector<std::string> failures;  // empty: all was well
  std::string summary;                // one line of counts

  void Fail(std::string text) { failures.push_back(std::move(text)); }
  void Take(const check::Ledger& ledger, const check::Tolerance& tolerance) {
    for (std::string& text : ledger.Check(tolerance)) Fail(std::move(text));
    summary = ledger.counts().ToString();
  }
};

// What the network of a simulated run is like.
enum class Weather : uint8_t {
  kCalm,   // torn, slow, in small pieces; nothing refused, lost or reset
  kStorm,  // swarm testing: any of the faults, each run its own choice
};

struct Scenario {
  std::string_view name;
  std::string_view what;  // one line
  Weather weather = Weather::kCalm;
  bool live = true;       // makes sense on real sockets, too
  void (*play)(Environment& environment, Report* report) = nullptr;
};

// All there are, in the order told.
const std::vector<Scenario>& Scenarios();
const Scenario* FindScenario(std::string_view name);

// ---- in the simulation, on the calling thread
struct SimulatedRun {
  Report report;
  uint64_t trace_hash = 0;
  uint64_t events = 0;
  Duration virtual_time{};
  std::string faults;  // which were on
};
SimulatedRun PlaySimulated(const Scenario& scenario, uint64_t seed, void (*log)(const std::string& line) = nullptr);

}  // namespace outrigger::scenario
