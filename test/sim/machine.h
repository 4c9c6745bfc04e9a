// A machine has addresses of its own, a loopback of its own, a disk, and processes. A process has loops (main and workers) that die
// together. A sidecar and its application are two processes of one machine.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "proxy/net/address.h"
#include "test/sim/disk.h"
#include "test/sim/loop.h"
#include "test/sim/tcp.h"

namespace outrigger::sim {

class Machine;

class Process {
 public:
  // Builds what the process runs. What it returns is destroyed when the process ends.
  using Program = std::function<std::shared_ptr<void>(Process&)>;

  Process(World* world, Machine* machine, std::string name, Program program);
  ~Process();

  void Start();  // does nothing while alive
  // The program's object is destroyed, what it had written goes out, then the kernel closes the rest.
  void Stop();
  // kill -9: the kernel closes its sockets, by FIN or by RST; what the program's destructors still do reaches nobody.
  void Kill();
  void Restart();  // Kill, then Start
  // SIGSTOP and SIGCONT: no turn, while the kernel goes on accepting and buffering.
  void Pause();
  void Resume();

  bool alive() const { return alive_; }
  bool paused() const { return paused_; }
  int starts() const { return starts_; }
  const std::string& name() const { return name_; }
  Machine& machine() { return *machine_; }
  World& world() { return *world_; }
  SimLoop& loop() { return *loops_.front(); }  // the first; only while alive
  SimLoop& AddLoop();                          // another thread of the same process
  const std::vector<std::shared_ptr<SimLoop>>& loops() const { return loops_; }
  template <typename T>
  std::shared_ptr<T> program() const { return std::static_pointer_cast<T>(object_); }

 private:
  friend class Machine;
  bool PostponedWhileRunning(void (Process::*end)());
  void End(bool killed, bool silently);

  World* const world_;
  Machine* const machine_;
  const std::string name_;
  const Program program_;
  bool alive_ = false;
  bool paused_ = false;
  int starts_ = 0;
  std::shared_ptr<void> object_;
  std::vector<std::shared_ptr<SimLoop>> loops_;
  std::vector<std::shared_ptr<SimLoop>> graveyard_;  // what leaked may still point to them
};

class Machine {
 public:
  enum class Offered { kQueued, kFull, kNobody };

  Machine(World* world, std::string name, uint32_t index, net::Address ip);
  ~Machine();

  Process& AddProcess(const std::string& name, Process::Program program = nullptr);  // starts with Start()

  const std::string& name() const { return name_; }
  uint32_t index() const { return index_; }
  net::Address address(uint16_t port) const { return ip_.WithPort(port); }
  bool Owns(const net::Address& address) const;
  Disk& disk() { return disk_; }
  World& world() { return *world_; }
  const std::vector<std::unique_ptr<Process>>& processes() const { return processes_; }

  // The power fails: processes end without a word to anyone; disk and addresses stay. Processes are started again by hand.
  void PowerOff();
  void PowerOn();
  bool on() const { return on_; }

  // What iptables REDIRECT does. Outbound: connections of processes not in `exempt` to other machines go to `to`.
  void RedirectOutbound(net::Address to, std::set<const Process*> exempt);
  // Inbound: connections from other machines to any port but those in `exempt` go to `to`.
  void RedirectInbound(net::Address to, std::set<uint16_t> exempt);
  // Where this machine's clock is wrong.
  void ShiftWallClock(Duration by) { wall_offset_ += by; }
  Duration wall_offset() const { return wall_offset_; }

  // ---- for the kernel
  Result<net::Address> Bind(const net::ListenOptions& options);
  void AddListener(SimListener* listener) { listeners_.push_back(listener); }
  void RemoveListener(SimListener* listener) { std::erase(listeners_, listener); }
  Offered Offer(std::shared_ptr<Tcp> tcp, const net::Address& target);
  uint16_t EphemeralPort();
  std::optional<net::Address> OutboundRedirect(const Process* from, const net::Address& to) const;
  std::optional<net::Address> InboundRedirect(const net::Address& to) const;

 private:
  World* const world_;
  const std::string name_;
  const uint32_t index_;
  const net::Address ip_;
  bool on_ = true;
  Duration wall_offset_{};
  Disk disk_;
  std::vector<std::unique_ptr<Process>> processes_;
  std::vector<SimListener*> listeners_;
  uint16_t next_port_ = 32768;
  std::optional<net::Address> outbound_;
  std::set<const Process*> outbound_exempt_;
  std::optional<net::Address> inbound_;
  std::set<uint16_t> inbound_exempt_;
};

}  // namespace outrigger::sim
