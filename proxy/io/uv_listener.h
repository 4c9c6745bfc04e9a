// net::Listener on a socket.
#pragma once

#include <memory>
#include <string>

#include "proxy/io/poll.h"
#include "proxy/io/uv_loop.h"
#include "proxy/net/connection.h"

namespace outrigger::io {

class UvListener final : public net::Listener, private Poll::Owner {
 public:
  static Result<std::unique_ptr<net::Listener>> Open(UvLoop* loop, const net::ListenOptions& options, Handler* handler);

  // Takes over `fd`, which listens. `unix_path`: to be removed at the end; empty for none.
  UvListener(UvLoop* loop, int fd, std::string unix_path, Handler* handler);
  ~UvListener() override;

  net::Address local() const override { return local_; }
  void SetAccepting(bool on) override;

 private:
  int Interest() const override { return accepting_ && !exhausted_ ? UV_READABLE : 0; }
  void OnReady(bool failed, int events) override;
  void OnRetry();

  UvLoop* const loop_;
  Poll poll_;
  Handler* const handler_;
  const net::Address local_;
  const std::string unix_path_;
  CallbackTimer<UvListener, &UvListener::OnRetry> retry_{this};
  bool* destroyed_ = nullptr;  // set while a handler call is on the stack
  int batch_ = 1;              // how many connections are taken at one readiness
  bool accepting_ = true;
  bool exhausted_ = false;  // out of descriptors: connections wait in the kernel's backlog until retry_
};

}  // namespace outrigger::io
