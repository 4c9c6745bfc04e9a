// The polite end of a connection: pending output, FIN, then what the peer still sends is thrown away until its FIN or 1 s
// after ours. Without the last part, closing with unread input makes the kernel send RST, which destroys the reply on its way.
#pragma once

#include <memory>

#include "proxy/io/uv_connection.h"

namespace outrigger::io {

// Owns itself and the connection; on the loop's list, which ends it when the loop goes.
class Retiring final : private net::Connection::Handler, public ListLink<Retiring> {
 public:
  Retiring(UvLoop* loop, std::unique_ptr<UvConnection> connection);
  void Start();  // may delete this

 private:
  void OnRead(Bytes) override {}
  void OnEof() override;
  void OnDrained() override;
  void OnClosed(Error) override { delete this; }
  void OnTimer();

  UvLoop* const loop_;
  std::unique_ptr<UvConnection> connection_;
  size_t last_pending_ = 0;
  CallbackTimer<Retiring, &Retiring::OnTimer> timer_{this};
};

}  // namespace outrigger::io
