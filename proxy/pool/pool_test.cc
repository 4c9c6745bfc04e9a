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

// ---------------------------------------------------------------- reuse

TEST_F(PoolTest, KeepsNoMoreIdleConnectionsThanItMay) {
  options.pool.idle_per_endpoint = 3;
  Server& server = AddServer("orders-1");
  server.on_request = nullptr;
  Publish();
  std::vector<Client*> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(&Connect());
    clients.back()->Send("GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
  }
  ASSERT_TRUE(Wait([&] {
    size_t heads = 0;
    for (const auto& wire : server.wires()) heads += wire->total > 0;
    return heads == 10;
  }));
  EXPECT_EQ(caller.shard->stats().endpoints[0].busy, 10u);
  for (const auto& wire : server.wires()) wire->Send(Answer(200, ""));
  for (Client* client : clients) EXPECT_EQ(Next(*client).status(), 200);
  ASSERT_TRUE(Wait([&] { return server.open() == 3; }));
  EXPECT_EQ(caller.shard->stats().endpoints[0].idle, 3u);
}

TEST_F(PoolTest, TakesTheMostRecentlyUsedConnectionSoThatTheOthersCanEnd) {
  cluster.idle_timeout = 10s;
  Server& server = AddServer("orders-1");
  server.on_request = nullptr;
  Publish();
  Client& one = Connect();
  Client& two = Connect();
  for (Client* client : {&one, &two}) client->Send("GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
  ASSERT_TRUE(Wait([&] { return server.wires().size() == 2 && server.wires()[0]->total > 0 && server.wires()[1]->total > 0; }));
  for (const auto& wire : server.wires()) wire->received.clear();
  server.on_request = [](Wire& wire, const Message&) { wire.Send(Answer(200, "")); };
  for (const auto& wire : server.wires()) wire->Send(Answer(200, ""));
  for (Client* client : {&one, &two}) EXPECT_EQ(Next(*client).status(), 200);
  for (int i = 0; i < 4; ++i) {
    world.RunFor(4s);
    one.Send("GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
    EXPECT_EQ(Next(one).status(), 200);
  }
  EXPECT_EQ(server.open(), 1u);
}

TEST_F(PoolTest, AnEndpointThatMustBeCalledInAnotherWayGetsNewConnections) {
  Server& server = AddServer("orders-1");
  Publish();
  Client& client = Connect();
  client.Send("GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
  EXPECT_EQ(Next(client).status(), 200);
  endpoints.endpoints[0].sni = "another.name";  // as an identity or a protocol would
  Publish();
  client.Send("GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
  EXPECT_EQ(Next(client).status(), 200);
  EXPECT_THAT(server.wires(), SizeIs(2));
  EXPECT_TRUE(Wait([&] { return server.open() == 1; })) << "the old one ends at once, being idle";
}

TEST_F(PoolTest, AConnectionThatIsReadyAfterItsRequestIsGoneServesTheNext) {
  Server& server = AddServer("orders-1");
  cluster.connect_timeout = 60s;
  Publish();
  world.Partition(*world.machines()[1], *world.machines()[2]);
  Client& client = Connect();
  client.Send("GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
  ASSERT_TRUE(Wait([&] { return !caller.shard->stats().endpoints.empty(); }));
  EXPECT_EQ(caller.shard->stats().endpoints[0].connecting, 1u);
  client.Abort();
  world.RunFor(1s);
  world.HealAll();
  ASSERT_TRUE(Wait([&] { return caller.shard->stats().endpoints[0].idle == 1; }));
  Client& next = Connect();
  next.Send("GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
  EXPECT_EQ(Next(next).status(), 200);
  EXPECT_THAT(server.wires(), SizeIs(1));
}

TEST_F(PoolTest, ARequestThatHttp1CannotCarryFailsAloneAndKeepsItsConnection) {
  Server& server = AddServer("orders-1");
  // Refused where configuration is read; here it stands for whatever could slip through.
  route.request_edits = {{config::HeaderEdit::Op::kSet, "x-split", "a\r\nb: c"}};
  route.match.path = {config::PathMatch::Kind::kExact, "/bad"};
  config::Route good = route;
  good.match.path = {config::PathMatch::Kind::kPrefix, "/"};
  good.request_edits.clear();
  more_routes = {good};
  Publish();
  Client& client = Connect();
  for (const char* path : {"/", "/bad", "/"}) client.Send("GET " + std::string(path) + " HTTP/1.1\r\nHost: orders\r\n\r\n");
  EXPECT_EQ(Next(client).status(), 200);
  EXPECT_EQ(Next(client).Get("x-outrigger-reason"), "request-unwritable");
  EXPECT_EQ(endpoint_state(0)->standing(world.now()), balance::EndpointState::Standing::kGood) << "not its doing";
  EXPECT_EQ(Next(client).status(), 200);
  EXPECT_THAT(server.wires(), SizeIs(1));
}

}  // namespace
}  // namespace outrigger::shardtest
