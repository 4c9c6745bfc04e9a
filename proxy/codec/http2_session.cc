#include "proxy/codec/http2_session.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace outrigger::codec {
namespace {

constexpr uint8_t kDrainPing[8] = {'d', 'r', 'a', 'i', 'n', 0, 0, 0};
constexpr uint8_t kAlivePing[8] = {'a', 'l', 'i', 'v', 'e', 0, 0, 0};
constexpr size_t kSpareStreams = 8;

uint32_t WireCode(ErrorCode reason) {
  switch (reason) {
    case ErrorCode::kOk: return NGHTTP2_NO_ERROR;
    case ErrorCode::kRefused: return NGHTTP2_REFUSED_STREAM;
    case ErrorCode::kProtocol: return NGHTTP2_PROTOCOL_ERROR;
    case ErrorCode::kOverload: return NGHTTP2_ENHANCE_YOUR_CALM;
    case ErrorCode::kCancelled:
    case ErrorCode::kTimeout:
    case ErrorCode::kTooLarge:
    case ErrorCode::kClosed:
    case ErrorCode::kReset: return NGHTTP2_CANCEL;
    default: return NGHTTP2_INTERNAL_ERROR;
  }
}

}  // namespace

// ---------------------------------------------------------------- input

size_t Http2Session::Feed(Bytes bytes, Instant now) {
  now_ = now;
  if (failed_ || eof_) return bytes.size();
  const ssize_t taken = nghttp2_session_mem_recv(session_, bytes.data(), bytes.size());
  if (taken == NGHTTP2_ERR_FLOODED) abused_ = true;
  if (taken < 0 && !abused_) {
    Fail(Error::Make(ErrorCode::kProtocol, std::string("HTTP/2: ") + nghttp2_strerror(static_cast<int>(taken)), peer_fault()),
         NGHTTP2_PROTOCOL_ERROR);
  }
  // Resets and acknowledgements that the library owes are made now, so that what they cause is among this Feed's events.
  Pump();
  if (abused_) {
    Fail(Error::Make(ErrorCode::kOverload, "HTTP/2: the peer floods this connection", peer_fault()), NGHTTP2_ENHANCE_YOUR_CALM);
  }
  return bytes.size();
}

void Http2Session::FeedEof() {
  if (failed_ || eof_) return;
  eof_ = true;
  if (active_ == 0) return;
  failed_ = true;
  Emit(StreamEvent::Kind::kFailed, 0).error =
      Error::Make(ErrorCode::kClosed, "HTTP/2: the peer closed the connection with streams open", peer_fault());
}

bool Http2Session::Next(StreamEvent* event) {
  Recycle(std::move(current_slot_));
  if (next_event_ == events_.size()) {
    events_.clear();
    next_event_ = 0;
    Purge();
    return false;
  }
  QueuedEvent& queued = events_[next_event_++];
  *event = std::move(queued.event);
  current_slot_ = std::move(queued.slot);
  return true;
}

void Http2Session::Consumed(StreamId id, size_t size) {
  if (failed_) return;
  if (Stream* stream = Find(id)) {
    size = std::min(size, stream->held);
    stream->held -= size;
    if (size > 0) nghttp2_session_consume(session_, static_cast<int32_t>(id), size);
    return;
  }
  const auto it = held_by_ended_.find(id);
  if (it == held_by_ended_.end()) return;
  size = std::min(size, it->second);
  it->second -= size;
  held_by_ended_total_ -= size;
  if (size > 0) nghttp2_session_consume_connection(session_, size);
  if (it->second == 0) held_by_ended_.erase(it);
}

// ---------------------------------------------------------------- output

Buffer& Http2Session::output() {
  Pump();
  return output_;
}

size_t Http2Session::buffered(StreamId id) const {
  const Stream* stream = Find(id);
  if (stream == nullptr) return output_.size();
  if (!stream->queue.empty()) stream->watched = true;
  return stream->queue.size() + output_.size();
}

void Http2Session::SendData(StreamId id, Bytes data) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->closed || stream->abandoned || stream->end_queued || data.empty()) return;
  stream->queue.Append(data);
  Resume(stream);
}

void Http2Session::SendEnd(StreamId id) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->closed || stream->abandoned || stream->end_queued) return;
  stream->end_queued = true;
  Resume(stream);
}

void Http2Session::SendTrailers(StreamId id, const http::HeaderMap& trailers) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->closed || stream->abandoned || stream->end_queued) return;
  if (!trailers.empty()) {
    stream->trailers = std::make_unique<http::HeaderMap>();
    *stream->trailers = trailers;
  }
  stream->end_queued = true;
  Resume(stream);
}

