// Connections that come and go: failure to connect, loss, keepalive, GOAWAY, draining, limits, TLS identity.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/rpc/rpc.h"
#include "proxy/rpc/rpc_testing.h"
#include "proxy/tls/testing.h"
#include "test/sim/world.h"

namespace outrigger::rpc {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::CallRecorder;
using testing::ChannelRecorder;
using testing::TestCall;
using testing::Text;

// One client and one server machine; tests start what they need.
class RpcLifeTest : public ::testing::Test {
 protected:
  RpcLifeTest() {
    client_loop = &world.AddLoop("client");
    server_loop = &world.AddLoop("server");
    server_options.address = world.AddressOf(*server_loop, 80);
    channel_options.target = server_options.address.ToString();
  }
  ~RpcLifeTest() override {
    channel.reset();
    server.reset();
    world.RunFor(3s);
    EXPECT_THAT(world.problems(), IsEmpty());
    EXPECT_EQ(log.open, 0);
  }
  void StartServer() {
    auto made = MakeServer(server_loop, server_options, testing::TestService(&log, [this](ServerCall* call) {
                             peer_seen = call->peer().spiffe_id;
                             secure_seen = call->secure();
                           }));
    ASSERT_TRUE(made.ok()) << made.error().detail;
    server = std::move(made.value());
  }
  void Connect() {
    channel = MakeChannel(client_loop, channel_options, &at_channel);
    channel->Connect();
  }
  void ConnectAndWait() {
    Connect();
    ASSERT_TRUE(world.RunUntil([&] { return at_channel.ups == 1; }, 10s)) << at_channel.error.ToString();
  }
  std::unique_ptr<ClientCall> Start(std::string_view method, CallRecorder* recorder) {
    auto call = channel->Start("/test.Echo/" + std::string(method), {}, std::nullopt, recorder);
    call->Send(Text("x"));
    return call;
  }
  void CutCable() { world.Partition(*world.machines()[0], *world.machines()[1]); }

