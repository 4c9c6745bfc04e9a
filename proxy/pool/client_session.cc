#include "proxy/pool/client_session.h"

#include <algorithm>

namespace outrigger::pool {
namespace {

std::unique_ptr<net::Connection> Dial(net::Loop* loop, const net::Address& address, Duration timeout) {
  // The transport sets itself as the handler; nothing is delivered before the next turn.
  return loop->Connect({address, timeout}, nullptr);
}

}  // namespace

// ---------------------------------------------------------------- StreamImpl

StreamImpl::~StreamImpl() {
  if (session_ != nullptr) session_->Detach(this);
}

const tls::Peer* StreamImpl::peer() const {
  if (session_ == nullptr || !started_ || session_->transport_.tls() == nullptr) return nullptr;
  return &session_->transport_.tls()->peer();
}

void StreamImpl::SendData(Bytes data) {
  if (session_ == nullptr) return;
  session_->codec_->SendData(id_, data);
  if (buffered() > session_->options_->high_water_bytes) over_mark_ = true;
  session_->loop_->AtTurnEnd(session_);
}

void StreamImpl::SendEnd() {
  if (session_ == nullptr) return;
  session_->codec_->SendEnd(id_);
  session_->loop_->AtTurnEnd(session_);
}

void StreamImpl::SendTrailers(const http::HeaderMap& trailers) {
  if (session_ == nullptr) return;
  session_->codec_->SendTrailers(id_, trailers);
  session_->loop_->AtTurnEnd(session_);
}

size_t StreamImpl::buffered() const {
  return session_ == nullptr ? 0 : session_->codec_->buffered(id_) + session_->transport_.pending();
}

void StreamImpl::SetReading(bool on) {
  // HTTP/2 connections are shared: there the window does it, by Consumed.
  if (session_ != nullptr && session_->codec_->version() != http::Version::kHttp2) session_->transport_.SetReading(on);
}

void StreamImpl::Consumed(size_t size) {
  if (session_ == nullptr) return;
  session_->codec_->Consumed(id_, size);
  if (!session_->codec_->output().empty()) session_->loop_->AtTurnEnd(session_);
}

// ---------------------------------------------------------------- ClientSession

ClientSession::ClientSession(net::Loop* loop, SessionOwner* owner, const Options* options, config::UpstreamProtocol protocol,
                             std::unique_ptr<tls::Session> tls, const tls::Context* context, const net::Address& address,
                             Duration connect_timeout, Duration idle_timeout)
    : loop_(loop),
      owner_(owner),
      options_(options),
      context_(context),
      idle_timeout_(idle_timeout),
      codec_(protocol == config::UpstreamProtocol::kHttp2 ? codec::MakeHttp2Client(options->limits)
                                                          : codec::MakeHttp1Client(options->limits)),
      transport_(loop, Dial(loop, address, connect_timeout), std::move(tls), /*connected=*/false, this) {
  loop_->Arm(&connect_timer_, connect_timeout);
  transport_.Start();
}

ClientSession::~ClientSession() {
  if (intended_ != nullptr) intended_->session_ = nullptr;
  for (StreamImpl* stream : streams_) stream->session_ = nullptr;
}

void ClientSession::Intend(StreamImpl* stream) {
  intended_ = stream;
  stream->session_ = this;
}

void ClientSession::StartRequest(StreamImpl* stream) {
  idle_timer_.Disarm();
  stream->session_ = this;
  stream->reused_ = used_;
  used_ = true;
  stream->id_ = codec_->SendRequest(*stream->head_, stream->end_);
  stream->head_ = nullptr;
  stream->started_ = true;
  streams_.push_back(stream);
  if (!silence_timer_.armed()) loop_->Arm(&silence_timer_, net::Connection::kSilenceCheck);
  loop_->AtTurnEnd(this);
}

void ClientSession::StartLate(StreamImpl* stream) {
  StartRequest(stream);
  stream->handler_->OnStarted();
}

void ClientSession::OnOpen() {
  connect_timer_.Disarm();
  open_ = true;
  owner_->OnSessionOpened(this);
}

void ClientSession::OnBytes(Bytes plaintext) {
  if (gone_) return;
  if (held_.empty()) {
    const size_t taken = codec_->Feed(plaintext, loop_->now());
    if (taken < plaintext.size()) held_.Append(plaintext.subspan(taken));
  } else {
    held_.Append(plaintext);
    held_.Consume(codec_->Feed(held_.view(), loop_->now()));
  }
  DrainEvents();
}

void ClientSession::OnEof() {
  if (gone_) return;
  codec_->FeedEof();
  DrainEvents();
  if (gone_) return;
  if (busy() && codec_->version() != http::Version::kHttp2 && !codec_->should_close()) return;  // a tunnel, half closed
  FailStreams(Error::Make(ErrorCode::kClosed, "the upstream closed the connection", Fault::kUpstream));
  Gone();
}

void ClientSession::OnClosed(Error error) {
  if (gone_) return;
  error.fault = Fault::kUpstream;
  if (!open_) {
    // Cut while it was being made: nobody has heard of the request yet, and to retries and operators it is a failure to connect.
    error.unseen = true;
    const bool cut = error.code == ErrorCode::kReset || error.code == ErrorCode::kClosed;
    if (cut) error.code = transport_.tls() != nullptr ? ErrorCode::kTls : ErrorCode::kConnectRefused;
  }
  FailStreams(error);
  Gone(error);
}

void ClientSession::DrainEvents() {
  http::StreamEvent event;
  while (!gone_ && codec_->Next(&event)) Deliver(event);
  if (!gone_) SettleAfterEvents();
}

void ClientSession::Deliver(http::StreamEvent& event) {
  using Kind = http::StreamEvent::Kind;
  if (event.kind == Kind::kFailed) {
    event.error.fault = Fault::kUpstream;
    FailStreams(event.error);
    Gone();
    return;
  }
  if (event.kind == Kind::kGoAway) {
    retired_ = true;  // streams above the last processed id fail by kReset with kRefused
    return;
  }
  StreamImpl* stream = FindStream(event.stream);
  if (stream == nullptr) {
    // Cancelled by its user: the window its bytes took is given back, so that its neighbours do not starve.
    if (event.kind == Kind::kData) codec_->Consumed(event.stream, event.data.size());
    return;
  }
  Stream::Handler* const handler = stream->handler_;
  switch (event.kind) {
    case Kind::kInformational: handler->OnInformational(*event.response); break;
    case Kind::kResponse: handler->OnResponse(event.response); break;
    case Kind::kUpgraded: handler->OnUpgraded(event.response); break;
    case Kind::kData: handler->OnData(event.data); break;
    case Kind::kTrailers: handler->OnTrailers(event.trailers); break;
    case Kind::kWritable:
      if (stream->over_mark_ && stream->buffered() == 0) {
        stream->over_mark_ = false;
        handler->OnWritable();
      }
      break;
    case Kind::kEnd:
      FinishStream(stream);
      handler->OnEnd();
      break;
    case Kind::kReset: {
      const bool started = codec_->response_started(event.stream);
      std::erase(streams_, stream);
      stream->session_ = nullptr;
      // What could not be written is not the endpoint's doing.
      if (event.error.code != ErrorCode::kInvalid) event.error.fault = Fault::kUpstream;
      handler->OnFailed(event.error, started);
      if (!gone_) OfferIfFree();
      break;
    }
    default: break;
  }
}

// The response is complete. When the request is, too, the stream leaves; else it stays until its user ends or cancels it.
void ClientSession::FinishStream(StreamImpl* stream) {
  if (codec_->version() == http::Version::kHttp2 || codec_->can_start() || codec_->should_close()) {
    std::erase(streams_, stream);
    stream->session_ = nullptr;
    OfferIfFree();
  }
}

void ClientSession::OfferIfFree() {
  if (!retired_ && held_.empty() && codec_->can_start()) owner_->OnSessionIdle(this);
}

void ClientSession::Detach(StreamImpl* stream) {
  stream->session_ = nullptr;
  if (stream == intended_) {
    intended_ = nullptr;  // the connection goes on: somebody will want it
    return;
  }
  std::erase(streams_, stream);
  if (gone_) return;
  if (codec_->version() != http::Version::kHttp2 && codec_->can_start() && !retired_ && held_.empty()) {
    // The response was complete already and the request ended after it: nothing to cancel.
    owner_->OnSessionIdle(this);
    return;
  }
  // An HTTP/1 connection dies with its request, and by RST: a FIN could make the server take half a body for a whole one. (A tunnel
  // whose both ends have finished is whole.)
  cut_ = cut_ || (codec_->version() != http::Version::kHttp2 && codec_->active_streams() > 0);
  codec_->Reset(stream->id_, ErrorCode::kCancelled);
  if (!cut_) OfferIfFree();
  loop_->AtTurnEnd(this);
}

void ClientSession::FailStreams(const Error& error) {
  if (StreamImpl* stream = std::exchange(intended_, nullptr)) {
    stream->session_ = nullptr;
    Error unseen = error;
    unseen.unseen = true;
    stream->handler_->OnFailed(unseen, false);
  }
  while (!streams_.empty()) {
    StreamImpl* stream = streams_.back();
    streams_.pop_back();
    stream->session_ = nullptr;
    stream->handler_->OnFailed(error, codec_->response_started(stream->id_));
  }
}

void ClientSession::SettleAfterEvents() {
  if (codec_->should_close() || (retired_ && streams_.empty() && intended_ == nullptr)) {
    loop_->AtTurnEnd(this);  // flush what there is (GOAWAY, close_notify), then go
    return;
  }
  if (!codec_->output().empty()) loop_->AtTurnEnd(this);
}

void ClientSession::OnTurnEnd() {
  // What sending itself has brought about: a head that could not be written.
  http::StreamEvent event;
  while (!gone_ && codec_->Next(&event)) Deliver(event);
  if (gone_) return;
  if (open_ && !codec_->output().empty()) transport_.Send(&codec_->output());
  if (codec_->write_ended() && !std::exchange(write_shut_, true)) transport_.ShutdownWrite();
  TellWritable();
  if (gone_) return;
  if (open_ && (codec_->should_close() || (retired_ && streams_.empty() && intended_ == nullptr))) {
    FailStreams(Error::Make(ErrorCode::kClosed, "the connection was given up", Fault::kUpstream));
    if (cut_) {
      transport_.Abort();
    } else {
      transport_.Retire();
    }
    Gone();
  }
}

void ClientSession::OnDrained() { TellWritable(); }

void ClientSession::TellWritable() {
  // By index: a handler may cancel its own stream, which shortens the list.
  for (size_t i = 0; i < streams_.size() && !gone_; ++i) {
    StreamImpl* stream = streams_[i];
    if (!stream->over_mark_ || stream->buffered() > 0) continue;
    stream->over_mark_ = false;
    stream->handler_->OnWritable();
  }
}

void ClientSession::Retire() {
  retired_ = true;
  if (!busy() && intended_ == nullptr && open_) loop_->AtTurnEnd(this);
}

void ClientSession::BecomeIdle() {
  Duration keep = idle_timeout_;
  // A second of margin: a request sent just as the server closes would be lost.
  if (const int said = codec_->peer_keep_alive_s(); said > 0) {
    keep = std::min<Duration>(keep, std::max<Duration>(std::chrono::seconds(said) - 1s, 100ms));
  }
  loop_->Arm(&idle_timer_, keep);
}

void ClientSession::OnConnectTimeout() {
  if (gone_ || open_) return;
  const Error error = Error::Make(ErrorCode::kConnectTimeout, "no connection within the connect timeout", Fault::kUpstream, true);
  FailStreams(error);
  Gone(error);
}

void ClientSession::OnIdleTimeout() {
  if (gone_ || busy()) return;
  transport_.Retire();
  Gone();
}

void ClientSession::OnSilenceCheck() {
  if (gone_ || !busy()) return;  // the next request starts it again
  if (transport_.connection().unacknowledged_for() < net::Connection::kSilenceLimit) {
    loop_->Arm(&silence_timer_, net::Connection::kSilenceCheck);
    return;
  }
  const Error error = Error::Make(ErrorCode::kReset, "the upstream's machine does not acknowledge what it is sent", Fault::kUpstream);
  transport_.Abort();
  FailStreams(error);
  Gone(error);
}

void ClientSession::Gone(const Error& error) {
  if (gone_) return;
  gone_ = true;
  silence_timer_.Disarm();
  connect_timer_.Disarm();
  idle_timer_.Disarm();
  owner_->OnSessionGone(this, open_, error);
}

StreamImpl* ClientSession::FindStream(http::StreamId id) {
  for (StreamImpl* stream : streams_) {
    if (stream->id_ == id) return stream;
  }
  return nullptr;
}

}  // namespace outrigger::pool
