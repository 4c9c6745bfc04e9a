// A scenario on real sockets: the actors' main loops are one loop in one thread, their workers are threads; each machine has an address of
// its own in 127.0.0.0/8, so that ports need no translation and test programs that run at the same time do not meet. Killing an actor
// destroys its object: harsher deaths are for tests that start processes.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/io/uv_loop.h"
#include "test/scenario/environment.h"
#include "test/scenario/scenario.h"

namespace outrigger::scenario {

class LiveEnvironment final : public Environment {
 public:
  explicit LiveEnvironment(uint64_t seed);
  ~LiveEnvironment() override;

  bool simulated() const override { return false; }
  MachineId AddMachine(const std::string& name) override;
  ActorId AddActor(MachineId machine, const std::string& name, Program program) override;
  net::Address AddressOf(MachineId machine, uint16_t port) override;
  net::Address Loopback(MachineId machine, uint16_t port) override;  // 127.0.0.1, with a port that was free
  std::string Folder(MachineId machine) override;
  net::Files& FilesOf(MachineId) override { return loop_->files(); }

  void Start(ActorId actor) override;
  void Stop(ActorId actor) override { Of(actor).object.reset(); }
  void Kill(ActorId actor) override { Of(actor).object.reset(); }
  bool alive(ActorId actor) const override { return Of(actor).object != nullptr; }
  std::shared_ptr<void> ObjectOf(ActorId actor) const override { return Of(actor).object; }

  Instant now() const override { return loop_->now(); }
  void After(Duration delay, std::function<void()> step) override;
  bool RunUntil(const std::function<bool()>& done, Duration within) override;

  std::vector<std::string> Problems() override { return {}; }  // UvLoop aborts when something of it is left behind

 private:
  class LiveActor;
  class Step;
  struct Member {
    Program program;
    std::shared_ptr<void> object;
    int starts = 0;
  };
  Member& Of(ActorId actor) { return actors_.at(static_cast<size_t>(actor)); }
  const Member& Of(ActorId actor) const { return actors_.at(static_cast<size_t>(actor)); }

  std::unique_ptr<io::UvLoop> loop_;
  const uint64_t network_;  // which of 127.0.0.0/8's corners is ours
  std::map<std::pair<MachineId, uint16_t>, net::Address> loopbacks_;
  std::vector<std::string> machines_;  // their folders, empty until asked for
  std::vector<std::unique_ptr<Step>> steps_;
  std::vector<Member> actors_;
};

// On the calling thread; takes real time.
Report PlayLive(const Scenario& scenario, uint64_t seed);

}  // namespace outrigger::scenario
