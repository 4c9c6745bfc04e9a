// Bodies on their way through: framed either way, streamed as they come, with trailers, expected with 100-continue, absent
// where they must be; and tunnels.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/shard/hop.h"

namespace outrigger::exchange {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using shardtest::Answer;
using shardtest::Chunk;
using shardtest::Client;
using shardtest::Message;
using shardtest::Server;
using shardtest::Wire;

constexpr char kGet[] = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n";
constexpr char kChunkedPost[] = "POST / HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n";

std::string Pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (i * 2654435761u >> 13) % 26);
  return text;
}

class BodiesTest : public shardtest::HopTest {
 protected:
  BodiesTest() { AddServer("orders-1"); }
  // Waits for the first bytes of a request at the server.
  Wire& Arrived(std::string_view end) {
    EXPECT_TRUE(Wait([&] { return !server().wires().empty() && server().last().received.ends_with(end); }));
    return server().last();
  }
};

TEST_F(BodiesTest, KeepTheirFramingAndEveryByte) {
  server().on_request = [](Wire& wire, const Message& request) {
    wire.Send(request.chunked ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + Chunk(request.body) + "0\r\n\r\n"
                              : Answer(200, request.body));
  };
  Publish();
  Client& client = Connect();
  for (const size_t size : {1u, 1000u, 65536u, 1000000u}) {
    const std::string body = Pattern(size);
    client.Send("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" + body);
    const Message fixed = Next(client);
    EXPECT_EQ(fixed.Get("content-length"), std::to_string(size));
    EXPECT_EQ(fixed.body, body);
    client.Send(kChunkedPost + Chunk(body) + "0\r\n\r\n");
    const Message chunked = Next(client);
    EXPECT_TRUE(chunked.chunked);
    EXPECT_FALSE(chunked.Has("content-length"));
    EXPECT_EQ(chunked.body, body);
  }
  EXPECT_EQ(server().wires().size(), 1u);
  EXPECT_EQ(last_record().request_bytes, 1000000u);
  EXPECT_EQ(last_record().response_bytes, 1000000u);
}

TEST_F(BodiesTest, AreStreamedAsTheyCome) {
  server().on_request = nullptr;
  Publish();
  Client& client = Connect();
  client.Send(kChunkedPost + Chunk("one"));
  Wire& wire = Arrived("3\r\none\r\n");
  client.Send(Chunk("two"));
  Arrived("3\r\ntwo\r\n");
  // The answer begins before the request ends, and both go on side by side.
  wire.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + Chunk("uno"));
  ASSERT_TRUE(Wait([&] { return client.received.ends_with("3\r\nuno\r\n"); }));
  client.Send(Chunk("three") + "0\r\n\r\n");
  Arrived("5\r\nthree\r\n0\r\n\r\n");
  wire.Send(Chunk("due") + "0\r\n\r\n");
  EXPECT_EQ(Next(client).body, "unodue");
  wire.received.clear();
  client.Send(kGet);
  Arrived("\r\n\r\n");
  EXPECT_EQ(server().wires().size(), 1u) << "both connections are as good as before";
  wire.Send(Answer(200, ""));
  EXPECT_EQ(Next(client).status(), 200);
}

TEST_F(BodiesTest, TrailersGoThroughBothWays) {
  server().on_request = [](Wire& wire, const Message&) {
    wire.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n" + Chunk("body") + "0\r\nx-sum: 7\r\n\r\n");
  };
  Publish();
  Client& client = Connect();
  client.Send(kChunkedPost + Chunk("data") + "0\r\nx-check: 42\r\n\r\n");
  const Message answer = Next(client);
  EXPECT_EQ(answer.body, "body");
  EXPECT_THAT(answer.trailers, ElementsAre(Pair("x-sum", "7")));
  ASSERT_EQ(server().requests.size(), 1u);
  EXPECT_EQ(server().requests[0].body, "data");
  EXPECT_THAT(server().requests[0].trailers, ElementsAre(Pair("x-check", "42")));
}

// ---------------------------------------------------------------- no body

TEST_F(BodiesTest, ARequestWithoutBodyStaysOne) {
  Publish();
  EXPECT_EQ(Fetch(kGet).status(), 200);
  EXPECT_EQ(Fetch("DELETE / HTTP/1.1\r\nHost: orders\r\n\r\n").status(), 200);
  EXPECT_EQ(Fetch("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 0\r\n\r\n").status(), 200);
  ASSERT_EQ(server().requests.size(), 3u);
  EXPECT_FALSE(server().requests[0].Has("content-length"));
  EXPECT_FALSE(server().requests[0].chunked);
  EXPECT_FALSE(server().requests[1].chunked);
  EXPECT_EQ(server().requests[2].Get("content-length"), "0");
}

