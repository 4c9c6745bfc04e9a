// One descriptor on a UvLoop: what its owner waits for, told to epoll at most once a turn. An interest that comes and goes
// within a turn (reading paused and resumed around a message) costs no system call.
//
// Sockets are watched by uv_poll and read and written by hand, not by libuv's streams, because those (1.44) report a reset
// that arrives together with data as an orderly end, shed connections when descriptors run out, and cannot say that a
// connection died while its reading is paused.
#pragma once

#include <uv.h>

#include "proxy/base/intrusive_list.h"

namespace outrigger::io {

class UvLoop;

class Poll final : public ListLink<Poll> {
 public:
  class Owner {
   public:
    // What to wait for now: UV_READABLE, UV_WRITABLE, UV_PRIORITIZED (stands for "only errors and hang-up") or 0.
    virtual int Interest() const = 0;
    // `failed`: the descriptor has an error pending and is watched no longer (see Rearm). May destroy the owner.
    virtual void OnReady(bool failed, int events) = 0;

   protected:
    ~Owner() = default;
  };

  // Takes over `fd` (non-blocking), -1 for none yet.
  Poll(UvLoop* loop, int fd, Owner* owner) : loop_(loop), fd_(fd), owner_(owner) {}
  ~Poll() { Close(); }

  int fd() const { return fd_; }
  void SetDescriptor(int fd) { fd_ = fd; }

  // The owner's interest may have changed: looks at it at the end of this turn.
  void Touch();
  // Tells epoll. By UvLoop, at the end of a turn.
  void Apply();
  void Close();

 private:
  struct Handle;  // outlives the Poll until libuv lets go of it

  UvLoop* const loop_;
  int fd_;
  Owner* const owner_;
  Handle* handle_ = nullptr;  // made when there is first something to wait for
  int applied_ = 0;
};

}  // namespace outrigger::io
