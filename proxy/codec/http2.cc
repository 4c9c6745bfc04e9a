#include "proxy/codec/http2.h"

#include "proxy/codec/http2_session.h"

namespace outrigger::codec {
namespace {

// What both interfaces share, passed on to the session.
template <typename Interface>
class Http2Codec : public Interface {
 public:
  Http2Codec(Http2Session::Side side, const Limits& limits) : session_(side, limits) {}

  size_t Feed(Bytes bytes, Instant now) override { return session_.Feed(bytes, now); }
  void FeedEof() override { session_.FeedEof(); }
  bool Next(StreamEvent* event) override { return session_.Next(event); }
  bool wants_input() const override { return session_.wants_input(); }
  void Consumed(StreamId stream, size_t size) override { session_.Consumed(stream, size); }
  Buffer& output() override { return session_.output(); }
  size_t buffered(StreamId stream) const override { return session_.buffered(stream); }
  void SendData(StreamId stream, Bytes data) override { session_.SendData(stream, data); }
  void SendEnd(StreamId stream) override { session_.SendEnd(stream); }
  void SendTrailers(StreamId stream, const http::HeaderMap& trailers) override { session_.SendTrailers(stream, trailers); }
  void Reset(StreamId stream, ErrorCode reason) override { session_.Reset(stream, reason); }
  void Drain() override { session_.Drain(); }
  http::Version version() const override { return http::Version::kHttp2; }
  size_t active_streams() const override { return session_.active_streams(); }
  bool should_close() const override { return session_.should_close(); }
  void SendPing() override { session_.SendPing(); }
  bool ping_outstanding() const override { return session_.ping_outstanding(); }

 protected:
  Http2Session session_;
};

class Server final : public Http2Codec<Http2Server> {
 public:
  explicit Server(const Limits& limits) : Http2Codec(Http2Session::Side::kServer, limits) {}
  void SendInformational(StreamId stream, const http::ResponseHead& head) override { session_.SendInformational(stream, head); }
  void SendResponse(StreamId stream, const http::ResponseHead& head, bool end) override { session_.SendResponse(stream, head, end); }
  bool head_started() const override { return false; }
  void ReplyAndClose(int, std::string_view, std::string_view) override { session_.Terminate(); }
};

class Client final : public Http2Codec<Http2Client> {
 public:
  explicit Client(const Limits& limits) : Http2Codec(Http2Session::Side::kClient, limits) {}
  bool can_start() const override { return session_.can_start(); }
  StreamId SendRequest(const http::RequestHead& head, bool end) override { return session_.SendRequest(head, end); }
  bool response_started(StreamId stream) const override { return session_.response_started(stream); }
  int peer_keep_alive_s() const override { return 0; }  // HTTP/2 says GOAWAY instead
};

}  // namespace

std::unique_ptr<Http2Server> NewHttp2Server(const Limits& limits) { return std::make_unique<Server>(limits); }
std::unique_ptr<Http2Client> NewHttp2Client(const Limits& limits) { return std::make_unique<Client>(limits); }
std::unique_ptr<ServerCodec> MakeHttp2Server(const Limits& limits) { return NewHttp2Server(limits); }
std::unique_ptr<ClientCodec> MakeHttp2Client(const Limits& limits) { return NewHttp2Client(limits); }

}  // namespace outrigger::codec
