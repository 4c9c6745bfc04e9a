// What nghttp2 tells, turned into events: the inbound half of Http2Session.
#include <cstring>
#include <string>

#include "proxy/codec/http2_session.h"

namespace outrigger::codec {
namespace {

constexpr size_t kFrameBytes = 16384;  // the largest frame we accept: SETTINGS_MAX_FRAME_SIZE is left at its default

Error FromWire(uint32_t code, Fault fault) {
  const std::string detail = std::string("HTTP/2 stream reset: ") + nghttp2_http2_strerror(code);
  switch (code) {
    case NGHTTP2_NO_ERROR: return Error::Make(ErrorCode::kClosed, detail, fault);
    case NGHTTP2_REFUSED_STREAM: return Error::Make(ErrorCode::kRefused, detail, fault, /*unseen=*/true);
    case NGHTTP2_CANCEL: return Error::Make(ErrorCode::kCancelled, detail, fault);
    case NGHTTP2_ENHANCE_YOUR_CALM: return Error::Make(ErrorCode::kOverload, detail, fault);
    default: return Error::Make(ErrorCode::kReset, detail, fault);
  }
}

std::string_view Text(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

}  // namespace

// ---------------------------------------------------------------- wiring

struct Http2Session::Callbacks {
  static Http2Session* Self(void* self) { return static_cast<Http2Session*>(self); }

  static nghttp2_session_callbacks* Make() {
    nghttp2_session_callbacks* c = nullptr;
    nghttp2_session_callbacks_new(&c);
    nghttp2_session_callbacks_set_on_begin_frame_callback(
        c, [](nghttp2_session*, const nghttp2_frame_hd* header, void* self) { return Self(self)->OnBeginFrame(*header); });
    nghttp2_session_callbacks_set_on_begin_headers_callback(
        c, [](nghttp2_session*, const nghttp2_frame* frame, void* self) { return Self(self)->OnBeginHeaders(*frame); });
    nghttp2_session_callbacks_set_on_header_callback(
        c, [](nghttp2_session*, const nghttp2_frame*, const uint8_t* name, size_t name_size, const uint8_t* value, size_t value_size,
              uint8_t, void* self) { return Self(self)->OnField(Text(name, name_size), Text(value, value_size)); });
    // nghttp2 would skip an illegal field and go on; we reset the stream (RFC 9113 section 8.2.1).
    nghttp2_session_callbacks_set_on_invalid_header_callback(
        c, [](nghttp2_session*, const nghttp2_frame*, const uint8_t*, size_t, const uint8_t*, size_t, uint8_t, void*) -> int {
          return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        c, [](nghttp2_session*, const nghttp2_frame* frame, void* self) { return Self(self)->OnFrameReceived(*frame); });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        c, [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size, void* self) {
          return Self(self)->OnDataChunk(static_cast<StreamId>(id), Bytes(data, size));
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(c, [](nghttp2_session*, int32_t id, uint32_t code, void* self) {
      return Self(self)->OnStreamClose(static_cast<StreamId>(id), code);
    });
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(
        c, [](nghttp2_session*, const nghttp2_frame* frame, int error, void* self) { return Self(self)->OnInvalidFrame(*frame, error); });
    nghttp2_session_callbacks_set_on_frame_send_callback(
        c, [](nghttp2_session*, const nghttp2_frame* frame, void* self) { return Self(self)->OnFrameSent(*frame); });
    nghttp2_session_callbacks_set_on_frame_not_send_callback(
        c, [](nghttp2_session*, const nghttp2_frame* frame, int error, void* self) { return Self(self)->OnFrameNotSent(*frame, error); });
    nghttp2_session_callbacks_set_send_data_callback(
        c, [](nghttp2_session*, nghttp2_frame* frame, const uint8_t* header, size_t length, nghttp2_data_source* source, void* self) {
          return Self(self)->WriteData(*frame, header, length, static_cast<Stream*>(source->ptr));
        });
    return c;
  }
};

Http2Session::Http2Session(Side side, const Limits& limits) : side_(side), limits_(limits), reader_(limits) {
  static const nghttp2_session_callbacks* const callbacks = Callbacks::Make();  // immutable, never freed

  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);  // Consumed() decides
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_reserved_remote_streams(option, 0);
  nghttp2_option_set_max_settings(option, 32);
  nghttp2_option_set_max_outbound_ack(option, 1000);
  nghttp2_option_set_max_continuations(option, limits.head_bytes / kFrameBytes + 4);
  nghttp2_option_set_max_send_header_block_length(option, 4 * (limits.head_bytes + 32 * limits.head_fields));
  // Never runs dry, whatever the clock says: FloodGuard counts resets with our own `now`.
  nghttp2_option_set_stream_reset_rate_limit(option, UINT64_MAX, 0);
  if (server()) {
    nghttp2_session_server_new2(&session_, callbacks, this, option);
  } else {
    nghttp2_session_client_new2(&session_, callbacks, this, option);
  }
  nghttp2_option_del(option);

  const uint32_t list_size = static_cast<uint32_t>(limits.head_bytes + 32 * (limits.head_fields + 5));
  std::vector<nghttp2_settings_entry> settings = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, list_size},
  };
  if (server()) {
    settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.max_streams});
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1});
    settings.push_back({NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1});
  } else {
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  }
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, static_cast<int32_t>(limits.connection_window));
}

