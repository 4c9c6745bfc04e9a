// The client's side of one HTTP/1 connection. One exchange at a time; no pipelining, because a connection that fails would leave
// it unknown which of several requests have run.
//
//   idle --SendRequest--> active --request sent and response read (either may be first)--> idle, or closed when not reusable
//                           |
//                           +--101, or 2xx to CONNECT: tunnel, closed when both directions have ended
// Bytes that arrive while idle belong to no request: the connection is not used again (response splitting starts like that).
#include <algorithm>
#include <cassert>
#include <memory>
#include <string>
#include <vector>

#include "proxy/codec/codec.h"
#include "proxy/codec/http1_events.h"
#include "proxy/codec/http1_head.h"
#include "proxy/codec/http1_reader.h"
#include "proxy/codec/http1_writer.h"

namespace outrigger::codec {
namespace {

using http::Method;
using http::Version;
using Kind = StreamEvent::Kind;

// More informational responses to one request than any server means to send.
constexpr size_t kMaxInformational = 32;

class Http1Client final : public ClientCodec {
 public:
  explicit Http1Client(const Limits& limits) : limits_(limits), reader_(MessageReader::Side::kResponses, limits_) { reader_.Begin(); }

  size_t Feed(Bytes bytes, Instant now) override;
  void FeedEof() override;
  bool Next(StreamEvent* event) override;
  bool wants_input() const override { return !closed_; }
  void Consumed(StreamId, size_t) override {}

  Buffer& output() override { return output_; }
  size_t buffered(StreamId) const override { return output_.size(); }
  void SendData(StreamId stream, Bytes data) override;
  void SendEnd(StreamId stream) override { Finish(stream, nullptr); }
  void SendTrailers(StreamId stream, const http::HeaderMap& trailers) override { Finish(stream, &trailers); }
  void Reset(StreamId stream, ErrorCode reason) override;
  void Drain() override;

  Version version() const override { return Version::kHttp11; }
  size_t active_streams() const override { return active_ ? 1 : 0; }
  bool should_close() const override { return closed_; }
  bool write_ended() const override { return tunnel_ && request_done_; }

  bool can_start() const override { return !active_ && !closed_ && !draining_; }
  StreamId SendRequest(const http::RequestHead& head, bool end) override;
  bool response_started(StreamId stream) const override { return stream == stream_ && response_started_; }
  int peer_keep_alive_s() const override { return peer_keep_alive_s_; }

 private:
  bool Current(StreamId stream) const { return active_ && stream == stream_; }
  void OnItem(MessageReader::Item item);
  void OnHead();
  void OnInformational(const HeadFacts& facts);
  void OnTrailers();
  void StartTunnel();
  void ResponseDone();
  void EndExchange();
  void Finish(StreamId stream, const http::HeaderMap* trailers);
  void Fail(ErrorCode code, std::string_view detail);
  void Close();

  const Limits limits_;
  MessageReader reader_;
  EventQueue events_;
  Buffer output_;
  http::ResponseHead response_;
  std::vector<http::ResponseHead> informational_;  // the first informational_count_ hold heads that wait in events_
  size_t informational_count_ = 0;
  http::HeaderMap trailers_;
  Error error_;

  // Of the connection.
  bool draining_ = false;
  bool closed_ = false;
  int peer_keep_alive_s_ = 0;

