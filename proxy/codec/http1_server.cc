// The server's side of one HTTP/1 connection. One exchange at a time: reading stops at the end of a request until its response is
// out, so pipelined requests wait in the owner's buffer and are bounded there.
//
//   between --head--> reading body --end--> waiting --response done--> between
//                        |                     (either may be first: an exchange is over when both are)
//                        +--CONNECT or Upgrade: waiting for SendResponse, which makes it a tunnel or an ordinary exchange
#include <cassert>
#include <charconv>
#include <memory>
#include <string>

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

class Http1Server final : public ServerCodec {
 public:
  explicit Http1Server(const Limits& limits) : limits_(limits), reader_(MessageReader::Side::kRequests, limits_) { reader_.Begin(); }

  size_t Feed(Bytes bytes, Instant now) override;
  void FeedEof() override;
  bool Next(StreamEvent* event) override;
  bool wants_input() const override;
  void Consumed(StreamId, size_t) override {}

  Buffer& output() override { return output_; }
  size_t buffered(StreamId) const override { return output_.size(); }
  void SendInformational(StreamId stream, const http::ResponseHead& head) override;
  void SendResponse(StreamId stream, const http::ResponseHead& head, bool end) override;
  void SendData(StreamId stream, Bytes data) override;
  void SendEnd(StreamId stream) override { Finish(stream, nullptr); }
  void SendTrailers(StreamId stream, const http::HeaderMap& trailers) override { Finish(stream, &trailers); }
  void Reset(StreamId stream, ErrorCode reason) override;
  bool head_started() const override { return !active_ && !closed_ && reader_.started(); }
  void ReplyAndClose(int status, std::string_view reason, std::string_view text) override;
  Refused refused() const override { return refused_; }
  void Drain() override { draining_ = true; }

  Version version() const override { return Version::kHttp11; }
  size_t active_streams() const override { return active_ ? 1 : 0; }
  bool should_close() const override { return closed_; }
  bool write_ended() const override { return tunnel_ && response_done_; }

 private:
  bool Current(StreamId stream) const { return active_ && stream == stream_; }
  void OnItem(MessageReader::Item item);
  void OnHead();
  void OnTrailers();
  void RequestDone();
  void ResponseDone();
  void EndExchange();
  void StartTunnel(const http::ResponseHead& head);
  void Fail(const Refusal& refusal, ErrorCode code, Fault whose);
  void WriteReply(int status, std::string_view reason, std::string_view text);
  void Finish(StreamId stream, const http::HeaderMap* trailers);
  void Close();

  const Limits limits_;
  MessageReader reader_;
  EventQueue events_;
  Buffer output_;
  http::RequestHead head_;
  http::HeaderMap trailers_;
  Error error_;
  Refused refused_;

  // Of the connection.
  bool draining_ = false;  // the next response says close
  bool eof_ = false;       // the peer sends no more
  bool closed_ = false;    // nothing can happen any more

  // Of the current exchange.
  StreamId stream_ = 0;
  bool active_ = false;
  bool request_done_ = false;
  bool response_started_ = false;
  bool response_done_ = false;
  bool keep_alive_ = true;        // as the client wishes
  bool close_after_ = false;      // the response said close
  bool expects_continue_ = false; // the client waits for 100 before it sends the body
  bool undecided_ = false;        // CONNECT or Upgrade, not answered yet
  bool tunnel_ = false;
  Method method_ = Method::kGet;
  Version client_ = Version::kHttp11;
  std::string protocol_;          // that the client wants to upgrade to
  BodyWriter body_;
};

// x-outrigger-reason of what the codec itself refuses.
std::string_view ReasonOf(int status) {
  switch (status) {
    case 414: return "request-line-too-long";
    case 431: return "request-head-too-large";
    case 501: return "transfer-coding-unknown";
    case 502: return "response-unwritable";
    case 505: return "http-version-unsupported";
    default: return "malformed-request";
  }
}

// ---------------------------------------------------------------- input

bool Http1Server::wants_input() const {
  if (closed_ || eof_) return false;
  if (!active_) return true;
  return !undecided_ && !request_done_;
}

size_t Http1Server::Feed(Bytes bytes, Instant) {
  size_t at = 0;
  while (at < bytes.size() && wants_input()) {
    size_t consumed = 0;
    const MessageReader::Item item = reader_.Read(bytes.subspan(at), &consumed);
    at += consumed;
    OnItem(item);
  }
  return at;
}

