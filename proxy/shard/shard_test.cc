// Listening: which ports are bound, when, and how many connections are taken. What happens on them is tested in exchange/ and path/.
#include "proxy/shard/shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/shard/hop.h"

namespace outrigger::shard {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using shardtest::Client;

constexpr char kGet[] = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n";

class ShardTest : public shardtest::HopTest {
 protected:
  ShardTest() { AddServer("orders-1"); }
  // Publishes once more, with a listener `listen|PORT` whose requests all go to "orders".
  void PublishListenPort(uint16_t port) {
    Publish();
    config::Listener listener;
    listener.name = "listen|9001";
    listener.address = net::Address::Loopback(port);
    config::FilterChain chain;
    chain.name = "default";
    config::VirtualHost any{"any", {"*"}, {route}};
    chain.inline_routes.virtual_hosts = {any};
    listener.chains = {chain};
    ASSERT_EQ(caller.compiler->SetListener(listener), absl::OkStatus());
    caller.shard->Publish(caller.compiler->Build());
  }
  // A client beside the shard, on its own machine.
  Client& ConnectLocally(uint16_t port) {
    local_.push_back(std::make_unique<Client>(caller.loop, net::Address::Loopback(port)));
    return *local_.back();
  }
  void TearDown() override {
    local_.clear();
    HopTest::TearDown();
  }

 private:
  std::vector<std::unique_ptr<Client>> local_;
};

TEST_F(ShardTest, SaysWhatItListensOn) {
  Publish();
  EXPECT_THAT(caller.shard->stats().listeners, ElementsAre(Pair("outbound", options.outbound)));
  EXPECT_EQ(caller.shard->outbound_address(), options.outbound);
  EXPECT_EQ(caller.shard->inbound_address().family(), net::Address::Family::kNone);
}

TEST_F(ShardTest, APortInUseIsAnErrorWithASentence) {
  Publish();
  Shard second(caller.loop, options, {}, &caller.sink);
  const Outcome listening = second.Listen();
  ASSERT_FALSE(listening.ok());
  EXPECT_EQ(listening.error().code, ErrorCode::kIo);
  EXPECT_FALSE(listening.error().detail.empty());
}

TEST_F(ShardTest, AListenPortFixesTheServiceWhateverTheHost) {
  PublishListenPort(9001);
  Client& client = ConnectLocally(9001);
  client.Send("GET / HTTP/1.1\r\nHost: anything.example\r\n\r\n");
  EXPECT_EQ(Next(client).status(), 200);
  EXPECT_EQ(last_record().cluster, "orders");
}

TEST_F(ShardTest, AListenPortMovesWithItsConfigurationAndOpenConnectionsStay) {
  PublishListenPort(9001);
  Client& client = ConnectLocally(9001);
  client.Send(kGet);
  EXPECT_EQ(Next(client).status(), 200);
  PublishListenPort(9002);
  Client& refused = ConnectLocally(9001);
  ASSERT_TRUE(Wait([&] { return refused.over(); }));
  EXPECT_EQ(refused.error.code, ErrorCode::kConnectRefused);
  client.Send(kGet);
  EXPECT_EQ(Next(client).status(), 200);
  Client& moved = ConnectLocally(9002);
  moved.Send(kGet);
  EXPECT_EQ(Next(moved).status(), 200);
}

TEST_F(ShardTest, AListenPortGoesWithItsListener) {
  PublishListenPort(9001);
  caller.compiler->RemoveListener("listen|9001");
  caller.shard->Publish(caller.compiler->Build());
  Client& client = ConnectLocally(9001);
  ASSERT_TRUE(Wait([&] { return client.over(); }));
  EXPECT_EQ(client.error.code, ErrorCode::kConnectRefused);
}

TEST_F(ShardTest, AListenPortThatIsTakenIsToldAndServedOnceItIsFree) {
  Options holder_options = options;
  holder_options.outbound = net::Address::Loopback(9001);
  auto holder = std::make_unique<Shard>(caller.loop, holder_options, path::Self{}, &caller.sink);
  ASSERT_TRUE(holder->Listen());
  PublishListenPort(9001);
  ASSERT_TRUE(caller.shard->unbound().contains("listen|9001"));
  EXPECT_FALSE(caller.shard->unbound().at("listen|9001").empty());
  holder.reset();
  ASSERT_TRUE(Wait([&] { return caller.shard->unbound().empty(); }));
  Client& client = ConnectLocally(9001);
  client.Send(kGet);
  EXPECT_EQ(Next(client).status(), 200);
}

TEST_F(ShardTest, ConnectionsAboveTheLimitWaitForAPlace) {
  options.max_connections = 2;
  Publish();
  Client& one = Connect();
  Client& two = Connect();
  one.Send(kGet);
  two.Send(kGet);
  EXPECT_EQ(Next(one).status(), 200);
  EXPECT_EQ(Next(two).status(), 200);
  Client& three = Connect();
  three.Send(kGet);
  world.RunFor(5s);
  EXPECT_EQ(three.total, 0u);
  EXPECT_EQ(caller.shard->stats().connections_active, 2u);
  one.Close();
  EXPECT_EQ(Next(three).status(), 200);
}

TEST_F(ShardTest, CountsWhatHappened) {
  Publish();
  Client& client = Connect();
  for (int i = 0; i < 3; ++i) {
    client.Send(kGet);
    EXPECT_EQ(Next(client).status(), 200);
  }
  const Stats stats = caller.shard->stats();
  EXPECT_EQ(stats.connections_accepted, 1u);
  EXPECT_EQ(stats.connections_active, 1u);
  EXPECT_EQ(stats.requests_active, 0);
  EXPECT_EQ(stats.pool.requests, 3u);
  EXPECT_EQ(stats.upstream_open, 1u);
  ASSERT_EQ(stats.endpoints.size(), 1u);
  EXPECT_EQ(stats.endpoints[0].address, server().address());
  EXPECT_EQ(stats.endpoints[0].idle, 1u);
}

TEST_F(ShardTest, AConnectionThatComesWhileItDrainsIsServedOnce) {
  Publish();
  caller.shard->Drain(/*close_idle=*/true);
  Client& client = Connect();
  client.Send(kGet);
  const shardtest::Message answer = Next(client);
  EXPECT_EQ(answer.status(), 200);
  EXPECT_EQ(answer.Get("connection"), "close");
}

TEST_F(ShardTest, IsIdleOnceDrained) {
  Publish();
  Connect().Send(kGet);
  ASSERT_TRUE(Wait([&] { return !records().empty(); }));
  EXPECT_FALSE(caller.shard->idle());
  caller.shard->Drain(/*close_idle=*/true);
  EXPECT_TRUE(Wait([&] { return caller.shard->idle(); }));
}

}  // namespace
}  // namespace outrigger::shard
