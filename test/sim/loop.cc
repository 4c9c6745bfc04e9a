#include "test/sim/loop.h"

#include <algorithm>
#include <utility>

#include "test/sim/connection.h"
#include "test/sim/disk.h"
#include "test/sim/machine.h"
#include "test/sim/tcp.h"
#include "test/sim/world.h"

namespace outrigger::sim {

// A connection that is being ended politely (Loop::Retire), as long as its peer takes what is pending.
class SimLoop::Retiree final : public net::Connection::Handler, public Timer, public ListLink<Retiree> {
 public:
  static constexpr Duration kDrain = 1s;
  static constexpr Duration kNoProgress = 10s;

  Retiree(SimLoop* loop, std::unique_ptr<net::Connection> connection) : loop_(loop), connection_(std::move(connection)) {
    connection_->SetHandler(this);
    connection_->SetReading(true);
    connection_->ShutdownWrite();
    pending_ = connection_->pending();
    loop_->Arm(this, pending_ > 0 ? kNoProgress : kDrain);
  }
  void OnRead(Bytes) override {}
  void OnEof() override {
    eof_ = true;
    if (connection_->pending() == 0) delete this;
  }
  void OnDrained() override {
    if (eof_) {
      delete this;
      return;
    }
    pending_ = 0;
    loop_->Arm(this, kDrain);
  }
  void OnClosed(Error) override { delete this; }

 private:
  void OnTimer() override {
    const size_t pending = connection_->pending();
    if (pending == 0 || pending >= pending_) {
      delete this;
      return;
    }
    pending_ = pending;
    loop_->Arm(this, kNoProgress);
  }

  SimLoop* const loop_;
  std::unique_ptr<net::Connection> connection_;
  size_t pending_ = 0;
  bool eof_ = false;
};

class SimLoop::SimMailbox final : public net::Mailbox {
 public:
  explicit SimMailbox(std::weak_ptr<SimLoop> loop) : loop_(std::move(loop)) {}
  void Post(std::function<void()> message) override {
    const std::shared_ptr<SimLoop> loop = loop_.lock();
    if (loop == nullptr || !loop->alive()) return;
    loop->messages_.push_back(std::move(message));
    loop->MarkReady(&loop->mail_);
  }

 private:
  const std::weak_ptr<SimLoop> loop_;
};

class SimLoop::PendingResolution final : public net::Resolution, public ReadySource {
 public:
  PendingResolution(SimLoop* loop, net::ResolveCallback callback) : loop_(loop), callback_(std::move(callback)) { ++loop_->resolutions_; }
  ~PendingResolution() override { --loop_->resolutions_; }
  void Answer(Result<std::vector<net::Address>> result) {
    result_ = std::move(result);
    loop_->MarkReady(this);
  }
  void Deliver() override {
    const net::ResolveCallback callback = std::move(callback_);
    Result<std::vector<net::Address>> result = std::move(*result_);
    loop_->world().Note(TraceKind::kResolve, loop_->actor(), result.ok() ? result->size() : 0);
    callback(std::move(result));
  }
  const std::shared_ptr<PendingResolution*> self = std::make_shared<PendingResolution*>(this);  // so that a late answer finds nobody