TEST_F(BodiesTest, TheAnswerToHeadHasALengthAndNoBody) {
  server().on_request = [](Wire& wire, const Message& request) {
    wire.Send(request.method() == "HEAD" ? "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" : Answer(200, "ok"));
  };
  Publish();
  Client& client = Connect();
  client.Send(std::string("HEAD / HTTP/1.1\r\nHost: orders\r\n\r\n") + kGet);
  EXPECT_EQ(Next(client, /*head_only=*/true).Get("content-length"), "1000");
  EXPECT_EQ(Next(client).body, "ok") << "what follows is the next answer";
  EXPECT_EQ(server().wires().size(), 1u);
}

TEST_F(BodiesTest, NoContentAndNotModifiedEndWithTheirHead) {
  int status = 204;
  server().on_request = [&](Wire& wire, const Message&) {
    wire.Send("HTTP/1.1 " + std::to_string(status) + " X\r\netag: \"1\"\r\n" + (status == 304 ? "Content-Length: 5\r\n" : "") + "\r\n");
  };
  Publish();
  Client& client = Connect();
  for (const int s : {204, 304, 204}) {
    status = s;
    client.Send(kGet);
    const Message answer = Next(client, /*head_only=*/true);
    EXPECT_EQ(answer.status(), s);
    EXPECT_EQ(answer.Get("content-length"), s == 304 ? "5" : "(none)");
    EXPECT_FALSE(answer.chunked);
  }
  EXPECT_EQ(server().wires().size(), 1u);
}

TEST_F(BodiesTest, AnUpgradeThatIsNotPassedOnIsAnOrdinaryRequest) {
  Publish();
  Client& client = Connect();
  client.Send(std::string("GET / HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade\r\nUpgrade: IRC/6.9\r\n\r\n") + kGet);
  EXPECT_EQ(Next(client).status(), 200);
  EXPECT_EQ(Next(client).status(), 200);
  EXPECT_FALSE(server().requests[0].Has("upgrade"));
  EXPECT_FALSE(server().requests[0].chunked);
}

