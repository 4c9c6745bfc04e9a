// The way into a UvLoop from other threads: a locked queue and a uv_async.
#pragma once

#include <uv.h>

#include <functional>
#include <mutex>
#include <vector>

#include "proxy/net/loop.h"

namespace outrigger::io {

class UvLoop;

class UvMailbox final : public net::Mailbox {
 public:
  explicit UvMailbox(UvLoop* loop);
  ~UvMailbox() override = default;

  // Any thread, at any time, also when the loop is gone.
  void Post(std::function<void()> message) override;

  // The loop's thread only. Nothing runs any more; what waits and what comes is destroyed unrun.
  void Close();

 private:
  void Deliver();

  UvLoop* const loop_;  // the loop's thread only
  std::mutex mutex_;
  std::vector<std::function<void()>> waiting_;  // guarded by mutex_
  uv_async_t* wake_;                            // guarded by mutex_; null once closed; libuv's close frees it
  std::vector<std::function<void()>> running_;  // the loop's thread only; kept for its memory
};

}  // namespace outrigger::io