 private:
  SimLoop* const loop_;
  net::ResolveCallback callback_;
  std::optional<Result<std::vector<net::Address>>> result_;
};

SimLoop::SimLoop(World* world, Process* process, std::string name, uint32_t actor, uint64_t seed)
    : Loop(world->now(), seed), world_(world), process_(process), name_(std::move(name)), actor_(actor),
      files_(std::make_unique<SimFiles>(this, &process->machine().disk())) {
  Refresh();
}

SimLoop::~SimLoop() = default;

void SimLoop::Refresh() { SetTime(world_->now(), world_->wall_now() + process_->machine().wall_offset()); }

bool SimLoop::CheckOwnTurn(const char* call) {
  const SimLoop* running = world_->running();
  if (running == nullptr || running == this) return true;
  world_->Problem(name_ + ": " + call + " called from a turn of " + running->name());
  return false;
}

void SimLoop::MarkReady(ReadySource* source) {
  if (!alive_) return;
  if (!source->linked()) ready_.PushBack(source);
  if (wake_ && *wake_ <= world_->now()) return;
  const Faults& faults = world_->faults();
  Duration delay = world_->DrawTime(faults.turn_delay_max);
  if (world_->Chance(faults.hiccup)) delay += world_->DrawTime(faults.hiccup_max);
  WakeAt(world_->now() + delay);
}

void SimLoop::WakeAt(Instant at) {
  if (wake_ && *wake_ <= at) return;
  wake_ = at;
  world_->PushAt(at, shared_from_this(), 0, static_cast<uint64_t>(at.time_since_epoch().count()));
}

void SimLoop::Kick() {
  if (!alive_) return;
  if (!turn_end_empty() || !ready_.empty()) return WakeAt(world_->now());
  const std::optional<Instant> timer = timers().NextWake();
  if (timer) WakeAt(std::max(*timer, world_->now()));
}

void SimLoop::Thaw() {
  if (!std::exchange(missed_turn_, false)) return;
  WakeAt(world_->now());
}

void SimLoop::OnEvent(uint32_t, uint64_t argument) {
  if (!alive_ || !wake_ || static_cast<uint64_t>(wake_->time_since_epoch().count()) != argument) return;
  wake_.reset();
  if (process_->paused()) {
    missed_turn_ = true;
    return;
  }
  Turn();
}

void SimLoop::Turn() {
  const std::shared_ptr<SimLoop> alive = shared_from_this();
  world_->SetRunning(this);
  Refresh();
  shuffle_.clear();
  while (!ready_.empty()) shuffle_.push_back(ready_.PopFront());
  world_->Note(TraceKind::kTurn, actor_, shuffle_.size());
  if (shuffle_.size() > 1) {
    for (size_t i = shuffle_.size() - 1; i > 0; --i) std::swap(shuffle_[i], shuffle_[world_->scheduler().Below(i + 1)]);
  }
  IntrusiveList<ReadySource> batch;
  for (ReadySource* source : shuffle_) batch.PushBack(source);
  while (!batch.empty()) batch.PopFront()->Deliver();
  timers().Advance(now());
  RunTurnEnd();
  world_->SetRunning(nullptr);
  Kick();
}

void SimLoop::DeliverMail() {
  // What these messages post to this loop waits for the next turn.
  std::deque<std::function<void()>> messages;
  messages.swap(messages_);
  world_->Note(TraceKind::kMail, actor_, messages.size());
  for (std::function<void()>& message : messages) {
    message();
    message = nullptr;
  }
}

Result<std::unique_ptr<net::Listener>> SimLoop::Listen(const net::ListenOptions& options, net::Listener::Handler* handler) {
  if (!alive_ || !CheckOwnTurn("Listen")) return Error::Make(ErrorCode::kIo, "the process has ended");
  Result<net::Address> local = process_->machine().Bind(options);
  if (!local.ok()) return local.error();
  return std::unique_ptr<net::Listener>(std::make_unique<SimListener>(this, *local, options, handler));
}

std::unique_ptr<net::Connection> SimLoop::Connect(const net::ConnectOptions& options, net::Connection::Handler* handler) {
  if (!alive_ || !CheckOwnTurn("Connect")) return std::make_unique<SimConnection>(nullptr, nullptr, Tcp::kClient, handler, std::nullopt);
  Machine& machine = process_->machine();
  const net::Address& dialled = options.address;
  const bool is_unix = dialled.family() == net::Address::Family::kUnix;
  const bool inside = dialled.loopback() || dialled.any() || machine.Owns(dialled);
  net::Address target = dialled.any() ? net::Address::Loopback(dialled.port()) : dialled;
  bool redirected = false;
  if (!is_unix && !inside) {
    std::optional<net::Address> redirect = machine.OutboundRedirect(process_, dialled);
    if (!redirect) {
      const Machine* there = world_->FindMachine(dialled, &machine);
      if (there != nullptr) redirect = there->InboundRedirect(dialled);
    }
    // An inbound redirect keeps the machine's own ip as the target, so that packets find their way; Offer() takes loopback and any.
    if (redirect) target = *redirect, redirected = true;
  }
  const net::Address from = is_unix ? dialled : dialled.loopback() || dialled.any() ? net::Address::Loopback(machine.EphemeralPort())
                                                                                : machine.address(machine.EphemeralPort());
  auto tcp = std::make_shared<Tcp>(world_, &machine, actor_, from, dialled, target, redirected);
  world_->AddTcp(tcp.get());
  auto connection = std::make_unique<SimConnection>(this, tcp, Tcp::kClient, handler, std::nullopt);
  tcp->Connect(options.timeout);
  return connection;
}

void SimLoop::Retire(std::unique_ptr<net::Connection> connection) {
  if (connection == nullptr || !alive_ || !CheckOwnTurn("Retire")) return;
  auto* retiree = new Retiree(this, std::move(connection));  // ends itself, or in Die
  retirees_.PushBack(retiree);
}

std::unique_ptr<net::Resolution> SimLoop::Resolve(const std::string& host, uint16_t port, net::ResolveCallback callback) {
  CheckOwnTurn("Resolve");
  auto resolution = std::make_unique<PendingResolution>(this, std::move(callback));
  if (!alive_) return resolution;
  const std::weak_ptr<PendingResolution*> self = resolution->self;
  world_->Later(world_->DrawTime(world_->faults().resolve_max), [world = world_, self, host, port] {
    if (const auto alive = self.lock()) (*alive)->Answer(world->LookUp(host, port));
  });
  return resolution;
}

std::shared_ptr<net::Mailbox> SimLoop::mailbox() {
  if (mailbox_ == nullptr) mailbox_ = std::make_shared<SimMailbox>(weak_from_this());
  return mailbox_;
}

net::Files& SimLoop::files() { return *files_; }

void SimLoop::Die(bool killed) {
  if (!alive_) return;
  while (!retirees_.empty()) {
    if (killed) break;
    delete retirees_.front();
  }
  alive_ = false;
  // A copy: nothing here calls the application, but the lists are the descriptors' own to change.
  const std::vector<SimListener*> listeners = listeners_;
  for (SimListener* listener : listeners) listener->Orphan();
  const std::vector<SimConnection*> connections = connections_;
  for (SimConnection* connection : connections) connection->Orphan(killed && world_->Chance(world_->faults().kill_resets));
  while (!retirees_.empty()) delete retirees_.front();
  while (!ready_.empty()) ready_.PopFront();
  messages_.clear();
}

void SimLoop::CollectLeaks(std::vector<std::string>* leaks) {
  const auto tell = [&](size_t count, const char* what) {
    if (count > 0) leaks->push_back(name_ + ": " + std::to_string(count) + " " + what);
  };
  size_t retired = 0;
  retirees_.ForEach([&](Retiree*) { ++retired; });
  tell(connections_.size() - retired, "connections");
  tell(listeners_.size(), "listeners");
  tell(static_cast<size_t>(resolutions_), "resolutions");
  tell(static_cast<size_t>(files_->watches()), "watches");
  if (retired == 0 && !timers().empty()) leaks->push_back(name_ + ": timers armed");
  if (!turn_end_empty()) leaks->push_back(name_ + ": turn tasks queued");
}

}  // namespace outrigger::sim