  sim::World world{1};
  net::Loop* client_loop;
  net::Loop* server_loop;
  ServerOptions server_options;
  ChannelOptions channel_options;
  TestCall::Log log;
  ChannelRecorder at_channel;
  std::unique_ptr<Server> server;
  std::unique_ptr<Channel> channel;
  std::string peer_seen;
  bool secure_seen = false;
};

TEST_F(RpcLifeTest, RefusedConnectionIsToldOnceAndLater) {
  Connect();
  EXPECT_EQ(at_channel.downs, 0);
  ASSERT_TRUE(world.RunUntil([&] { return at_channel.downs == 1; }, 10s));
  EXPECT_EQ(at_channel.error.code, ErrorCode::kConnectRefused);
  EXPECT_FALSE(channel->up());
  StartServer();
  channel->Connect();  // the same channel tries again
  ASSERT_TRUE(world.RunUntil([&] { return at_channel.ups == 1; }, 10s));
}

TEST_F(RpcLifeTest, ConnectTimeoutCoversSilence) {
  StartServer();
  CutCable();
  channel_options.connect_timeout = 3s;
  const Instant start = world.now();
  Connect();
  ASSERT_TRUE(world.RunUntil([&] { return at_channel.downs == 1; }, 60s));
  EXPECT_EQ(at_channel.error.code, ErrorCode::kConnectTimeout);
  EXPECT_LE(world.now() - start, 3100ms);
}

TEST_F(RpcLifeTest, BadTargetsAndUnknownNamesAreErrorsNotCrashes) {
  for (const char* target : {"", "nowhere", ":80", "host:", "host:0", "host:99999", "host:8x", "unknown.example:80"}) {
    SCOPED_TRACE(target);
    at_channel = {};
    channel_options.target = target;
    Connect();
    ASSERT_TRUE(world.RunUntil([&] { return at_channel.downs == 1; }, 20s));
    EXPECT_FALSE(at_channel.error.detail.empty());
  }
}

TEST_F(RpcLifeTest, NamesAreResolvedAtEachConnectAndAllAddressesTried) {
  StartServer();
  const net::Address dead = world.AddressOf(*client_loop, 80);  // a machine where nobody listens
  world.AddName("control.example", {dead, world.AddressOf(*server_loop, 80)});
  channel_options.target = "control.example:80";
  ConnectAndWait();
  EXPECT_EQ(at_channel.downs, 0);
}

TEST_F(RpcLifeTest, CallsWithoutConnectionAreUnavailable) {
  channel = MakeChannel(client_loop, channel_options, &at_channel);
  CallRecorder recorder;
  auto call = Start("Unary", &recorder);
  EXPECT_FALSE(recorder.done);
  ASSERT_TRUE(world.RunUntil([&] { return recorder.done; }, 1s));
  EXPECT_EQ(recorder.status.code, Code::kUnavailable);
}

TEST_F(RpcLifeTest, LostConnectionTellsCallsFirstAndThenTheOwner) {
  StartServer();
  ConnectAndWait();
  CallRecorder recorder;
  auto call = Start("Hang", &recorder);
  ASSERT_TRUE(world.RunUntil([&] { return log.open == 1; }, 1s));
  bool call_was_told = false;
  at_channel.on_down = [&] { call_was_told = recorder.done; };
  world.ResetConnections(*world.machines()[0], *world.machines()[1]);
  ASSERT_TRUE(world.RunUntil([&] { return at_channel.downs == 1 && log.open == 0; }, 5s));
  EXPECT_TRUE(call_was_told);
  EXPECT_EQ(recorder.status.code, Code::kUnavailable);
  EXPECT_EQ(log.cancelled, 1);
  EXPECT_EQ(server->connections(), 0u);
}

TEST_F(RpcLifeTest, KeepaliveFindsADeadServer) {
  StartServer();
  channel_options.ping_after = 10s;
  channel_options.ping_timeout = 5s;
  ConnectAndWait();
  CallRecorder recorder;
  auto call = Start("Hang", &recorder);
  ASSERT_TRUE(world.RunUntil([&] { return log.open == 1; }, 1s));
  world.RunFor(60s);  // pings are answered all the while
  EXPECT_EQ(at_channel.downs, 0);
  CutCable();
  const Instant cut = world.now();
  ASSERT_TRUE(world.RunUntil([&] { return at_channel.downs == 1; }, 60s));
  EXPECT_LE(world.now() - cut, 16s);
  EXPECT_EQ(at_channel.error.code, ErrorCode::kTimeout);
  EXPECT_EQ(recorder.status.code, Code::kUnavailable);
}

TEST_F(RpcLifeTest, ServerFindsADeadClient) {
  server_options.ping_after = 10s;
  server_options.ping_timeout = 5s;
  StartServer();
  ConnectAndWait();
  CallRecorder recorder;
  auto call = Start("Hang", &recorder);
  ASSERT_TRUE(world.RunUntil([&] { return log.open == 1; }, 1s));
  world.RunFor(60s);
  EXPECT_EQ(server->connections(), 1u);
  CutCable();
  world.RunFor(20s);
  EXPECT_EQ(server->connections(), 0u);
  EXPECT_EQ(log.cancelled, 1);
}

TEST_F(RpcLifeTest, DrainFinishesWhatIsUnderWayAndRefusesTheRest) {
  StartServer();
  ConnectAndWait();
  CallRecorder recorder;
  auto call = Start("Bidi", &recorder);
  ASSERT_TRUE(world.RunUntil([&] { return recorder.messages.size() == 1; }, 1s));
  server->Drain();
  world.RunFor(1s);
  EXPECT_FALSE(channel->up());
  EXPECT_EQ(at_channel.downs, 0);
  call->Send(Text("still served"));
  call->HalfClose();
  ASSERT_TRUE(world.RunUntil([&] { return recorder.done; }, 1s));
  EXPECT_TRUE(recorder.status.ok()) << recorder.status.ToString();
  EXPECT_EQ(recorder.messages.size(), 2u);
  ASSERT_TRUE(world.RunUntil([&] { return at_channel.downs == 1 && server->connections() == 0; }, 5s));
  EXPECT_THAT(at_channel.error.detail, HasSubstr("GOAWAY"));
  channel->Connect();  // nobody listens any more
  ASSERT_TRUE(world.RunUntil([&] { return at_channel.downs == 2; }, 5s));
  EXPECT_EQ(at_channel.error.code, ErrorCode::kConnectRefused);
}

TEST_F(RpcLifeTest, IdleConnectionsEndWithTheDrain) {
  StartServer();
  ConnectAndWait();
  server->Drain();
  ASSERT_TRUE(world.RunUntil([&] { return at_channel.downs == 1 && server->connections() == 0; }, 5s));
}

TEST_F(RpcLifeTest, ConnectionsBeyondTheLimitAreClosed) {
  server_options.max_connections = 1;
  StartServer();
  ConnectAndWait();
  CallRecorder recorder;
  auto call = Start("Hang", &recorder);
  world.RunFor(1s);
  ChannelRecorder second;
  auto other = MakeChannel(client_loop, channel_options, &second);
  other->Connect();
  ASSERT_TRUE(world.RunUntil([&] { return second.downs == 1; }, 5s));
  EXPECT_EQ(server->connections(), 1u);
  EXPECT_FALSE(recorder.done);
}

TEST_F(RpcLifeTest, PortInUseIsToldAtOnce) {
  StartServer();
  auto second = MakeServer(server_loop, server_options, testing::TestService(&log));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kIo);
}