void Http2Session::Reset(StreamId id, ErrorCode reason) {
  const auto first = events_.begin() + static_cast<ptrdiff_t>(next_event_);
  events_.erase(std::remove_if(first, events_.end(), [id](const QueuedEvent& q) { return q.event.stream == id; }), events_.end());

  Stream* stream = Find(id);
  if (stream == nullptr) {
    Consumed(id, SIZE_MAX);
    return;
  }
  ReleaseHeld(stream);
  if (stream->closed || stream->abandoned) return;
  stream->abandoned = true;
  if (server() && reason == ErrorCode::kOk && stream->end_queued) {
    stream->stop_after_end = true;
    if (stream->end_sent) ResetStream(id, NGHTTP2_NO_ERROR);
    return;
  }
  stream->queue.Clear();
  ResetStream(id, WireCode(reason));
}

void Http2Session::Drain() {
  if (failed_ || final_goaway_) return;
  if (server() && !draining_) {
    nghttp2_submit_shutdown_notice(session_);
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, kDrainPing);
  } else {
    final_goaway_ = true;
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR, nullptr, 0);
  }
  draining_ = true;
}

void Http2Session::Terminate() {
  if (failed_) return;
  failed_ = true;
  nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
  Pump();
}

void Http2Session::SendPing() {
  if (failed_ || ping_outstanding_) return;
  ping_outstanding_ = true;
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, kAlivePing);
}

void Http2Session::OnPingAck(const uint8_t* payload) {
  if (std::memcmp(payload, kAlivePing, sizeof kAlivePing) == 0) {
    ping_outstanding_ = false;
  } else if (std::memcmp(payload, kDrainPing, sizeof kDrainPing) == 0 && draining_) {
    Drain();
  }
}

bool Http2Session::should_close() const {
  return failed_ || eof_ || (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0);
}

void Http2Session::Pump() {
  while (true) {
    const uint8_t* frames = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &frames);
    if (size > 0) {
      output_.Append(Bytes(frames, static_cast<size_t>(size)));
      continue;
    }
    if (size < 0 && !failed_) {
      failed_ = true;
      Emit(StreamEvent::Kind::kFailed, 0).error =
          Error::Make(ErrorCode::kIo, std::string("HTTP/2: ") + nghttp2_strerror(static_cast<int>(size)));
    }
    return;
  }
}

void Http2Session::Resume(Stream* stream) {
  if (!stream->deferred) return;
  stream->deferred = false;
  nghttp2_session_resume_data(session_, static_cast<int32_t>(stream->id));
}

nghttp2_data_provider Http2Session::QueueOf(Stream* stream) {
  return {{.ptr = stream},
          [](nghttp2_session*, int32_t, uint8_t*, size_t length, uint32_t* flags, nghttp2_data_source* source, void* self) {
            return static_cast<Http2Session*>(self)->ReadQueue(static_cast<Stream*>(source->ptr), length, flags);
          }};
}

ssize_t Http2Session::ReadQueue(Stream* stream, size_t length, uint32_t* flags) {
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (stream->queue.empty() && !stream->end_queued) {
    stream->deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  const size_t size = std::min(length, stream->queue.size());
  if (size == stream->queue.size() && stream->end_queued) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->trailers != nullptr) {
      const auto& fields = writer_.Trailers(*stream->trailers);
      if (!fields.empty()) {  // all of them may have been forbidden ones
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session_, static_cast<int32_t>(stream->id), fields.data(), fields.size());
      }
      stream->trailers.reset();
    }
  }
  return static_cast<ssize_t>(size);
}

int Http2Session::WriteData(const nghttp2_frame& frame, const uint8_t* frame_header, size_t length, Stream* stream) {
  constexpr size_t kFrameHeader = 9;  // RFC 9113 section 4.1
  output_.Append(Bytes(frame_header, kFrameHeader));
  output_.Append(stream->queue.view().first(length));
  if (length > 0) stream->queue.Consume(length);
  flood_.OnDataSent(frame.hd.length);
  if (stream->queue.empty() && stream->watched) {
    stream->watched = false;
    if (!stream->abandoned) Emit(StreamEvent::Kind::kWritable, stream->id);
  }
  return 0;
}

// ---------------------------------------------------------------- server

void Http2Session::SendInformational(StreamId id, const http::ResponseHead& head) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->closed || stream->abandoned || stream->response_sent) return;
  if (head.status < 100 || head.status > 199 || head.status == 101) return;
  const auto& fields = writer_.Response(head, head.status);
  nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, static_cast<int32_t>(id), nullptr, fields.data(), fields.size(), nullptr);
}

void Http2Session::SendResponse(StreamId id, const http::ResponseHead& head, bool end) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->closed || stream->abandoned || stream->response_sent) return;
  stream->response_sent = true;
  const int status = head.status == 101 ? 200 : head.status;  // there is no 101 in HTTP/2 (RFC 9113 section 8.6)
  const bool tunnel = stream->connect && status >= 200 && status < 300;
  if (end || stream->head_request || status == 204 || status == 304) {
    stream->end_queued = true;
    stream->queue.Clear();
  }
  const bool ended = stream->end_queued && stream->queue.empty() && stream->trailers == nullptr;
  const nghttp2_data_provider provider = QueueOf(stream);
  const auto& fields = writer_.Response(head, status);
  nghttp2_submit_response(session_, static_cast<int32_t>(id), fields.data(), fields.size(), ended ? nullptr : &provider);
  if (tunnel) Emit(StreamEvent::Kind::kUpgraded, id);
}