Http2Session::~Http2Session() { nghttp2_session_del(session_); }

// ---------------------------------------------------------------- frames in

int Http2Session::OnBeginFrame(const nghttp2_frame_hd& header) {
  bool fine = true;
  switch (header.type) {
    case NGHTTP2_DATA:
      if (header.length == 0 && (header.flags & NGHTTP2_FLAG_END_STREAM) == 0) fine = flood_.OnEmptyData(now_);
      break;
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:  // nghttp2 counts these
    case NGHTTP2_RST_STREAM: break;
    case NGHTTP2_WINDOW_UPDATE: fine = flood_.OnWindowUpdate(); break;
    default: fine = flood_.OnControl(now_); break;
  }
  if (fine) return 0;
  abused_ = true;
  return NGHTTP2_ERR_CALLBACK_FAILURE;
}

int Http2Session::OnBeginHeaders(const nghttp2_frame& frame) {
  if (frame.hd.type != NGHTTP2_HEADERS) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // no pushes
  if (reading_slot_ == nullptr) reading_slot_ = spare_slot_ != nullptr ? std::move(spare_slot_) : std::make_unique<HeadSlot>();
  const StreamId id = static_cast<StreamId>(frame.hd.stream_id);
  Stream* stream = Find(id);
  if (server() && frame.headers.cat == NGHTTP2_HCAT_REQUEST) {
    stream = AddStream(id);
    reader_.BeginRequest(&reading_slot_->request);
    // Streams share the connection fairly; the client's wishes would let one starve the others.
    const nghttp2_extpri fair = {.urgency = 3, .inc = 1};
    nghttp2_session_change_extpri_stream_priority(session_, frame.hd.stream_id, &fair, /*ignore_client_signal=*/1);
  } else if (!server() && stream != nullptr && !stream->head_received) {
    stream->response_started = true;
    reader_.BeginResponse(&reading_slot_->response);
  } else {
    reader_.BeginTrailers(&reading_slot_->response.headers);
  }
  return 0;
}

int Http2Session::OnField(std::string_view name, std::string_view value) {
  if (reader_.Add(name, value)) return 0;
  abused_ = true;
  return NGHTTP2_ERR_CALLBACK_FAILURE;
}

