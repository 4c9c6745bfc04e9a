// HTTP codecs as pure machines: bytes in, StreamEvents out; heads and data in, bytes out. One machine is one connection,
// seen from the server's or from the client's side. No IO, no clock, no callbacks into the owner: feed, then drain Next()
// until it says false, then flush output(). Implementations: http1_server.cc and http1_client.cc (llhttp), http2.h (nghttp2).
//
// Contract for owners
//  * Feed may consume less than it is given: HTTP/1 stops after a complete request until its response is sent
//    (pipelining), and after an upgrade. Keep the rest, and feed it again once wants_input() is true again.
//  * Spans and pointers in events live until the next call that is not const. Drain before feeding again.
//  * Nothing here is bounded by itself but heads, events and control frames: the owner watches buffered(stream) and stops the producer,
//    and tells Consumed(stream, n) once n bytes of kData have been passed on (HTTP/2 gives window back then; HTTP/1 ignores it and
//    the owner stops reading the socket instead).
//  * After kFailed or when should_close() is true: flush output(), then close the connection.
// Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/base/bytes.h"
#include "proxy/base/error.h"
#include "proxy/base/time.h"
#include "proxy/http/message.h"
#include "proxy/http/stream_event.h"

namespace outrigger::codec {

using http::StreamEvent;
using http::StreamId;

struct Limits {
  size_t head_bytes = 64 * 1024;          // whole head: 431
  size_t head_fields = 100;               // 431
  size_t request_line_bytes = 16 * 1024;  // 414
  size_t trailer_bytes = 16 * 1024;
  uint32_t max_streams = 128;             // HTTP/2: what we announce
  uint32_t stream_window = 64 * 1024;     // HTTP/2: what we announce, bytes
  uint32_t connection_window = 1024 * 1024;
};

class Codec {
 public:
  virtual ~Codec() = default;

  // ---- input
  virtual size_t Feed(Bytes bytes, Instant now) = 0;
  // The peer will send no more. May produce kEnd (body that ends with the connection), kReset or kFailed.
  virtual void FeedEof() = 0;
  virtual bool Next(StreamEvent* event) = 0;
  virtual bool wants_input() const = 0;
  virtual void Consumed(StreamId stream, size_t size) = 0;

  // ---- output. Sending on a stream that is gone is ignored.
  virtual Buffer& output() = 0;
  // Bytes accepted for this stream that have not reached output() yet, plus output()'s own size.
  virtual size_t buffered(StreamId stream) const = 0;
  virtual void SendData(StreamId stream, Bytes data) = 0;
  virtual void SendEnd(StreamId stream) = 0;
  virtual void SendTrailers(StreamId stream, const http::HeaderMap& trailers) = 0;  // ends the stream
  // Gives the stream up. HTTP/1 cannot go on afterwards: should_close() turns true.
  virtual void Reset(StreamId stream, ErrorCode reason) = 0;
  // Finish what is under way, start nothing new. HTTP/1: Connection: close on the next response; HTTP/2: GOAWAY.
  virtual void Drain() = 0;

  // ---- state
  virtual http::Version version() const = 0;
  virtual size_t active_streams() const = 0;
  virtual bool should_close() const = 0;  // nothing more can happen on this connection, once output() is flushed
  // A tunnel (kUpgraded) whose sending direction was ended while the other goes on: the owner sends FIN once output() is flushed.
  // HTTP/2 says it in the stream itself.
  virtual bool write_ended() const { return false; }
};

class ServerCodec : public Codec {
 public:
  virtual void SendInformational(StreamId stream, const http::ResponseHead& head) = 0;  // 100, 103
  // `end`: no body and no trailers follow. HEAD, 204 and 304 are seen to: data sent for them is dropped. Without
  // content_length an HTTP/1.1 body is chunked; to a 1.0 client it ends with the connection.
  // The peer's request body, if it still comes, may be read on or the stream be Reset afterwards (early response).
  virtual void SendResponse(StreamId stream, const http::ResponseHead& head, bool end) = 0;
  // HTTP/1: bytes of a request head have been read, the head is not complete (the owner times it). HTTP/2: always false.
  virtual bool head_started() const = 0;
  // For the owner's own verdict on what it was reading (408): a reply with `reason` in x-outrigger-reason and one line of text where no
  // response has begun, GOAWAY on HTTP/2; should_close() is true afterwards.
  virtual void ReplyAndClose(int status, std::string_view reason, std::string_view text) = 0;
  // The reply made here to what never became a kRequest, for the owner's record; status 0: none was made.
  struct Refused {
    int status = 0;
    std::string_view reason;  // static text
  };
  virtual Refused refused() const { return {}; }
};

class ClientCodec : public Codec {
 public:
  // Can another request start now? HTTP/1: idle and reusable; HTTP/2: below the peer's MAX_CONCURRENT_STREAMS, no GOAWAY.
  virtual bool can_start() const = 0;
  // Starts a stream; precondition can_start(). `end`: no body.
  virtual StreamId SendRequest(const http::RequestHead& head, bool end) = 0;
  // True once any byte of a response on this stream has been read (a reset before that may be sent again when safe).
  virtual bool response_started(StreamId stream) const = 0;
  // Seconds the peer said it keeps an idle connection (Keep-Alive: timeout=N); 0 when it did not say.
  virtual int peer_keep_alive_s() const = 0;
};

std::unique_ptr<ServerCodec> MakeHttp1Server(const Limits& limits);
std::unique_ptr<ClientCodec> MakeHttp1Client(const Limits& limits);
std::unique_ptr<ServerCodec> MakeHttp2Server(const Limits& limits);
std::unique_ptr<ClientCodec> MakeHttp2Client(const Limits& limits);

}  // namespace outrigger::codec
