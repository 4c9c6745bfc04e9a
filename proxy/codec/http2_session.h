// One HTTP/2 connection, the part that server and client share: nghttp2 driven by its memory interface, its callbacks
// turned into a queue of StreamEvents, per-stream send queues that honour the peer's windows, receive windows that follow
// the owner's Consumed(). http2.h says what owners should know; http2.cc makes codecs of it.
// Not thread-safe. No clock: `now` is that of the latest Feed.
#pragma once

#include <nghttp2/nghttp2.h>

#include <map>
#include <memory>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "proxy/base/buffer.h"
#include "proxy/codec/codec.h"
#include "proxy/codec/http2_fields.h"
#include "proxy/codec/http2_flood.h"

namespace outrigger::codec {

class Http2Session {
 public:
  enum class Side : uint8_t { kServer, kClient };

  Http2Session(Side side, const Limits& limits);
  ~Http2Session();
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  // As in codec.h.
  size_t Feed(Bytes bytes, Instant now);
  void FeedEof();
  bool Next(StreamEvent* event);
  bool wants_input() const { return !failed_ && nghttp2_session_want_read(session_) != 0; }
  void Consumed(StreamId id, size_t size);
  Buffer& output();
  size_t buffered(StreamId id) const;
  void SendData(StreamId id, Bytes data);
  void SendEnd(StreamId id);
  void SendTrailers(StreamId id, const http::HeaderMap& trailers);
  void Reset(StreamId id, ErrorCode reason);
  void Drain();
  void Terminate();  // GOAWAY, and the end: should_close() is true
  size_t active_streams() const { return active_; }
  bool should_close() const;

  // Server.
  void SendInformational(StreamId id, const http::ResponseHead& head);
  void SendResponse(StreamId id, const http::ResponseHead& head, bool end);

  // Client.
  bool can_start() const;
  StreamId SendRequest(const http::RequestHead& head, bool end);
  bool response_started(StreamId id) const;

  void SendPing();
  bool ping_outstanding() const { return ping_outstanding_; }

 private:
  struct Stream {
    StreamId id = 0;
    Instant opened{};
    Buffer queue;                                 // accepted from the owner, not yet in a frame
    std::unique_ptr<http::HeaderMap> trailers;    // to send after the queue
    size_t held = 0;                              // bytes of kData told and not yet Consumed
    bool announced = false;                       // the owner knows this stream
    bool abandoned = false;                       // the owner gave it up: no more events
    bool closed = false;                          // nghttp2 is done with it; goes when the events are drained
    bool head_request = false;                    // its response has no body
    bool connect = false;                         // a 2xx makes it a tunnel
    bool head_received = false;                   // the next header block is trailers
    bool response_started = false;
    bool response_sent = false;
    bool end_received = false;
    bool end_queued = false;                      // the owner has said its last
    bool end_sent = false;
    bool deferred = false;                        // nghttp2 asked for data when there was none
    bool stop_after_end = false;                  // Reset(kOk): RST_STREAM(NO_ERROR) once end_sent
    mutable bool watched = false;                 // back-pressure was reported: kWritable is owed
    Error error;                                  // why it will close, when known before it does
  };
  // What an event points to, until the event after it is asked for.
  struct HeadSlot {
    http::RequestHead request;
    http::ResponseHead response;
  };
  struct Callbacks;  // nghttp2's, static

  // ---- nghttp2's callbacks, as members; return values are nghttp2's
  int OnBeginFrame(const nghttp2_frame_hd& header);
  int OnBeginHeaders(const nghttp2_frame& frame);
  int OnField(std::string_view name, std::string_view value);
  int OnFrameReceived(const nghttp2_frame& frame);
  int OnDataChunk(StreamId id, Bytes data);
  int OnStreamClose(StreamId id, uint32_t code);
  int OnInvalidFrame(const nghttp2_frame& frame, int library_error);
  int OnFrameSent(const nghttp2_frame& frame);
  int OnFrameNotSent(const nghttp2_frame& frame, int library_error);
  nghttp2_data_provider QueueOf(Stream* stream);
  ssize_t ReadQueue(Stream* stream, size_t length, uint32_t* flags);
  int WriteData(const nghttp2_frame& frame, const uint8_t* frame_header, size_t length, Stream* stream);

  void OnHeadersComplete(const nghttp2_frame& frame);
  void OnRequestHead(Stream* stream, FieldReader::Verdict verdict);
  void OnResponseHead(Stream* stream, FieldReader::Verdict verdict);
  void OnPingAck(const uint8_t* payload);
  void RefuseHead(Stream* stream, int status);
  void EndReceived(Stream* stream);

  bool server() const { return side_ == Side::kServer; }
  Fault peer_fault() const { return server() ? Fault::kDownstream : Fault::kUpstream; }
  Stream* Find(StreamId id) const;
  Stream* AddStream(StreamId id);
  void CloseStream(Stream* stream);
  void Purge();
  void ReleaseHeld(Stream* stream);
  void Pump();
  void Resume(Stream* stream);
  void ResetStream(StreamId id, uint32_t code);
  void FailStream(Stream* stream, Error error, uint32_t code);
  void Fail(Error error, uint32_t code);
  StreamEvent& Emit(StreamEvent::Kind kind, StreamId id);
  void EmitReset(Stream* stream, Error error);
  void Recycle(std::unique_ptr<HeadSlot> slot);

  const Side side_;
  const Limits limits_;
  nghttp2_session* session_ = nullptr;
  Instant now_{};
  FloodGuard flood_;
  FieldReader reader_;
  FieldWriter writer_;

  absl::flat_hash_map<StreamId, std::unique_ptr<Stream>> streams_;  // looked up, never iterated
  std::vector<std::unique_ptr<Stream>> spare_streams_;
  std::vector<StreamId> closed_;            // to purge once the events are drained
  std::map<StreamId, size_t> held_by_ended_;  // held bytes of streams that ended in order
  size_t held_by_ended_total_ = 0;
  size_t active_ = 0;

  struct QueuedEvent {
    StreamEvent event;
    std::unique_ptr<HeadSlot> slot;
  };
  std::vector<QueuedEvent> events_;
  size_t next_event_ = 0;
  std::unique_ptr<HeadSlot> current_slot_;   // of the event told last
  std::unique_ptr<HeadSlot> reading_slot_;   // of the header block that comes in now
  std::unique_ptr<HeadSlot> spare_slot_;

  Buffer output_;
  bool failed_ = false;
  bool eof_ = false;
  bool abused_ = false;          // the flood guard said so within this Feed
  bool goaway_received_ = false;
  bool draining_ = false;
  bool final_goaway_ = false;
  bool ping_outstanding_ = false;
};

}  // namespace outrigger::codec
