// What a worker does before its first configuration: a sidecar that restarts must not turn away what it will serve in a moment.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/shard/hop.h"

namespace outrigger::shard {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using shardtest::Client;
using shardtest::Message;

constexpr char kGet[] = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n";

class PatienceTest : public shardtest::HopTest {
 protected:
  PatienceTest() { AddServer("orders-1"); }
  void ListenUnconfigured() {
    caller.shard = std::make_unique<Shard>(caller.loop, options, path::Self{}, &caller.sink);
    ASSERT_TRUE(caller.shard->Listen().ok());
  }
};

TEST_F(PatienceTest, AConnectionBeforeTheConfigurationWaitsForIt) {
  ListenUnconfigured();
  Client& client = Connect();
  client.Send(kGet);
  world.RunFor(2s);
  EXPECT_THAT(client.received, IsEmpty());
  EXPECT_TRUE(client.error.ok());
  EXPECT_EQ(caller.shard->stats().connections_accepted, 0u);
  Publish();
  EXPECT_EQ(Next(client).status(), 200);
}

TEST_F(PatienceTest, AConfigurationWithoutRoutesIsStillNone) {
  ListenUnconfigured();
  config::Listener listener;
  listener.name = "outbound";
  listener.chains.emplace_back();
  listener.chains.back().route_table = "outbound";
  ASSERT_EQ(caller.compiler->SetListener(listener), absl::OkStatus());
  caller.shard->Publish(caller.compiler->Build());
  Client& client = Connect();
  client.Send(kGet);
  world.RunFor(2s);
  EXPECT_THAT(client.received, IsEmpty());
  Publish();
  EXPECT_EQ(Next(client).status(), 200);
}

TEST_F(PatienceTest, WhenNoneComesTheClientHearsThat) {
  ListenUnconfigured();
  Client& client = Connect();
  client.Send(kGet);
  world.RunFor(4s);
  EXPECT_THAT(client.received, IsEmpty());
  const Message answer = Next(client);
  EXPECT_EQ(answer.status(), 503);
  EXPECT_THAT(answer.body, HasSubstr("no configuration"));
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "not-configured");
  EXPECT_EQ(answer.Get("x-outrigger-receipt"), "not-forwarded");
}

}  // namespace
}  // namespace outrigger::shard
