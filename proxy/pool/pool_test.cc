#include <map>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test/shard/hop.h"

namespace outrigger::shardtest {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Lt;
using ::testing::Pair;
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

// ---------------------------------------------------------------- a burst

class BurstTest : public HopTest {
 protected:
  explicit BurstTest(Shape shape = kOutbound) : HopTest(shape) { options.pool.connecting_per_endpoint = 4; }

  std::map<int, int> AskAllAtOnce(int clients) {
    std::vector<Client*> all;
    for (int i = 0; i < clients; ++i) {
      all.push_back(&Connect());
      all.back()->Send("GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
    }
    std::map<int, int> by_status;
    for (Client* client : all) ++by_status[Next(*client).status()];
    return by_status;
  }
};

TEST_F(BurstTest, SharesTheFewConnectionsThatAreBeingMade) {
  Server& server = AddServer("orders-1");
  Publish();
  EXPECT_THAT(AskAllAtOnce(100), ElementsAre(Pair(200, 100)));
  EXPECT_THAT(server.wires(), SizeIs(Lt(50u))) << "a connection each would be a handshake each";
}

TEST_F(BurstTest, OpensAsManyConnectionsAsSlowAnswersNeed) {
  Server& server = AddServer("orders-1");
  server.on_request = nullptr;
  Publish();
  std::vector<Client*> all;
  for (int i = 0; i < 40; ++i) {
    all.push_back(&Connect());
    all.back()->Send("GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
  }
  ASSERT_TRUE(Wait([&] { return server.open() == 40; })) << "none may wait for the answer of another";
  for (const auto& wire : server.wires()) wire->Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  for (Client* client : all) EXPECT_EQ(Next(*client).status(), 200);
}

TEST_F(BurstTest, FailsTogetherWhenTheEndpointTakesNoConnection) {
  AddServer("orders-1").StopListening();
  Publish();
  EXPECT_THAT(AskAllAtOnce(20), ElementsAre(Pair(503, 20)));
  EXPECT_THAT(caller.shard->stats().endpoints, IsEmpty());
}

TEST_F(BurstTest, ForgetsThoseWhoLeaveWhileTheyWait) {
  Server& server = AddServer("orders-1");
  Publish();
  std::vector<Client*> leaving;
  for (int i = 0; i < 20; ++i) {
    leaving.push_back(&Connect());
    leaving.back()->Send("GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
  }
  ASSERT_TRUE(Wait([&] { return caller.shard->active_requests() == 20 && server.open() == 0; })) << "all wait";
  for (Client* client : leaving) client->Abort();
  EXPECT_THAT(AskAllAtOnce(20), ElementsAre(Pair(200, 20)));
  EXPECT_LT(server.wires().size(), 30u);
}

class MeshBurstTest : public BurstTest {
 protected:
  MeshBurstTest() : BurstTest(kPair) {}
};

TEST_F(MeshBurstTest, SharesHandshakesToo) {
  AddServer("orders-1");
  Publish();
  EXPECT_THAT(AskAllAtOnce(100), ElementsAre(Pair(200, 100)));
  EXPECT_LT(caller.shard->stats().pool.connections_opened, 50u);
}

}  // namespace
}  // namespace outrigger::shardtest
