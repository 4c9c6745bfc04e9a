// net::Loop in virtual time. Like an epoll loop: the kernel marks what is ready, a turn comes a little later, takes what is ready in
// an order drawn from the seed, gives each one step (one read, one accept...), then fires timers, then runs the turn's end.
// What a process did wrong (a connection used from another loop's turn, things left behind) is told to World::problems().
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "proxy/net/loop.h"
#include "test/sim/event_queue.h"

namespace outrigger::sim {

class Machine;
class Process;
class SimConnection;
class SimFiles;
class SimListener;
class World;

// Something that a turn gives one step.
class ReadySource : public ListLink<ReadySource> {
 public:
  virtual ~ReadySource() = default;
  virtual void Deliver() = 0;  // may destroy itself
};

class SimLoop final : public net::Loop, public EventSink, public std::enable_shared_from_this<SimLoop> {
 public:
  SimLoop(World* world, Process* process, std::string name, uint32_t actor, uint64_t seed);
  ~SimLoop() override;

  // ---- net::Loop
  Result<std::unique_ptr<net::Listener>> Listen(const net::ListenOptions& options, net::Listener::Handler* handler) override;
  std::unique_ptr<net::Connection> Connect(const net::ConnectOptions& options, net::Connection::Handler* handler) override;
  void Retire(std::unique_ptr<net::Connection> connection) override;
  std::unique_ptr<net::Resolution> Resolve(const std::string& host, uint16_t port, net::ResolveCallback callback) override;
  std::shared_ptr<net::Mailbox> mailbox() override;
  net::Files& files() override;

  const std::string& name() const { return name_; }
  uint32_t actor() const { return actor_; }
  Process& process() { return *process_; }
  World& world() { return *world_; }
  bool alive() const { return alive_; }

  // ---- for the kernel
  void MarkReady(ReadySource* source);
  void Refresh();  // now() and wall_now() of code that runs outside a turn
  void Kick();     // such code may have armed timers or queued tasks: come in time
  void Thaw();     // its process was resumed
  // No more calls into the application from here on.
  void Die(bool killed);
  void CollectLeaks(std::vector<std::string>* leaks);
  // False, and told to the world, when another loop's turn is running: that would be a data race in production.
  bool CheckOwnTurn(const char* call);

  void OnEvent(uint32_t op, uint64_t argument) override;

 private:
  friend class SimConnection;
  friend class SimListener;
  class Retiree;
  class SimMailbox;
  class PendingResolution;
  struct Mail final : ReadySource {
    explicit Mail(SimLoop* loop) : loop(loop) {}
    void Deliver() override { loop->DeliverMail(); }
    SimLoop* loop;
  };

  void Turn();
  void WakeAt(Instant at);
  void DeliverMail();

  World* const world_;
  Process* const process_;
  const std::string name_;
  const uint32_t actor_;
  bool alive_ = true;
  bool missed_turn_ = false;  // due while the process was paused
  std::optional<Instant> wake_;
  IntrusiveList<ReadySource> ready_;
  std::vector<ReadySource*> shuffle_;
  Mail mail_{this};
  std::deque<std::function<void()>> messages_;
  std::shared_ptr<net::Mailbox> mailbox_;
  std::unique_ptr<SimFiles> files_;
  IntrusiveList<Retiree> retirees_;
  // In the order made, so that what is done to all is done in one order.
  std::vector<SimConnection*> connections_;
  std::vector<SimListener*> listeners_;
  int resolutions_ = 0;
};

}  // namespace outrigger::sim
