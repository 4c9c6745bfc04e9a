// HTTP/1.1 at both ends, HTTP/2 between the sidecars: what the applications see must be the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/shard/hop.h"

namespace outrigger::exchange {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using shardtest::Answer;
using shardtest::Chunk;
using shardtest::Client;
using shardtest::Message;
using shardtest::Server;
using shardtest::Wire;

constexpr char kGet[] = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n";
constexpr char kPost[] = "POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 4\r\n\r\nbody";
constexpr char kChunkedPost[] = "POST / HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n";

class Http2HopTest : public shardtest::HopTest {
 protected:
  explicit Http2HopTest(sim::Faults faults = sim::Faults::None()) : HopTest(kPair, faults) {
    AddServer("orders-1");
    cluster.protocol = config::UpstreamProtocol::kHttp2;
  }
  const Message& seen() { return server().requests.back(); }
};

TEST_F(Http2HopTest, RequestsAndAnswersStayWhatTheyWere) {
  server().on_request = [](Wire& wire, const Message& request) { wire.Send(Answer(200, request.body, "x-answer: yes\r\n")); };
  Publish();
  EXPECT_EQ(Fetch(kGet).Get("content-length"), "0");
  EXPECT_EQ(seen().line, "GET / HTTP/1.1");
  EXPECT_EQ(seen().Get("host"), "orders");
  EXPECT_FALSE(seen().chunked) << "no body stays no body";
  EXPECT_FALSE(seen().Has("content-length"));
  const Message answer = Fetch(kPost);
  EXPECT_EQ(answer.body, "body");
  EXPECT_EQ(answer.Get("content-length"), "4");
  EXPECT_EQ(answer.Get("x-answer"), "yes");
  EXPECT_EQ(seen().Get("content-length"), "4");
  EXPECT_THAT(seen().Get("x-forwarded-client-cert"), HasSubstr("URI=" + authority->Id("default", "web")));
  EXPECT_TRUE(last_record().mutual_tls);
}

TEST_F(Http2HopTest, ManyRequestsShareOneConnection) {
  server().on_request = nullptr;
  Publish();
  std::vector<Client*> clients;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(&Connect());
    clients.back()->Send(kGet);
  }
  ASSERT_TRUE(Wait([&] {
    size_t heads = 0;
    for (const auto& wire : server().wires()) heads += wire->total > 0;
    return heads == 50;
  }));
  EXPECT_EQ(caller.shard->stats().pool.connections_opened, 1u);
  for (const auto& wire : server().wires()) wire->Send(Answer(200, "ok"));
  for (Client* client : clients) EXPECT_EQ(Next(*client).body, "ok");
}

TEST_F(Http2HopTest, MoreThanOneConnectionCarriesAreServedToo) {
  options.settings.limits.max_streams = 8;
  options.pool.limits.max_streams = 8;
  // The first requests go out before the peer has said how many it takes at a time; what is too much is refused unread.
  forward().retry.max_retries = 2;
  forward().retry.on_refused = true;
  Publish();
  std::vector<Client*> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(&Connect());
    clients.back()->Send(kGet);
  }
  for (Client* client : clients) EXPECT_EQ(Next(*client).status(), 200);
  EXPECT_EQ(server().requests.size(), 40u);
}

TEST_F(Http2HopTest, BodiesAndTrailersGoThrough) {
  server().on_request = [](Wire& wire, const Message& request) {
    wire.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + Chunk(request.body) + "0\r\nx-sum: 7\r\n\r\n");
  };
  Publish();
  const std::string body(3'000'000, 'b');
  const Message answer = Fetch(kChunkedPost + Chunk(body) + "0\r\nx-check: 1\r\n\r\n");
  EXPECT_EQ(answer.body, body);
  EXPECT_THAT(answer.trailers, ElementsAre(Pair("x-sum", "7")));
  EXPECT_EQ(seen().body, body);
  EXPECT_THAT(seen().trailers, ElementsAre(Pair("x-check", "1")));
}

TEST_F(Http2HopTest, HeadAndNoContentHaveNoBody) {
  server().on_request = [](Wire& wire, const Message& request) {
    wire.Send(request.method() == "HEAD" ? "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" : "HTTP/1.1 204 No Content\r\n\r\n");
  };
  Publish();
  Client& client = Connect();
  client.Send(std::string("HEAD / HTTP/1.1\r\nHost: orders\r\n\r\n") + kGet);
  EXPECT_EQ(Next(client, /*head_only=*/true).Get("content-length"), "1000");
  EXPECT_EQ(Next(client).status(), 204);
  EXPECT_FALSE(client.over());
}

