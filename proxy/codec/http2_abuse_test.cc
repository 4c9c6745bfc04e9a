// Peers that break the rules or the bank: validation of RFC 9113 section 8, limits on heads, floods, garbage.
#include <gtest/gtest.h>

#include "proxy/base/random.h"
#include "proxy/codec/http2.h"
#include "proxy/codec/http2_flood.h"
#include "proxy/codec/http2_testing.h"

namespace outrigger::codec {
namespace {

using testing::Frame;
using testing::Get;
using testing::Pair;
using testing::RawClient;
using testing::Recorder;
using testing::Reply;

struct Victim {
  explicit Victim(const Limits& limits = {}) : server(NewHttp2Server(limits)), events(server.get()) {}
  std::unique_ptr<Http2Server> server;
  Recorder events;
  RawClient client;

  void Exchange(Instant now = Instant{}) { client.Exchange(server.get(), &events, now); }
  // The request, and after it a good one to see that the connection lives on.
  void Send(const RawClient::Fields& fields) {
    client.Request(fields);
    client.Request(RawClient::Good());
    Exchange();
    EXPECT_TRUE(events.Saw("request 3 GET")) << "the connection did not survive";
  }
};

RawClient::Fields With(std::string name, std::string value) {
  RawClient::Fields fields = RawClient::Good();
  fields.emplace_back(std::move(name), std::move(value));
  return fields;
}
RawClient::Fields Without(const std::string& name) {
  RawClient::Fields fields = RawClient::Good();
  std::erase_if(fields, [&](const auto& f) { return f.first == name; });
  return fields;
}
RawClient::Fields Instead(const std::string& name, const std::string& value) {
  RawClient::Fields fields = RawClient::Good();
  for (auto& field : fields) {
    if (field.first == name) field.second = value;
  }
  return fields;
}

TEST(Http2Validation, MalformedRequestsAreResetAndNeverSeen) {
  RawClient::Fields late_pseudo = Without(":path");
  late_pseudo.emplace_back("accept", "*/*");
  late_pseudo.emplace_back(":path", "/");
  RawClient::Fields twice = RawClient::Good();
  twice.insert(twice.begin(), {":path", "/other"});
  const std::vector<std::pair<const char*, RawClient::Fields>> cases = {
      {"no method", Without(":method")},
      {"no scheme", Without(":scheme")},
      {"no path", Without(":path")},
      {"no authority and no host", Without(":authority")},
      {"unknown pseudo header", With(":status", "200")},
      {"pseudo header after a field", late_pseudo},
      {"path twice", twice},
      {"connection", With("connection", "close")},
      {"keep-alive", With("keep-alive", "1")},
      {"proxy-connection", With("proxy-connection", "close")},
      {"transfer-encoding", With("transfer-encoding", "chunked")},
      {"upgrade", With("upgrade", "h2c")},
      {"te other than trailers", With("te", "gzip")},
      {"line feed in a value", With("x", "a\nb")},
      {"zero byte in a value", With("x", std::string("a\0b", 3))},
      {"space around a value", With("x", " a ")},
      {"space in a name", With("x y", "a")},
      {"length that is none", With("content-length", "1x")},
      {"length of a body that does not come", With("content-length", "5")},
      {"userinfo in authority", Instead(":authority", "user@orders")},
      {"host that differs from authority", With("host", "inventory")},
      {"relative path", Instead(":path", "a/b")},
      {"empty path", Instead(":path", "")},
      {"fragment in path", Instead(":path", "/a#b")},
      {"space in path", Instead(":path", "/a b")},
      {"asterisk without OPTIONS", Instead(":path", "*")},
      {"empty method", Instead(":method", "")},
      {"method that is no token", Instead(":method", "G ET")},
      {"protocol without CONNECT", With(":protocol", "websocket")},
  };
  for (const auto& [what, fields] : cases) {
    Victim victim;
    victim.Send(fields);
    EXPECT_FALSE(victim.events.Saw("request 1")) << what << "\n" << victim.events.Joined();
    EXPECT_NE(victim.client.seen.find("1 RST PROTOCOL_ERROR"), std::string::npos) << what << "\n" << victim.client.seen;
  }
}

TEST(Http2Validation, UpperCaseNamesAreMalformed) {
  for (const auto& [name, good] : {std::pair("x-lower", true), std::pair("X-Upper", false)}) {
    Victim victim;
    victim.Exchange();
    // GET http / from the static table, then two literals (RFC 7541 section 6.2.2).
    std::string block = "\x82\x86\x84";
    block += std::string("\x01\x06orders", 8);
    block += std::string("\x00\x07", 2) + name + "\x01" + "v";
    victim.server->Feed(AsBytes(Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, block)), Instant{});
    victim.events.Drain();
    EXPECT_EQ(victim.events.Saw("request 1 GET http orders / x-lower=v"), good);
    EXPECT_FALSE(victim.events.Saw("failed"));
    EXPECT_EQ(victim.server->active_streams(), good ? 1u : 0u);
  }
}

TEST(Http2Validation, OddButGoodRequestsAreTaken) {
  const std::vector<std::pair<RawClient::Fields, std::string>> cases = {
      {With("te", "trailers"), "request 1 GET http orders / te=trailers"},
      {With("host", "ORDERS"), "request 1 GET http orders /"},
      {With("cookie", "a=1"), "request 1 GET http orders / cookie=a=1"},
      {With("x-empty", ""), "request 1 GET http orders / x-empty="},
      {With("x", "a\xff" "b"), "request 1 GET http orders / x=a\xff" "b"},
  };
  for (const auto& [fields, expected] : cases) {
    Victim victim;
    victim.Send(fields);
    EXPECT_EQ(victim.events.events.at(0), expected);
  }
}

TEST(Http2Validation, HostStandsInForAuthority) {
  Victim victim;
  RawClient::Fields fields = Without(":authority");
  fields.emplace_back("host", "inventory:80");
  victim.Send(fields);
  EXPECT_EQ(victim.events.events.at(0), "request 1 GET http inventory:80 /");
}

TEST(Http2Validation, CookieCrumbsAreJoined) {
  Victim victim;
  RawClient::Fields fields = RawClient::Good();
  for (const char* crumb : {"a=1", "b=2", "c=3"}) fields.emplace_back("cookie", crumb);
  fields.emplace_back("x", "y");
  victim.Send(fields);
  EXPECT_EQ(victim.events.events.at(0), "request 1 GET http orders / x=y cookie=a=1; b=2; c=3");
}

TEST(Http2Validation, BodyLongerOrShorterThanItsLengthIsReset) {
  for (const char* body : {"123456", "1234"}) {
    Pair pair;
    http::RequestHead head = Get("/", "POST");
    head.content_length = 5;
    const StreamId id = pair.client->SendRequest(head, false);
    pair.client->SendData(id, AsBytes(body));
    pair.client->SendEnd(id);
    pair.Run();
    EXPECT_TRUE(pair.at_server.Saw("reset 1")) << body;
    EXPECT_FALSE(pair.at_server.Saw("end 1")) << body;
    EXPECT_TRUE(pair.at_client.Saw("reset 1")) << body;
  }
}

TEST(Http2Limits, LargeHeadGets431AndTheConnectionLives) {
  Limits limits;
  limits.head_bytes = 2000;
  Victim victim(limits);
  victim.Send(With("x", std::string(3000, 'a')));
  EXPECT_FALSE(victim.events.Saw("request 1"));
  EXPECT_NE(victim.client.seen.find("1 :status=431"), std::string::npos) << victim.client.seen;
}

TEST(Http2Limits, ManyFieldsGet431) {
  Victim victim;
  RawClient::Fields fields = RawClient::Good();
  for (int i = 0; i < 102; ++i) fields.emplace_back("x" + std::to_string(i), "1");
  victim.Send(fields);
  EXPECT_NE(victim.client.seen.find("1 :status=431"), std::string::npos) << victim.client.seen;
}

TEST(Http2Limits, LongPathGets414) {
  Victim victim;
  victim.Send(Instead(":path", "/" + std::string(20000, 'a')));
  EXPECT_NE(victim.client.seen.find("1 :status=414"), std::string::npos) << victim.client.seen;
}

TEST(Http2Limits, RefusedHeadWithABodyIsStoppedAndItsBytesGivenBack) {
  Limits limits;
  limits.head_bytes = 2000;
  limits.connection_window = 65535;
  Pair pair(limits, {});
  pair.Run();
  for (int i = 0; i < 5; ++i) {
    http::RequestHead head = Get("/", "POST");
    head.headers.Add("x", std::string(3000, 'a'));
    const StreamId id = pair.client->SendRequest(head, false);
    pair.client->SendData(id, AsBytes(std::string(30000, 'b')));
    pair.Run();
    EXPECT_TRUE(pair.at_client.Saw("response " + std::to_string(id) + " 431"));
    EXPECT_EQ(pair.client->active_streams(), 0u);
    EXPECT_EQ(pair.server->active_streams(), 0u);
  }
  const StreamId id = pair.client->SendRequest(Get("/", "POST"), false);
  pair.client->SendData(id, AsBytes(std::string(60000, 'b')));
  pair.Run();
  EXPECT_EQ(pair.at_server.data[id].size(), 60000u);
}

TEST(Http2Limits, HeaderBombEndsTheConnection) {
  // Four kilobytes in the dynamic table, then thousands of one-byte references to it.
  Victim victim;
  RawClient::Fields fields = RawClient::Good();
  for (int i = 0; i < 5000; ++i) fields.emplace_back("bomb", std::string(3000, 'b'));
  victim.client.Request(fields);
  victim.Exchange();
  EXPECT_EQ(victim.events.events, (std::vector<std::string>{"failed overload"}));
  EXPECT_NE(victim.client.seen.find("GOAWAY ENHANCE_YOUR_CALM"), std::string::npos) << victim.client.seen;
  EXPECT_TRUE(victim.server->should_close());
}

TEST(Http2Limits, ContinuationFloodEndsTheConnection) {
  Victim victim;
  victim.Exchange();
  std::string bytes = Frame(NGHTTP2_HEADERS, 0, 1, "\x82");  // :method GET, no END_HEADERS
  for (int i = 0; i < 100; ++i) bytes += Frame(NGHTTP2_CONTINUATION, 0, 1, "");
  victim.server->Feed(AsBytes(bytes), Instant{});
  victim.events.Drain();
  EXPECT_TRUE(victim.events.Saw("failed")) << victim.events.Joined();
}

TEST(Http2Limits, LargeTrailersResetTheStream) {
  Limits limits;
  limits.trailer_bytes = 1000;
  Pair pair({}, limits);
  const StreamId id = pair.client->SendRequest(Get("/"), true);
  pair.Run();
  pair.server->SendResponse(id, Reply(200), false);
  http::HeaderMap trailers;
  trailers.Add("x", std::string(2000, 'a'));
  pair.server->SendTrailers(id, trailers);
  pair.Run();
  EXPECT_TRUE(pair.at_client.Saw("reset 1 too-large")) << pair.at_client.Joined();
}

TEST(Http2Limits, LargeResponseHeadResetsTheStream) {
  Limits limits;
  limits.head_bytes = 1000;
  Pair pair({}, limits);
  const StreamId id = pair.client->SendRequest(Get("/"), true);
  pair.Run();
  http::ResponseHead reply = Reply(200);
  reply.headers.Add("x", std::string(2000, 'a'));
  pair.server->SendResponse(id, reply, true);
  pair.Run();
  EXPECT_TRUE(pair.at_client.Saw("reset 1 too-large")) << pair.at_client.Joined();
  EXPECT_FALSE(pair.at_client.Saw("response"));
}

TEST(Http2Limits, HeadTooLargeToSendResetsTheStreamHere) {
  Pair pair;
  http::RequestHead head = Get("/");
  head.headers.Add("x", std::string(400000, 'a'));
  pair.client->SendRequest(head, true);
  pair.Run();
  EXPECT_TRUE(pair.at_client.Saw("reset 1 refused unseen")) << pair.at_client.Joined();
  const StreamId id = pair.client->SendRequest(Get("/"), true);
  pair.Run();
  http::ResponseHead reply = Reply(200);
  reply.headers.Add("x", std::string(400000, 'a'));
  pair.server->SendResponse(id, reply, true);
  pair.Run();
  EXPECT_TRUE(pair.at_server.Saw("reset 3 too-large")) << pair.at_server.Joined();
  EXPECT_TRUE(pair.at_client.Saw("reset 3")) << pair.at_client.Joined();
}

// ---------------------------------------------------------------- floods

TEST(Http2Flood, RapidResetEndsTheConnection) {
  Victim victim;
  victim.Exchange();
  int sent = 0;
  for (; sent < 5000 && !victim.events.Saw("failed"); ++sent) {
    const int32_t id = victim.client.Request(RawClient::Good());
    victim.server->Feed(AsBytes(victim.client.Output()), Instant{});
    nghttp2_submit_rst_stream(victim.client.session, 0, id, NGHTTP2_CANCEL);
    victim.Exchange();
  }
  EXPECT_EQ(victim.events.failure.code, ErrorCode::kOverload);
  EXPECT_EQ(sent, 501);
  EXPECT_NE(victim.client.seen.find("GOAWAY ENHANCE_YOUR_CALM"), std::string::npos);
}

TEST(Http2Flood, CancellingAfterRealWorkIsNoRapidReset) {
  Victim victim;
  Instant now{};
  for (int i = 0; i < 2000; ++i) {
    const int32_t id = victim.client.Request(RawClient::Good());
    victim.Exchange(now);
    now += FloodGuard::kRapid;
    nghttp2_submit_rst_stream(victim.client.session, 0, id, NGHTTP2_CANCEL);
    victim.Exchange(now);
  }
  EXPECT_FALSE(victim.events.Saw("failed"));
}

TEST(Http2Flood, MakingTheServerResetIsCountedAsWell) {
  Victim victim;
  int sent = 0;
  for (; sent < 5000 && !victim.events.Saw("failed"); ++sent) {
    victim.client.Request(Without(":path"));
    victim.Exchange();
  }
  EXPECT_EQ(victim.events.failure.code, ErrorCode::kOverload);
  EXPECT_LT(sent, 600);
}

std::vector<std::pair<const char*, std::string>> FloodFrames() {
  return {{"PING", Frame(NGHTTP2_PING, 0, 0, "12345678")},
          {"SETTINGS", Frame(NGHTTP2_SETTINGS, 0, 0, "")},
          {"PRIORITY", Frame(NGHTTP2_PRIORITY, 0, 3, std::string("\0\0\0\0\x10", 5))},
          {"WINDOW_UPDATE", Frame(NGHTTP2_WINDOW_UPDATE, 0, 0, std::string("\0\0\0\x1", 4))},
          {"empty DATA", Frame(NGHTTP2_DATA, 0, 1, "")}};
}

TEST(Http2Flood, CheapFramesEndTheConnection) {
  for (const auto& [what, frame] : FloodFrames()) {
    Victim victim;
    victim.client.Request(RawClient::Good(), /*end=*/false);
    victim.Exchange();
    int sent = 0;
    for (; sent < 20000 && !victim.events.Saw("failed"); ++sent) {
      victim.server->Feed(AsBytes(frame), Instant{});
      victim.events.Drain();
      victim.server->output().Clear();
    }
    EXPECT_EQ(victim.events.failure.code, ErrorCode::kOverload) << what;
    EXPECT_LT(sent, 1100) << what;
  }
}

TEST(Http2Flood, AllOfAFloodInOneReadIsNoticedToo) {
  for (const auto& [what, frame] : FloodFrames()) {
    Victim victim;
    victim.client.Request(RawClient::Good(), /*end=*/false);
    victim.Exchange();
    std::string bytes;
    for (int i = 0; i < 3000; ++i) bytes += frame;
    victim.server->Feed(AsBytes(bytes), Instant{});
    victim.events.Drain();
    EXPECT_EQ(victim.events.failure.code, ErrorCode::kOverload) << what;
    EXPECT_LT(victim.server->output().size(), 40000u) << what;
  }
}

TEST(Http2Flood, TheSameFramesAtAPoliteRateAreFine) {
  for (const auto& [what, frame] : FloodFrames()) {
    if (std::string_view(what) == "WINDOW_UPDATE") continue;  // paid for by data, not by time
    Victim victim;
    victim.client.Request(RawClient::Good(), /*end=*/false);
    victim.Exchange();
    Instant now{};
    for (int i = 0; i < 5000; ++i) {
      now += 60ms;
      victim.server->Feed(AsBytes(frame), now);
      victim.events.Drain();
      victim.server->output().Clear();
    }
    EXPECT_FALSE(victim.events.Saw("failed")) << what;
  }
}

TEST(TokenBucket, AllowsItsBurstAndThenItsRate) {
  TokenBucket bucket(3, 10ms);
  Instant now{1s};
  EXPECT_TRUE(bucket.Take(now) && bucket.Take(now) && bucket.Take(now));
  EXPECT_FALSE(bucket.Take(now));
  EXPECT_FALSE(bucket.Take(now + 9ms));
  EXPECT_TRUE(bucket.Take(now + 10ms));
  EXPECT_FALSE(bucket.Take(now + 10ms));
  now += 1h;
  EXPECT_TRUE(bucket.Take(now) && bucket.Take(now) && bucket.Take(now));
  EXPECT_FALSE(bucket.Take(now));
}

// ---------------------------------------------------------------- garbage

TEST(Http2Garbage, WrongPrefaceFails) {
  Victim victim;
  victim.server->Feed(AsBytes("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Instant{});
  victim.events.Drain();
  EXPECT_EQ(victim.events.events, (std::vector<std::string>{"failed protocol"}));
  EXPECT_TRUE(victim.server->should_close());
  EXPECT_EQ(victim.server->Feed(AsBytes("more"), Instant{}), 4u);
  EXPECT_FALSE(victim.server->wants_input());
}

// A recorded good conversation with bytes changed: whatever comes of it, nothing crashes and the end is orderly.
TEST(Http2Garbage, ChangedBytesNeverCrash) {
  std::string to_server, to_client;
  {
    Pair pair;
    http::RequestHead head = Get("/a", "POST");
    head.headers.Add("cookie", "a=b");
    const StreamId id = pair.client->SendRequest(head, false);
    pair.client->SendData(id, AsBytes(std::string(300, 'x')));
    pair.client->SendEnd(id);
    to_server = pair.client->output().text();
    pair.client->output().Clear();
    pair.server->Feed(AsBytes(to_server), Instant{});
    pair.at_server.Drain();
    pair.server->SendResponse(id, Reply(200), false);
    pair.server->SendData(id, AsBytes(std::string(300, 'y')));
    http::HeaderMap trailers;
    trailers.Add("a", "b");
    pair.server->SendTrailers(id, trailers);
    pair.server->Drain();
    to_client = pair.server->output().text();
  }
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    Random random(seed);
    std::string bytes = random.Chance(0.5) ? to_server : to_client;
    const bool server_side = bytes == to_server;
    const size_t first = server_side ? 24 : 0;  // past the preface
    for (uint64_t n = 1 + random.Below(4); n > 0; --n) bytes[first + random.Below(bytes.size() - first)] = static_cast<char>(random.Next());
    Pair pair;
    pair.client->SendRequest(Get("/"), true);
    pair.client->output().Clear();
    Codec* codec = server_side ? static_cast<Codec*>(pair.server.get()) : pair.client.get();
    Recorder& recorder = server_side ? pair.at_server : pair.at_client;
    const size_t step = 1 + random.Below(bytes.size());
    for (size_t at = 0; at < bytes.size(); at += step) {
      const std::string_view piece = std::string_view(bytes).substr(at, step);
      EXPECT_EQ(codec->Feed(AsBytes(piece), Instant{}), piece.size());
      recorder.Drain();
      codec->output().Clear();
    }
    codec->FeedEof();
    recorder.Drain();
    EXPECT_TRUE(codec->should_close());
    EXPECT_LE(recorder.events.size(), 20u);
  }
}

TEST(Http2Garbage, PushedStreamsAreRefused) {
  Pair pair;
  pair.client->SendRequest(Get("/"), true);
  pair.Run();
  // PUSH_PROMISE on stream 1, promised stream 2, a minimal indexed block.
  const std::string push = Frame(NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, 1, std::string("\0\0\0\2\x82\x86\x84", 7));
  pair.client->Feed(AsBytes(push), Instant{});
  pair.at_client.Drain();
  EXPECT_TRUE(pair.at_client.Saw("failed protocol"));
}

}  // namespace
}  // namespace outrigger::codec
