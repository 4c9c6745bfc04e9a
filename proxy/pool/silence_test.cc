// Upstream machines that vanish without a word: cut cables, lost power. Nothing on the network says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "test/shard/hop.h"

namespace outrigger::pool {
namespace {

using shardtest::Client;
using shardtest::Message;
using shardtest::Server;

constexpr char kGet[] = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n";
constexpr char kPost[] = "POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 2\r\n\r\nhi";

class SilenceTest : public shardtest::HopTest {
 protected:
  SilenceTest() {
    forward().retry.max_retries = 2;
    forward().retry.on_connect_failure = true;
    forward().retry.on_reset = true;
  }
  // From here on nothing travels between the caller's sidecar and this server.
  void Cut(const std::string& server) {
    const auto& machines = world.machines();
    const auto is = [](const std::string& name) { return [name](const auto& machine) { return machine->name() == name; }; };
    const auto a = std::find_if(machines.begin(), machines.end(), is("caller"));
    const auto b = std::find_if(machines.begin(), machines.end(), is(server));
    ASSERT_TRUE(a != machines.end() && b != machines.end());
    world.Partition(**a, **b);
  }
};

TEST_F(SilenceTest, ARequestThatIsNotAcknowledgedIsSentToAnotherEndpoint) {
  AddServer("orders-1");
  Publish();
  ASSERT_EQ(Fetch(kGet).status(), 200);  // the connection is pooled
  Cut("orders-1");
  AddServer("orders-2");
  Publish();
  // Each may be sent to either.
  std::vector<Client*> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(&Connect());
    clients.back()->Send(kGet);
  }
  for (Client* client : clients) EXPECT_EQ(Next(*client).status(), 200);
  EXPECT_GT(endpoint_state(0)->requests.load(), 1u);  // orders-1 was tried
}

TEST_F(SilenceTest, AReaderThatStallsIsNotTakenForGone) {
  Server& server = AddServer("orders-1");
  server.on_request = nullptr;
  Publish();
  Client& client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 4000000\r\n\r\n");
  ASSERT_TRUE(Wait([&] { return server.open() == 1; }));
  server.last().Read(false);
  for (int i = 0; i < 40; ++i) client.Send(std::string(100'000, 'x'));
  world.RunFor(300s);
  EXPECT_TRUE(client.error.ok());
  server.last().Read(true);
  ASSERT_TRUE(Wait([&] { return server.last().total > 4'000'000; }));
  server.last().Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(Next(client).status(), 200);
}

TEST_F(SilenceTest, ARequestThatWasTakenEndsInDoubtWhenItMayNotRunTwice) {
  Server& server = AddServer("orders-1");
  server.on_request = nullptr;
  Publish();
  Client& client = Connect();
  client.Send(kPost);
  ASSERT_TRUE(Wait([&] { return !server.wires().empty() && server.last().total > 0; }));
  world.RunFor(1s);  // it is acknowledged
  Cut("orders-1");
  const Message answer = Next(client);
  EXPECT_EQ(answer.status(), 503);
  EXPECT_EQ(answer.Get("x-outrigger-receipt"), "forwarded");
  EXPECT_EQ(last_record().attempts, 1u);
}

}  // namespace
}  // namespace outrigger::pool
