// Bodies that do not move as fast as they might: back-pressure from end to end bounds what is held, and the idle timeout ends what stands
// still.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/shard/hop.h"

namespace outrigger::exchange {
namespace {

using ::testing::HasSubstr;
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

class FlowTest : public shardtest::HopTest {
 protected:
  explicit FlowTest(sim::Faults faults = sim::Faults::None()) : HopTest(kOutbound, faults) { AddServer("orders-1"); }
  // Waits for the first bytes of a request at the server.
  Wire& Arrived(std::string_view end) {
    EXPECT_TRUE(Wait([&] { return !server().wires().empty() && server().last().received.ends_with(end); }));
    return server().last();
  }
};

// ---------------------------------------------------------------- back-pressure

sim::Faults SmallKernels() {
  sim::Faults faults;
  faults.send_buffer_min = faults.send_buffer_max = 16 * 1024;
  faults.receive_buffer_min = faults.receive_buffer_max = 16 * 1024;
  return faults;
}

// What two connections' kernels hold, twice the mark (codec output and transport), and one read.
constexpr size_t kHeldAtMost = 4 * 16 * 1024 + 2 * 64 * 1024 + 64 * 1024;

class BackPressureTest : public FlowTest {
 protected:
  static size_t BodySize(const Wire& wire) {
    const size_t head = wire.received.find("\r\n\r\n");
    return head == std::string::npos ? 0 : wire.received.size() - head - 4;
  }
  BackPressureTest() : FlowTest(SmallKernels()) { server().on_request = nullptr; }
};

TEST_F(BackPressureTest, AClientThatDoesNotReadStallsTheServer) {
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  Wire& wire = Arrived("\r\n\r\n");
  client.Read(false);
  const std::string body = Pattern(4 << 20);
  wire.Send(Answer(200, body));
  world.RunFor(60s);
  const size_t taken = body.size() - wire.unsent();
  EXPECT_LT(taken, kHeldAtMost);
  EXPECT_GT(taken, 64u * 1024) << "it is not held back without need";
  client.Read(true);
  EXPECT_EQ(Next(client).body, body);
}

TEST_F(BackPressureTest, AServerThatDoesNotReadStallsTheClient) {
  Publish();
  Client& client = Connect();
  const std::string body = Pattern(4 << 20);
  client.Send("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n");
  Wire& wire = Arrived("\r\n\r\n");
  wire.Read(false);
  client.Send(body);
  world.RunFor(60s);
  const size_t taken = body.size() - client.unsent();
  EXPECT_LT(taken, kHeldAtMost);
  EXPECT_GT(taken, 64u * 1024);
  wire.Read(true);
  ASSERT_TRUE(Wait([&] { return BodySize(wire) == body.size(); }, 600s));
  EXPECT_TRUE(wire.received.ends_with(body));
  wire.Send(Answer(200, "thanks"));
  EXPECT_EQ(Next(client).body, "thanks");
}

TEST_F(BackPressureTest, AServerThatDoesNotAcceptStallsTheClientAtTheReplayBuffer) {
  cluster.connect_timeout = 120s;
  Publish();
  // The endpoint's machine is cut off: the connection is neither made nor refused.
  world.Partition(*world.machines()[1], *world.machines()[2]);
  Client& client = Connect();
  const std::string body = Pattern(4 << 20);
  client.Send("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  world.RunFor(30s);
  EXPECT_LT(body.size() - client.unsent(), 2u * 16 * 1024 + 2 * 64 * 1024);
  world.HealAll();
  ASSERT_TRUE(Wait([&] { return !server().wires().empty() && BodySize(server().last()) == body.size(); }, 600s));
  EXPECT_TRUE(server().last().received.ends_with(body));
  server().last().Send(Answer(200, "thanks"));
  EXPECT_EQ(Next(client).body, "thanks");
}

TEST_F(BackPressureTest, AClientThatGivesUpWhileStalledFreesTheServer) {
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  Wire& wire = Arrived("\r\n\r\n");
  client.Read(false);
  wire.Send(Answer(200, Pattern(4 << 20)));
  world.RunFor(10s);
  client.Abort();
  ASSERT_TRUE(Wait([&] { return wire.over(); }));
  EXPECT_EQ(caller.shard->active_requests(), 0);
  EXPECT_EQ(last_record().flags, "DC");
}

// ---------------------------------------------------------------- idle streams

class IdleStreamTest : public FlowTest {
 protected:
  IdleStreamTest() {
    server().on_request = nullptr;
    forward().idle_timeout = 10s;
  }
};

TEST_F(IdleStreamTest, IsAnswered504BeforeTheResponseHead) {
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  Arrived("\r\n\r\n");
  const Instant sent = world.now();
  const Message answer = Next(client);
  EXPECT_GE(world.now() - sent, 9900ms);
  EXPECT_EQ(answer.status(), 504);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "stream-idle-timeout");
  EXPECT_EQ(last_record().flags, "SI");
  EXPECT_TRUE(Wait([&] { return server().last().over(); })) << "the attempt is cancelled";
}

TEST_F(IdleStreamTest, IsAbortedAfterTheResponseHead) {
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  Arrived("\r\n\r\n").Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  ASSERT_TRUE(Wait([&] { return client.over(); }));
  EXPECT_EQ(client.error.code, ErrorCode::kReset);
  EXPECT_EQ(last_record().status, 200);
  EXPECT_EQ(last_record().flags, "SI");
}

TEST_F(IdleStreamTest, LivesAsLongAsBytesMoveEitherWay) {
  Publish();
  Client& client = Connect();
  client.Send(kChunkedPost);
  Wire& wire = Arrived("\r\n\r\n");
  for (int i = 0; i < 5; ++i) {
    world.RunFor(9s);
    client.Send(Chunk("x"));
  }
  world.RunFor(9s);
  wire.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 5; ++i) {
    wire.Send(Chunk("y"));
    world.RunFor(9s);
  }
  wire.Send("0\r\n\r\n");
  client.Send("0\r\n\r\n");
  EXPECT_EQ(Next(client).body, "yyyyy");
}

TEST_F(IdleStreamTest, MeansTheClientToo) {
  Publish();
  Client& client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 100\r\n\r\nhalf");
  const Message answer = Next(client);
  EXPECT_EQ(answer.status(), 504);
  EXPECT_THAT(answer.body, HasSubstr("the rest of the request did not come"));
}

TEST_F(IdleStreamTest, NoneWhenItIsZero) {
  forward().idle_timeout = {};
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  Wire& wire = Arrived("\r\n\r\n");
  world.RunFor(3000s);
  wire.Send(Answer(200, "at last"));
  EXPECT_EQ(Next(client).body, "at last");
}

}  // namespace
}  // namespace outrigger::exchange
