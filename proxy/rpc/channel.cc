#include "proxy/rpc/channel.h"

#include <charconv>

namespace outrigger::rpc {
namespace {

class Call final : public ClientCall {
 public:
  explicit Call(std::shared_ptr<CallCore> core) : core_(std::move(core)) {}
  ~Call() override { core_->Abandon(); }
  void Send(const google::protobuf::MessageLite& message) override { core_->Send(message); }
  void HalfClose() override { core_->HalfClose(); }
  size_t buffered() const override { return core_->buffered(); }

 private:
  const std::shared_ptr<CallCore> core_;
};

class ChannelHandle final : public Channel {
 public:
  explicit ChannelHandle(std::shared_ptr<ChannelCore> core) : core_(std::move(core)) {}
  ~ChannelHandle() override { core_->Close(); }
  void Connect() override { core_->Connect(); }
  bool up() const override { return core_->up(); }
  std::unique_ptr<ClientCall> Start(std::string_view path, const Metadata& metadata, std::optional<Duration> timeout,
                                    ClientCall::Handler* handler) override {
    return std::make_unique<Call>(core_->Start(path, metadata, timeout, handler));
  }
  const tls::Peer* peer() const override { return core_->peer(); }

 private:
  const std::shared_ptr<ChannelCore> core_;
};

// "host:port", "[::1]:port".
bool SplitTarget(const std::string& target, std::string* host, uint16_t* port) {
  const size_t colon = target.rfind(':');
  if (colon == std::string::npos || colon == 0) return false;
  *host = target.substr(0, colon);
  if (host->size() > 2 && host->front() == '[' && host->back() == ']') *host = host->substr(1, host->size() - 2);
  const char* const end = target.data() + target.size();
  const auto [stop, error] = std::from_chars(target.data() + colon + 1, end, *port);
  return error == std::errc() && stop == end && *port != 0;
}

}  // namespace

std::unique_ptr<Channel> MakeChannel(net::Loop* loop, ChannelOptions options, Channel::Handler* handler) {
  return std::make_unique<ChannelHandle>(std::make_shared<ChannelCore>(loop, std::move(options), handler));
}

ChannelCore::ChannelCore(net::Loop* loop, ChannelOptions options, Channel::Handler* handler)
    : loop_(loop), options_(std::move(options)), handler_(handler) {}

// ---------------------------------------------------------------- connecting

void ChannelCore::Connect() {
  if (state_ != State::kDown || handler_ == nullptr) return;
  state_ = State::kResolving;
  addresses_.clear();
  loop_->Arm(&connect_timer_, options_.connect_timeout);
  std::string host;
  uint16_t port = 0;
  if (!SplitTarget(options_.target, &host, &port)) {
    // Told as a resolver would tell it: not from inside this call.
    loop_->Arm(&connect_timer_, Duration::zero());
    return;
  }
  resolution_ = loop_->Resolve(host, port, [weak = weak_from_this()](Result<std::vector<net::Address>> addresses) {
    if (const auto self = weak.lock()) self->OnResolved(std::move(addresses));
  });
}

void ChannelCore::OnResolved(Result<std::vector<net::Address>> addresses) {
  const auto self = shared_from_this();
  if (state_ != State::kResolving) return;
  const std::unique_ptr<net::Resolution> spent = std::move(resolution_);
  if (!addresses) return FailDown(addresses.error());
  if (addresses->empty()) {
    return FailDown(Error::Make(ErrorCode::kUnavailable, options_.target + " has no address", Fault::kUpstream, true));
  }
  addresses_.assign(addresses->rbegin(), addresses->rend());
  context_ = options_.tls ? options_.tls() : nullptr;
  state_ = State::kConnecting;
  ConnectNext();
}

void ChannelCore::ConnectNext() {
  const net::Address address = addresses_.back();
  addresses_.pop_back();
  std::unique_ptr<tls::Session> session;
  if (context_ != nullptr) {
    tls::ClientOptions options = options_.tls_options;
    options.alpn = {"h2"};
    session = tls::MakeClient(context_, std::move(options));
  }
  // The addresses that are left share what is left of the time.
  const Duration left = connect_timer_.expiry() - loop_->now();
  const Duration timeout = left / static_cast<int64_t>(addresses_.size() + 1);
  auto connection = loop_->Connect({.address = address, .timeout = timeout}, nullptr);
  transport_ = std::make_unique<net::Transport>(loop_, std::move(connection), std::move(session), /*connected=*/false,
                                                static_cast<net::Transport::Handler*>(this));
  transport_->Start();
}

void ChannelCore::OnConnectTimeout() {
  const auto self = shared_from_this();
  std::string host;
  uint16_t port = 0;
  if (!SplitTarget(options_.target, &host, &port)) {
    return FailDown(Error::Make(ErrorCode::kInvalid, "`" + options_.target + "` is not HOST:PORT", Fault::kLocal, true));
  }
  FailDown(Error::Make(ErrorCode::kConnectTimeout, "no connection to " + options_.target + " within the connect timeout",
                       Fault::kUpstream, true));
}

void ChannelCore::OnOpen() {
  const auto self = shared_from_this();
  if (transport_->tls() != nullptr && transport_->tls()->alpn() != "h2") {
    return FailDown(Error::Make(ErrorCode::kTls, options_.target + " did not agree on HTTP/2 (ALPN)", Fault::kUpstream, true));
  }
  connect_timer_.Disarm();
  state_ = State::kUp;
  codec_ = codec::NewHttp2Client(CodecLimits());
  last_read_ = loop_->now();
  pinging_ = false;
  goaway_ = {};
  if (options_.ping_after > Duration::zero()) ArmPing();
  Dirty();
  handler_->OnUp();
}

// ---------------------------------------------------------------- the connection's life

void ChannelCore::OnBytes(Bytes plaintext) {
  const auto self = shared_from_this();
  last_read_ = loop_->now();
  if (codec_ == nullptr) return;
  codec_->Feed(plaintext, loop_->now());
  Dirty();
  DrainEvents();
}

void ChannelCore::OnEof() {
  const auto self = shared_from_this();
  FailDown(Error::Make(ErrorCode::kClosed, options_.target + " closed the connection", Fault::kUpstream));
}

void ChannelCore::OnClosed(Error error) {
  const auto self = shared_from_this();
  if (state_ == State::kConnecting && !addresses_.empty()) {
    const std::unique_ptr<net::Transport> dead = std::move(transport_);
    return ConnectNext();
  }
  error.detail = options_.target + ": " + error.detail;
  FailDown(std::move(error));
}

void ChannelCore::OnDrained() {
  const auto self = shared_from_this();
  CheckWritable();
}

void ChannelCore::OnTurnEnd() {
  const auto self = shared_from_this();
  while (!done_later_.empty()) {
    std::vector<std::shared_ptr<CallCore>> calls;
    calls.swap(done_later_);
    for (const auto& call : calls) call->FinishNow();
  }
  if (codec_ == nullptr) return;
  if (!codec_->output().empty()) transport_->Send(&codec_->output());
  DrainEvents();
  CheckWritable();
  if (codec_ == nullptr) return;
  if (!codec_->output().empty()) transport_->Send(&codec_->output());
  if (LeftForGood() || codec_->should_close()) {
    FailDown(Error::Make(goaway_.ok() ? ErrorCode::kClosed : goaway_.code,
                         options_.target + " sent GOAWAY" + (goaway_.ok() ? "" : ": " + goaway_.detail), Fault::kUpstream));
  }
}

void ChannelCore::OnPingTimer() {
  const auto self = shared_from_this();
  if (codec_ == nullptr) return;
  if (pinging_ && codec_->ping_outstanding() && last_read_ <= pinged_) {
    return FailDown(Error::Make(ErrorCode::kTimeout, options_.target + " does not answer: no PING came back", Fault::kUpstream));
  }
  pinging_ = false;
  // Without calls nothing is lost with the connection, and gRPC servers take idle pings for abuse.
  if (loop_->now() - last_read_ >= options_.ping_after && !calls_.empty()) {
    pinging_ = true;
    pinged_ = loop_->now();
    codec_->SendPing();
    Dirty();
  }
  ArmPing();
}

void ChannelCore::ArmPing() {
  const Duration quiet = loop_->now() - last_read_;
  const Duration next = quiet < options_.ping_after ? options_.ping_after - quiet : options_.ping_after;
  loop_->Arm(&ping_timer_, pinging_ ? options_.ping_timeout : next);
}

void ChannelCore::DrainEvents() {
  codec::StreamEvent event;
  while (codec_ != nullptr && codec_->Next(&event)) Dispatch(event);
}

void ChannelCore::Dispatch(codec::StreamEvent& event) {
  using Kind = codec::StreamEvent::Kind;
  if (event.kind == Kind::kFailed) {
    if (!codec_->output().empty()) transport_->Send(&codec_->output());
    return FailDown(std::move(event.error));
  }
  if (event.kind == Kind::kGoAway) {
    if (state_ == State::kUp) state_ = State::kLeaving;
    if (goaway_.ok()) goaway_ = std::move(event.error);
    return;
  }
  const auto it = calls_.find(event.stream);
  if (it == calls_.end()) {
    if (event.kind == Kind::kData) codec_->Consumed(event.stream, event.data.size());
    return;
  }
  const std::shared_ptr<CallCore> call = it->second;
  switch (event.kind) {
    case Kind::kResponse: call->OnResponse(event.response); break;
    case Kind::kData:
      call->OnData(event.data);
      if (codec_ != nullptr) codec_->Consumed(event.stream, event.data.size());
      break;
    case Kind::kTrailers: call->OnTrailers(event.trailers); break;
    case Kind::kEnd: call->OnEnd(); break;
    case Kind::kReset: call->OnReset(event.error); break;
    case Kind::kWritable: call->CheckWritable(); break;
    default: break;
  }
}

void ChannelCore::CheckWritable() {
  if (waiting_ == 0) return;
  // A handler may start and end calls meanwhile: look each one up anew.
  for (codec::StreamId last = 0; codec_ != nullptr;) {
    const auto it = calls_.upper_bound(last);
    if (it == calls_.end()) return;
    last = it->first;
    const std::shared_ptr<CallCore> call = it->second;
    call->CheckWritable();
  }
}

// The end of this connection, or of the attempt at one. Calls first, then the owner.
void ChannelCore::FailDown(Error error) {
  if (state_ == State::kDown || state_ == State::kFalling) return;
  state_ = State::kFalling;
  connect_timer_.Disarm();
  ping_timer_.Disarm();
  resolution_.reset();
  addresses_.clear();
  context_.reset();
  codec_.reset();
  if (transport_ != nullptr) {
    const std::unique_ptr<net::Transport> transport = std::move(transport_);
    transport->Retire();
  }
  std::map<codec::StreamId, std::shared_ptr<CallCore>> calls;
  calls.swap(calls_);
  for (const auto& [stream, call] : calls) call->Done({Code::kUnavailable, error.detail}, {});
  state_ = State::kDown;
  if (handler_ != nullptr) handler_->OnDown(std::move(error));
}

// Calls under way end without a word: their owner is the one who destroys the channel, and must not be called from inside that.
void ChannelCore::Close() {
  handler_ = nullptr;
  for (const auto& [stream, call] : calls_) call->Silence();
  done_later_.clear();
  FailDown(Error::Make(ErrorCode::kCancelled, "the channel was closed"));
}

// ---------------------------------------------------------------- calls

const tls::Peer* ChannelCore::peer() const {
  const bool open = state_ == State::kUp || state_ == State::kLeaving;
  return open && transport_->tls() != nullptr ? &transport_->tls()->peer() : nullptr;
}

std::shared_ptr<CallCore> ChannelCore::Start(std::string_view path, const Metadata& metadata, std::optional<Duration> timeout,
                                             ClientCall::Handler* handler) {
  auto call = std::make_shared<CallCore>(shared_from_this(), handler);
  http::RequestHead head;
  head.method = http::Method::kPost;
  head.method_text = "POST";
  head.scheme = transport_ != nullptr && transport_->tls() != nullptr ? "https" : "http";
  head.authority = options_.target;
  head.path = path;
  head.headers.Add(http::Known::kContentType, "application/grpc");
  head.headers.Add(http::Known::kTe, "trailers");
  head.headers.Add(http::Known::kUserAgent, "grpc-c++-outrigger");
  head.headers.Add("grpc-accept-encoding", "identity");
  if (timeout) head.headers.Add(http::Known::kGrpcTimeout, FormatTimeout(*timeout));
  const Outcome outcome = AppendMetadata(metadata, &head.headers);
  if (!outcome) {
    call->FinishLater({Code::kInternal, outcome.error().detail});
  } else if (state_ != State::kUp) {
    call->FinishLater({Code::kUnavailable, "not connected to " + options_.target});
  } else if (!codec_->can_start()) {
    call->FinishLater({Code::kUnavailable, options_.target + " takes no more calls on this connection now"});
  } else {
    const codec::StreamId stream = codec_->SendRequest(head, /*end=*/false);
    calls_[stream] = call;
    call->Begin(stream, timeout);
    Dirty();
  }
  return call;
}

void ChannelCore::Forget(codec::StreamId stream) {
  calls_.erase(stream);
  if (LeftForGood()) Dirty();
}

void ChannelCore::QueueDone(std::shared_ptr<CallCore> call) {
  done_later_.push_back(std::move(call));
  Dirty();
}

}  // namespace outrigger::rpc