TEST_F(BodiesTest, AWebSocketIsATunnelWithHalfCloses) {
  server().on_request = nullptr;
  Publish();
  Client& client = Connect();
  client.Send("GET /chat HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  Wire& wire = Arrived("\r\n\r\n");
  EXPECT_THAT(wire.received, HasSubstr("Upgrade: websocket\r\n"));
  wire.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi");
  ASSERT_TRUE(Wait([&] { return client.received.ends_with("\r\n\r\nhi"); }));
  client.Send("from client");
  Arrived("from client");
  client.Finish();
  ASSERT_TRUE(Wait([&] { return wire.eof; }));
  wire.Send("last words");
  wire.Finish();
  ASSERT_TRUE(Wait([&] { return client.eof; }));
  EXPECT_THAT(client.received, EndsWith("hilast words"));
  EXPECT_EQ(last_record().status, 101);
}

TEST_F(BodiesTest, AWebSocketIsHalfClosedByTheServerToo) {
  server().on_request = nullptr;
  Publish();
  Client& client = Connect();
  client.Send("GET /chat HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  Wire& wire = Arrived("\r\n\r\n");
  wire.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbye");
  wire.Finish();
  ASSERT_TRUE(Wait([&] { return client.eof; }));
  EXPECT_THAT(client.received, EndsWith("\r\n\r\nbye"));
  client.Send("one more thing");
  Arrived("one more thing");
  client.Finish();
  ASSERT_TRUE(Wait([&] { return wire.eof; }));
  EXPECT_EQ(last_record().flags, "-");
}

TEST_F(BodiesTest, AWebSocketEndsWithItsClient) {
  server().on_request = nullptr;
  Publish();
  Client& client = Connect();
  client.Send("GET /chat HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  Wire& wire = Arrived("\r\n\r\n");
  wire.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  ASSERT_TRUE(Wait([&] { return client.received.ends_with("\r\n\r\n"); }));
  client.Abort();
  EXPECT_TRUE(Wait([&] { return wire.over(); }));
}

// ---------------------------------------------------------------- 100-continue

TEST_F(BodiesTest, AnExpectationIsTheServersToMeet) {
  server().on_request = nullptr;
  Publish();
  Client& client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: orders\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  Wire& wire = Arrived("\r\n\r\n");
  EXPECT_THAT(wire.received, HasSubstr("Expect: 100-continue\r\n"));
  world.RunFor(5s);
  EXPECT_EQ(client.received, "") << "nobody but the server may say go on";
  wire.Send("HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(Next(client).status(), 100);
  client.Send("body");
  Arrived("\r\n\r\nbody");
  wire.Send(Answer(201, ""));
  const Message answer = Next(client);
  EXPECT_EQ(answer.status(), 201);
  EXPECT_FALSE(answer.Has("connection"));
}

TEST_F(BodiesTest, ARefusedExpectationClosesTheConnectionAndSendsNoBody) {
  server().on_request = nullptr;
  Publish();
  Client& client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: orders\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  Arrived("\r\n\r\n").Send(Answer(417, "no"));
  const Message answer = Next(client);
  EXPECT_EQ(answer.status(), 417);
  EXPECT_EQ(answer.Get("connection"), "close") << "whether the body follows is unknown";
  EXPECT_TRUE(Wait([&] { return client.eof; }));
}

TEST_F(BodiesTest, ALocalAnswerToAnExpectationComesWithoutContinue) {
  Publish();
  Client& client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: nobody\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  const Message answer = Next(client);
  EXPECT_EQ(answer.status(), 404);
  EXPECT_EQ(answer.Get("connection"), "close");
}

TEST_F(BodiesTest, EarlyHintsGoThrough) {
  server().on_request = [](Wire& wire, const Message&) {
    wire.Send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + Answer(200, "ok"));
  };
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  const Message hints = Next(client);
  EXPECT_EQ(hints.status(), 103);
  EXPECT_EQ(hints.Get("link"), "</a.css>");
  EXPECT_EQ(Next(client).body, "ok");
}

// ---------------------------------------------------------------- early answers

TEST_F(BodiesTest, AnEarlyAnswerIsPassedOnWhileTheBodyIsStillSent) {
  server().on_request = nullptr;
  Publish();
  Client& client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 300000\r\n\r\n" + Pattern(1000));
  ASSERT_TRUE(Wait([&] { return !server().wires().empty() && server().last().total > 1000; }));
  server().last().Send(Answer(413, "too much"));
  EXPECT_EQ(Next(client).body, "too much");
  // The rest of the body concerns nobody; the connection to the client does.
  client.Send(Pattern(299000));
  server().on_request = [](Wire& wire, const Message&) { wire.Send(Answer(200, "next")); };
  client.Send(kGet);
  EXPECT_EQ(Next(client).body, "next");
  EXPECT_EQ(server().wires().size(), 2u) << "a connection with half a body on it is not used again";
}

TEST_F(BodiesTest, AnEarlyAnswerBeforeTheConnectionEndsIsNotLost) {
  server().on_request = nullptr;
  Publish();
  Client& client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 300000\r\n\r\n" + Pattern(1000));
  ASSERT_TRUE(Wait([&] { return !server().wires().empty() && server().last().total > 1000; }));
  server().last().Send(Answer(413, "too much", "Connection: close\r\n"));
  server().last().Finish();
  EXPECT_EQ(Next(client).body, "too much");
  EXPECT_FALSE(client.over());
}

TEST_F(BodiesTest, WhatFollowsAnEarlyAnswerOnItsConnectionDoesNotTouchTheClient) {
  server().on_request = nullptr;
  Publish();
  Client& client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 300000\r\n\r\n" + Pattern(1000));
  ASSERT_TRUE(Wait([&] { return !server().wires().empty() && server().last().total > 1000; }));
  server().last().Send(Answer(413, "too much") + "HTTP/1.1 200 OK\r\n\r\nstray");
  EXPECT_EQ(Next(client).body, "too much");
  client.Send(Pattern(299000));
  world.RunFor(1s);
  EXPECT_FALSE(client.over());
  EXPECT_EQ(client.received, "");
}

// ---------------------------------------------------------------- answers cut short

TEST_F(BodiesTest, ACutAnswerIsCutForTheClientToo) {
  server().on_request = [](Wire& wire, const Message&) {
    wire.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    wire.Finish();
  };
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  ASSERT_TRUE(Wait([&] { return client.over(); }));
  EXPECT_EQ(client.error.code, ErrorCode::kReset);
  EXPECT_EQ(last_record().status, 200);
  EXPECT_EQ(last_record().flags, "UC");
}

TEST_F(BodiesTest, ACutChunkedAnswerNeverLooksWhole) {
  server().on_request = [](Wire& wire, const Message&) {
    wire.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + Chunk("half"));
    wire.Finish();
  };
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  ASSERT_TRUE(Wait([&] { return client.over(); }));
  EXPECT_EQ(client.error.code, ErrorCode::kReset);
  EXPECT_THAT(client.received, Not(HasSubstr("0\r\n\r\n")));
}

}  // namespace
}  // namespace outrigger::exchange
