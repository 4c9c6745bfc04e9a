// The server's end: a listener, its connections, their calls. rpc.h is the contract; this header is for server.cc and
// server_call.cc only. As in channel.h, everything is reference-counted, because a handler may destroy the server in any call.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/timer_wheel.h"
#include "proxy/codec/http2.h"
#include "proxy/net/transport.h"
#include "proxy/rpc/rpc.h"
#include "proxy/rpc/wire.h"

namespace outrigger::rpc {

class ServerConnection;
class ServerCore;

// One call. Its connection owns it, and it owns its handler.
//   open -> finished (Finish, or told OnCancelled) -> destroyed at the end of the turn
class ServerCallCore final : public ServerCall {
 public:
  ServerCallCore(ServerConnection* connection, codec::StreamId stream, size_t message_bytes);

  // ---- ServerCall
  std::string_view path() const override { return path_; }
  const Metadata& metadata() const override { return metadata_; }
  const tls::Peer& peer() const override;
  bool secure() const override;
  net::Address remote() const override;
  void Send(const google::protobuf::MessageLite& message) override;
  size_t buffered() const override;
  void Finish(const Status& status) override;

  // ---- from the connection
  void Begin(http::RequestHead* head, const AcceptCall& accept);
  void OnData(Bytes data);
  void OnEnd();
  void Cancel();  // the stream or the connection is gone
  void CheckWritable();
  void Silence();  // the handler hears no more

 private:
  void OnDeadline();
  void SetOverLimit(bool on);
  Status CheckHead(http::RequestHead* head);

  ServerConnection* const connection_;
  const codec::StreamId stream_;
  std::string path_;
  Metadata metadata_;
  MessageReader reader_;
  std::unique_ptr<ServerCall::Handler> handler_;
  bool head_sent_ = false;
  bool half_closed_ = false;
  bool finished_ = false;
  bool over_limit_ = false;  // OnWritable is owed
  CallbackTimer<ServerCallCore, &ServerCallCore::OnDeadline> deadline_{this};
};

class ServerConnection final : public std::enable_shared_from_this<ServerConnection>,
                               private net::Transport::Handler,
                               private net::TurnTask {
 public:
  ServerConnection(ServerCore* server, uint64_t id, std::unique_ptr<net::Connection> connection, std::unique_ptr<tls::Session> session);

  // ---- from the server
  void Start();
  void Drain();
  void Close();  // at once and without a word to the handlers, which live until the stack is unwound

  // ---- from calls
  ServerCore* server() const { return server_; }
  codec::Http2Server* codec() const { return codec_.get(); }
  net::Loop* loop() const { return loop_; }
  const Limits& limits() const { return limits_; }
  const tls::Peer& peer() const { return peer_; }
  bool secure() const { return secure_; }
  net::Address remote() const { return remote_; }
  size_t pending() const { return transport_ != nullptr ? transport_->pending() : 0; }
  void Dirty() { loop_->AtTurnEnd(this); }
  void Finished(codec::StreamId stream);
  void CountWaiting(int change) { waiting_ += change; }

 private:
  // Beyond this much that the client does not take, nothing more is read from it.
  static constexpr size_t kPendingLimit = 1 << 20;

  void OnOpen() override;
  void OnBytes(Bytes plaintext) override;
  void OnEof() override;
  void OnClosed(Error error) override;
  void OnDrained() override;
  void OnTurnEnd() override;

  void OnTimer();
  void DrainEvents();
  void Dispatch(codec::StreamEvent& event);
  void OnRequest(codec::StreamEvent& event);
  void CheckWritable();
  void Flush();
  void End();  // calls are cancelled, the server forgets this connection

  ServerCore* server_;  // null: closed
  const uint64_t id_;
  net::Loop* const loop_;
  const Limits limits_;
  const Duration ping_after_;
  const Duration ping_timeout_;
  const bool secure_;
  const net::Address remote_;
  tls::Peer peer_;
  std::unique_ptr<net::Transport> transport_;
  std::unique_ptr<codec::Http2Server> codec_;
  std::map<codec::StreamId, std::unique_ptr<ServerCallCore>> calls_;
  std::vector<std::unique_ptr<ServerCallCore>> finished_;  // destroyed at the end of the turn
  int waiting_ = 0;
  Instant last_read_{};
  Instant pinged_{};
  bool pinging_ = false;
  bool reading_ = true;
  CallbackTimer<ServerConnection, &ServerConnection::OnTimer> timer_{this};  // the handshake's, then PING's
};

class ServerCore final : public std::enable_shared_from_this<ServerCore>, private net::Listener::Handler {
 public:
  ServerCore(net::Loop* loop, ServerOptions options, AcceptCall accept);
  Outcome Listen();
  net::Address local() const { return local_; }
  size_t connections() const { return connections_.size(); }
  void Drain();
  void Close();

  net::Loop* loop() const { return loop_; }
  const ServerOptions& options() const { return options_; }
  const AcceptCall& accept() const { return accept_; }
  void Forget(uint64_t id) { connections_.erase(id); }

 private:
  void OnAccept(std::unique_ptr<net::Connection> connection) override;

  net::Loop* const loop_;
  const ServerOptions options_;
  const AcceptCall accept_;
  net::Address local_;
  std::unique_ptr<net::Listener> listener_;
  uint64_t next_id_ = 1;
  std::map<uint64_t, std::shared_ptr<ServerConnection>> connections_;
};

}  // namespace outrigger::rpc
