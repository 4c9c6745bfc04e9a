// Clients whose machines vanish without a word while their answer is on the way.
#include <gtest/gtest.h>

#include <algorithm>

#include "test/shard/hop.h"

namespace outrigger::exchange {
namespace {

using shardtest::Client;
using shardtest::Server;

class SilenceTest : public shardtest::HopTest {
 protected:
  // A large answer of which the client has read the beginning.
  Client& Begin() {
    Server& server = AddServer("orders-1");
    server.on_request = nullptr;
    Publish();
    Client& client = Connect();
    client.Send("GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
    EXPECT_TRUE(Wait([&] { return server.open() == 1 && server.last().total > 0; }));
    server.last().Send("HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n" + std::string(100'000, 'x'));
    EXPECT_TRUE(Wait([&] { return client.total > 50'000; }));
    return client;
  }
  void SendMore() {
    for (int i = 0; i < 39; ++i) server().last().Send(std::string(100'000, 'x'));
  }
};

TEST_F(SilenceTest, ARequestWhoseClientAcknowledgesNothingEnds) {
  Begin();
  const auto& machines = world.machines();
  const auto named = [&](const std::string& name) {
    return std::find_if(machines.begin(), machines.end(), [&](const auto& machine) { return machine->name() == name; });
  };
  ASSERT_TRUE(named("caller") != machines.end() && named("client") != machines.end());
  world.Partition(**named("caller"), **named("client"));
  SendMore();
  ASSERT_TRUE(Wait([&] { return !records().empty(); }, 120s));
  EXPECT_EQ(caller.shard->stats().requests_active, 0u);
  EXPECT_EQ(caller.shard->stats().connections_active, 0u);
}

TEST_F(SilenceTest, AClientThatStallsIsNotTakenForGone) {
  Client& client = Begin();
  client.Read(false);
  SendMore();
  world.RunFor(300s);
  client.Read(true);
  ASSERT_TRUE(Wait([&] { return client.total > 4'000'000; }));
  EXPECT_TRUE(client.error.ok());
}

}  // namespace
}  // namespace outrigger::exchange
