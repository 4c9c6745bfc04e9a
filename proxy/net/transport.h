// A Connection with an optional TLS machine on top: the owner sees plaintext and one handler either way. Feeds TLS from the
// receive buffer and writes records into one send, so TLS costs no extra system call.
// One thread; a Handler may destroy its Transport in any call.
#pragma once

#include <memory>
#include <string_view>

#include "proxy/net/loop.h"
#include "proxy/tls/tls.h"

namespace outrigger::net {

class Transport final : private Connection::Handler {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnOpen() = 0;               // connected and, with TLS, handshake and verification done
    virtual void OnBytes(Bytes plaintext) = 0;  // valid during the call
    virtual void OnEof() = 0;                // orderly end of the peer's bytes (FIN without TLS, close_notify with it)
    virtual void OnClosed(Error error) = 0;  // connect, handshake or connection failed, or TLS was truncated; the last call
    virtual void OnDrained() {}
  };

  // An accepted or connecting connection. Without `session`, plaintext. `connected`: false when it comes from Loop::Connect.
  Transport(Loop* loop, std::unique_ptr<Connection> connection, std::unique_ptr<tls::Session> session, bool connected,
            Handler* handler);
  ~Transport() override;

  // Without TLS an accepted transport is open from the start, and OnOpen comes in the call of Start; call it once.
  void Start();

  // Bytes that somebody (detection) had read from the connection before: handled as if they came now. After Start.
  void Replay(Bytes already_read) { OnRead(already_read); }

  void SetHandler(Handler* handler) { handler_ = handler; }
  // Takes all of `plaintext`; one write to the socket. Before OnOpen it waits.
  void Send(Buffer* plaintext);
  size_t pending() const;  // bytes not yet taken by the kernel (ciphertext, and plaintext waiting for the handshake)
  void SetReading(bool on);
  void ShutdownWrite();  // close_notify and FIN after what is pending
  void Abort();
  // Ends politely (Loop::Retire) whatever is pending; the Transport is dead afterwards.
  void Retire();

  bool open() const { return open_; }
  const tls::Session* tls() const { return session_.get(); }  // null without TLS
  Connection& connection() { return *connection_; }

 private:
  void OnConnected() override;
  void OnRead(Bytes bytes) override;
  void OnEof() override;
  void OnClosed(Error error) override;
  void OnDrained() override;
  void FlushTls();
  bool Decrypt(Bytes ciphertext);

  Loop* const loop_;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<tls::Session> session_;
  Handler* handler_;
  Buffer early_;       // plaintext sent before the handshake was done
  bool connected_;
  bool open_ = false;
  bool eof_ = false;
  bool shutdown_after_open_ = false;
  bool* destroyed_ = nullptr;  // set while a handler call is on the stack
};

}  // namespace outrigger::net