void Http1Server::OnItem(MessageReader::Item item) {
  using Item = MessageReader::Item;
  switch (item) {
    case Item::kMore: break;
    case Item::kHead: OnHead(); break;
    case Item::kData:
      expects_continue_ = false;
      events_.Push(Kind::kData, stream_, reader_.data());
      if (reader_.done()) RequestDone();
      break;
    case Item::kTrailers: OnTrailers(); break;
    case Item::kEnd: RequestDone(); break;
    case Item::kRefusal: {
      const Refusal& refusal = reader_.refusal();
      const bool large = refusal.status == 431 || refusal.status == 414;
      Fail(refusal, large ? ErrorCode::kTooLarge : ErrorCode::kProtocol, Fault::kDownstream);
      break;
    }
  }
}

void Http1Server::OnHead() {
  head_.Clear();
  HeadFacts facts;
  Refusal refusal = ReadRequestHead(reader_.start_line(), reader_.section(), reader_.fields(), &head_, &facts);
  if (!refusal) refusal = reader_.StartBody(facts.framing);
  if (refusal) {
    Fail(refusal, ErrorCode::kProtocol, Fault::kDownstream);
    return;
  }
  ++stream_;
  active_ = true;
  request_done_ = response_started_ = response_done_ = close_after_ = tunnel_ = false;
  keep_alive_ = facts.keep_alive;
  expects_continue_ = head_.expect_continue;
  method_ = head_.method;
  client_ = head_.version;
  protocol_ = head_.protocol;
  undecided_ = method_ == Method::kConnect || !protocol_.empty();
  events_.Push(Kind::kRequest, stream_);
  if (!undecided_ && reader_.done()) RequestDone();
}

void Http1Server::OnTrailers() {
  trailers_.Clear();
  if (const Refusal refusal = ReadTrailers(reader_.section(), reader_.fields(), &trailers_)) {
    Fail(refusal, ErrorCode::kProtocol, Fault::kDownstream);
    return;
  }
  if (!trailers_.empty()) events_.Push(Kind::kTrailers, stream_);
  RequestDone();
}

void Http1Server::RequestDone() {
  request_done_ = true;
  events_.Push(Kind::kEnd, stream_);
  if (response_done_) EndExchange();
}

void Http1Server::FeedEof() {
  if (closed_ || eof_) return;
  eof_ = true;
  if (!active_) {
    if (!reader_.started()) {
      Close();
    } else {
      Fail({400, "the connection ended inside a request head"}, ErrorCode::kClosed, Fault::kDownstream);
    }
    return;
  }
  if (undecided_ || request_done_) return;  // answer, then close
  if (tunnel_) {
    RequestDone();
    return;
  }
  error_ = Error::Make(ErrorCode::kClosed, "the client closed the connection inside its request body", Fault::kDownstream);
  events_.Push(Kind::kReset, stream_);
  Close();
}

bool Http1Server::Next(StreamEvent* event) {
  const EventQueue::Entry* entry = events_.Pop();
  if (entry == nullptr) return false;
  event->kind = entry->kind;
  event->stream = entry->stream;
  event->data = entry->data;
  event->request = entry->kind == Kind::kRequest ? &head_ : nullptr;
  event->response = nullptr;
  event->trailers = entry->kind == Kind::kTrailers ? &trailers_ : nullptr;
  if (entry->kind == Kind::kReset || entry->kind == Kind::kFailed) {
    event->error = error_;
  } else if (!event->error.ok()) {
    event->error = Error{};
  }
  return true;
}

// ---------------------------------------------------------------- output

void Http1Server::SendInformational(StreamId stream, const http::ResponseHead& head) {
  if (!Current(stream) || response_started_ || client_ == Version::kHttp10) return;
  if (head.status < 100 || head.status > 199 || head.status == 101) return;
  if (head.status == 100) expects_continue_ = false;
  if (!WriteResponseHead(head, {}, &output_)) return;  // only a hint: the response itself will be refused aloud
}

