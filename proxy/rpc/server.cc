#include "proxy/rpc/server.h"

namespace outrigger::rpc {
namespace {

class ServerHandle final : public Server {
 public:
  explicit ServerHandle(std::shared_ptr<ServerCore> core) : core_(std::move(core)) {}
  ~ServerHandle() override { core_->Close(); }
  net::Address local() const override { return core_->local(); }
  size_t connections() const override { return core_->connections(); }
  void Drain() override { core_->Drain(); }

 private:
  const std::shared_ptr<ServerCore> core_;
};

}  // namespace

Result<std::unique_ptr<Server>> MakeServer(net::Loop* loop, ServerOptions options, AcceptCall accept) {
  auto core = std::make_shared<ServerCore>(loop, std::move(options), std::move(accept));
  if (const Outcome outcome = core->Listen(); !outcome) return outcome.error();
  return std::unique_ptr<Server>(std::make_unique<ServerHandle>(std::move(core)));
}

// ---------------------------------------------------------------- server

ServerCore::ServerCore(net::Loop* loop, ServerOptions options, AcceptCall accept)
    : loop_(loop), options_(std::move(options)), accept_(std::move(accept)) {}

Outcome ServerCore::Listen() {
  auto listener = loop_->Listen({.address = options_.address}, this);
  if (!listener) return listener.error();
  listener_ = std::move(listener.value());
  local_ = listener_->local();
  return {};
}

void ServerCore::OnAccept(std::unique_ptr<net::Connection> connection) {
  if (connections_.size() >= options_.max_connections) return;  // closes it
  std::unique_ptr<tls::Session> session;
  if (options_.tls) {
    std::shared_ptr<const tls::Context> context = options_.tls();
    if (context == nullptr) return;  // no identity yet: nobody can be served
    tls::ServerOptions tls_options = options_.tls_options;
    tls_options.alpn = {"h2"};
    session = tls::MakeServer(std::move(context), std::move(tls_options));
  }
  const uint64_t id = next_id_++;
  auto accepted = std::make_shared<ServerConnection>(this, id, std::move(connection), std::move(session));
  connections_[id] = accepted;
  accepted->Start();
}

void ServerCore::Drain() {
  listener_.reset();
  for (const auto& [id, connection] : std::map(connections_)) connection->Drain();
}

void ServerCore::Close() {
  listener_.reset();
  std::map<uint64_t, std::shared_ptr<ServerConnection>> connections;
  connections.swap(connections_);
  for (const auto& [id, connection] : connections) connection->Close();
}

// ---------------------------------------------------------------- connection

ServerConnection::ServerConnection(ServerCore* server, uint64_t id, std::unique_ptr<net::Connection> connection,
                                   std::unique_ptr<tls::Session> session)
    : server_(server),
      id_(id),
      loop_(server->loop()),
      limits_(server->options().limits),
      ping_after_(server->options().ping_after),
      ping_timeout_(server->options().ping_timeout),
      secure_(session != nullptr),
      remote_(connection->remote()),
      transport_(std::make_unique<net::Transport>(loop_, std::move(connection), std::move(session), /*connected=*/true,
                                                  static_cast<net::Transport::Handler*>(this))) {}

void ServerConnection::Start() {
  loop_->Arm(&timer_, server_->options().handshake_timeout);
  transport_->Start();
}

void ServerConnection::OnOpen() {
  const auto self = shared_from_this();
  if (secure_) {
    peer_ = transport_->tls()->peer();
    if (transport_->tls()->alpn() != "h2") return End();
  }
  codec_ = codec::NewHttp2Server(CodecLimits());
  last_read_ = loop_->now();
  if (ping_after_ == Duration::zero()) timer_.Disarm();
  Dirty();
}

void ServerConnection::OnBytes(Bytes plaintext) {
  const auto self = shared_from_this();
  if (!pinging_ && ping_after_ > Duration::zero()) loop_->Arm(&timer_, ping_after_);
  last_read_ = loop_->now();
  if (codec_ == nullptr) return;
  codec_->Feed(plaintext, loop_->now());
  Dirty();
  DrainEvents();
}

void ServerConnection::OnEof() {
  const auto self = shared_from_this();
  End();
}

void ServerConnection::OnClosed(Error) {
  const auto self = shared_from_this();
  End();
}

void ServerConnection::OnDrained() {
  const auto self = shared_from_this();
  if (!reading_ && transport_ != nullptr) transport_->SetReading(reading_ = true);
  CheckWritable();
}

void ServerConnection::OnTimer() {
  const auto self = shared_from_this();
  const bool silent = codec_ == nullptr || (pinging_ && codec_->ping_outstanding() && last_read_ <= pinged_);
  if (silent) return End();
  if (pinging_ || loop_->now() - last_read_ < ping_after_) {
    pinging_ = false;
    loop_->Arm(&timer_, ping_after_);
    return;
  }
  pinging_ = true;
  pinged_ = loop_->now();
  codec_->SendPing();
  Dirty();
  loop_->Arm(&timer_, ping_timeout_);
}

void ServerConnection::OnTurnEnd() {
  const auto self = shared_from_this();
  Flush();
  DrainEvents();
  CheckWritable();
  Flush();
  std::vector<std::unique_ptr<ServerCallCore>> finished;  // handlers go here, and may do anything once more
  finished.swap(finished_);
  finished.clear();
  if (codec_ != nullptr && codec_->should_close()) End();
}

void ServerConnection::Flush() {
  if (codec_ == nullptr || codec_->output().empty()) return;
  transport_->Send(&codec_->output());
  if (reading_ && transport_->pending() > kPendingLimit) transport_->SetReading(reading_ = false);
}

void ServerConnection::DrainEvents() {
  codec::StreamEvent event;
  while (codec_ != nullptr && codec_->Next(&event)) Dispatch(event);
}

void ServerConnection::Dispatch(codec::StreamEvent& event) {
  using Kind = codec::StreamEvent::Kind;
  if (event.kind == Kind::kRequest) return OnRequest(event);
  if (event.kind == Kind::kFailed) {
    Flush();
    return End();
  }
  const auto it = calls_.find(event.stream);
  ServerCallCore* call = it == calls_.end() ? nullptr : it->second.get();  // finished ones live until the end of the turn
  switch (event.kind) {
    case Kind::kData:
      if (call != nullptr) call->OnData(event.data);
      if (codec_ != nullptr) codec_->Consumed(event.stream, event.data.size());
      break;
    case Kind::kEnd:
      if (call != nullptr) call->OnEnd();
      break;
    case Kind::kReset:
      if (call != nullptr) call->Cancel();
      break;
    case Kind::kWritable:
      if (call != nullptr) call->CheckWritable();
      break;
    default: break;  // trailers of a request mean nothing in gRPC; a client's GOAWAY ends with its connection
  }
}

void ServerConnection::OnRequest(codec::StreamEvent& event) {
  http::RequestHead* head = event.request;
  int refusal = 0;
  if (head->method != http::Method::kPost) refusal = 405;
  if (!IsGrpcContentType(head->headers)) refusal = 415;
  if (refusal != 0) {
    http::ResponseHead reply;
    reply.status = refusal;
    reply.content_length = 0;
    codec_->SendResponse(event.stream, reply, /*end=*/true);
    codec_->Reset(event.stream, ErrorCode::kOk);
    return;
  }
  auto call = std::make_unique<ServerCallCore>(this, event.stream, limits_.message_bytes);
  ServerCallCore* const core = call.get();
  calls_[event.stream] = std::move(call);
  const auto server = server_->shared_from_this();  // the accept function must outlive its own call
  core->Begin(head, server->accept());
}

void ServerConnection::CheckWritable() {
  if (waiting_ == 0) return;
  for (codec::StreamId last = 0; codec_ != nullptr;) {
    const auto it = calls_.upper_bound(last);
    if (it == calls_.end()) return;
    last = it->first;
    it->second->CheckWritable();
  }
}

void ServerConnection::Finished(codec::StreamId stream) {
  const auto it = calls_.find(stream);
  if (it != calls_.end()) {
    finished_.push_back(std::move(it->second));
    calls_.erase(it);
  }
  Dirty();
}

void ServerConnection::Drain() {
  if (codec_ == nullptr) return End();  // still in its handshake: nothing is lost
  codec_->Drain();
  Dirty();
}

void ServerConnection::End() {
  if (server_ == nullptr) return;
  const auto self = shared_from_this();
  ServerCore* const server = std::exchange(server_, nullptr);
  timer_.Disarm();
  codec_.reset();
  if (const std::unique_ptr<net::Transport> transport = std::move(transport_)) transport->Retire();
  server->Forget(id_);
  while (!calls_.empty()) calls_.begin()->second->Cancel();
}

void ServerConnection::Close() {
  server_ = nullptr;
  timer_.Disarm();
  codec_.reset();
  if (const std::unique_ptr<net::Transport> transport = std::move(transport_)) transport->Retire();
  // A call of this connection may be on the stack; handlers go with the connection, which the stack holds.
  for (auto& [stream, call] : calls_) {
    call->Silence();
    finished_.push_back(std::move(call));
  }
  calls_.clear();
}

}  // namespace outrigger::rpc
