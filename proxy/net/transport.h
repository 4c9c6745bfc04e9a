// A Connection with an optional TLS machine on top: the owner sees plaintext and one handler either way. Feeds TLS from the
// receive buffer and writes records into one send, so TLS costs no extra system call.
// One thread; a Handler may destroy, Retire or Abort its Transport in any call.
//
// There is no timer in here: an owner that will not wait for ever for a peer's handshake arms its own until OnOpen.
#pragma once

#include <memory>
#include <string_view>

#include "proxy/net/loop.h"
#include "proxy/tls/tls.h"

namespace outrigger::net {

class Transport final : private Connection::Handler, private TurnTask {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnOpen() = 0;                  // connected and, with TLS, handshake and verification done
    virtual void OnBytes(Bytes plaintext) = 0;  // valid during the call
    virtual void OnEof() = 0;                   // orderly end of the peer's bytes (FIN without TLS, close_notify with it)
    // Connect, handshake or connection failed; the last call, and the owner destroys the Transport in it or soon after. A FIN without
    // close_notify is a truncation, kClosed: somebody on the way may have cut the peer short (RFC 8446, section 6.1). What that means is
    // the owner's to say: an HTTP message with its own length may be complete.
    // error.unseen: as in Error; always true while the handshake is not done.
    virtual void OnClosed(Error error) = 0;
    virtual void OnDrained() {}
  };

  // An accepted or connecting connection, whose handler the Transport becomes (Loop::Connect may be given a null one). Without `session`,
  // plaintext. `connected`: false when it comes from Loop::Connect.
  Transport(Loop* loop, std::unique_ptr<Connection> connection, std::unique_ptr<tls::Session> session, bool connected,
            Handler* handler);
  // Ends at once and drops what is pending: to a TLS peer a truncation. See Retire. After a TLS failure the alert still goes out.
  ~Transport() override;

  // Call once. Without TLS an accepted transport is open from the start, and OnOpen comes in the call of Start.
  void Start();
  // Bytes that somebody (detection) had read from the connection before: handled as if they came now, and so the handler is called in this
  // call. After Start.
  void Replay(Bytes already_read) { OnRead(already_read); }

  void SetHandler(Handler* handler) { handler_ = handler; }
  // Takes all of `plaintext`; one write to the socket. Before OnOpen it waits, and then leaves together with the end of the handshake.
  // What is sent after ShutdownWrite, Retire, Abort or OnClosed is dropped.
  void Send(Buffer* plaintext);
  size_t pending() const;  // bytes not yet taken by the kernel (ciphertext, and plaintext waiting for the handshake)
  // No OnBytes and no OnEof while off. The handshake goes on.
  void SetReading(bool on);
  void ShutdownWrite();  // close_notify and FIN after what is pending
  void Abort();          // RST, now; no call follows
  // Ends politely (close_notify, Loop::Retire) whatever is pending; the Transport is dead afterwards: no call follows.
  void Retire();

  bool open() const { return open_; }
  const tls::Session* tls() const { return session_.get(); }  // null without TLS
  Connection& connection() { return *connection_; }           // not after Retire

 private:
  class Guard;

  void OnConnected() override;
  void OnRead(Bytes bytes) override;
  void OnEof() override;
  void OnClosed(Error error) override;
  void OnDrained() override;
  void OnTurnEnd() override;

  void Begin();
  void Feed(Bytes ciphertext);
  void Open();
  void Deliver();
  void Fail(Error error);
  void Encrypt(Buffer* plaintext);
  void FlushTls();
  Fault fault() const { return accepted_ ? Fault::kDownstream : Fault::kUpstream; }

  Loop* const loop_;
  std::unique_ptr<Connection> connection_;  // null after Retire
  std::unique_ptr<tls::Session> session_;
  Handler* handler_;
  Buffer early_;     // plaintext sent before the handshake was done
  Buffer received_;  // decrypted, not yet delivered: only across turns while reading is off
  const bool accepted_;
  bool connected_;
  bool open_ = false;
  bool dead_ = false;  // nothing more is told to the handler
  bool retire_when_destroyed_ = false;
  bool reading_ = true;
  bool eof_told_ = false;
  bool write_shut_ = false;
  bool shutdown_after_open_ = false;
  bool write_failed_ = false;
  bool* destroyed_ = nullptr;  // set while a handler call is on the stack
};

}  // namespace outrigger::net