// ---------------------------------------------------------------- TLS

class RpcTlsTest : public RpcLifeTest {
 protected:
  RpcTlsTest() {
    server_options.tls = [this] { return server_context; };
    channel_options.tls = [this] { return client_context; };
  }
  WallTime start() { return world.wall_now(); }

  tls::testing::TestMesh mesh{"cluster.local", world.wall_now()};
  std::shared_ptr<const tls::Context> server_context = tls::testing::MustMakeContext(mesh.Workload("outrigger", "control"));
  std::shared_ptr<const tls::Context> client_context = tls::testing::MustMakeContext(mesh.Workload("default", "web"));
};

TEST_F(RpcTlsTest, BothSidesKnowEachOther) {
  channel_options.tls_options.accepted_ids = {mesh.Id("outrigger", "control")};
  StartServer();
  ConnectAndWait();
  CallRecorder recorder;
  auto call = Start("Unary", &recorder);
  call->HalfClose();
  ASSERT_TRUE(world.RunUntil([&] { return recorder.done; }, 5s));
  EXPECT_TRUE(recorder.status.ok());
  EXPECT_EQ(peer_seen, mesh.Id("default", "web"));
  EXPECT_TRUE(secure_seen);
  ASSERT_NE(channel->peer(), nullptr);
  EXPECT_EQ(channel->peer()->spiffe_id, mesh.Id("outrigger", "control"));
}

TEST_F(RpcTlsTest, AnotherIdentityIsRefused) {
  channel_options.tls_options.accepted_ids = {mesh.Id("outrigger", "someone-else")};
  StartServer();
  Connect();
  ASSERT_TRUE(world.RunUntil([&] { return at_channel.downs == 1; }, 10s));
  EXPECT_EQ(at_channel.ups, 0);
  EXPECT_EQ(at_channel.error.code, ErrorCode::kTls);
}

TEST_F(RpcTlsTest, PlaintextToATlsPortFails) {
  StartServer();
  channel_options.tls = nullptr;
  Connect();
  ASSERT_TRUE(world.RunUntil([&] { return at_channel.downs == 1; }, 20s));
  EXPECT_EQ(log.open, 0);
}

TEST_F(RpcTlsTest, HandshakeThatNeverComesIsGivenUp) {
  StartServer();
  struct Silent : net::Connection::Handler {
    void OnRead(Bytes) override {}
    void OnEof() override { eof = true; }
    void OnClosed(Error) override { eof = true; }
    bool eof = false;
  } silent;
  auto connection = client_loop->Connect({.address = server_options.address}, &silent);
  world.RunFor(1s);
  EXPECT_EQ(server->connections(), 1u);
  world.RunFor(11s);
  EXPECT_EQ(server->connections(), 0u);
  EXPECT_TRUE(silent.eof);
}

}  // namespace
}  // namespace outrigger::rpc