int Http2Session::OnFrameReceived(const nghttp2_frame& frame) {
  const StreamId id = static_cast<StreamId>(frame.hd.stream_id);
  switch (frame.hd.type) {
    case NGHTTP2_HEADERS:
      OnHeadersComplete(frame);
      [[fallthrough]];
    case NGHTTP2_DATA:
      if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        if (Stream* stream = Find(id)) EndReceived(stream);
      }
      break;
    case NGHTTP2_RST_STREAM:
      if (Stream* stream = Find(id); stream != nullptr && !stream->closed) {
        if (stream->error.ok()) stream->error = FromWire(frame.rst_stream.error_code, peer_fault());
        if (server() && !flood_.OnPeerReset(stream->opened, now_)) {
          abused_ = true;
          return NGHTTP2_ERR_CALLBACK_FAILURE;
        }
      }
      break;
    case NGHTTP2_PING:
      if ((frame.hd.flags & NGHTTP2_FLAG_ACK) != 0) OnPingAck(frame.ping.opaque_data);
      break;
    case NGHTTP2_GOAWAY: {
      goaway_received_ = true;
      StreamEvent& event = Emit(StreamEvent::Kind::kGoAway, static_cast<StreamId>(frame.goaway.last_stream_id));
      if (frame.goaway.error_code != NGHTTP2_NO_ERROR) {
        event.error = FromWire(frame.goaway.error_code, peer_fault());
        event.error.detail = std::string("HTTP/2 GOAWAY: ") + nghttp2_http2_strerror(frame.goaway.error_code);
        event.error.unseen = false;
      }
      break;
    }
    default: break;
  }
  return 0;
}

void Http2Session::OnHeadersComplete(const nghttp2_frame& frame) {
  const FieldReader::Verdict verdict = reader_.Finish();
  Stream* stream = Find(static_cast<StreamId>(frame.hd.stream_id));
  if (stream == nullptr || stream->abandoned || stream->closed) return;
  if (!stream->head_received) {
    server() ? OnRequestHead(stream, verdict) : OnResponseHead(stream, verdict);
    return;
  }
  if (verdict != FieldReader::Verdict::kGood) {
    FailStream(stream, Error::Make(ErrorCode::kTooLarge, "HTTP/2: trailers over the limit", peer_fault()), NGHTTP2_CANCEL);
    return;
  }
  http::HeaderMap* trailers = &reading_slot_->response.headers;
  if (trailers->empty()) return;
  Emit(StreamEvent::Kind::kTrailers, stream->id).trailers = trailers;
  events_.back().slot = std::move(reading_slot_);
}

void Http2Session::OnRequestHead(Stream* stream, FieldReader::Verdict verdict) {
  stream->head_received = true;
  switch (verdict) {
    case FieldReader::Verdict::kTooLarge: RefuseHead(stream, 431); return;
    case FieldReader::Verdict::kPathTooLong: RefuseHead(stream, 414); return;
    case FieldReader::Verdict::kMalformed:
      stream->abandoned = true;
      if (!flood_.OnPeerReset(stream->opened, now_)) abused_ = true;
      ResetStream(stream->id, NGHTTP2_PROTOCOL_ERROR);
      return;
    case FieldReader::Verdict::kGood: break;
  }
  http::RequestHead* head = &reading_slot_->request;
  stream->announced = true;
  stream->head_request = head->method == http::Method::kHead;
  stream->connect = head->method == http::Method::kConnect;
  Emit(StreamEvent::Kind::kRequest, stream->id).request = head;
  events_.back().slot = std::move(reading_slot_);
}

// The owner never hears of this stream. What still comes of it is thrown away until the RST_STREAM.
void Http2Session::RefuseHead(Stream* stream, int status) {
  http::ResponseHead head;
  head.content_length = 0;
  const auto& fields = writer_.Response(head, status);
  nghttp2_submit_response(session_, static_cast<int32_t>(stream->id), fields.data(), fields.size(), nullptr);
  stream->abandoned = stream->response_sent = stream->end_queued = stream->stop_after_end = true;
}

void Http2Session::OnResponseHead(Stream* stream, FieldReader::Verdict verdict) {
  if (verdict != FieldReader::Verdict::kGood) {
    FailStream(stream, Error::Make(ErrorCode::kTooLarge, "HTTP/2: response head over the limit", peer_fault()), NGHTTP2_CANCEL);
    return;
  }
  http::ResponseHead* head = &reading_slot_->response;
  StreamEvent::Kind kind = StreamEvent::Kind::kResponse;
  if (head->status < 200) {
    kind = StreamEvent::Kind::kInformational;
  } else {
    stream->head_received = true;
    if (stream->connect && head->status < 300) kind = StreamEvent::Kind::kUpgraded;
  }
  Emit(kind, stream->id).response = head;
  events_.back().slot = std::move(reading_slot_);
}

