// One upstream connection: transport and codec, and the streams on it. Private to pool/.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "proxy/base/intrusive_list.h"
#include "proxy/net/transport.h"
#include "proxy/pool/pool.h"

namespace outrigger::pool {

class ClientSession;

// In an IntrusiveList while it waits for a connection, or to be told that there will be none.
class StreamImpl final : public Stream, public ListLink<StreamImpl> {
 public:
  StreamImpl(const http::RequestHead* head, bool end, Handler* handler) : head_(head), end_(end), handler_(handler) {}
  ~StreamImpl() override;

  bool started() const override { return started_; }
  bool reused() const override { return reused_; }
  const tls::Peer* peer() const override;
  void SendData(Bytes data) override;
  void SendEnd() override;
  void SendTrailers(const http::HeaderMap& trailers) override;
  size_t buffered() const override;
  void SetReading(bool on) override;
  void Consumed(size_t size) override;

  void FailUnstarted(const Error& error) { handler_->OnFailed(error, false); }
  Error pending_error;  // of a stream that failed before it had a connection

 private:
  friend class ClientSession;
  const http::RequestHead* head_;  // until started
  const bool end_;
  Handler* const handler_;
  ClientSession* session_ = nullptr;  // null: finished or failed
  http::StreamId id_ = 0;
  bool started_ = false;
  bool reused_ = false;
  bool over_mark_ = false;
};

// What a session tells the pool that owns it.
class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  virtual void OnSessionIdle(ClientSession* session) = 0;      // may take a request
  virtual void OnSessionOpened(ClientSession* session) = 0;
  // To be destroyed by the owner, not before the turn ends. `error`: why, ok when it was an orderly end.
  virtual void OnSessionGone(ClientSession* session, bool was_open, const Error& error) = 0;
};

class ClientSession final : private net::Transport::Handler, private net::TurnTask {
 public:
  ClientSession(net::Loop* loop, SessionOwner* owner, const Options* options, config::UpstreamProtocol protocol,
                std::unique_ptr<tls::Session> tls, const tls::Context* context, const net::Address& address, Duration connect_timeout,
                Duration idle_timeout);
  ~ClientSession() override;

  // The stream this connection was opened for: started when the connection opens, failed when it does not. nullptr: none.
  void Intend(StreamImpl* stream);
  StreamImpl* TakeIntended() { return std::exchange(intended_, nullptr); }

  bool open() const { return open_ && !gone_; }
  bool gone() const { return gone_; }
  bool can_start() const { return open() && !retired_ && codec_->can_start(); }
  bool busy() const { return !streams_.empty(); }
  void StartRequest(StreamImpl* stream);
  // The same, and tells the handler, which has been waiting.
  void StartLate(StreamImpl* stream);
  // Finish what is carried, take nothing new.
  void Retire();
  const tls::Context* context() const { return context_; }
  bool resumed() const { return transport_.tls() != nullptr && transport_.tls()->resumed(); }
  void BecomeIdle();  // starts the idle timer

 private:
  friend class StreamImpl;
  void OnOpen() override;
  void OnBytes(Bytes plaintext) override;
  void OnEof() override;
  void OnClosed(Error error) override;
  void OnDrained() override;
  void OnTurnEnd() override;

  void DrainEvents();
  void Deliver(http::StreamEvent& event);
  void FinishStream(StreamImpl* stream);
  void OfferIfFree();                       // a stream has left: to those who wait, or to be idle
  void Detach(StreamImpl* stream);          // destroyed by its user
  void FailStreams(const Error& error);
  void Gone(const Error& error = {});
  void SettleAfterEvents();
  void OnConnectTimeout();
  void OnIdleTimeout();
  void OnSilenceCheck();
  StreamImpl* FindStream(http::StreamId id);
  void TellWritable();

  net::Loop* const loop_;
  SessionOwner* const owner_;
  const Options* const options_;
  const tls::Context* const context_;  // identity of the leaf in use, compared only
  const Duration idle_timeout_;
  std::unique_ptr<codec::ClientCodec> codec_;
  std::vector<StreamImpl*> streams_;
  StreamImpl* intended_ = nullptr;
  Buffer held_;  // input that the codec did not take yet
  bool open_ = false;
  bool gone_ = false;
  bool retired_ = false;
  bool used_ = false;      // has carried a request before
  bool cut_ = false;       // close by RST
  bool write_shut_ = false;  // FIN is sent: a tunnel's half-close
  CallbackTimer<ClientSession, &ClientSession::OnConnectTimeout> connect_timer_{this};
  CallbackTimer<ClientSession, &ClientSession::OnIdleTimeout> idle_timer_{this};
  CallbackTimer<ClientSession, &ClientSession::OnSilenceCheck> silence_timer_{this};
  net::Transport transport_;
};

}  // namespace outrigger::pool