TEST_F(Http2HopTest, AnExpectationCrossesTheHop) {
  server().on_request = nullptr;
  Publish();
  Client& client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: orders\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  ASSERT_TRUE(Wait([&] { return !server().wires().empty() && server().last().received.ends_with("\r\n\r\n"); }));
  EXPECT_THAT(server().last().received, HasSubstr("Expect: 100-continue\r\n"));
  server().last().Send("HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(Next(client).status(), 100);
  client.Send("body");
  ASSERT_TRUE(Wait([&] { return server().last().received.ends_with("body"); }));
  server().last().Send(Answer(201, ""));
  EXPECT_EQ(Next(client).status(), 201);
}

TEST_F(Http2HopTest, AnAbortedClientCancelsItsStreamOnly) {
  server().on_request = nullptr;
  Publish();
  Client& first = Connect();
  Client& second = Connect();
  first.Send(kPost);
  second.Send(kGet);
  ASSERT_TRUE(Wait([&] { return server().wires().size() == 2 && server().wires()[0]->total > 0 && server().wires()[1]->total > 0; }));
  first.Abort();
  ASSERT_TRUE(Wait([&] { return server().open() == 1; }));
  for (const auto& wire : server().wires()) {
    if (!wire->over()) wire->Send(Answer(200, "still here"));
  }
  EXPECT_EQ(Next(second).body, "still here");
  EXPECT_EQ(caller.shard->stats().pool.connections_opened, 1u);
}

TEST_F(Http2HopTest, ACutAnswerIsCutForTheClient) {
  server().on_request = [](Wire& wire, const Message&) { wire.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"); };
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  ASSERT_TRUE(Wait([&] { return client.received.ends_with("half"); }));
  server().last().Finish();
  ASSERT_TRUE(Wait([&] { return client.over(); }));
  EXPECT_EQ(client.error.code, ErrorCode::kReset);
}

TEST_F(Http2HopTest, ADrainingCalleeLosesNothing) {
  server().on_request = [&](Wire& wire, const Message&) { world.After(100ms, [&wire] { wire.Send(Answer(200, "ok")); }); };
  Publish();
  std::vector<Client*> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(&Connect());
    clients.back()->Send(kGet);
  }
  ASSERT_TRUE(Wait([&] { return server().requests.size() == 10; }));
  callee.shard->Drain(/*close_idle=*/true);
  for (Client* client : clients) EXPECT_EQ(Next(*client).body, "ok");
  EXPECT_TRUE(Wait([&] { return callee.shard->idle(); }));
}

TEST_F(Http2HopTest, AFailedHandshakeFailsAllWhoWaitedForIt) {
  endpoints.endpoints[0].identity = authority->Id("default", "somebody-else");
  Publish();
  std::vector<Client*> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(&Connect());
    clients.back()->Send(kPost);
  }
  for (Client* client : clients) {
    const Message answer = Next(*client);
    EXPECT_EQ(answer.Get("x-outrigger-reason"), "tls-failed");
    EXPECT_EQ(answer.Get("x-outrigger-receipt"), "not-forwarded");
  }
  EXPECT_TRUE(server().requests.empty());
}

sim::Faults SmallKernels() {
  sim::Faults faults;
  faults.send_buffer_min = faults.send_buffer_max = 16 * 1024;
  faults.receive_buffer_min = faults.receive_buffer_max = 16 * 1024;
  return faults;
}

class Http2FlowTest : public Http2HopTest {
 protected:
  Http2FlowTest() : Http2HopTest(SmallKernels()) { server().on_request = nullptr; }
};

TEST_F(Http2FlowTest, ASlowReaderDoesNotHoldUpItsNeighbours) {
  Publish();
  Client& slow = Connect();
  slow.Send(kGet);
  ASSERT_TRUE(Wait([&] { return !server().wires().empty() && server().last().total > 0; }));
  slow.Read(false);
  Wire& wire = server().last();
  const std::string body(4 << 20, 's');
  wire.Send(Answer(200, body));
  world.RunFor(30s);
  EXPECT_LT(body.size() - wire.unsent(), 700u * 1024) << "three connections' kernels, and each sidecar's marks and window";
  server().on_request = [](Wire& w, const Message&) { w.Send(Answer(200, "quick")); };
  EXPECT_EQ(Fetch(kGet).body, "quick");
  slow.Read(true);
  EXPECT_EQ(Next(slow).body, body);
}

TEST_F(Http2FlowTest, AServerThatDoesNotReadStallsItsClientOnly) {
  Publish();
  Client& client = Connect();
  const std::string body(4 << 20, 's');
  client.Send("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n");
  ASSERT_TRUE(Wait([&] { return !server().wires().empty() && server().last().total > 0; }));
  Wire& wire = server().last();
  wire.Read(false);
  client.Send(body);
  world.RunFor(30s);
  EXPECT_LT(body.size() - client.unsent(), 700u * 1024);
  server().on_request = [](Wire& w, const Message&) { w.Send(Answer(200, "quick")); };
  EXPECT_EQ(Fetch(kGet).body, "quick");
  wire.Read(true);
  EXPECT_EQ(Next(client).status(), 200);
  EXPECT_EQ(server().requests.back().body.size() + server().requests.front().body.size(), body.size());
}

}  // namespace
}  // namespace outrigger::exchange
