// Two ends of an HTTP/2 connection for tests: a codec pair joined in memory, events written down as text, and a hostile
// peer that says whatever a test wants. Test code only.
#pragma once

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "proxy/codec/http2.h"

namespace outrigger::codec::testing {

inline std::string FieldsText(const http::HeaderMap& map) {
  std::string text;
  for (const http::Field& field : map.fields()) text += " " + std::string(field.name) + "=" + std::string(field.value);
  return text;
}

// Drains a codec and keeps what it said. By default data is given back (Consumed) as it comes.
struct Recorder {
  explicit Recorder(Codec* codec) : codec(codec) {}

  Codec* codec;
  std::vector<std::string> events;            // "request 1 GET / ...", "end 1"; data is in `data`
  std::map<StreamId, std::string> data;
  std::map<StreamId, size_t> largest_chunk;
  Error reset_error, failure;
  bool consume = true;

  void Drain() {
    StreamEvent e;
    while (codec->Next(&e)) Record(e);
  }

  void Record(const StreamEvent& e) {
    const std::string id = std::to_string(e.stream);
    switch (e.kind) {
      case StreamEvent::Kind::kRequest: {
        const http::RequestHead& r = *e.request;
        std::string text = "request " + id + " " + std::string(r.method_text) + " " + std::string(r.scheme) + " " +
                           std::string(r.authority) + " " + std::string(r.path);
        if (!r.protocol.empty()) text += " protocol:" + std::string(r.protocol);
        if (r.content_length) text += " length:" + std::to_string(*r.content_length);
        if (r.expect_continue) text += " expect";
        events.push_back(text + FieldsText(r.headers));
        break;
      }
      case StreamEvent::Kind::kInformational: events.push_back("informational " + id + " " + Status(e)); break;
      case StreamEvent::Kind::kResponse: events.push_back("response " + id + " " + Status(e)); break;
      case StreamEvent::Kind::kUpgraded: events.push_back("upgraded " + id + (e.response != nullptr ? " " + Status(e) : "")); break;
      case StreamEvent::Kind::kData:
        data[e.stream] += AsText(e.data);
        if (consume) codec->Consumed(e.stream, e.data.size());
        break;
      case StreamEvent::Kind::kTrailers: events.push_back("trailers " + id + FieldsText(*e.trailers)); break;
      case StreamEvent::Kind::kEnd: events.push_back("end " + id); break;
      case StreamEvent::Kind::kReset:
        reset_error = e.error;
        events.push_back("reset " + id + " " + std::string(ErrorCodeName(e.error.code)) + (e.error.unseen ? " unseen" : ""));
        break;
      case StreamEvent::Kind::kGoAway: events.push_back("goaway " + id); break;
      case StreamEvent::Kind::kWritable: events.push_back("writable " + id); break;
      case StreamEvent::Kind::kFailed:
        failure = e.error;
        events.push_back("failed " + std::string(ErrorCodeName(e.error.code)));
        break;
    }
  }

  static std::string Status(const StreamEvent& e) {
    std::string text = std::to_string(e.response->status);
    if (e.response->content_length) text += " length:" + std::to_string(*e.response->content_length);
    return text + FieldsText(e.response->headers);
  }

  bool Saw(std::string_view prefix) const {
    return std::any_of(events.begin(), events.end(), [&](const std::string& e) { return e.starts_with(prefix); });
  }
  std::string Joined() const {
    std::string all;
    for (const std::string& e : events) all += e + "\n";
    return all;
  }
};

// Both codecs of one connection. `cut`: bytes a Feed, 0 for all at once.
struct Pair {
  explicit Pair(const Limits& server_limits = {}, const Limits& client_limits = {}, size_t cut = 0)
      : server(NewHttp2Server(server_limits)), client(NewHttp2Client(client_limits)), at_server(server.get()), at_client(client.get()),
        cut(cut) {}

  std::unique_ptr<Http2Server> server;
  std::unique_ptr<Http2Client> client;
  Recorder at_server, at_client;
  size_t cut;
  Instant now{};

  static void Move(Codec* from, Recorder* from_events, Codec* to, Recorder* to_events, size_t cut, Instant now, bool* moved) {
    std::string bytes(from->output().text());
    from->output().Clear();
    from_events->Drain();  // kWritable may come out of output()
    if (bytes.empty()) return;
    *moved = true;
    const size_t step = cut == 0 ? bytes.size() : cut;
    for (size_t at = 0; at < bytes.size(); at += step) {
      // A block of its own for each piece, so that the sanitizer sees a span kept for too long.
      const std::string_view text = std::string_view(bytes).substr(at, step);
      const std::vector<uint8_t> piece(text.begin(), text.end());
      to->Feed(piece, now);
      to_events->Drain();
    }
  }

