// The seam to the world. Everything above the shell lives on one Loop and sees time, chance, sockets, files and other
// threads only through it. Two implementations: io/ (libuv, production) and test/sim/ (virtual time, memory network).
// Not thread-safe but for what says so (Mailbox): one Loop is one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "proxy/base/intrusive_list.h"
#include "proxy/base/random.h"
#include "proxy/base/time.h"
#include "proxy/base/timer_wheel.h"
#include "proxy/net/connection.h"
#include "proxy/net/files.h"

namespace outrigger::net {

// Work for the end of the present turn: flushing what the turn produced in one write. Embedded in its owner; may be
// scheduled any number of times, runs once; leaves the queue when destroyed.
class TurnTask : public ListLink<TurnTask> {
 public:
  virtual ~TurnTask() = default;
  virtual void OnTurnEnd() = 0;
};

// A way into a Loop from any thread. Thread-safe. Messages arrive in order, each in a turn of the receiving loop; what is
// posted to a loop that is gone is destroyed unrun.
class Mailbox {
 public:
  virtual ~Mailbox() = default;
  virtual void Post(std::function<void()> message) = 0;
};

// Names to addresses. The callback comes in a later turn, unless the returned handle was destroyed before.
class Resolution {
 public:
  virtual ~Resolution() = default;
};
using ResolveCallback = std::function<void(Result<std::vector<Address>>)>;

class Loop {
 public:
  virtual ~Loop() = default;

  // The time of this turn: read once when the turn began.
  Instant now() const { return now_; }
  WallTime wall_now() const { return wall_now_; }
  Random& random() { return random_; }

  void Arm(Timer* timer, Duration delay) { timers_.Arm(timer, now_, delay); }
  void AtTurnEnd(TurnTask* task) {
    if (!task->linked()) turn_end_.PushBack(task);
  }

  // Fails at once with kIo and a sentence for the user (port in use, permission).
  virtual Result<std::unique_ptr<Listener>> Listen(const ListenOptions& options, Listener::Handler* handler) = 0;
  // Never fails at once: OnConnected or OnClosed comes in a later turn.
  virtual std::unique_ptr<Connection> Connect(const ConnectOptions& options, Connection::Handler* handler) = 0;
  // Ends a connection politely: writes what is pending, sends FIN, throws away what still comes until the peer's FIN or
  // 1 s (so that a last reply is not destroyed by RST), then closes.
  virtual void Retire(std::unique_ptr<Connection> connection) = 0;
  // host: a name or a numeric address.
  virtual std::unique_ptr<Resolution> Resolve(const std::string& host, uint16_t port, ResolveCallback callback) = 0;
  virtual std::shared_ptr<Mailbox> mailbox() = 0;
  virtual Files& files() = 0;

 protected:
  Loop(Instant start, uint64_t seed) : now_(start), random_(seed), timers_(start) {}

  // For implementations: a turn is set times -> deliver events -> Advance the wheel -> RunTurnEnd.
  void SetTime(Instant now, WallTime wall_now) { now_ = now, wall_now_ = wall_now; }
  TimerWheel& timers() { return timers_; }
  bool turn_end_empty() const { return turn_end_.empty(); }
  void RunTurnEnd() {
    while (!turn_end_.empty()) turn_end_.PopFront()->OnTurnEnd();
  }

 private:
  Instant now_;
  WallTime wall_now_{};
  Random random_;
  TimerWheel timers_;
  IntrusiveList<TurnTask> turn_end_;
};

}  // namespace outrigger::net