int Http2Session::OnDataChunk(StreamId id, Bytes data) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->abandoned || stream->closed) {
    nghttp2_session_consume_connection(session_, data.size());
    return 0;
  }
  stream->held += data.size();
  Emit(StreamEvent::Kind::kData, id).data = data;
  return 0;
}

void Http2Session::EndReceived(Stream* stream) {
  stream->end_received = true;
  if (!stream->abandoned && stream->announced) Emit(StreamEvent::Kind::kEnd, stream->id);
}

int Http2Session::OnInvalidFrame(const nghttp2_frame& frame, int library_error) {
  Stream* stream = Find(static_cast<StreamId>(frame.hd.stream_id));
  if (stream != nullptr && stream->error.ok()) {
    stream->error = Error::Make(ErrorCode::kProtocol, std::string("HTTP/2: ") + nghttp2_strerror(library_error), peer_fault());
  }
  return 0;
}

int Http2Session::OnStreamClose(StreamId id, uint32_t code) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->closed) return 0;
  const bool complete = stream->end_received && stream->end_sent;
  // A server that has answered in full may refuse the rest of the request; its answer stands (RFC 9113 section 8.1).
  const bool answered = !server() && stream->end_received;
  if (!complete && !answered) EmitReset(stream, stream->error.ok() ? FromWire(code, peer_fault()) : stream->error);
  CloseStream(stream);
  return 0;
}

// ---------------------------------------------------------------- frames out

int Http2Session::OnFrameSent(const nghttp2_frame& frame) {
  Stream* stream = Find(static_cast<StreamId>(frame.hd.stream_id));
  switch (frame.hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
      if (stream != nullptr && (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        stream->end_sent = true;
        if (stream->stop_after_end && !stream->end_received) ResetStream(stream->id, NGHTTP2_NO_ERROR);
      }
      break;
    case NGHTTP2_RST_STREAM:
      // The library's own: a malformed message or one stream too many. Making us reset is as cheap as resetting.
      if (server() && (stream == nullptr || !stream->abandoned) &&
          !flood_.OnPeerReset(stream != nullptr ? stream->opened : now_, now_)) {
        abused_ = true;
      }
      break;
    case NGHTTP2_GOAWAY:
      if (frame.goaway.error_code != NGHTTP2_NO_ERROR && !failed_) {
        failed_ = true;
        const uint32_t code = frame.goaway.error_code;
        Emit(StreamEvent::Kind::kFailed, 0).error =
            Error::Make(code == NGHTTP2_ENHANCE_YOUR_CALM ? ErrorCode::kOverload : ErrorCode::kProtocol,
                        std::string("HTTP/2 connection error: ") + nghttp2_http2_strerror(code), peer_fault());
      }
      break;
    default: break;
  }
  return 0;
}

int Http2Session::OnFrameNotSent(const nghttp2_frame& frame, int library_error) {
  if (frame.hd.type != NGHTTP2_HEADERS) return 0;
  Stream* stream = Find(static_cast<StreamId>(frame.hd.stream_id));
  if (stream == nullptr || stream->closed) return 0;
  if (frame.headers.cat == NGHTTP2_HCAT_REQUEST) {
    EmitReset(stream, Error::Make(ErrorCode::kRefused, std::string("HTTP/2: request not sent: ") + nghttp2_strerror(library_error),
                                  Fault::kLocal, /*unseen=*/true));
    CloseStream(stream);
  } else if (!stream->abandoned) {
    FailStream(stream, Error::Make(ErrorCode::kTooLarge, std::string("HTTP/2: head not sent: ") + nghttp2_strerror(library_error)),
               NGHTTP2_INTERNAL_ERROR);
  }
  return 0;
}

}  // namespace outrigger::codec
