#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test/shard/hop.h"

namespace outrigger::shardtest {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class PoolTest : public HopTest {};

TEST_F(PoolTest, ForgetsAnEndpointWhoseLastConnectionHasEnded) {
  Server& server = AddServer("orders-1");
  cluster.idle_timeout = 7s;
  Publish();
  Client& client = Connect();
  client.Send("GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
  EXPECT_EQ(Next(client).status(), 200);
  EXPECT_THAT(caller.shard->stats().endpoints, SizeIs(1));
  world.RunFor(8s);
  EXPECT_THAT(caller.shard->stats().endpoints, IsEmpty()) << "or proxies grow as endpoints come and go";
  client.Send("GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
  EXPECT_EQ(Next(client).status(), 200);
  EXPECT_THAT(server.wires(), SizeIs(2));
}

TEST_F(PoolTest, ForgetsAnEndpointThatNeverTookAConnection) {
  AddServer("orders-1").StopListening();
  Publish();
  Client& client = Connect();
  client.Send("GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
  EXPECT_EQ(Next(client).status(), 503);
  EXPECT_THAT(caller.shard->stats().endpoints, IsEmpty());
}

}  // namespace
}  // namespace outrigger::shardtest
