#include "proxy/exchange/server_session.h"

#include <algorithm>
#include <utility>

namespace outrigger::exchange {
namespace {

std::unique_ptr<codec::ServerCodec> MakeCodec(const net::Transport& transport, const codec::Limits& limits) {
  const bool http2 = transport.tls() != nullptr && transport.tls()->alpn() == "h2";
  return http2 ? codec::MakeHttp2Server(limits) : codec::MakeHttp1Server(limits);
}

}  // namespace

ServerSession::ServerSession(Host* host, SessionOwner* owner, std::unique_ptr<net::Connection> connection,
                             std::unique_ptr<tls::Session> tls, Origin origin)
    : host_(host),
      owner_(owner),
      origin_(std::move(origin)),
      transport_(host->loop, std::move(connection), std::move(tls), /*connected=*/true, this) {}

ServerSession::~ServerSession() = default;

void ServerSession::Start(Bytes already_read) {
  host_->loop->Arm(&idle_timer_, host_->settings.handshake_timeout);
  transport_.Start();
  if (!already_read.empty() && !gone_) transport_.Replay(already_read);
}

void ServerSession::OnOpen() {
  if (const tls::Session* tls = transport_.tls()) {
    origin_.peer = &tls->peer();
    origin_.server_name = std::string(tls->sni());
  }
  codec_ = MakeCodec(transport_, host_->settings.limits);
  if (draining_) codec_->Drain();  // told during the handshake
  path_ = owner_->OnSessionOpen(this, &origin_);
  if (path_ == nullptr) {
    transport_.Retire();
    Gone();
    return;
  }
  host_->loop->Arm(&idle_timer_, host_->settings.idle_timeout);
  if (draining_) Drain(/*close_idle=*/false);  // asked during the handshake
}

// ---------------------------------------------------------------- input

void ServerSession::OnBytes(Bytes plaintext) {
  if (gone_ || broken_) return;
  idle_timer_.Disarm();
  Feed(plaintext);
  Touch();
}

void ServerSession::Feed(Bytes plaintext) {
  if (!held_.empty()) {
    held_.Append(plaintext);
  } else {
    while (!plaintext.empty() && codec_->wants_input() && !broken_ && !gone_) {
      plaintext = plaintext.subspan(codec_->Feed(plaintext, host_->loop->now()));
      DrainEvents();
    }
    if (!plaintext.empty() && !broken_ && !gone_) held_.Append(plaintext);
  }
  WatchHead(/*fed=*/true);
  // A client that pipelines further than one buffer waits for its answers first.
  if (held_.size() > host_->settings.high_water_bytes && reading_) {
    reading_ = false;
    transport_.SetReading(false);
  }
}

void ServerSession::DrainEvents() {
  http::StreamEvent event;
  while (!gone_ && !broken_ && codec_->Next(&event)) Deliver(event);
}

void ServerSession::Deliver(http::StreamEvent& event) {
  using Kind = http::StreamEvent::Kind;
  if (event.kind == Kind::kRequest) {
    head_timer_.Disarm();
    if (!silence_timer_.armed()) host_->loop->Arm(&silence_timer_, net::Connection::kSilenceCheck);
    exchanges_.push_back(std::make_unique<Exchange>(host_, this, path_, event.stream));
    exchanges_.back()->Begin(event.request);
    return;
  }
  if (event.kind == Kind::kFailed) {
    broken_ = true;
    head_timer_.Disarm();
    RecordRefused(0u | (event.error.code == ErrorCode::kClosed ? observe::Flag::kDC : observe::Flag::kDPE));
    TellClientGone(event.error);
    return;
  }
  Exchange* exchange = Find(event.stream);
  if (exchange == nullptr) {
    if (event.kind == Kind::kData) codec_->Consumed(event.stream, event.data.size());
    return;
  }
  switch (event.kind) {
    case Kind::kData: exchange->OnRequestData(event.data); break;
    case Kind::kTrailers: exchange->OnRequestTrailers(event.trailers); break;
    case Kind::kEnd: exchange->OnRequestEnd(); break;
    case Kind::kReset: exchange->OnClientGone(event.error); break;
    case Kind::kWritable: exchange->OnClientDrained(); break;
    default: break;
  }
}

void ServerSession::OnEof() {
  if (gone_) return;
  eof_ = true;
  if (codec_ == nullptr) {
    Gone();
    return;
  }
  if (held_.empty() && !broken_) {
    codec_->FeedEof();
    DrainEvents();
  }
  Touch();
}

void ServerSession::OnClosed(Error error) {
  if (gone_) return;
  error.fault = Fault::kDownstream;
  TellClientGone(error);
  Gone();
}

// The head must be complete some time after its first byte: slow heads are the cheapest way to hold a server's memory.
void ServerSession::WatchHead(bool fed) {
  if (!exchanges_.empty() || gone_ || broken_ || codec_ == nullptr) return;
  if (codec_->version() == http::Version::kHttp2) return;
  if (fed && codec_->head_started()) {
    if (!head_timer_.armed()) host_->loop->Arm(&head_timer_, host_->settings.head_timeout);
    return;
  }
  head_timer_.Disarm();
}

void ServerSession::OnHeadTimeout() {
  codec_->ReplyAndClose(408, "request-head-timeout", "the request head did not arrive in time");
  RecordRefused(0u | observe::Flag::kDPE);
  broken_ = true;
  Touch();
}

// What could not be read never became an exchange; it is counted and logged all the same.
void ServerSession::RecordRefused(uint32_t flags) {
  const codec::ServerCodec::Refused refused = codec_->refused();
  if (refused.status == 0) return;
  observe::ExchangeRecord record;
  record.direction = origin_.direction;
  if (const auto listener = host_->epoch->listeners.find(origin_.listener); listener != host_->epoch->listeners.end()) {
    record.access_log = listener->second->config.access_log;
  }
  record.started = host_->loop->wall_now();
  record.version = codec_->version();
  record.method = http::Method::kOther;
  record.status = refused.status;
  record.flags = flags;
  record.reason = refused.reason;
  record.downstream_address = origin_.remote_text;
  record.mutual_tls = origin_.peer != nullptr;
  path_->Describe(origin_, Plan{}, nullptr, &record);
  host_->sink->OnExchange(record);
}

void ServerSession::OnIdleTimeout() {
  if (gone_ || !exchanges_.empty()) return;
  if (codec_ != nullptr) codec_->Drain();
  broken_ = true;
  if (codec_ == nullptr) {
    transport_.Abort();  // no handshake in time
    Gone();
    return;
  }
  Touch();
}

// A client whose machine vanished while its answer was on the way.
void ServerSession::OnSilenceCheck() {
  if (gone_ || exchanges_.empty()) return;  // the next request starts it again
  if (transport_.connection().unacknowledged_for() < net::Connection::kSilenceLimit) {
    host_->loop->Arm(&silence_timer_, net::Connection::kSilenceCheck);
    return;
  }
  transport_.Abort();
  OnClosed(Error::Make(ErrorCode::kReset, "the client's machine does not acknowledge what it is sent", Fault::kDownstream));
}

// ---------------------------------------------------------------- output

void ServerSession::SendInformational(http::StreamId id, const http::ResponseHead& head) {
  codec_->SendInformational(id, head);
  Touch();
}
void ServerSession::SendResponse(http::StreamId id, const http::ResponseHead& head, bool end) {
  codec_->SendResponse(id, head, end);
  Touch();
}
void ServerSession::SendData(http::StreamId id, Bytes data) {
  codec_->SendData(id, data);
  Touch();
}
void ServerSession::SendTrailers(http::StreamId id, const http::HeaderMap& trailers) {
  codec_->SendTrailers(id, trailers);
  Touch();
}
void ServerSession::SendEnd(http::StreamId id) {
  codec_->SendEnd(id);
  Touch();
}
void ServerSession::Reset(http::StreamId id, ErrorCode reason) {
  codec_->Reset(id, reason);
  cut_ = cut_ || codec_->version() != http::Version::kHttp2;
  Touch();
}
size_t ServerSession::buffered(http::StreamId id) const { return codec_->buffered(id) + transport_.pending(); }

void ServerSession::SetReading(bool on) {
  if (codec_->version() == http::Version::kHttp2 || gone_) return;  // there the window does it
  if (reading_ == on || (on && held_.size() > host_->settings.high_water_bytes)) return;
  reading_ = on;
  transport_.SetReading(on);
}

void ServerSession::Consumed(http::StreamId id, size_t size) {
  if (size == 0) return;
  codec_->Consumed(id, size);
  if (!codec_->output().empty()) Touch();  // a window update that nothing else would send
}

http::Version ServerSession::version() const { return codec_->version(); }

void ServerSession::OnExchangeDone(Exchange* exchange) {
  const auto it = std::find_if(exchanges_.begin(), exchanges_.end(), [&](const auto& e) { return e.get() == exchange; });
  if (it == exchanges_.end()) return;
  host_->graveyard.Bury(std::move(*it));
  exchanges_.erase(it);
  if (!gone_) Touch();
}

void ServerSession::OnTurnEnd() {
  if (gone_) return;
  if (codec_ == nullptr) return;
  // Pipelined requests: the next one, now that its predecessor is answered.
  while (!held_.empty() && codec_->wants_input() && !broken_ && !gone_) {
    Buffer now_feeding;
    now_feeding.Swap(held_);
    const size_t taken = codec_->Feed(now_feeding.view(), host_->loop->now());
    DrainEvents();
    now_feeding.Consume(taken);
    if (held_.empty()) held_.Swap(now_feeding);
    if (taken == 0) break;
  }
  if (gone_) return;
  if (held_.empty() && eof_ && !broken_) {
    codec_->FeedEof();
    DrainEvents();
    if (gone_) return;
  }
  if (!reading_ && held_.empty() && exchanges_.empty()) SetReading(true);
  if (!codec_->output().empty()) transport_.Send(&codec_->output());
  if (codec_->write_ended() && !std::exchange(write_shut_, true)) transport_.ShutdownWrite();
  for (size_t i = 0; i < exchanges_.size() && !gone_; ++i) exchanges_[i]->OnClientDrained();
  if (gone_) return;
  if (broken_ || cut_ || codec_->should_close() || (eof_ && exchanges_.empty())) {
    if (cut_) {
      transport_.Abort();
    } else {
      transport_.Retire();
    }
    TellClientGone(Error::Make(ErrorCode::kClosed, "the client's connection is closed", Fault::kDownstream));
    Gone();
    return;
  }
  if (exchanges_.empty()) {
    WatchHead(/*fed=*/codec_->head_started());
    if (!head_timer_.armed() && !idle_timer_.armed()) host_->loop->Arm(&idle_timer_, host_->settings.idle_timeout);
  }
}

void ServerSession::OnDrained() {
  for (size_t i = 0; i < exchanges_.size() && !gone_; ++i) exchanges_[i]->OnClientDrained();
}

void ServerSession::Drain(bool close_idle) {
  if (gone_) return;
  draining_ = true;
  if (codec_ == nullptr) return;
  codec_->Drain();
  // A request whose head has begun to arrive is served.
  if (close_idle && exchanges_.empty() && held_.empty() && !codec_->head_started()) broken_ = true;
  Touch();
}

void ServerSession::TellClientGone(const Error& error) {
  while (!exchanges_.empty()) exchanges_.back()->OnClientGone(error);
}

void ServerSession::Gone() {
  if (gone_) return;
  gone_ = true;
  head_timer_.Disarm();
  idle_timer_.Disarm();
  silence_timer_.Disarm();
  owner_->OnSessionGone(this);
}

Exchange* ServerSession::Find(http::StreamId id) {
  for (const std::unique_ptr<Exchange>& exchange : exchanges_) {
    if (exchange->id() == id) return exchange.get();
  }
  return nullptr;
}

}  // namespace outrigger::exchange
