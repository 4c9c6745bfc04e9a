#include "proxy/net/transport.h"

#include <utility>

namespace outrigger::net {

// Tells, after a handler was called, whether the Transport is still there and still wants to go on.
class Transport::Guard {
 public:
  explicit Guard(Transport* transport) : transport_(transport), outer_(std::exchange(transport->destroyed_, &destroyed_)) {}
  ~Guard() {
    if (!destroyed_) {
      transport_->destroyed_ = outer_;
    } else if (outer_ != nullptr) {
      *outer_ = true;
    }
  }
  bool ended() const { return destroyed_ || transport_->dead_; }

 private:
  Transport* const transport_;
  bool* const outer_;
  bool destroyed_ = false;
};

Transport::Transport(Loop* loop, std::unique_ptr<Connection> connection, std::unique_ptr<tls::Session> session, bool connected,
                     Handler* handler)
    : loop_(loop),
      connection_(std::move(connection)),
      session_(std::move(session)),
      handler_(handler),
      accepted_(connected),
      connected_(connected) {}

Transport::~Transport() {
  if (destroyed_ != nullptr) *destroyed_ = true;
  if (retire_when_destroyed_ && connection_ != nullptr) loop_->Retire(std::move(connection_));
}

void Transport::Start() {
  connection_->SetHandler(this);
  if (connected_) Begin();
}

void Transport::OnConnected() {
  connected_ = true;
  Begin();
}

void Transport::Begin() {
  if (dead_) return;
  if (session_ != nullptr) return Feed({});  // a client's first flight
  Guard guard(this);
  Open();
  if (!guard.ended() && shutdown_after_open_) ShutdownWrite();
}

// Nothing is written before the handler had its say: what it sends joins the end of the handshake in one write.
void Transport::Open() {
  open_ = true;
  if (!reading_) connection_->SetReading(false);
  if (!early_.empty()) {
    if (session_ == nullptr) {
      connection_->Write(&early_);
    } else {
      Encrypt(&early_);
    }
  }
  handler_->OnOpen();
}

void Transport::OnRead(Bytes bytes) {
  if (dead_) return;
  if (session_ != nullptr) return Feed(bytes);
  handler_->OnBytes(bytes);
}

void Transport::Feed(Bytes ciphertext) {
  Guard guard(this);
  const Outcome outcome = session_->Feed(ciphertext, loop_->wall_now(), &received_);
  if (!open_ && session_->state() == tls::Session::State::kOpen) {
    Open();
    if (guard.ended()) return;
    if (shutdown_after_open_) ShutdownWrite();
  }
  FlushTls();
  if (!received_.empty() || session_->peer_closed()) {
    Deliver();
    if (guard.ended()) return;
  }
  if (!outcome) {
    retire_when_destroyed_ = true;  // so that the alert arrives
    Fail(outcome.error());
  }
}

void Transport::Deliver() {
  if (dead_ || !open_ || !reading_) return;
  Guard guard(this);
  if (!received_.empty()) {
    Buffer plaintext;  // outlives the Transport when the handler destroys it
    plaintext.Swap(received_);
    handler_->OnBytes(plaintext.view());
    if (guard.ended() || !reading_) return;
  }
  if (session_->peer_closed() && !eof_told_) {
    eof_told_ = true;
    handler_->OnEof();
  }
}

void Transport::OnEof() {
  if (dead_) return;
  if (session_ == nullptr) return handler_->OnEof();
  if (session_->peer_closed()) return;  // told already, or waiting for reading to go on
  if (open_) {
    Fail(Error::Make(ErrorCode::kClosed, "connection ended without TLS close_notify", fault()));
  } else {
    Fail(Error::Make(ErrorCode::kClosed, "peer closed the connection during the TLS handshake", fault(), true));
  }
}

void Transport::OnClosed(Error error) {
  if (dead_) return;
  if (!open_) {
    if (connected_ && session_ != nullptr) error.detail += " (during the TLS handshake)";
    error.unseen = true;
  }
  Fail(std::move(error));
}

void Transport::OnDrained() {
  if (!dead_ && open_) handler_->OnDrained();
}

void Transport::OnTurnEnd() {
  Guard guard(this);
  Deliver();
  if (!guard.ended() && write_failed_) Fail(Error::Make(ErrorCode::kTls, "cannot encrypt", fault()));
}

void Transport::Fail(Error error) {
  dead_ = true;
  early_.Clear();
  received_.Clear();
  handler_->OnClosed(std::move(error));
}

void Transport::Send(Buffer* plaintext) {
  if (dead_ || write_shut_ || shutdown_after_open_) return plaintext->Clear();
  if (plaintext->empty()) return;
  if (!open_) {
    if (early_.empty()) {
      early_.Swap(*plaintext);
    } else {
      early_.Append(plaintext->view());
    }
    plaintext->Clear();
  } else if (session_ == nullptr) {
    connection_->Write(plaintext);
  } else {
    Encrypt(plaintext);
    FlushTls();
  }
}

void Transport::Encrypt(Buffer* plaintext) {
  const Outcome outcome = session_->Write(plaintext->view());
  plaintext->Clear();
  if (outcome) return;
  write_failed_ = true;  // told at the end of the turn: no handler is called from inside Send
  loop_->AtTurnEnd(this);
}

void Transport::FlushTls() {
  if (!session_->output().empty()) connection_->Write(&session_->output());
}

size_t Transport::pending() const { return (connection_ != nullptr ? connection_->pending() : 0) + early_.size(); }

void Transport::SetReading(bool on) {
  if (dead_ || reading_ == on) return;
  reading_ = on;
  if (!open_) return;  // takes effect with OnOpen
  connection_->SetReading(on);
  if (on && session_ != nullptr && (!received_.empty() || (session_->peer_closed() && !eof_told_))) loop_->AtTurnEnd(this);
}

void Transport::ShutdownWrite() {
  if (dead_ || write_shut_) return;
  if (!open_) {
    shutdown_after_open_ = true;
    return;
  }
  write_shut_ = true;
  if (session_ != nullptr) {
    session_->CloseNotify();
    FlushTls();
  }
  connection_->ShutdownWrite();
}

void Transport::Abort() {
  if (connection_ == nullptr) return;
  dead_ = true;
  retire_when_destroyed_ = false;
  connection_->Abort();
}

void Transport::Retire() {
  if (connection_ == nullptr) return;
  dead_ = true;
  if (open_ && session_ != nullptr) {
    session_->CloseNotify();
    FlushTls();
  }
  loop_->Retire(std::move(connection_));
}

}  // namespace outrigger::net
