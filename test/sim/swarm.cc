// Plays scenarios in the simulation, many seeds of each: one line for every seed that failed, and one line at the end.
//   swarm --seeds 1000 --start 1 --scenario direct     (no --scenario: all)
//   swarm --scenario direct --seed 17 --print-hash      one seed, its trace hash; --log shows every event
//   swarm --list
// Each seed runs on a thread of its own, with BoringSSL's randomness seeded as well; as many at a time as there are processors.
#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "test/scenario/scenario.h"
#include "test/sim/tls_seed/tls_seed.h"

namespace outrigger::scenario {
namespace {

struct Flags {
  uint64_t start = 1;
  uint64_t seeds = 100;
  std::string scenario;
  unsigned jobs = std::thread::hardware_concurrency();
  bool print_hash = false;
  bool twice = false;  // each seed twice, and the hashes must agree
  bool log = false;
  bool list = false;
};

[[noreturn]] void Usage(const std::string& why) {
  std::fprintf(stderr,
               "%s\nusage: swarm [--seeds N] [--start S] [--scenario NAME] [--jobs N] [--twice]\n"
               "       swarm --scenario NAME --seed S [--print-hash] [--log]\n       swarm --list\n",
               why.c_str());
  std::exit(2);
}

uint64_t Number(const char* flag, const char* text) {
  char* end = nullptr;
  const uint64_t number = text == nullptr ? 0 : std::strtoull(text, &end, 10);
  if (text == nullptr || end == text || *end != '\0') Usage(std::string(flag) + " needs a number");
  return number;
}

Flags Parse(int argc, char** argv) {
  Flags flags;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (flag == "--seeds") flags.seeds = Number(argv[i], value), ++i;
    else if (flag == "--start") flags.start = Number(argv[i], value), ++i;
    else if (flag == "--seed") flags.start = Number(argv[i], value), flags.seeds = 1, ++i;
    else if (flag == "--jobs") flags.jobs = static_cast<unsigned>(Number(argv[i], value)), ++i;
    else if (flag == "--scenario" && value != nullptr) flags.scenario = value, ++i;
    else if (flag == "--print-hash") flags.print_hash = true;
    else if (flag == "--twice") flags.twice = true;
    else if (flag == "--log") flags.log = true;
    else if (flag == "--list") flags.list = true;
    else Usage("unknown flag " + flag);
  }
  if (flags.log) flags.jobs = 1;
  if (flags.jobs == 0) flags.jobs = 1;
  return flags;
}

void PrintLine(const std::string& line) { std::puts(line.c_str()); }

// One scenario over all seeds.
class Swarm {
 public:
  Swarm(const Scenario& scenario, const Flags& flags) : scenario_(scenario), flags_(flags), next_(flags.start) {}

  bool Run() {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> feeders;
    for (unsigned i = 0; i < flags_.jobs; ++i) feeders.emplace_back([this] { Feed(); });
    for (std::thread& feeder : feeders) feeder.join();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("%s: %" PRIu64 " seeds passed, %" PRIu64 " failed (%.1f s, %" PRIu64 " events, %.0f s of virtual time)\n",
                std::string(scenario_.name).c_str(), flags_.seeds - failed_, failed_, seconds, events_,
                static_cast<double>(virtual_time_.count()) / 1e9);
    std::fflush(stdout);
    return failed_ == 0;
  }

 private:
  void Feed() {
    for (;;) {
      const uint64_t seed = next_++;
      if (seed >= flags_.start + flags_.seeds) return;
      Play(seed);
    }
  }

  void Play(uint64_t seed) {
    SimulatedRun run;
    sim::RunSeeded(seed, [&] { run = PlaySimulated(scenario_, seed, flags_.log ? PrintLine : nullptr); });
    if (flags_.twice) {
      SimulatedRun again;
      sim::RunSeeded(seed, [&] { again = PlaySimulated(scenario_, seed); });
      if (again.trace_hash != run.trace_hash) run.report.Fail("the same seed ran differently the second time");
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    events_ += run.events;
    virtual_time_ += run.virtual_time;
    const std::string name(scenario_.name);
    if (flags_.print_hash) std::printf("%s seed %" PRIu64 " hash %016" PRIx64 "\n", name.c_str(), seed, run.trace_hash);
    if (flags_.seeds == 1)
      std::printf("%s seed %" PRIu64 ": %s (faults: %s)\n", name.c_str(), seed, run.report.summary.c_str(),
                  run.faults.c_str());
    if (run.report.failures.empty()) return;
    ++failed_;
    std::printf("FAILED %s seed %" PRIu64 ": %s", name.c_str(), seed, run.report.failures.front().c_str());
    if (run.report.failures.size() > 1) std::printf(" (and %zu more)", run.report.failures.size() - 1);
    std::printf(" [%s; faults: %s]\n", run.report.summary.c_str(), run.faults.c_str());
    if (flags_.seeds == 1) {
      for (const std::string& failure : run.report.failures) std::printf("  %s\n", failure.c_str());
    }
    std::fflush(stdout);
  }

  const Scenario& scenario_;
  const Flags& flags_;
  std::atomic<uint64_t> next_;
  std::mutex mutex_;  // over all below
  uint64_t failed_ = 0;
  uint64_t events_ = 0;
  Duration virtual_time_{};
};

int Main(int argc, char** argv) {
  const Flags flags = Parse(argc, argv);
  if (flags.list) {
    for (const Scenario& scenario : Scenarios()) {
      std::printf("%-24s %s\n", std::string(scenario.name).c_str(), std::string(scenario.what).c_str());
    }
    return 0;
  }
  if (!flags.scenario.empty() && FindScenario(flags.scenario) == nullptr) Usage("no scenario " + flags.scenario);
  bool well = true;
  for (const Scenario& scenario : Scenarios()) {
    if (flags.scenario.empty() || flags.scenario == scenario.name) well = Swarm(scenario, flags).Run() && well;
  }
  return well ? 0 : 1;
}

}  // namespace
}  // namespace outrigger::scenario

int main(int argc, char** argv) { return outrigger::scenario::Main(argc, argv); }