// ---------------------------------------------------------------- client

bool Http2Session::can_start() const {
  return !failed_ && !eof_ && !goaway_received_ && !draining_ &&
         active_ < nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) &&
         nghttp2_session_check_request_allowed(session_) != 0;
}

StreamId Http2Session::SendRequest(const http::RequestHead& head, bool end) {
  const StreamId id = nghttp2_session_get_next_stream_id(session_);
  if (!head.protocol.empty() && nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) != 1) {
    nghttp2_session_set_next_stream_id(session_, static_cast<int32_t>(id + 2));
    Emit(StreamEvent::Kind::kReset, id).error =
        Error::Make(ErrorCode::kRefused, "HTTP/2: the peer does not take extended CONNECT", Fault::kUpstream, /*unseen=*/true);
    return id;
  }
  Stream* stream = AddStream(id);
  stream->announced = true;
  stream->connect = head.method == http::Method::kConnect || !head.protocol.empty();
  stream->end_queued = end;
  const nghttp2_data_provider provider = QueueOf(stream);
  const auto& fields = writer_.Request(head);
  if (nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(), end ? nullptr : &provider, nullptr) < 0) {
    // Against the precondition, or the stream ids are used up.
    stream->error = Error::Make(ErrorCode::kRefused, "HTTP/2: no stream can be started", Fault::kLocal, /*unseen=*/true);
    EmitReset(stream, stream->error);
    CloseStream(stream);
  }
  return id;
}

bool Http2Session::response_started(StreamId id) const {
  const Stream* stream = Find(id);
  return stream != nullptr && stream->response_started;
}

// ---------------------------------------------------------------- streams and events

Http2Session::Stream* Http2Session::Find(StreamId id) const {
  const auto it = streams_.find(id);
  return it == streams_.end() ? nullptr : it->second.get();
}

Http2Session::Stream* Http2Session::AddStream(StreamId id) {
  std::unique_ptr<Stream> stream;
  if (spare_streams_.empty()) {
    stream = std::make_unique<Stream>();
  } else {
    stream = std::move(spare_streams_.back());
    spare_streams_.pop_back();
    *stream = Stream{};
  }
  stream->id = id;
  stream->opened = now_;
  ++active_;
  flood_.OnStream();
  return (streams_[id] = std::move(stream)).get();
}

void Http2Session::CloseStream(Stream* stream) {
  if (stream->closed) return;
  stream->closed = true;
  stream->queue.Clear();
  --active_;
  closed_.push_back(stream->id);
}

void Http2Session::Purge() {
  for (StreamId id : closed_) {
    const auto it = streams_.find(id);
    if (it == streams_.end()) continue;
    if (it->second->held > 0) {
      held_by_ended_[id] = it->second->held;
      held_by_ended_total_ += it->second->held;
    }
    if (spare_streams_.size() < kSpareStreams) spare_streams_.push_back(std::move(it->second));
    streams_.erase(it);
  }
  closed_.clear();
  // A quarter: nghttp2 announces what was given back once it is half of the window, and the rest must keep data flowing.
  while (held_by_ended_total_ > limits_.connection_window / 4) Consumed(held_by_ended_.begin()->first, SIZE_MAX);
}

void Http2Session::ReleaseHeld(Stream* stream) {
  if (stream->held > 0 && !failed_) nghttp2_session_consume_connection(session_, stream->held);
  stream->held = 0;
}

void Http2Session::ResetStream(StreamId id, uint32_t code) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, static_cast<int32_t>(id), code);
}

void Http2Session::FailStream(Stream* stream, Error error, uint32_t code) {
  EmitReset(stream, std::move(error));
  stream->abandoned = true;
  stream->queue.Clear();
  ResetStream(stream->id, code);
}

void Http2Session::Fail(Error error, uint32_t code) {
  if (failed_) return;
  failed_ = true;
  nghttp2_session_terminate_session(session_, code);
  Pump();
  Emit(StreamEvent::Kind::kFailed, 0).error = std::move(error);
}

StreamEvent& Http2Session::Emit(StreamEvent::Kind kind, StreamId id) {
  StreamEvent& event = events_.emplace_back().event;
  event.kind = kind;
  event.stream = id;
  return event;
}

void Http2Session::EmitReset(Stream* stream, Error error) {
  ReleaseHeld(stream);
  if (failed_ || stream->abandoned || !stream->announced) return;
  Emit(StreamEvent::Kind::kReset, stream->id).error = std::move(error);
}

void Http2Session::Recycle(std::unique_ptr<HeadSlot> slot) {
  if (slot != nullptr && spare_slot_ == nullptr) spare_slot_ = std::move(slot);
}

}  // namespace outrigger::codec
