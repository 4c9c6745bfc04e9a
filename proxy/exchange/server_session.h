// One client connection: transport, server codec, and the exchanges on it. Reads once, handles everything that came, writes once at the
// end of the turn. One worker.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/exchange/exchange.h"
#include "proxy/net/transport.h"

namespace outrigger::exchange {

class ServerSession;

class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  // With TLS the server name is known only now: says which path serves the connection; null: none (421).
  virtual Path* OnSessionOpen(ServerSession* session, Origin* origin) = 0;
  virtual void OnSessionGone(ServerSession* session) = 0;  // destroy it, at the end of the turn
};

class ServerSession final : private net::Transport::Handler, private net::TurnTask {
 public:
  ServerSession(Host* host, SessionOwner* owner, std::unique_ptr<net::Connection> connection, std::unique_ptr<tls::Session> tls,
                Origin origin);
  ~ServerSession() override;

  // `already_read`: what detection has taken from the connection.
  void Start(Bytes already_read);
  // Finish what is under way, then close. Idle connections are told at their next response, or closed when `now`.
  void Drain(bool close_idle);
  bool idle() const { return exchanges_.empty(); }
  bool opened() const { return codec_ != nullptr; }
  const Origin& origin() const { return origin_; }

  // ---- for Exchange
  void SendInformational(http::StreamId id, const http::ResponseHead& head);
  void SendResponse(http::StreamId id, const http::ResponseHead& head, bool end);
  void SendData(http::StreamId id, Bytes data);
  void SendTrailers(http::StreamId id, const http::HeaderMap& trailers);
  void SendEnd(http::StreamId id);
  void Reset(http::StreamId id, ErrorCode reason);
  size_t buffered(http::StreamId id) const;
  void SetReading(bool on);
  void Consumed(http::StreamId id, size_t size);
  void OnExchangeDone(Exchange* exchange);
  http::Version version() const;

 private:
  void OnOpen() override;
  void OnBytes(Bytes plaintext) override;
  void OnEof() override;
  void OnClosed(Error error) override;
  void OnDrained() override;
  void OnTurnEnd() override;

  void Feed(Bytes plaintext);
  void DrainEvents();
  void Deliver(http::StreamEvent& event);
  Exchange* Find(http::StreamId id);
  void Touch() { host_->loop->AtTurnEnd(this); }
  void WatchHead(bool fed);
  void Gone();
  void TellClientGone(const Error& error);
  void OnHeadTimeout();
  void OnIdleTimeout();
  void OnSilenceCheck();
  void RecordRefused(uint32_t flags);

  Host* const host_;
  SessionOwner* const owner_;
  Origin origin_;
  Path* path_ = nullptr;
  std::unique_ptr<codec::ServerCodec> codec_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  Buffer held_;   // input that the codec does not take yet (pipelining)
  bool eof_ = false;
  bool gone_ = false;
  bool broken_ = false;   // no more input is looked at: flush and close
  bool draining_ = false;
  bool cut_ = false;      // close by RST: a response was cut short
  bool reading_ = true;
  bool write_shut_ = false;  // FIN is sent: a tunnel's half-close
  CallbackTimer<ServerSession, &ServerSession::OnHeadTimeout> head_timer_{this};
  CallbackTimer<ServerSession, &ServerSession::OnIdleTimeout> idle_timer_{this};
  CallbackTimer<ServerSession, &ServerSession::OnSilenceCheck> silence_timer_{this};
  net::Transport transport_;
};

}  // namespace outrigger::exchange
