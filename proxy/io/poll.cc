#include "proxy/io/poll.h"

#include <unistd.h>

#include <cstdlib>

#include "proxy/io/uv_loop.h"

namespace outrigger::io {

struct Poll::Handle {
  uv_poll_t uv;
  Poll* poll;
};

void Poll::Touch() {
  if (!linked() && owner_->Interest() != applied_) loop_->AddChanged(this);
}

void Poll::Apply() {
  const int wanted = fd_ < 0 ? 0 : owner_->Interest();
  if (wanted == applied_) return;
  if (handle_ == nullptr) {
    handle_ = new Handle{{}, this};
    handle_->uv.data = handle_;
    // Fails only for a descriptor that cannot be polled or is watched already: a mistake of ours.
    if (uv_poll_init(loop_->uv(), &handle_->uv, fd_) != 0) std::abort();
  }
  applied_ = wanted;
  if (wanted == 0) {
    uv_poll_stop(&handle_->uv);
    return;
  }
  uv_poll_start(&handle_->uv, wanted, [](uv_poll_t* uv, int status, int events) {
    Poll* poll = static_cast<Handle*>(uv->data)->poll;
    poll->loop_->BeginTurn();
    if (status < 0) poll->applied_ = 0;  // libuv has stopped the watcher
    poll->owner_->OnReady(status < 0, events);
  });
}

void Poll::Close() {
  Unlink();
  if (handle_ != nullptr) {
    uv_close(reinterpret_cast<uv_handle_t*>(&handle_->uv), [](uv_handle_t* uv) { delete static_cast<Handle*>(uv->data); });
    handle_ = nullptr;
    applied_ = 0;
  }
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

}  // namespace outrigger::io
