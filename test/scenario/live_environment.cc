#include "test/scenario/live_environment.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "proxy/worker/worker.h"

namespace outrigger::scenario {

namespace {

class LiveWorker final : public ActorWorker {
 public:
  LiveWorker(const std::string& name, uint64_t seed, WorkerFactory factory) : worker_(name, seed, std::move(factory)) {}
  Outcome Start() { return worker_.Start(); }
  std::shared_ptr<net::Mailbox> mailbox() override { return worker_.mailbox(); }

 private:
  worker::Worker worker_;
};

}  // namespace

class LiveEnvironment::LiveActor final : public Actor {
 public:
  LiveActor(net::Loop& loop, int starts) : loop_(loop), starts_(starts) {}
  net::Loop& loop() override { return loop_; }
  Result<std::unique_ptr<ActorWorker>> AddWorker(const std::string& name, WorkerFactory factory) override {
    auto worker = std::make_unique<LiveWorker>(name, loop_.random().Next(), std::move(factory));
    if (Outcome started = worker->Start(); !started.ok()) return started.error();
    return std::unique_ptr<ActorWorker>(std::move(worker));
  }
  int starts() const override { return starts_; }

 private:
  net::Loop& loop_;
  const int starts_;
};

// A step of the scenario, or the end of its patience.
class LiveEnvironment::Step final : public Timer {
 public:
  explicit Step(std::function<void()> step) : step_(std::move(step)) {}
  bool done() const { return step_ == nullptr; }

 private:
  void OnTimer() override { std::exchange(step_, nullptr)(); }
  std::function<void()> step_;
};

// Processes do not know of one another, and those in sandboxes have the same pid: the time of their start tells them apart.
LiveEnvironment::LiveEnvironment(uint64_t seed)
    : Environment(seed), loop_(std::make_unique<io::UvLoop>(seed)),
      network_(static_cast<uint64_t>(loop_->wall_now().time_since_epoch() / 1us) * 31 + static_cast<uint64_t>(getpid())) {}

LiveEnvironment::~LiveEnvironment() {
  actors_.clear();
  steps_.clear();
  loop_.reset();
  for (const std::string& folder : machines_) {
    std::error_code ignored;
    if (!folder.empty()) std::filesystem::remove_all(folder, ignored);
  }
}

MachineId LiveEnvironment::AddMachine(const std::string&) {
  machines_.emplace_back();
  return static_cast<MachineId>(machines_.size()) - 1;
}

ActorId LiveEnvironment::AddActor(MachineId, const std::string&, Program program) {
  actors_.push_back({.program = std::move(program), .object = nullptr});
  return static_cast<ActorId>(actors_.size()) - 1;
}

net::Address LiveEnvironment::AddressOf(MachineId machine, uint16_t port) {
  return net::Address::Ipv4({127, static_cast<uint8_t>(64 + network_ % 128), static_cast<uint8_t>(1 + network_ / 128 % 250),
                             static_cast<uint8_t>(machine + 1)}, port);
}

// What stands beside a sidecar is called on 127.0.0.1, which all machines share here: each (machine, port) is given a port of its own.
net::Address LiveEnvironment::Loopback(MachineId machine, uint16_t port) {
  struct Nobody final : net::Listener::Handler {
    void OnAccept(std::unique_ptr<net::Connection>) override {}
  } nobody;
  net::Address& address = loopbacks_[{machine, port}];
  while (address.family() == net::Address::Family::kNone) {
    Result<std::unique_ptr<net::Listener>> free = loop_->Listen({.address = net::Address::Loopback(0)}, &nobody);
    if (!free.ok()) std::abort();
    const net::Address found = (*free)->local();
    const bool taken = std::any_of(loopbacks_.begin(), loopbacks_.end(), [&](const auto& entry) { return entry.second == found; });
    if (!taken) address = found;
  }
  return address;
}

std::string LiveEnvironment::Folder(MachineId machine) {
  std::string& folder = machines_.at(static_cast<size_t>(machine));
  if (folder.empty()) {
    std::string path = (std::filesystem::temp_directory_path() / "scenario-XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) std::abort();
    folder = path;
  }
  return folder;
}

void LiveEnvironment::Start(ActorId actor) {
  Member& member = Of(actor);
  if (member.object != nullptr) return;
  LiveActor given(*loop_, ++member.starts);
  member.object = member.program(given);
}

void LiveEnvironment::After(Duration delay, std::function<void()> step) {
  std::erase_if(steps_, [](const auto& old) { return old->done() && !old->armed(); });
  steps_.push_back(std::make_unique<Step>(std::move(step)));
  loop_->Arm(steps_.back().get(), delay);
}

bool LiveEnvironment::RunUntil(const std::function<bool()>& done, Duration within) {
  bool expired = false;
  Step patience([&expired] { expired = true; });
  loop_->Arm(&patience, within);
  bool reached = done();
  while (!reached && !expired) {
    loop_->RunTurn();
    reached = done();
  }
  return reached;
}

Report PlayLive(const Scenario& scenario, uint64_t seed) {
  LiveEnvironment environment(seed);
  Report report;
  scenario.play(environment, &report);
  for (const std::string& problem : environment.Problems()) report.Fail(problem);
  return report;
}

}  // namespace outrigger::scenario
