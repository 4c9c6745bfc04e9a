// Where a scenario plays: on the simulation (SimEnvironment, one seed, virtual time) or on real sockets (LiveEnvironment). A scenario is
// written once against this and runs on both; what only the simulation can do says so.
//
// An actor is a process: a program that is given loops and returns the object that lives on them. A machine is an address that actors
// share with their loopback and their disk: a sidecar and its application are two actors of one machine.
// Not thread-safe: a scenario and its environment live on one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/random.h"
#include "proxy/base/time.h"
#include "proxy/net/loop.h"

namespace outrigger::scenario {

// A thread of a process, with a loop of its own and what was made to live on it. Destroying it ends both.
class ActorWorker {
 public:
  virtual ~ActorWorker() = default;
  virtual std::shared_ptr<net::Mailbox> mailbox() = 0;
};
// Makes what lives on a worker, on its thread.
using WorkerFactory = std::function<Result<std::shared_ptr<void>>(net::Loop&)>;

// What a program is given. Only as long as the call lasts.
class Actor {
 public:
  virtual ~Actor() = default;
  virtual net::Loop& loop() = 0;  // "main"
  // One more thread of the same process, a real one when live. The factory has run when this returns.
  virtual Result<std::unique_ptr<ActorWorker>> AddWorker(const std::string& name, WorkerFactory factory) = 0;
  virtual int starts() const = 0;  // 1 on the first start
};
// Makes what the process runs; destroyed when the process ends. What it keeps between starts lives on its machine's disk.
using Program = std::function<std::shared_ptr<void>(Actor&)>;

using MachineId = int;
using ActorId = int;

class Environment {
 public:
  explicit Environment(uint64_t seed) : seed_(seed), random_(Random(seed).Next()) {}
  virtual ~Environment() = default;

  uint64_t seed() const { return seed_; }
  Random& random() { return random_; }  // for the scenario's own choices
  virtual bool simulated() const = 0;

  // ---- who is there
  virtual MachineId AddMachine(const std::string& name) = 0;
  virtual ActorId AddActor(MachineId machine, const std::string& name, Program program) = 0;  // begins with Start
  virtual net::Address AddressOf(MachineId machine, uint16_t port) = 0;  // as other machines call it
  virtual net::Address Loopback(MachineId machine, uint16_t port) = 0;   // as its own actors call each other
  virtual std::string Folder(MachineId machine) = 0;                     // an empty folder of the machine's own
  virtual net::Files& FilesOf(MachineId machine) = 0;                    // for what the operator does to it

  // ---- life and death
  virtual void Start(ActorId actor) = 0;
  virtual void Stop(ActorId actor) = 0;  // the program's object is destroyed
  virtual void Kill(ActorId actor) = 0;  // kill -9, as near as the environment comes to it
  void Restart(ActorId actor) { Kill(actor), Start(actor); }
  virtual bool alive(ActorId actor) const = 0;
  virtual std::shared_ptr<void> ObjectOf(ActorId actor) const = 0;  // null while not alive
  template <typename T>
  std::shared_ptr<T> Get(ActorId actor) const { return std::static_pointer_cast<T>(ObjectOf(actor)); }

  // ---- time
  virtual Instant now() const = 0;
  virtual void After(Duration delay, std::function<void()> step) = 0;  // a step of the scenario's
  virtual bool RunUntil(const std::function<bool()>& done, Duration within) = 0;
  void RunFor(Duration duration) {
    RunUntil([] { return false; }, duration);
  }

  // ---- what goes wrong; these do nothing where the environment cannot
  virtual void Pause(ActorId) {}
  virtual void Resume(ActorId) {}
  virtual void PowerOff(MachineId) {}  // its actors end; the network is silent about it
  virtual void PowerOn(MachineId) {}   // start its actors afterwards
  virtual void Partition(MachineId, MachineId) {}
  virtual void ResetConnections(MachineId, MachineId) {}
  virtual void Heal() {}               // all partitions; paused actors go on
  virtual void CalmNetwork() {}        // no more faults by chance from here on

  // Rules that the programs broke (things left behind when they ended, other loops' objects touched).
  virtual std::vector<std::string> Problems() = 0;

 private:
  const uint64_t seed_;
  Random random_;
};

}  // namespace outrigger::scenario
