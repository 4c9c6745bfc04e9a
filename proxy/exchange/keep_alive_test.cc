// Connections on both sides: reused, pipelined, half-closed, closed, drained; and HTTP/1.0 clients.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/shard/hop.h"

namespace outrigger::exchange {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using shardtest::Answer;
using shardtest::Client;
using shardtest::Message;
using shardtest::Server;
using shardtest::Wire;

constexpr char kGet[] = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n";

class KeepAliveTest : public shardtest::HopTest {
 protected:
  KeepAliveTest() { AddServer("orders-1"); }
};

TEST_F(KeepAliveTest, BothSidesCarryOneRequestAfterAnother) {
  Publish();
  Client& client = Connect();
  for (int i = 1; i <= 5; ++i) {
    client.Send(kGet);
    const Message answer = Next(client);
    EXPECT_EQ(answer.status(), 200);
    EXPECT_EQ(answer.body, "answer " + std::to_string(i));
    EXPECT_FALSE(answer.Has("connection"));
  }
  EXPECT_EQ(server().wires().size(), 1u);
  EXPECT_EQ(caller.shard->stats().pool.connections_opened, 1u);
  EXPECT_EQ(caller.shard->stats().pool.requests_reused, 4u);
}

TEST_F(KeepAliveTest, ConnectionsToServersAreSharedByClients) {
  Publish();
  EXPECT_EQ(Fetch(kGet).status(), 200);
  EXPECT_EQ(Fetch(kGet).status(), 200);
  EXPECT_EQ(server().wires().size(), 1u);
}

TEST_F(KeepAliveTest, RequestsAtTheSameTimeHaveConnectionsOfTheirOwn) {
  server().on_request = nullptr;
  Publish();
  Client& one = Connect();
  Client& two = Connect();
  one.Send(kGet);
  two.Send(kGet);
  ASSERT_TRUE(Wait([&] { return server().wires().size() == 2 && server().wires()[1]->total > 0 && server().wires()[0]->total > 0; }));
  server().wires()[1]->Send(Answer(200, "second"));
  server().wires()[0]->Send(Answer(200, "first"));
  // Which of the two connected first is for the network to say.
  const std::string bodies = Next(one).body + " " + Next(two).body;
  EXPECT_TRUE(bodies == "first second" || bodies == "second first") << bodies;
}

TEST_F(KeepAliveTest, PipelinedRequestsAreAnsweredInTheirOrderOneAtATime) {
  std::vector<std::string> seen;
  int at_once = 0, most = 0;
  server().on_request = [&](Wire& wire, const Message& request) {
    seen.push_back(request.target());
    most = std::max(most, ++at_once);
    // Later requests would be answered sooner.
    world.After(100ms - 20ms * static_cast<int>(seen.size()), [&, target = request.target()] {
      --at_once;
      wire.Send(Answer(200, target));
    });
  };
  Publish();
  Client& client = Connect();
  std::string requests;
  for (const char* path : {"/1", "/2", "/3", "/4"}) requests += "GET " + std::string(path) + " HTTP/1.1\r\nHost: orders\r\n\r\n";
  client.Send(requests);
  for (const char* path : {"/1", "/2", "/3", "/4"}) EXPECT_EQ(Next(client).body, path);
  EXPECT_THAT(seen, ::testing::ElementsAre("/1", "/2", "/3", "/4"));
  EXPECT_EQ(most, 1);
}

TEST_F(KeepAliveTest, APipelinedRequestWithABodyComesWhole) {
  Publish();
  Client& client = Connect();
  client.Send("POST /a HTTP/1.1\r\nHost: orders\r\nContent-Length: 5\r\n\r\nhello"
              "POST /b HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\n\r\n"
              "GET /c HTTP/1.1\r\nHost: orders\r\n\r\n");
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(Next(client).status(), 200);
  ASSERT_EQ(server().requests.size(), 3u);
  EXPECT_EQ(server().requests[0].body, "hello");
  EXPECT_EQ(server().requests[1].body, "world");
  EXPECT_EQ(server().requests[2].target(), "/c");
}

TEST_F(KeepAliveTest, AClientThatPipelinesWithoutEndIsNotReadWithoutEnd) {
  server().on_request = nullptr;
  Publish();
  Client& client = Connect();
  std::string request = "GET / HTTP/1.1\r\nHost: orders\r\nx: " + std::string(1000, 'x') + "\r\n\r\n";
  std::string many;
  for (int i = 0; i < 4000; ++i) many += request;
  client.Send(many);
  world.RunFor(10s);
  // Two kernels hold 256 KiB each; the proxy one buffer above the mark and one read.
  EXPECT_GT(client.unsent(), many.size() - 2 * 256 * 1024 - 3 * 64 * 1024);
  EXPECT_EQ(server().wires().size(), 1u);
  client.Abort();
  server().last().Close();  // while its client is not read, nobody sees it go: the answer's end tells
}

TEST_F(KeepAliveTest, WhatAClientSentBeforeItsFinIsAnswered) {
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  client.Finish();
  EXPECT_EQ(Next(client).status(), 200);
  EXPECT_TRUE(Wait([&] { return client.eof; }));
}

TEST_F(KeepAliveTest, PipelinedRequestsBeforeAFinAreAllAnswered) {
  Publish();
  Client& client = Connect();
  client.Send(std::string(kGet) + kGet + kGet);
  client.Finish();
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(Next(client).body, "answer " + std::to_string(i));
  EXPECT_TRUE(Wait([&] { return client.eof; }));
}

TEST_F(KeepAliveTest, AFinInsideARequestBodyCancelsTheRequest) {
  server().on_request = nullptr;
  Publish();
  Client& client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 100\r\n\r\nhello");
  ASSERT_TRUE(Wait([&] { return server().wires().size() == 1 && server().last().received.ends_with("hello"); }));
  client.Finish();
  ASSERT_TRUE(Wait([&] { return server().last().over(); }));
  EXPECT_EQ(server().last().error.code, ErrorCode::kReset) << "a FIN could make the server take half a body for a whole one";
  ASSERT_EQ(records().size(), 1u);
  EXPECT_EQ(last_record().status, 0);
  EXPECT_THAT(last_record().flags, HasSubstr("DC"));
}

TEST_F(KeepAliveTest, AClientThatGoesAwayCancelsItsRequest) {
  server().on_request = nullptr;
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  ASSERT_TRUE(Wait([&] { return server().wires().size() == 1 && server().last().total > 0; }));
  client.Abort();
  ASSERT_TRUE(Wait([&] { return server().last().over(); }));
  EXPECT_EQ(caller.shard->active_requests(), 0);
  EXPECT_EQ(last_record().flags, "DC");
  EXPECT_EQ(endpoint_state(0)->active.load(), 0);
  EXPECT_EQ(endpoint_state(0)->standing(world.now()), balance::EndpointState::Standing::kGood) << "not the endpoint's fault";
}

TEST_F(KeepAliveTest, ConnectionCloseOfTheClientIsHonoured) {
  Publish();
  Client& client = Connect();
  client.Send("GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(Next(client).Get("connection"), "close");
  EXPECT_TRUE(Wait([&] { return client.eof; }));
  EXPECT_EQ(server().open(), 1u) << "the server's connection is another matter";
}

TEST_F(KeepAliveTest, ConnectionCloseOfTheServerIsItsOwnMatter) {
  server().on_request = [](Wire& wire, const Message&) {
    wire.Send(Answer(200, "bye", "Connection: close\r\n"));
    wire.Finish();
  };
  Publish();
  Client& client = Connect();
  for (int i = 0; i < 3; ++i) {
    client.Send(kGet);
    const Message answer = Next(client);
    EXPECT_EQ(answer.body, "bye");
    EXPECT_FALSE(answer.Has("connection"));
  }
  EXPECT_EQ(server().wires().size(), 3u);
}

TEST_F(KeepAliveTest, AnAnswerThatEndsWithTheConnectionIsChunkedForTheClient) {
  server().on_request = [](Wire& wire, const Message&) {
    wire.Send("HTTP/1.1 200 OK\r\n\r\nno length");
    wire.Finish();
  };
  Publish();
  Client& client = Connect();
  for (int i = 0; i < 2; ++i) {
    client.Send(kGet);
    const Message answer = Next(client);
    EXPECT_TRUE(answer.chunked);
    EXPECT_EQ(answer.body, "no length");
  }
}

TEST_F(KeepAliveTest, AnswersOfHttp10ServersAreTranslated) {
  server().on_request = [](Wire& wire, const Message&) {
    wire.Send("HTTP/1.0 200 OK\r\n\r\nold");
    wire.Finish();
  };
  Publish();
  const Message answer = Fetch(kGet);
  EXPECT_EQ(answer.line, "HTTP/1.1 200 OK");
  EXPECT_EQ(answer.body, "old");
}

// ---------------------------------------------------------------- HTTP/1.0

TEST_F(KeepAliveTest, AnHttp10ClientIsAnsweredAndTheConnectionClosed) {
  Publish();
  Client& client = Connect();
  client.Send("GET / HTTP/1.0\r\nHost: orders\r\n\r\n");
  const Message answer = Next(client);
  EXPECT_EQ(answer.status(), 200);
  EXPECT_EQ(answer.Get("connection"), "close");
  EXPECT_TRUE(Wait([&] { return client.eof; }));
}

TEST_F(KeepAliveTest, AnHttp10ClientMayAskToKeepTheConnection) {
  Publish();
  Client& client = Connect();
  for (int i = 0; i < 3; ++i) {
    client.Send("GET / HTTP/1.0\r\nHost: orders\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(Next(client).Get("connection"), "keep-alive");
  }
  EXPECT_FALSE(client.over());
}

TEST_F(KeepAliveTest, AnHttp10ClientGetsNoChunks) {
  server().on_request = [](Wire& wire, const Message&) {
    wire.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-t: 1\r\n\r\n");
  };
  Publish();
  Client& client = Connect();
  client.Send("GET / HTTP/1.0\r\nHost: orders\r\nConnection: keep-alive\r\n\r\n");
  ASSERT_TRUE(Wait([&] { return client.eof; }));
  EXPECT_THAT(client.received, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(client.received, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(client.received, ::testing::EndsWith("\r\n\r\nhello"));
  EXPECT_THAT(client.received, Not(HasSubstr("ransfer-")));
}

TEST_F(KeepAliveTest, AnHttp10ClientWithoutHostIsTold) {
  Publish();
  const Message answer = Fetch("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(answer.status(), 400);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "no-host");
}

// ---------------------------------------------------------------- the end of connections

TEST_F(KeepAliveTest, IdleClientsAreClosedAfterTheIdleTimeout) {
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  EXPECT_EQ(Next(client).status(), 200);
  world.RunFor(3590s);
  EXPECT_FALSE(client.over());
  world.RunFor(20s);
  EXPECT_TRUE(client.eof);
}

TEST_F(KeepAliveTest, IdleServerConnectionsAreClosedAfterTheClustersIdleTimeout) {
  cluster.idle_timeout = 7s;
  Publish();
  EXPECT_EQ(Fetch(kGet).status(), 200);
  world.RunFor(6s);
  EXPECT_EQ(server().open(), 1u);
  world.RunFor(2s);
  EXPECT_EQ(server().open(), 0u);
}

TEST_F(KeepAliveTest, AServersKeepAliveTimeoutIsBelievedWithASecondToSpare) {
  server().on_request = [](Wire& wire, const Message&) { wire.Send(Answer(200, "", "Keep-Alive: timeout=5\r\n")); };
  Publish();
  EXPECT_EQ(Fetch(kGet).status(), 200);
  world.RunFor(3900ms);
  EXPECT_EQ(server().open(), 1u);
  world.RunFor(300ms);
  EXPECT_EQ(server().open(), 0u);
}

TEST_F(KeepAliveTest, DrainingSaysCloseWithTheAnswerUnderWayAndLosesNothing) {
  server().on_request = nullptr;
  Publish();
  Client& busy = Connect();
  Client& idle = Connect();
  busy.Send(kGet);
  ASSERT_TRUE(Wait([&] { return server().wires().size() == 1 && server().last().total > 0; }));
  caller.shard->Drain(/*close_idle=*/true);
  EXPECT_TRUE(Wait([&] { return idle.eof; }));
  EXPECT_FALSE(busy.over());
  server().last().Send(Answer(200, "last"));
  const Message answer = Next(busy);
  EXPECT_EQ(answer.body, "last");
  EXPECT_EQ(answer.Get("connection"), "close");
  EXPECT_TRUE(Wait([&] { return busy.eof && caller.shard->idle(); }));
}

TEST_F(KeepAliveTest, DrainingWithoutHasteAnswersWhatComesOnOpenConnections) {
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  EXPECT_FALSE(Next(client).Has("connection"));
  caller.shard->Drain(/*close_idle=*/false);
  world.RunFor(1s);
  EXPECT_FALSE(client.over());
  client.Send(kGet);
  EXPECT_EQ(Next(client).Get("connection"), "close");
  EXPECT_TRUE(Wait([&] { return client.eof; }));
}

TEST_F(KeepAliveTest, AShardMayEndInTheMiddleOfEverything) {
  server().on_request = nullptr;
  Publish();
  Client& client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 100\r\n\r\nhello");
  Connect().Send("GET / HT");
  ASSERT_TRUE(Wait([&] { return server().wires().size() == 1 && server().last().total > 0; }));
  caller.shard.reset();
  EXPECT_TRUE(Wait([&] { return client.over() && server().last().over(); }));
}

}  // namespace
}  // namespace outrigger::exchange
