#include "proxy/io/retire.h"

#include <utility>

namespace outrigger::io {
namespace {
constexpr Duration kDrain = 1s;
// A peer that takes nothing at all for so long will not take the rest.
constexpr Duration kNoProgress = 10s;
}  // namespace

Retiring::Retiring(UvLoop* loop, std::unique_ptr<UvConnection> connection) : loop_(loop), connection_(std::move(connection)) {}

void Retiring::Start() {
  last_pending_ = connection_->pending();
  const bool nothing_sent = connection_->connecting() && last_pending_ == 0;
  if (connection_->closed() || nothing_sent) {
    delete this;
    return;
  }
  connection_->SetHandler(this);
  connection_->SetReading(true);
  connection_->ShutdownWrite();
  if (last_pending_ == 0) return OnDrained();
  loop_->Arm(&timer_, kNoProgress);
}

void Retiring::OnEof() {
  if (connection_->pending() == 0) delete this;
}

void Retiring::OnDrained() {
  if (connection_->eof()) {
    delete this;
    return;
  }
  last_pending_ = 0;
  loop_->Arm(&timer_, kDrain);
}

void Retiring::OnTimer() {
  const size_t pending = connection_->pending();
  if (pending == 0 || pending >= last_pending_) {
    delete this;
    return;
  }
  last_pending_ = pending;
  loop_->Arm(&timer_, kNoProgress);
}

}  // namespace outrigger::io
