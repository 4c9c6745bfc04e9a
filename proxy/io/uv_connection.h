// net::Connection on a socket. See there for the contract.
//
//   connecting --ok--> open --EOF read--> half-closed (writes on)       any state --error, Abort--> closed
//                        \--write error or POLLERR--> broken: what the peer sent before it died is still handed on, one
//                                                     read a turn; then OnClosed. Never an orderly end.
#pragma once

#include <memory>
#include <optional>

#include "proxy/base/buffer.h"
#include "proxy/io/poll.h"
#include "proxy/io/uv_loop.h"
#include "proxy/net/connection.h"

namespace outrigger::io {

class UvConnection final : public net::Connection, private Poll::Owner, private Deferred {
 public:
  // An accepted connection; takes over `fd`.
  UvConnection(UvLoop* loop, int fd, net::Address remote);
  // A connection that is to be made.
  UvConnection(UvLoop* loop, const net::ConnectOptions& options, Handler* handler);
  ~UvConnection() override;

  void SetHandler(Handler* handler) override;
  void Write(Buffer* out) override;
  size_t pending() const override { return pending_.size(); }
  void SetReading(bool on) override;
  void ShutdownWrite() override;
  void Abort() override;
  size_t Peek(std::span<uint8_t> into) override;
  Duration unacknowledged_for() const override;
  net::Address local() const override;
  net::Address remote() const override { return remote_; }
  std::optional<net::Address> original_destination() const override;

  bool closed() const { return state_ == State::kClosed; }
  bool connecting() const { return state_ == State::kConnecting; }
  bool eof() const { return eof_; }

 private:
  enum class State : uint8_t { kConnecting, kOpen, kBroken, kClosed };

  int Interest() const override;
  void OnReady(bool failed, int events) override;
  void OnLater() override;
  void OnConnectTimeout();

  void StartConnect();
  void FinishConnect();
  bool CanRead() const { return reading_ && handler_ != nullptr && !eof_; }
  // These call the handler, which may destroy this: true says it did.
  [[nodiscard]] bool ReadOnce();
  [[nodiscard]] bool FlushPending();
  [[nodiscard]] bool Fail(int error);
  template <typename Call>
  [[nodiscard]] bool CallHandler(Call&& call);
  void Break(int error);
  void HandOnWhatIsLeft();
  void OnHangUp();
  ssize_t Send(Bytes bytes);
  void SendFin();

  UvLoop* const loop_;
  Poll poll_;
  Handler* handler_ = nullptr;
  Buffer pending_;
  const net::Address remote_;
  mutable std::optional<net::Address> local_;
  CallbackTimer<UvConnection, &UvConnection::OnConnectTimeout> connect_timer_{this};
  bool* destroyed_ = nullptr;  // set while a handler call is on the stack
  int error_ = 0;              // errno to report once broken
  State state_ = State::kOpen;
  bool accepted_ = false;
  bool reading_ = true;
  bool eof_ = false;
  bool fin_wanted_ = false;
  bool hung_up_ = false;  // seen while not reading, without an error: do not wait for it again
};

}  // namespace outrigger::io
