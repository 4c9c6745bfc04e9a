#include "proxy/codec/http2.h"

#include <gtest/gtest.h>

#include "proxy/base/random.h"
#include "proxy/codec/http2_testing.h"

namespace outrigger::codec {
namespace {

using testing::Get;
using testing::Pair;
using testing::Reply;

using Lines = std::vector<std::string>;

// Every way to cut the stream must tell the same story.
class Http2Cut : public ::testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(Pieces, Http2Cut, ::testing::Values(0, 1, 2, 3, 7, 64, 1000));

TEST_P(Http2Cut, CarriesRequestsAndResponsesWithBodiesAndTrailers) {
  Pair pair({}, {}, GetParam());
  http::RequestHead head = Get("/a?b=c", "POST");
  head.content_length = 11;
  head.headers.Add("X-Mixed-Case", "Value");
  head.headers.Add("te", "trailers");
  const StreamId id = pair.client->SendRequest(head, /*end=*/false);
  EXPECT_EQ(id, 1u);
  pair.client->SendData(id, AsBytes("hello "));
  pair.client->SendData(id, AsBytes("world"));
  http::HeaderMap request_trailers;
  request_trailers.Add("x-sum", "1");
  pair.client->SendTrailers(id, request_trailers);
  pair.Run();
  EXPECT_EQ(pair.at_server.events, (Lines{"request 1 POST http orders /a?b=c length:11 x-mixed-case=Value te=trailers",
                                          "trailers 1 x-sum=1", "end 1"}));
  EXPECT_EQ(pair.at_server.data[1], "hello world");

  http::ResponseHead early = Reply(103);
  early.headers.Add("link", "</x>");
  pair.server->SendInformational(id, early);
  http::ResponseHead reply = Reply(201);
  reply.headers.Add("Server", "s");
  pair.server->SendResponse(id, reply, /*end=*/false);
  pair.server->SendData(id, AsBytes("body"));
  http::HeaderMap trailers;
  trailers.Add("grpc-status", "0");
  pair.server->SendTrailers(id, trailers);
  pair.Run();
  EXPECT_EQ(pair.at_client.events,
            (Lines{"informational 1 103 link=</x>", "response 1 201 server=s", "trailers 1 grpc-status=0", "end 1"}));
  EXPECT_EQ(pair.at_client.data[1], "body");
  EXPECT_EQ(pair.client->active_streams(), 0u);
  EXPECT_EQ(pair.server->active_streams(), 0u);
  EXPECT_FALSE(pair.client->should_close());
  EXPECT_FALSE(pair.server->should_close());
}

TEST_P(Http2Cut, InterleavesManyStreams) {
  Pair pair({}, {}, GetParam());
  for (int i = 0; i < 20; ++i) pair.client->SendRequest(Get("/" + std::to_string(i)), /*end=*/true);
  pair.Run();
  for (StreamId id = 1; id < 40; id += 2) {
    EXPECT_TRUE(pair.at_server.Saw("request " + std::to_string(id) + " GET http orders /" + std::to_string(id / 2)));
    pair.server->SendResponse(id, Reply(200), /*end=*/false);
    pair.server->SendData(id, AsBytes(std::string(1000 + id, static_cast<char>('a' + id % 26))));
    pair.server->SendEnd(id);
  }
  pair.Run();
  for (StreamId id = 1; id < 40; id += 2) {
    EXPECT_EQ(pair.at_client.data[id], std::string(1000 + id, static_cast<char>('a' + id % 26)));
    EXPECT_TRUE(pair.at_client.Saw("end " + std::to_string(id)));
  }
}

TEST_P(Http2Cut, ResetsTravelBothWays) {
  Pair pair({}, {}, GetParam());
  const StreamId one = pair.client->SendRequest(Get("/1"), true);
  const StreamId two = pair.client->SendRequest(Get("/2", "PUT"), false);
  pair.Run();
  pair.client->Reset(one, ErrorCode::kCancelled);
  pair.server->Reset(two, ErrorCode::kRefused);
  pair.Run();
  EXPECT_TRUE(pair.at_server.Saw("reset 1 cancelled"));
  EXPECT_EQ(pair.at_server.reset_error.fault, Fault::kDownstream);
  EXPECT_TRUE(pair.at_client.Saw("reset 3 refused unseen"));
  EXPECT_FALSE(pair.at_client.Saw("reset 1"));  // one's own reset is not told back
  EXPECT_EQ(pair.client->active_streams(), 0u);
  EXPECT_EQ(pair.server->active_streams(), 0u);
}

TEST(Http2, FirstRequestLeavesWithThePreface) {
  Pair pair;
  EXPECT_TRUE(pair.client->can_start());
  pair.client->SendRequest(Get("/"), true);
  const std::string first(pair.client->output().text());
  EXPECT_TRUE(first.starts_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
  pair.server->Feed(AsBytes(first), Instant{});
  pair.at_server.Drain();
  EXPECT_TRUE(pair.at_server.Saw("request 1 GET http orders /"));
}

TEST(Http2, FramesOfATurnShareOneBuffer) {
  Pair pair;
  pair.Run();
  for (int i = 0; i < 3; ++i) pair.client->SendRequest(Get("/"), true);
  pair.Run();
  for (StreamId id : {1, 3, 5}) {
    pair.server->SendResponse(id, Reply(200), false);
    pair.server->SendData(id, AsBytes("x"));
    pair.server->SendEnd(id);
  }
  // Three HEADERS and three DATA, the end of a stream on its last DATA: nine bytes of frame header each.
  const std::string bytes(pair.server->output().text());
  int frames = 0, ends = 0;
  for (size_t at = 0; at < bytes.size(); ++frames) {
    const Bytes header = AsBytes(bytes).subspan(at, 9);
    const size_t length = static_cast<size_t>(header[0]) << 16 | static_cast<size_t>(header[1]) << 8 | header[2];
    if (bytes[at + 3] == 0 && (bytes[at + 4] & 1) != 0) ++ends;
    at += 9 + length;
  }
  EXPECT_EQ(frames, 6);
  EXPECT_EQ(ends, 3);
}

TEST(Http2, HeadAnd204And304HaveNoBody) {
  Pair pair;
  const StreamId head = pair.client->SendRequest(Get("/", "HEAD"), true);
  const StreamId empty = pair.client->SendRequest(Get("/"), true);
  pair.Run();
  http::ResponseHead reply = Reply(200);
  reply.content_length = 5;
  pair.server->SendResponse(head, reply, false);
  pair.server->SendData(head, AsBytes("12345"));
  pair.server->SendEnd(head);
  pair.server->SendResponse(empty, Reply(204), false);
  pair.server->SendData(empty, AsBytes("never"));
  pair.server->SendEnd(empty);
  pair.Run();
  EXPECT_EQ(pair.at_client.events, (Lines{"response 1 200 length:5", "end 1", "response 3 204", "end 3"}));
  EXPECT_TRUE(pair.at_client.data.empty());
}

TEST(Http2, ConnectionSpecificFieldsOfHttp1DoNotGoOut) {
  Pair pair;
  http::RequestHead head = Get("/");
  head.expect_continue = true;
  for (const char* name : {"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "Host"}) {
    head.headers.Add(name, "x");
  }
  head.headers.Add("TE", "gzip");
  head.headers.Add("Accept", "*/*");
  pair.client->SendRequest(head, true);
  pair.Run();
  EXPECT_EQ(pair.at_server.events, (Lines{"request 1 GET http orders / expect accept=*/*", "end 1"}));
}

TEST(Http2, EarlyResponseStopsTheRequestBodyWithoutHarm) {
  Pair pair;
  const StreamId id = pair.client->SendRequest(Get("/", "POST"), false);
  pair.client->SendData(id, AsBytes("part"));
  pair.Run();
  pair.server->SendResponse(id, Reply(413), false);
  pair.server->SendData(id, AsBytes("too much"));
  pair.server->SendEnd(id);
  pair.server->Reset(id, ErrorCode::kOk);
  pair.Run();
  EXPECT_EQ(pair.at_client.events, (Lines{"response 1 413", "end 1"}));  // and no reset
  EXPECT_EQ(pair.at_client.data[id], "too much");
  EXPECT_EQ(pair.server->active_streams(), 0u);
  EXPECT_EQ(pair.client->active_streams(), 0u);
  pair.client->SendData(id, AsBytes("ignored"));  // the stream is gone
  pair.Run();
  EXPECT_EQ(pair.at_server.data[id], "part");
}

// ---------------------------------------------------------------- flow control

TEST(Http2, SenderStallsUntilTheReceiverHasConsumed) {
  Limits limits;
  limits.stream_window = 65535;
  limits.connection_window = 256 * 1024;
  Pair pair(limits, {});
  pair.Run();
  pair.at_server.consume = false;
  const StreamId id = pair.client->SendRequest(Get("/", "POST"), false);
  const std::string body(200000, 'x');
  pair.client->SendData(id, AsBytes(body));
  pair.Run();
  EXPECT_EQ(pair.at_server.data[id].size(), 65535u);
  EXPECT_EQ(pair.client->buffered(id), body.size() - 65535);  // asked: the end of the jam is owed
  EXPECT_FALSE(pair.at_client.Saw("writable"));

  pair.server->Consumed(id, 65535);
  pair.Run();
  EXPECT_EQ(pair.at_server.data[id].size(), 2 * 65535u);
  EXPECT_FALSE(pair.at_client.Saw("writable"));
  pair.server->Consumed(id, 65535);
  pair.Run();
  EXPECT_EQ(pair.at_server.data[id].size(), 3 * 65535u);
  pair.server->Consumed(id, 65535);
  pair.Run();
  EXPECT_EQ(pair.at_server.data[id].size(), body.size());
  EXPECT_EQ(pair.at_client.events, (Lines{"writable 1"}));
  EXPECT_EQ(pair.client->buffered(id), 0u);
}

TEST(Http2, StalledStreamDoesNotStallTheOthers) {
  Limits limits;
  limits.stream_window = 65535;
  limits.connection_window = 1 << 20;
  Pair pair({}, limits);
  for (int i = 0; i < 2; ++i) pair.client->SendRequest(Get("/"), true);
  pair.Run();
  pair.at_client.consume = false;
  for (StreamId id : {1, 3}) pair.server->SendResponse(id, Reply(200), false);
  pair.server->SendData(1, AsBytes(std::string(100000, 'a')));
  pair.Run();
  EXPECT_EQ(pair.at_client.data[1].size(), 65535u);
  pair.server->SendData(3, AsBytes(std::string(1000, 'b')));
  pair.server->SendEnd(3);
  pair.Run();
  EXPECT_EQ(pair.at_client.data[3].size(), 1000u);
  EXPECT_TRUE(pair.at_client.Saw("end 3"));
}

TEST(Http2, ConnectionWindowBoundsWhatAllStreamsMayHold) {
  Limits limits;
  limits.stream_window = 65535;
  limits.connection_window = 100000;
  Pair pair({}, limits);
  for (int i = 0; i < 5; ++i) pair.client->SendRequest(Get("/"), true);
  pair.Run();
  pair.at_client.consume = false;
  const auto received = [&] {
    size_t sum = 0;
    for (const auto& [id, data] : pair.at_client.data) sum += data.size();
    return sum;
  };
  for (StreamId id = 1; id < 10; id += 2) {
    pair.server->SendResponse(id, Reply(200), false);
    pair.server->SendData(id, AsBytes(std::string(50000, 'a')));
  }
  pair.Run();
  EXPECT_EQ(received(), 100000u);
  // Streams that are given up give back what they held. (The window is announced anew once half of it is free.)
  size_t held = 0;
  for (StreamId id = 1; held < 50000; id += 2) {
    held += pair.at_client.data[id].size();
    pair.client->Reset(id, ErrorCode::kCancelled);
  }
  pair.Run();
  EXPECT_EQ(received(), 100000u + held);
}

TEST(Http2, EndedStreamsCountUntilConsumedButAForgetfulOwnerIsForgiven) {
  Limits limits;
  limits.stream_window = 65535;
  limits.connection_window = 200000;
  Pair pair({}, limits);
  pair.Run();
  pair.at_client.consume = false;
  size_t received = 0;
  for (int i = 0; i < 40; ++i) {
    const StreamId id = pair.client->SendRequest(Get("/"), true);
    pair.Run();
    pair.server->SendResponse(id, Reply(200), false);
    pair.server->SendData(id, AsBytes(std::string(30000, 'a')));
    pair.server->SendEnd(id);
    pair.Run();
    EXPECT_TRUE(pair.at_client.Saw("end " + std::to_string(id))) << i;
    received += pair.at_client.data[id].size();
  }
  EXPECT_EQ(received, 40 * 30000u);
  EXPECT_EQ(pair.client->active_streams(), 0u);
}

TEST(Http2, EveryByteArrivesOnceWhateverTheConsumerDoes) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    Limits limits;
    limits.stream_window = 1 + static_cast<uint32_t>(random.Below(70000));
    limits.connection_window = 65535 + static_cast<uint32_t>(random.Below(100000));
    Pair pair(limits, limits, 1 + random.Below(5000));
    pair.Run();
    pair.at_server.consume = false;
    std::map<StreamId, std::string> sent;
    std::map<StreamId, size_t> consumed;
    std::vector<StreamId> ids;
    for (int i = 0; i < 5; ++i) ids.push_back(pair.client->SendRequest(Get("/", "POST"), false));
    for (int round = 0; round < 60; ++round) {
      const StreamId id = ids[random.Below(ids.size())];
      std::string piece(random.Below(20000), static_cast<char>('a' + random.Below(26)));
      sent[id] += piece;
      pair.client->SendData(id, AsBytes(piece));
      if (random.Chance(0.5)) pair.Run();
      for (StreamId reader : ids) {
        const size_t n = random.Below(pair.at_server.data[reader].size() - consumed[reader] + 1);
        pair.server->Consumed(reader, n);
        consumed[reader] += n;
      }
    }
    for (StreamId id : ids) pair.client->SendEnd(id);
    for (int i = 0; i < 2000; ++i) {
      pair.Run();
      for (StreamId id : ids) {
        pair.server->Consumed(id, pair.at_server.data[id].size() - consumed[id]);
        consumed[id] = pair.at_server.data[id].size();
      }
    }
    for (StreamId id : ids) {
      EXPECT_EQ(pair.at_server.data[id], sent[id]) << "seed " << seed;
      EXPECT_TRUE(pair.at_server.Saw("end " + std::to_string(id))) << "seed " << seed;
    }
  }
}

// ---------------------------------------------------------------- connection life

TEST(Http2, ServerHonoursItsStreamLimitAndClientKnowsIt) {
  Limits limits;
  limits.max_streams = 3;
  Pair pair(limits, {});
  pair.Run();  // settings have arrived
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(pair.client->can_start());
    pair.client->SendRequest(Get("/"), true);
  }
  EXPECT_FALSE(pair.client->can_start());
  pair.Run();
  pair.server->SendResponse(1, Reply(200), true);
  pair.Run();
  EXPECT_TRUE(pair.client->can_start());
}

TEST(Http2, StreamsBeyondTheLimitThatRaceTheSettingsAreRefusedUnseen) {
  Limits limits;
  limits.max_streams = 3;
  Pair pair(limits, {});
  for (int i = 0; i < 5; ++i) pair.client->SendRequest(Get("/"), true);
  pair.Run();
  EXPECT_TRUE(pair.at_client.Saw("reset 7 refused unseen"));
  EXPECT_TRUE(pair.at_client.Saw("reset 9 refused unseen"));
  EXPECT_FALSE(pair.at_server.Saw("request 7"));
  EXPECT_TRUE(pair.at_server.Saw("request 5"));
}

TEST(Http2, ServerDrainServesWhatIsUnderWayAndWhatCrossedTheNotice) {
  Pair pair;
  pair.client->SendRequest(Get("/old"), true);
  pair.Run();
  pair.server->Drain();
  const StreamId crossing = pair.client->SendRequest(Get("/crossing"), true);
  pair.Run();
  EXPECT_TRUE(pair.at_server.Saw("request 3 GET http orders /crossing"));
  EXPECT_TRUE(pair.at_client.Saw("goaway"));
  EXPECT_FALSE(pair.client->can_start());
  EXPECT_FALSE(pair.server->should_close());
  pair.server->SendResponse(1, Reply(200), true);
  pair.server->SendResponse(crossing, Reply(200), true);
  pair.Run();
  EXPECT_TRUE(pair.at_client.Saw("response 3 200"));
  EXPECT_FALSE(pair.at_client.Saw("reset"));
  EXPECT_TRUE(pair.server->should_close());
  EXPECT_TRUE(pair.client->should_close());
}

TEST(Http2, ClientDrainFinishesAndCloses) {
  Pair pair;
  const StreamId id = pair.client->SendRequest(Get("/"), true);
  pair.Run();
  pair.client->Drain();
  EXPECT_FALSE(pair.client->can_start());
  pair.Run();
  EXPECT_FALSE(pair.client->should_close());
  pair.server->SendResponse(id, Reply(200), true);
  pair.Run();
  EXPECT_TRUE(pair.at_client.Saw("end 1"));
  EXPECT_TRUE(pair.client->should_close());
  EXPECT_TRUE(pair.server->should_close());
}

TEST(Http2, EndOfConnectionFailsOpenStreamsAndOnlyThose) {
  Pair busy;
  busy.client->SendRequest(Get("/"), true);
  busy.Run();
  busy.client->FeedEof();
  busy.at_client.Drain();
  EXPECT_EQ(busy.at_client.events, (Lines{"failed closed"}));
  EXPECT_EQ(busy.at_client.failure.fault, Fault::kUpstream);
  EXPECT_TRUE(busy.client->should_close());

  Pair idle;
  idle.Run();
  idle.client->FeedEof();
  idle.at_client.Drain();
  EXPECT_TRUE(idle.at_client.events.empty());
  EXPECT_TRUE(idle.client->should_close());
  EXPECT_FALSE(idle.client->can_start());
}

TEST(Http2, PingIsAnswered) {
  Pair pair;
  pair.Run();
  pair.client->SendPing();
  EXPECT_TRUE(pair.client->ping_outstanding());
  pair.Run();
  EXPECT_FALSE(pair.client->ping_outstanding());
  pair.server->SendPing();
  pair.Run();
  EXPECT_FALSE(pair.server->ping_outstanding());
}

TEST(Http2, ResponseStartedTellsWhetherAByteCame) {
  Pair pair;
  const StreamId id = pair.client->SendRequest(Get("/"), true);
  pair.Run();
  EXPECT_FALSE(pair.client->response_started(id));
  pair.server->SendResponse(id, Reply(200), false);
  pair.Run();
  EXPECT_TRUE(pair.client->response_started(id));
}

// ---------------------------------------------------------------- tunnels

TEST(Http2, ConnectBecomesATunnel) {
  Pair pair;
  http::RequestHead head = Get("", "CONNECT");
  head.scheme = {};
  const StreamId id = pair.client->SendRequest(head, false);
  pair.Run();
  EXPECT_EQ(pair.at_server.events, (Lines{"request 1 CONNECT  orders "}));
  pair.server->SendResponse(id, Reply(200), false);
  pair.at_server.Drain();
  EXPECT_TRUE(pair.at_server.Saw("upgraded 1"));
  pair.Run();
  EXPECT_TRUE(pair.at_client.Saw("upgraded 1 200"));
  pair.client->SendData(id, AsBytes("to"));
  pair.server->SendData(id, AsBytes("fro"));
  pair.client->SendEnd(id);
  pair.Run();
  EXPECT_EQ(pair.at_server.data[id], "to");
  EXPECT_EQ(pair.at_client.data[id], "fro");
  EXPECT_TRUE(pair.at_server.Saw("end 1"));  // half-closed: the other direction goes on
  pair.server->SendData(id, AsBytes(" and on"));
  pair.server->SendEnd(id);
  pair.Run();
  EXPECT_EQ(pair.at_client.data[id], "fro and on");
}

TEST(Http2, UpgradeTravelsAsExtendedConnect) {
  Pair pair;
  pair.Run();
  http::RequestHead head = Get("/chat");
  head.protocol = "websocket";
  const StreamId id = pair.client->SendRequest(head, false);
  pair.Run();
  EXPECT_EQ(pair.at_server.events, (Lines{"request 1 CONNECT http orders /chat protocol:websocket"}));
  pair.server->SendResponse(id, Reply(101), false);  // what an HTTP/1 application said
  pair.Run();
  EXPECT_TRUE(pair.at_client.Saw("upgraded 1 200"));
}

TEST(Http2, ExtendedConnectWithoutConsentIsRefusedHere) {
  Pair pair;  // the server's settings have not come yet
  http::RequestHead head = Get("/chat");
  head.protocol = "websocket";
  const StreamId id = pair.client->SendRequest(head, false);
  pair.at_client.Drain();
  EXPECT_EQ(pair.at_client.events, (Lines{"reset 1 refused unseen"}));
  EXPECT_NE(pair.client->SendRequest(Get("/"), true), id);
  pair.Run();
  EXPECT_TRUE(pair.at_server.Saw("request 3 GET"));
}

}  // namespace
}  // namespace outrigger::codec
