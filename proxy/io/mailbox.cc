#include "proxy/io/mailbox.h"

#include <utility>

#include "proxy/io/uv_loop.h"

namespace outrigger::io {

UvMailbox::UvMailbox(UvLoop* loop) : loop_(loop), wake_(new uv_async_t) {
  wake_->data = this;
  uv_async_init(loop->uv(), wake_, [](uv_async_t* async) { static_cast<UvMailbox*>(async->data)->Deliver(); });
}

void UvMailbox::Post(std::function<void()> message) {
  const std::lock_guard lock(mutex_);
  // To a loop that is gone: `message` is destroyed by the caller's side after the lock is given back.
  if (wake_ == nullptr) return;
  waiting_.push_back(std::move(message));
  if (waiting_.size() == 1) uv_async_send(wake_);
}

void UvMailbox::Deliver() {
  loop_->BeginTurn();
  {
    const std::lock_guard lock(mutex_);
    running_.swap(waiting_);
  }
  // What a message posts waits for the next turn: two loops that talk to each other starve neither.
  for (std::function<void()>& message : running_) {
    message();
    message = nullptr;  // what it holds goes in the order the messages came
  }
  running_.clear();
}

void UvMailbox::Close() {
  uv_async_t* wake = nullptr;
  std::vector<std::function<void()>> unrun;
  {
    const std::lock_guard lock(mutex_);
    std::swap(wake, wake_);
    unrun.swap(waiting_);
  }
  if (wake != nullptr) uv_close(reinterpret_cast<uv_handle_t*>(wake), [](uv_handle_t* h) { delete reinterpret_cast<uv_async_t*>(h); });
}

}  // namespace outrigger::io
