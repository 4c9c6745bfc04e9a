// net::Loop on libuv: one thread's sockets, timers, mailbox, files. A turn is one round of epoll:
//
//   epoll_wait -> BeginTurn (the clock is read once) -> events -> EndTurn: timers due, turn-end tasks, changes of interest
//
// uv_check ends the turn of what epoll brought, so what a callback queued leaves before the loop sleeps; uv_prepare ends the
// turn of what libuv runs at other times. One uv_timer, armed at the wheel's next wake-up, only while a timer is armed.
//
// Everything made by a loop must be destroyed before it, but for what Retire took and for mailbox().
#pragma once

#include <uv.h>

#include <memory>
#include <span>

#include "proxy/io/mailbox.h"
#include "proxy/io/poll.h"
#include "proxy/net/loop.h"

namespace outrigger::io {

class Retiring;

// Something that must be told of in a later turn, because it happened inside a call of its owner. Leaves the queue when
// destroyed.
class Deferred : public ListLink<Deferred> {
 public:
  virtual void OnLater() = 0;

 protected:
  ~Deferred() = default;
};

// Can `address` be listened on? kIo and a sentence for the user when somebody else does. Ask before workers share it: a
// shared port (SO_REUSEPORT) does not notice another process of the same user.
Outcome ProbeBind(const net::Address& address);

class UvLoop final : public net::Loop {
 public:
  // `seed` is for random(), which is not for secrets.
  explicit UvLoop(uint64_t seed);
  ~UvLoop() override;

  // Runs turns until Stop.
  void Run();
  // Waits for one turn to happen.
  void RunTurn();
  // Thread-safe; may come before Run, which then returns after one turn.
  void Stop();

  Result<std::unique_ptr<net::Listener>> Listen(const net::ListenOptions& options, net::Listener::Handler* handler) override;
  std::unique_ptr<net::Connection> Connect(const net::ConnectOptions& options, net::Connection::Handler* handler) override;
  void Retire(std::unique_ptr<net::Connection> connection) override;
  std::unique_ptr<net::Resolution> Resolve(const std::string& host, uint16_t port, net::ResolveCallback callback) override;
  std::shared_ptr<net::Mailbox> mailbox() override { return mailbox_; }
  net::Files& files() override { return *files_; }

  // For the rest of io/.
  uv_loop_t* uv() { return &uv_; }
  // Every callback of libuv calls this first.
  void BeginTurn();
  void AddChanged(Poll* poll) { changed_.PushBack(poll); }
  void Later(Deferred* deferred);
  // What a socket is read into. Valid for the one handler call that gets it.
  std::span<uint8_t> read_buffer() { return {read_buffer_.get(), kReadBufferSize}; }
  void AddRetiring(Retiring* retiring);

 private:
  static constexpr size_t kReadBufferSize = 64 << 10;

  void ReadTime();
  void EndTurn();
  void OnPrepare();
  void OnIdle();
  void ArmWakeUp();
  void RefreshOutsideTurns();

  uv_loop_t uv_;
  uv_check_t check_;
  uv_prepare_t prepare_;
  uv_idle_t idle_;    // active only while later_ holds something
  uv_timer_t timer_;  // active only while the wheel holds something
  uv_async_t stop_;
  uint64_t wake_ms_ = 0;  // what timer_ is armed for, on libuv's clock; 0: not armed
  bool in_turn_ = false;
  bool running_ = false;
  int64_t wall_offset_ns_ = 0;    // wall clock minus monotonic clock
  int64_t wall_checked_ns_ = -1;  // when that was looked at, monotonic

  std::unique_ptr<uint8_t[]> read_buffer_;
  IntrusiveList<Poll> changed_;
  IntrusiveList<Deferred> later_;
  IntrusiveList<Retiring> retiring_;
  std::unique_ptr<net::Files> files_;
  std::shared_ptr<UvMailbox> mailbox_;
};

}  // namespace outrigger::io
