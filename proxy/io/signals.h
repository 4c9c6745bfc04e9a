// Signals of the process as calls on a loop. For main/ only: one watcher per process and signal makes sense.
#pragma once

#include <uv.h>

#include <functional>
#include <vector>

namespace outrigger::io {

class UvLoop;

class SignalWatcher {
 public:
  // Calls back in a turn of `loop` for each of `signals` (SIGTERM, SIGINT, SIGHUP...) that arrives; several of one kind may make
  // one call. The default action no longer happens. The callback may destroy the watcher.
  SignalWatcher(UvLoop* loop, const std::vector<int>& signals, std::function<void(int signal)> callback);
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

 private:
  UvLoop* const loop_;
  const std::function<void(int)> callback_;
  std::vector<uv_signal_t*> handles_;  // libuv's close frees them
};

}  // namespace outrigger::io
