#include "proxy/io/signals.h"

#include <cstdlib>
#include <utility>

#include "proxy/io/uv_loop.h"

namespace outrigger::io {

SignalWatcher::SignalWatcher(UvLoop* loop, const std::vector<int>& signals, std::function<void(int)> callback)
    : loop_(loop), callback_(std::move(callback)) {
  for (const int signal : signals) {
    auto* handle = new uv_signal_t;
    uv_signal_init(loop_->uv(), handle);
    handle->data = this;
    const int error = uv_signal_start(
        handle,
        [](uv_signal_t* uv, int number) {
          const SignalWatcher* watcher = static_cast<SignalWatcher*>(uv->data);
          watcher->loop_->BeginTurn();
          const std::function<void(int)> call = watcher->callback_;
          call(number);
        },
        signal);
    if (error != 0) std::abort();  // not a signal that can be caught: a mistake of the caller
    handles_.push_back(handle);
  }
}

SignalWatcher::~SignalWatcher() {
  for (uv_signal_t* handle : handles_) {
    uv_close(reinterpret_cast<uv_handle_t*>(handle), [](uv_handle_t* uv) { delete reinterpret_cast<uv_signal_t*>(uv); });
  }
}

}  // namespace outrigger::io
