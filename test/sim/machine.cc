#include "test/sim/machine.h"

#include <algorithm>
#include <utility>

#include "test/sim/connection.h"
#include "test/sim/world.h"

namespace outrigger::sim {

Process::Process(World* world, Machine* machine, std::string name, Program program)
    : world_(world), machine_(machine), name_(std::move(name)), program_(std::move(program)) {}

Process::~Process() {
  if (alive_) End(true, false);
}

SimLoop& Process::AddLoop() {
  const uint32_t actor = world_->NextActor();
  std::string name = loops_.empty() ? name_ : name_ + "/" + std::to_string(loops_.size());
  // Depends on the world's seed and the order in which loops are made, on nothing else.
  const uint64_t seed = world_->seed() * 0x9e3779b97f4a7c15ull + actor;
  loops_.push_back(std::make_shared<SimLoop>(world_, this, std::move(name), actor, seed));
  return *loops_.back();
}

void Process::Start() {
  if (alive_ || !machine_->on()) return;
  alive_ = true;
  paused_ = false;
  ++starts_;
  AddLoop();
  world_->Note(TraceKind::kStart, loop().actor(), static_cast<uint64_t>(starts_));
  if (program_) object_ = program_(*this);
  for (const auto& loop : loops_) loop->Kick();
}

// An end that comes from one of its own turns waits until that turn is over.
bool Process::PostponedWhileRunning(void (Process::*end)()) {
  const SimLoop* running = world_->running();
  if (running == nullptr) return false;
  world_->Later(Duration::zero(), [this, end, start = starts_] {
    if (starts_ == start) (this->*end)();
  });
  return true;
}

void Process::Stop() {
  if (alive_ && !PostponedWhileRunning(&Process::Stop)) End(false, false);
}

void Process::Kill() {
  if (alive_ && !PostponedWhileRunning(&Process::Kill)) End(true, false);
}

void Process::Restart() {
  if (alive_ && PostponedWhileRunning(&Process::Restart)) return;
  Kill();
  Start();
}

void Process::End(bool killed, bool silently) {
  world_->Note(killed ? TraceKind::kKill : TraceKind::kStop, loop().actor(), silently);
  alive_ = false;
  if (killed) {
    for (const auto& loop : loops_) loop->Die(true);
    object_.reset();
  } else {
    for (const auto& loop : loops_) loop->Refresh();
    object_.reset();
    for (const auto& loop : loops_) loop->Die(false);
  }
  std::vector<std::string> leaks;
  for (const auto& loop : loops_) loop->CollectLeaks(&leaks);
  if (program_) {
    for (const std::string& leak : leaks) world_->Problem(leak + " left behind");
  }
  for (auto& loop : loops_) graveyard_.push_back(std::move(loop));
  loops_.clear();
}

void Process::Pause() {
  if (!alive_ || paused_) return;
  paused_ = true;
  world_->Note(TraceKind::kPause, loop().actor(), 0);
}

void Process::Resume() {
  if (!alive_ || !paused_) return;
  paused_ = false;
  world_->Note(TraceKind::kResume, loop().actor(), 0);
  for (const auto& loop : loops_) loop->Thaw();
}

Machine::Machine(World* world, std::string name, uint32_t index, net::Address ip)
    : world_(world), name_(std::move(name)), index_(index), ip_(std::move(ip)), disk_(world) {}

Machine::~Machine() { processes_.clear(); }

Process& Machine::AddProcess(const std::string& name, Process::Program program) {
  processes_.push_back(std::make_unique<Process>(world_, this, name, std::move(program)));
  return *processes_.back();
}

bool Machine::Owns(const net::Address& address) const {
  return address.family() == ip_.family() && address.ip() == ip_.ip();
}

void Machine::PowerOff() {
  if (!on_) return;
  on_ = false;
  world_->VanishConnections(this);
  for (const auto& process : processes_) {
    if (process->alive()) process->End(true, true);
  }
}

void Machine::PowerOn() {
  on_ = true;
  world_->Unpark();
}

void Machine::RedirectOutbound(net::Address to, std::set<const Process*> exempt) {
  outbound_ = std::move(to);
  outbound_exempt_ = std::move(exempt);
}

void Machine::RedirectInbound(net::Address to, std::set<uint16_t> exempt) {
  inbound_ = ip_.WithPort(to.port());
  inbound_exempt_ = std::move(exempt);
}

std::optional<net::Address> Machine::OutboundRedirect(const Process* from, const net::Address&) const {
  if (!outbound_ || outbound_exempt_.count(from) > 0) return std::nullopt;
  return outbound_;
}

std::optional<net::Address> Machine::InboundRedirect(const net::Address& to) const {
  if (!inbound_ || to.port() == inbound_->port() || inbound_exempt_.count(to.port()) > 0) return std::nullopt;
  return inbound_;
}

Result<net::Address> Machine::Bind(const net::ListenOptions& options) {
  net::Address address = options.address;
  const std::string text = address.ToString();
  const bool is_unix = address.family() == net::Address::Family::kUnix;
  if (!is_unix && !address.any() && !address.loopback() && !Owns(address)) {
    return Error::Make(ErrorCode::kIo, text + ": cannot assign requested address");
  }
  if (!is_unix && address.port() == 0) address = address.WithPort(EphemeralPort());
  for (const SimListener* other : listeners_) {
    const net::Address taken = other->local();
    const bool same = is_unix || taken.family() == net::Address::Family::kUnix
                          ? taken == address
                          : taken.port() == address.port() && (taken == address || taken.any() || address.any());
    if (same && !(options.share_port && other->share_port())) {
      return Error::Make(ErrorCode::kIo, text + ": address already in use");
    }
  }
  return address;
}

Machine::Offered Machine::Offer(std::shared_ptr<Tcp> tcp, const net::Address& target) {
  std::vector<SimListener*> exact, any;
  for (SimListener* listener : listeners_) {
    const net::Address local = listener->local();
    if (local == target) exact.push_back(listener);
    else if (local.any() && local.port() == target.port()) any.push_back(listener);
  }
  const std::vector<SimListener*>& found = exact.empty() ? any : exact;
  if (found.empty()) return Offered::kNobody;
  SimListener* listener = found[found.size() == 1 ? 0 : world_->scheduler().Below(found.size())];
  if (listener->Full()) return Offered::kFull;
  listener->Queue(std::move(tcp));
  return Offered::kQueued;
}

uint16_t Machine::EphemeralPort() {
  for (;;) {
    const uint16_t port = next_port_;
    next_port_ = next_port_ == 60999 ? 32768 : static_cast<uint16_t>(next_port_ + 1);
    const bool taken = std::any_of(listeners_.begin(), listeners_.end(),
                                   [port](const SimListener* listener) { return listener->local().port() == port; });
    if (!taken) return port;
  }
}

}  // namespace outrigger::sim