  // Of the current exchange, or the last.
  StreamId stream_ = 0;
  bool active_ = false;
  bool request_done_ = false;
  bool response_started_ = false;
  bool response_done_ = false;
  bool reusable_ = true;       // as the response says
  bool open_ended_ = false;    // the response's body ends with the connection
  bool undecided_ = false;     // CONNECT or Upgrade, not answered yet
  bool tunnel_ = false;
  size_t informational_seen_ = 0;
  Method method_ = Method::kGet;
  std::string protocol_;
  BodyWriter body_;
};

// ---------------------------------------------------------------- output

StreamId Http1Client::SendRequest(const http::RequestHead& head, bool end) {
  assert(can_start());
  ++stream_;
  active_ = true;
  request_done_ = response_started_ = response_done_ = open_ended_ = tunnel_ = false;
  reusable_ = true;
  informational_seen_ = 0;
  method_ = head.method;
  protocol_ = head.protocol;
  undecided_ = method_ == Method::kConnect || !protocol_.empty();

  Framing framing;
  WireLines lines;
  if (undecided_) {
    lines.upgrade = protocol_;
  } else if (end) {
    // Methods that usually have a body say that there is none (RFC 9110 section 8.6).
    const bool usually = method_ == Method::kPost || method_ == Method::kPut || method_ == Method::kPatch || method_ == Method::kOther;
    if (usually) lines.content_length = 0;
  } else if (head.content_length) {
    lines.content_length = head.content_length;
    framing = {Framing::Kind::kFixed, *head.content_length};
  } else {
    lines.chunked = true;
    framing.kind = Framing::Kind::kChunked;
  }
  lines.expect_continue = head.expect_continue && !end && !undecided_;
  // TE is a field of one connection, and says so (RFC 9110 section 10.1.4).
  const bool te = head.headers.Has(http::Known::kTe);
  if (!protocol_.empty()) {
    lines.connection = te ? "Upgrade, TE" : "Upgrade";
  } else if (te) {
    lines.connection = "TE";
  }
  if (!WriteRequestHead(head, lines, &output_)) {
    // Nothing was written: the connection is as good as before.
    error_ = Error::Make(ErrorCode::kInvalid, "the request has a field that HTTP/1.1 cannot carry", Fault::kLocal, /*unseen=*/true);
    events_.Push(Kind::kReset, stream_);
    active_ = false;
    return stream_;
  }
  body_.Start(framing);
  if (end && !undecided_) request_done_ = true;
  return stream_;
}

void Http1Client::SendData(StreamId stream, Bytes data) {
  if (!Current(stream) || request_done_) return;
  if (!body_.Data(data, &output_)) reusable_ = false;
}

void Http1Client::Finish(StreamId stream, const http::HeaderMap* trailers) {
  if (!Current(stream) || request_done_) return;
  if (undecided_) return;  // there was no body to end; a tunnel is ended once it exists
  if (!body_.End(trailers, &output_)) {
    error_ = Error::Make(ErrorCode::kInvalid, "the request body was cut short", Fault::kLocal);
    events_.Push(Kind::kReset, stream_);
    Close();
    return;
  }
  request_done_ = true;
  if (response_done_) EndExchange();
}

void Http1Client::Reset(StreamId stream, ErrorCode) {
  if (Current(stream)) Close();
}

void Http1Client::Drain() {
  draining_ = true;
  if (!active_) Close();
}

// ---------------------------------------------------------------- input

size_t Http1Client::Feed(Bytes bytes, Instant) {
  if (events_.empty()) informational_count_ = 0;
  size_t at = 0;
  while (at < bytes.size() && !closed_) {
    if (!active_ || response_done_) {
      Fail(ErrorCode::kProtocol, "the server sent bytes that belong to no request");
      break;
    }
    response_started_ = true;
    size_t consumed = 0;
    const MessageReader::Item item = reader_.Read(bytes.subspan(at), &consumed);
    at += consumed;
    OnItem(item);
  }
  return bytes.size();  // what is left when the connection is done for concerns nobody
}

void Http1Client::OnItem(MessageReader::Item item) {
  using Item = MessageReader::Item;
  switch (item) {
    case Item::kMore: break;
    case Item::kHead: OnHead(); break;
    case Item::kData:
      events_.Push(Kind::kData, stream_, reader_.data());
      if (reader_.done()) ResponseDone();
      break;
    case Item::kTrailers: OnTrailers(); break;
    case Item::kEnd: ResponseDone(); break;
    case Item::kRefusal: {
      const Refusal& refusal = reader_.refusal();
      const bool large = refusal.status == 431 || refusal.status == 414;
      Fail(large ? ErrorCode::kTooLarge : ErrorCode::kProtocol, refusal.text);
      break;
    }
  }
}

void Http1Client::OnHead() {
  const int status = reader_.start_line().status;
  const bool informational = status < 200 && status != 101;
  if (informational && ++informational_seen_ > kMaxInformational) {
    Fail(ErrorCode::kProtocol, "too many informational responses");
    return;
  }
  if (informational && informational_count_ == informational_.size()) informational_.emplace_back();
  http::ResponseHead& head = informational ? informational_[informational_count_] : response_;
  head.Clear();
  HeadFacts facts;
  Refusal refusal = ReadResponseHead(reader_.start_line(), reader_.section(), reader_.fields(), method_, &head, &facts);
  if (!refusal) refusal = reader_.StartBody(facts.framing);
  if (refusal) {
    Fail(ErrorCode::kProtocol, refusal.text);
    return;
  }
  if (informational) {
    OnInformational(facts);
    return;
  }
  if (status == 101) {
    if (!undecided_ || protocol_.empty() || !facts.upgrade || !http::EqualsIgnoreCase(facts.upgrade_to, protocol_)) {
      Fail(ErrorCode::kProtocol, "the server switched to a protocol that was not asked for");
      return;
    }
    StartTunnel();
    return;
  }
  if (undecided_ && method_ == Method::kConnect && status / 100 == 2) {
    StartTunnel();
    return;
  }
  if (undecided_) {  // an ordinary exchange, and the request had no body
    undecided_ = false;
    request_done_ = true;
  }
  reusable_ = reusable_ && facts.keep_alive;
  open_ended_ = facts.framing.kind == Framing::Kind::kUntilClose;
  if (facts.keep_alive_s > 0) peer_keep_alive_s_ = facts.keep_alive_s;
  events_.Push(Kind::kResponse, stream_);
  if (reader_.done()) ResponseDone();
}

void Http1Client::OnInformational(const HeadFacts& facts) {
  reusable_ = reusable_ && facts.keep_alive;
  events_.Push(Kind::kInformational, stream_, {}, static_cast<uint32_t>(informational_count_++));
  reader_.Begin();
}

void Http1Client::OnTrailers() {
  trailers_.Clear();
  if (const Refusal refusal = ReadTrailers(reader_.section(), reader_.fields(), &trailers_)) {
    Fail(ErrorCode::kProtocol, refusal.text);
    return;
  }
  if (!trailers_.empty()) events_.Push(Kind::kTrailers, stream_);
  ResponseDone();
}

void Http1Client::StartTunnel() {
  undecided_ = false;
  tunnel_ = true;
  reusable_ = false;
  body_.Start({Framing::Kind::kUntilClose});
  reader_.BecomeTunnel();
  events_.Push(Kind::kUpgraded, stream_);
}

void Http1Client::ResponseDone() {
  response_done_ = true;
  events_.Push(Kind::kEnd, stream_);
  // The rest of the request would be for a server that has answered and does not want the connection any longer.
  if (request_done_ || (!reusable_ && !tunnel_)) EndExchange();
}

void Http1Client::EndExchange() {
  if (!reusable_ || draining_) {
    Close();
    return;
  }
  active_ = false;
  reader_.Begin();
}

void Http1Client::FeedEof() {
  if (closed_) return;
  if (!active_ || (response_done_ && !tunnel_)) {
    Close();
    return;
  }
  reusable_ = false;
  if (tunnel_ || open_ended_) {
    if (!response_done_) ResponseDone();
    return;
  }
  error_ = Error::Make(ErrorCode::kClosed,
                       response_started_ ? "the server closed the connection inside its response"
                                         : "the server closed the connection before it answered",
                       Fault::kUpstream);
  events_.Push(Kind::kReset, stream_);
  Close();
}

void Http1Client::Fail(ErrorCode code, std::string_view detail) {
  error_ = Error::Make(code, std::string(detail), Fault::kUpstream);
  if (active_ && !response_done_) events_.Push(Kind::kReset, stream_);
  events_.Push(Kind::kFailed, 0);
  Close();
}

void Http1Client::Close() {
  active_ = false;
  closed_ = true;
}

bool Http1Client::Next(StreamEvent* event) {
  const EventQueue::Entry* entry = events_.Pop();
  if (entry == nullptr) return false;
  event->kind = entry->kind;
  event->stream = entry->stream;
  event->data = entry->data;
  event->request = nullptr;
  event->response = nullptr;
  if (entry->kind == Kind::kResponse || entry->kind == Kind::kUpgraded) {
    event->response = &response_;
  } else if (entry->kind == Kind::kInformational) {
    event->response = &informational_[entry->index];
  }
  event->trailers = entry->kind == Kind::kTrailers ? &trailers_ : nullptr;
  if (entry->kind == Kind::kReset || entry->kind == Kind::kFailed) {
    event->error = error_;
  } else if (!event->error.ok()) {
    event->error = Error{};
  }
  return true;
}

}  // namespace

std::unique_ptr<ClientCodec> MakeHttp1Client(const Limits& limits) { return std::make_unique<Http1Client>(limits); }

}  // namespace outrigger::codec