  // Carries bytes both ways until nobody has any.
  void Run() {
    for (bool moved = true; moved;) {
      moved = false;
      Move(client.get(), &at_client, server.get(), &at_server, cut, now, &moved);
      Move(server.get(), &at_server, client.get(), &at_client, cut, now, &moved);
    }
  }
};

inline http::RequestHead Get(std::string_view path, std::string_view method = "GET") {
  http::RequestHead head;
  head.method_text = method;
  head.method = http::ParseMethod(method);
  head.scheme = "http";
  head.authority = "orders";
  head.path = path;
  return head;
}

inline http::ResponseHead Reply(int status) {
  http::ResponseHead head;
  head.status = status;
  return head;
}

// A client without manners on nghttp2 with its message checks off: any fields, any frames.
class RawClient {
 public:
  RawClient() {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size, const uint8_t* value,
                      size_t value_size, uint8_t, void* self) {
          static_cast<RawClient*>(self)->seen += std::to_string(frame->hd.stream_id) + " " +
                                                 std::string(reinterpret_cast<const char*>(name), name_size) + "=" +
                                                 std::string(reinterpret_cast<const char*>(value), value_size) + "\n";
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
      std::string& seen = static_cast<RawClient*>(self)->seen;
      if (frame->hd.type == NGHTTP2_RST_STREAM) {
        seen += std::to_string(frame->hd.stream_id) + " RST " + nghttp2_http2_strerror(frame->rst_stream.error_code) + "\n";
      } else if (frame->hd.type == NGHTTP2_GOAWAY) {
        seen += std::string("GOAWAY ") + nghttp2_http2_strerror(frame->goaway.error_code) + "\n";
      }
      return 0;
    });
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_http_messaging(option, 1);
    nghttp2_option_set_max_send_header_block_length(option, 1 << 24);
    nghttp2_session_client_new2(&session, callbacks, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
  }
  ~RawClient() { nghttp2_session_del(session); }

  using Fields = std::vector<std::pair<std::string, std::string>>;
  static Fields Good() { return {{":method", "GET"}, {":scheme", "http"}, {":authority", "orders"}, {":path", "/"}}; }

  int32_t Request(const Fields& fields, bool end = true) {
    const std::vector<nghttp2_nv> list = List(fields);
    if (end) return nghttp2_submit_request(session, nullptr, list.data(), list.size(), nullptr, nullptr);
    nghttp2_data_provider never{{.ptr = nullptr}, [](nghttp2_session*, int32_t, uint8_t*, size_t, uint32_t*, nghttp2_data_source*,
                                                     void*) -> ssize_t { return NGHTTP2_ERR_DEFERRED; }};
    return nghttp2_submit_request(session, nullptr, list.data(), list.size(), &never, nullptr);
  }
  static std::vector<nghttp2_nv> List(const Fields& fields) {
    std::vector<nghttp2_nv> list;
    for (const auto& [name, value] : fields) {
      list.push_back({const_cast<uint8_t*>(AsBytes(name).data()), const_cast<uint8_t*>(AsBytes(value).data()), name.size(),
                      value.size(), NGHTTP2_NV_FLAG_NONE});
    }
    return list;
  }

  std::string Output() {
    std::string all;
    const uint8_t* data = nullptr;
    ssize_t size;
    while ((size = nghttp2_session_mem_send(session, &data)) > 0) all += AsText(Bytes(data, static_cast<size_t>(size)));
    return all;
  }
  // One exchange of everything pending with a codec.
  void Exchange(Codec* codec, Recorder* recorder, Instant now = Instant{}) {
    for (int i = 0; i < 4; ++i) {
      const std::string out = Output();
      codec->Feed(AsBytes(out), now);
      recorder->Drain();
      const std::string in(codec->output().text());
      codec->output().Clear();
      nghttp2_session_mem_recv(session, AsBytes(in).data(), in.size());
    }
  }

  nghttp2_session* session = nullptr;
  std::string seen;  // "1 :status=431", "1 RST PROTOCOL_ERROR", "GOAWAY NO_ERROR"
};

// One frame as bytes (RFC 9113 section 4.1).
inline std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string frame;
  for (int shift : {16, 8, 0}) frame += static_cast<char>(payload.size() >> shift);
  frame += static_cast<char>(type);
  frame += static_cast<char>(flags);
  for (int shift : {24, 16, 8, 0}) frame += static_cast<char>(stream >> shift);
  return frame + std::string(payload);
}

}  // namespace outrigger::codec::testing
