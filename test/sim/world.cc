#include "test/sim/world.h"

#include <algorithm>
#include <utility>

namespace outrigger::sim {
namespace {

class CallSink final : public EventSink {
 public:
  explicit CallSink(std::function<void()> call) : call_(std::move(call)) {}
  void OnEvent(uint32_t, uint64_t) override { call_(); }

 private:
  std::function<void()> call_;
};

uint64_t Derive(uint64_t seed, uint64_t part) { return Random(seed ^ (part * 0xd1342543de82ef95ull)).Next(); }

}  // namespace

World::World(uint64_t seed, Faults faults)
    : seed_(seed), faults_(faults), random_(Derive(seed, 1)), network_(Derive(seed, 2)), scheduler_(Derive(seed, 3)),
      events_(Derive(seed, 4)) {
  Note(TraceKind::kNote, 0, seed);
}

World::~World() {
  // Those that die say so to machines that are still there.
  for (const auto& machine : machines_) {
    for (const auto& process : machine->processes()) process->Kill();
  }
  machines_.clear();
  parked_.clear();
  events_.Clear();
}

Machine& World::AddMachine(const std::string& name) {
  const uint32_t index = static_cast<uint32_t>(machines_.size()) + 1;
  const std::array<uint8_t, 4> ip = {10, static_cast<uint8_t>(index >> 16), static_cast<uint8_t>(index >> 8), static_cast<uint8_t>(index)};
  machines_.push_back(std::make_unique<Machine>(this, name, index, net::Address::Ipv4(ip, 0)));
  return *machines_.back();
}

SimLoop& World::AddLoop(const std::string& name) {
  Process& process = AddMachine(name).AddProcess(name);
  process.Start();
  return process.loop();
}

net::Address World::AddressOf(net::Loop& loop, uint16_t port) const {
  return static_cast<SimLoop&>(loop).process().machine().address(port);
}

void World::AddName(const std::string& host, std::vector<net::Address> addresses) { names_[host] = std::move(addresses); }

Result<std::vector<net::Address>> World::LookUp(const std::string& host, uint16_t port) {
  if (Result<net::Address> numeric = net::Address::ParseIp(host, port); numeric.ok()) return std::vector{*numeric};
  if (host == "localhost") return std::vector{net::Address::Loopback(port)};
  if (Chance(faults_.resolve_fails)) return Error::Make(ErrorCode::kIo, host + ": name server did not answer");
  const auto found = names_.find(host);
  if (found == names_.end() || found->second.empty()) return Error::Make(ErrorCode::kNotFound, host + ": no such name");
  std::vector<net::Address> addresses;
  for (const net::Address& address : found->second) addresses.push_back(address.WithPort(port));
  return addresses;
}

template <typename Fn>
void World::ForEachLoop(Fn&& fn) {
  for (const auto& machine : machines_) {
    for (const auto& process : machine->processes()) {
      for (const auto& loop : process->loops()) fn(*loop);
    }
  }
}

void World::Later(Duration delay, std::function<void()> call) { Push(delay, std::make_shared<CallSink>(std::move(call)), 0, 0); }

void World::After(Duration delay, std::function<void()> step) {
  Later(delay, [this, step = std::move(step)] {
    Note(TraceKind::kStep, 0, 0);
    ForEachLoop([](SimLoop& loop) { loop.Refresh(); });
    step();
    ForEachLoop([](SimLoop& loop) { loop.Kick(); });
  });
}

bool World::Step(Instant limit) {
  if (events_.empty() || events_.next() > limit || stuck_) return false;
  const Event event = events_.Pop();
  if (event.at > now_) {
    now_ = event.at;
    events_this_instant_ = 0;
  } else if (++events_this_instant_ > kMaxEventsAnInstant) {
    stuck_ = true;
    Problem("no progress: a million events without any time passing");
    return false;
  }
  event.sink->OnEvent(event.op, event.argument);
  return true;
}

bool World::RunUntil(const std::function<bool()>& done, Duration within) {
  ForEachLoop([](SimLoop& loop) { loop.Kick(); });
  const Instant limit = now_ + within;
  bool reached = done();
  while (!reached && Step(limit)) reached = done();
  if (!reached && !stuck_) now_ = limit;
  ForEachLoop([](SimLoop& loop) { loop.Refresh(); });
  return reached;
}

void World::RunFor(Duration duration) {
  RunUntil([] { return false; }, duration);
}

void World::Partition(const Machine& a, const Machine& b) {
  PartitionOneWay(a, b);
  PartitionOneWay(b, a);
}

void World::PartitionOneWay(const Machine& from, const Machine& to) {
  Note(TraceKind::kPartition, 0, (uint64_t{from.index()} << 32) | to.index());
  if (!cut_.emplace(from.index(), to.index()).second) return;
  connections_.ForEach([&](Tcp* tcp) {
    if (tcp->open() && tcp->Between(&from, &to)) tcp->Isolate();
  });
}

void World::Heal(const Machine& a, const Machine& b) {
  Note(TraceKind::kHeal, 0, (uint64_t{a.index()} << 32) | b.index());
  cut_.erase({a.index(), b.index()});
  cut_.erase({b.index(), a.index()});
  ++heals_;
  Unpark();
}

void World::HealAll() {
  Note(TraceKind::kHeal, 0, 0);
  cut_.clear();
  ++heals_;
  Unpark();
}

void World::ResetConnections(const Machine& a, const Machine& b) {
  connections_.ForEach([&](Tcp* tcp) {
    if (tcp->open() && tcp->Between(&a, &b)) tcp->ResetBoth();
  });
}

void World::VanishConnections(Machine* machine) {
  connections_.ForEach([&](Tcp* tcp) { tcp->Vanish(machine); });
}

bool World::Reaches(const Machine& from, const Machine& to) const {
  return from.on() && to.on() && (cut_.empty() || cut_.count({from.index(), to.index()}) == 0);
}

void World::Park(std::shared_ptr<Tcp> tcp, uint32_t op, uint64_t argument) { parked_.push_back({std::move(tcp), op, argument}); }

void World::Unpark() {
  std::vector<Parked> parked;
  parked.swap(parked_);
  for (Parked& one : parked) one.tcp->Resend(one.op, one.argument);
}

Machine* World::FindMachine(const net::Address& address, Machine* from) {
  if (address.loopback() || address.any()) return from;
  for (const auto& machine : machines_) {
    if (machine->Owns(address)) return machine.get();
  }
  return nullptr;
}

Duration World::DrawLatency(const Machine& from, const Machine& to, size_t) {
  if (&from == &to) return Duration(1000) + DrawTime(faults_.loopback_latency_max);
  auto [link, is_new] = link_latency_.try_emplace({from.index(), to.index()});
  if (is_new) link->second = faults_.latency_min + DrawTime(faults_.latency_max - faults_.latency_min);
  Duration latency = link->second + DrawTime(faults_.jitter_max);
  if (Chance(faults_.lost_segment)) latency += faults_.retransmit;
  return latency;
}

size_t World::Tear(size_t size) {
  if (size < 2 || !Chance(faults_.tear)) return size;
  return 1 + network_.Below(network_.Chance(0.5) ? std::min<size_t>(size, 16) : size);
}

void World::Problem(std::string text) {
  constexpr size_t kEnough = 100;
  if (problems_.size() < kEnough) problems_.push_back(std::move(text));
}

size_t World::open_connections() const {
  size_t count = 0;
  const_cast<IntrusiveList<Tcp>&>(connections_).ForEach([&](Tcp* tcp) { count += tcp->open(); });
  return count;
}

std::vector<std::string> World::Holdings() const {
  std::vector<std::string> held;
  const_cast<World*>(this)->ForEachLoop([&](SimLoop& loop) { loop.CollectLeaks(&held); });
  return held;
}

}  // namespace outrigger::sim