void Http1Server::SendResponse(StreamId stream, const http::ResponseHead& head, bool end) {
  if (!Current(stream) || response_started_) return;
  if (undecided_) {
    undecided_ = false;
    if (method_ == Method::kConnect ? head.status / 100 == 2 : head.status == 101) {
      StartTunnel(head);
      return;
    }
    RequestDone();  // an ordinary exchange, and there was no body
  }
  if (head.status < 200) {
    Fail({502, "an informational status where a response was due"}, ErrorCode::kInvalid, Fault::kLocal);
    return;
  }
  const bool bodyless = method_ == Method::kHead || head.status == 204 || head.status == 304;
  close_after_ = head.close || draining_ || eof_ || !keep_alive_;
  // A client that still waits for 100 may or may not send its body now: what it sends next could be either (RFC 9110
  // section 10.1.1), so nothing more is read.
  if (expects_continue_) close_after_ = true;
  Framing framing;
  WireLines lines;
  if (bodyless) {
    if (head.status != 204) lines.content_length = head.content_length;
  } else if (end) {
    lines.content_length = 0;
  } else if (head.content_length) {
    lines.content_length = head.content_length;
    framing = {Framing::Kind::kFixed, *head.content_length};
  } else if (client_ == Version::kHttp11) {
    lines.chunked = true;
    framing.kind = Framing::Kind::kChunked;
  } else {
    framing.kind = Framing::Kind::kUntilClose;
    close_after_ = true;
  }
  if (close_after_) {
    lines.connection = "close";
  } else if (client_ == Version::kHttp10) {
    lines.connection = "keep-alive";
  }
  if (!WriteResponseHead(head, lines, &output_)) {
    Fail({502, "the response has a field that HTTP/1.1 cannot carry"}, ErrorCode::kInvalid, Fault::kLocal);
    return;
  }
  response_started_ = true;
  body_.Start(framing);
  if (end) ResponseDone();
}

void Http1Server::StartTunnel(const http::ResponseHead& head) {
  WireLines lines;
  if (method_ != Method::kConnect) {
    lines.connection = "Upgrade";
    lines.upgrade = protocol_;
  }
  if (!WriteResponseHead(head, lines, &output_)) {
    Fail({502, "the response has a field that HTTP/1.1 cannot carry"}, ErrorCode::kInvalid, Fault::kLocal);
    return;
  }
  response_started_ = true;
  tunnel_ = true;
  close_after_ = true;
  body_.Start({Framing::Kind::kUntilClose});
  reader_.BecomeTunnel();
  events_.Push(Kind::kUpgraded, stream_);
  if (eof_) RequestDone();
}

void Http1Server::SendData(StreamId stream, Bytes data) {
  if (!Current(stream) || !response_started_ || response_done_) return;
  if (!body_.Data(data, &output_)) close_after_ = true;  // who announces the wrong length is not to be trusted with the next
}

void Http1Server::Finish(StreamId stream, const http::HeaderMap* trailers) {
  if (!Current(stream) || !response_started_ || response_done_) return;
  if (!body_.End(trailers, &output_)) {
    Close();  // cut short: the client sees the connection end inside the body
    return;
  }
  ResponseDone();
}

void Http1Server::ResponseDone() {
  response_done_ = true;
  if (close_after_ && !tunnel_) {
    Close();
  } else if (request_done_) {
    EndExchange();
  }
}

void Http1Server::EndExchange() {
  if (close_after_ || eof_) {
    Close();
    return;
  }
  active_ = false;
  reader_.Begin();
}

void Http1Server::Reset(StreamId stream, ErrorCode) {
  if (Current(stream)) Close();
}

void Http1Server::ReplyAndClose(int status, std::string_view reason, std::string_view text) {
  if (closed_) return;
  if (!active_ || !response_started_) WriteReply(status, reason, text);
  Close();
}

void Http1Server::Close() {
  active_ = false;
  closed_ = true;
}

void Http1Server::Fail(const Refusal& refusal, ErrorCode code, Fault whose) {
  error_ = Error::Make(code, std::string(refusal.text), whose);
  if (!active_ || !response_started_) WriteReply(refusal.status, ReasonOf(refusal.status), refusal.text);
  if (active_) events_.Push(Kind::kReset, stream_);
  events_.Push(Kind::kFailed, 0);
  Close();
}

void Http1Server::WriteReply(int status, std::string_view reason, std::string_view text) {
  if (!active_) refused_ = {status, reason};
  std::string body = std::to_string(status);
  body.append(" ").append(http::StandardReason(status)).append(": ").append(text).append("\n");
  http::ResponseHead head;
  head.status = status;
  head.headers.Add(http::Known::kContentType, "text/plain; charset=utf-8");
  head.headers.Add(http::Known::kXOutriggerReason, reason);
  WireLines lines;
  lines.content_length = body.size();
  lines.connection = "close";
  // A reason that cannot be written is a programming error; the connection ends without a reply then.
  if (!WriteResponseHead(head, lines, &output_)) return;
  if (!active_ || method_ != Method::kHead) output_.Append(body);
}

}  // namespace

std::unique_ptr<ServerCodec> MakeHttp1Server(const Limits& limits) { return std::make_unique<Http1Server>(limits); }

}  // namespace outrigger::codec
