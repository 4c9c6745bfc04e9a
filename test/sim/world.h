// A whole world in one thread from one seed: machines, processes, the network between them, time. The same seed gives the same run,
// event by event; trace_hash() proves it.
//
//   sim::World world(seed);
//   net::Loop& a = world.AddLoop("client");    // a machine of its own with one process
//   net::Loop& b = world.AddLoop("server");
//   ... make servers and clients on them, with world.AddressOf(b, 80) ...
//   EXPECT_TRUE(world.RunUntil([&] { return answered == 10; }, 5s));
//   EXPECT_THAT(world.problems(), IsEmpty());
//
// Virtual time passes only in Run*. Code of the test runs between turns; what it does on a loop takes effect as if in a turn.
// Not thread-safe; worlds share nothing, so each thread may have its own.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/random.h"
#include "proxy/base/time.h"
#include "proxy/net/loop.h"
#include "test/sim/event_queue.h"
#include "test/sim/faults.h"
#include "test/sim/machine.h"
#include "test/sim/trace.h"

namespace outrigger::sim {

class World {
 public:
  explicit World(uint64_t seed, Faults faults = Faults::None());
  ~World();
  World(const World&) = delete;

  // ---- what there is
  Machine& AddMachine(const std::string& name);  // addresses 10.0.0.1, 10.0.0.2, ...
  SimLoop& AddLoop(const std::string& name);     // a machine of its own with one running process
  net::Address AddressOf(net::Loop& loop, uint16_t port) const;
  void AddName(const std::string& host, std::vector<net::Address> addresses);  // for Resolve; ports are the asker's
  void RemoveName(const std::string& host) { names_.erase(host); }
  const std::vector<std::unique_ptr<Machine>>& machines() const { return machines_; }

  // ---- time
  Instant now() const { return now_; }
  WallTime wall_now() const { return kWallStart + (now_ - kStart); }
  void After(Duration delay, std::function<void()> step);  // the test's own steps, between turns
  // True as soon as done() says so (asked after each event); false when `within` has passed, or when nothing is left to do.
  bool RunUntil(const std::function<bool()>& done, Duration within);
  void RunFor(Duration duration);
  bool quiet() const { return events_.empty(); }  // nothing would ever happen by itself again

  // ---- what goes wrong
  Faults& faults() { return faults_; }
  void Partition(const Machine& a, const Machine& b);  // both ways; as when cables are cut
  void PartitionOneWay(const Machine& from, const Machine& to);
  void Heal(const Machine& a, const Machine& b);
  void HealAll();
  void ResetConnections(const Machine& a, const Machine& b);  // all that are open between them

  // ---- what happened
  uint64_t seed() const { return seed_; }
  uint64_t trace_hash() const { return trace_.hash(); }
  Trace& trace() { return trace_; }
  void Note(TraceKind kind, uint32_t actor, uint64_t value) { trace_.Add(now_, kind, actor, value); }
  size_t open_connections() const;
  // Rules broken by processes: things left behind at their end, a loop's objects used from another loop's turn, no progress.
  const std::vector<std::string>& problems() const { return problems_; }
  void Problem(std::string text);
  // What would be a leak if everything ended now: connections, listeners and timers by process. Empty after a clean end.
  std::vector<std::string> Holdings() const;

  // For the test's own choices; the network, the scheduler and the loops each have their own.
  Random& random() { return random_; }

  // ---- for the kernel
  void Push(Duration delay, std::shared_ptr<EventSink> sink, uint32_t op, uint64_t argument) {
    PushAt(now_ + delay, std::move(sink), op, argument);
  }
  void PushAt(Instant at, std::shared_ptr<EventSink> sink, uint32_t op, uint64_t argument) {
    events_.Push(at, std::move(sink), op, argument);
  }
  void Later(Duration delay, std::function<void()> call);  // the kernel's; After() is the test's
  void Unpark();  // the way may be free again
  void Park(std::shared_ptr<Tcp> tcp, uint32_t op, uint64_t argument);
  bool Reaches(const Machine& from, const Machine& to) const;
  uint64_t heals() const { return heals_; }  // how often a cut was mended
  Machine* FindMachine(const net::Address& address, Machine* from);
  Result<std::vector<net::Address>> LookUp(const std::string& host, uint16_t port);
  void AddTcp(Tcp* tcp) { connections_.PushBack(tcp); }
  void VanishConnections(Machine* machine);
  Duration DrawLatency(const Machine& from, const Machine& to, size_t size);
  size_t DrawSize(size_t min, size_t max) { return min + (max > min ? network_.Below(max - min + 1) : 0); }
  Duration DrawTime(Duration max) {
    return Duration(max.count() > 0 ? static_cast<int64_t>(network_.Below(static_cast<uint64_t>(max.count()))) : 0);
  }
  bool Chance(double p) { return p > 0 && network_.Chance(p); }
  size_t Tear(size_t size);
  Random& scheduler() { return scheduler_; }
  uint32_t NextActor() { return ++actors_; }
  SimLoop* running() const { return running_; }
  void SetRunning(SimLoop* loop) { running_ = loop; }

 private:
  static constexpr Instant kStart = Instant(std::chrono::hours(1));
  static constexpr WallTime kWallStart = WallTime(std::chrono::seconds(1767225600));  // 2026-01-01T00:00:00Z
  static constexpr uint64_t kMaxEventsAnInstant = 1'000'000;

  struct Parked {
    std::shared_ptr<Tcp> tcp;
    uint32_t op;
    uint64_t argument;
  };
  bool Step(Instant limit);
  template <typename Fn>
  void ForEachLoop(Fn&& fn);

  const uint64_t seed_;
  Faults faults_;
  Random random_;
  Random network_;
  Random scheduler_;
  Instant now_ = kStart;
  EventQueue events_;
  Trace trace_;
  uint32_t actors_ = 0;
  SimLoop* running_ = nullptr;
  uint64_t events_this_instant_ = 0;
  bool stuck_ = false;
  std::map<std::string, std::vector<net::Address>> names_;
  std::map<std::pair<uint32_t, uint32_t>, Duration> link_latency_;
  std::set<std::pair<uint32_t, uint32_t>> cut_;  // (from, to) by machine index
  uint64_t heals_ = 0;
  std::vector<Parked> parked_;
  std::vector<std::string> problems_;
  IntrusiveList<Tcp> connections_;
  std::vector<std::unique_ptr<Machine>> machines_;
};

}  // namespace outrigger::sim
