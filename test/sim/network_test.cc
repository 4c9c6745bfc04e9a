// The model of the network itself: what a TCP connection between two simulated machines does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/sim/testing.h"
#include "test/sim/world.h"

namespace outrigger::sim {
namespace {

using ::testing::IsEmpty;

class NetworkTest : public ::testing::Test {
 protected:
  void Open(Faults faults = Faults::None(), uint64_t seed = 1) {
    acceptor = std::make_unique<Acceptor>();
    world = std::make_unique<World>(seed, faults);
    client = &world->AddLoop("client");
    server = &world->AddLoop("server");
    listener = std::move(server->Listen({.address = ServerAddress()}, acceptor.get()).value());
  }
  ~NetworkTest() override {
    a.reset();
    listener.reset();
    if (acceptor) acceptor->accepted.clear();
  }
  net::Address ServerAddress() { return world->AddressOf(*server, 80); }
  void Connect(Duration timeout = 1s) { a = client->Connect({.address = ServerAddress(), .timeout = timeout}, &at_a); }
  void ConnectAndAccept() {
    Connect();
    ASSERT_TRUE(world->RunUntil([&] { return at_a.connected && acceptor->accepted.size() == 1; }, 10s));
  }
  net::Connection& b() { return *acceptor->accepted.at(0)->connection; }
  Recorder& at_b() { return acceptor->accepted.at(0)->recorder; }
  Machine& client_machine() { return client->process().machine(); }
  Machine& server_machine() { return server->process().machine(); }

  std::unique_ptr<Acceptor> acceptor;
  std::unique_ptr<World> world;
  SimLoop* client = nullptr;
  SimLoop* server = nullptr;
  std::unique_ptr<net::Listener> listener;
  Recorder at_a;
  std::unique_ptr<net::Connection> a;
};

TEST_F(NetworkTest, ConnectingTakesARoundTripAndHandlersAreNeverCalledFromInsideACall) {
  Faults faults;
  faults.latency_min = faults.latency_max = 5ms;
  faults.jitter_max = faults.turn_delay_max = Duration::zero();
  Open(faults);
  const Instant start = world->now();
  Connect();
  EXPECT_EQ(at_a.events, "");
  ASSERT_TRUE(world->RunUntil([&] { return at_a.connected; }, 1s));
  EXPECT_EQ(world->now() - start, 10ms);
  EXPECT_EQ(a->remote(), ServerAddress());
  EXPECT_EQ(b().local(), ServerAddress());
  EXPECT_EQ(b().remote(), a->local());
  EXPECT_EQ(b().original_destination(), std::nullopt);
}

TEST_F(NetworkTest, BytesArriveInOrderBothWaysHoweverTheyAreTorn) {
  Faults faults;
  faults.tear = 0.9;
  faults.jitter_max = 5ms;
  faults.lost_segment = 0.05;
  faults.send_buffer_min = faults.receive_buffer_min = 700;
  faults.send_buffer_max = faults.receive_buffer_max = 3000;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    at_a = Recorder();
    a.reset();
    listener.reset();
    Open(faults, seed);
    ConnectAndAccept();
    const std::string there = Pattern(20000, 1), back = Pattern(15000, 2);
    for (size_t i = 0; i < there.size(); i += 1000) WriteText(*a, std::string_view(there).substr(i, 1000));
    WriteText(b(), back);
    ASSERT_TRUE(world->RunUntil([&] { return at_b().received.size() >= there.size() && at_a.received.size() >= back.size(); }, 600s));
    EXPECT_EQ(at_b().received, there);
    EXPECT_EQ(at_a.received, back);
    EXPECT_GT(at_b().reads, 20) << "nothing was torn";
    EXPECT_EQ(a->pending(), 0u);
    EXPECT_GT(at_a.drained, 0);
    acceptor->accepted.clear();
  }
}

TEST_F(NetworkTest, NobodyListeningIsRefused) {
  Open();
  listener.reset();
  Connect();
  ASSERT_TRUE(world->RunUntil([&] { return !at_a.error.ok(); }, 1s));
  EXPECT_EQ(at_a.error.code, ErrorCode::kConnectRefused);
  EXPECT_TRUE(at_a.error.unseen);
  EXPECT_EQ(at_a.events, "x");
}

TEST_F(NetworkTest, AnAddressThatNobodyHasTimesOutAfterTheTimeoutAskedFor) {
  Open();
  const Instant start = world->now();
  a = client->Connect({.address = *net::Address::Parse("10.9.9.9:80"), .timeout = 300ms}, &at_a);
  ASSERT_TRUE(world->RunUntil([&] { return !at_a.error.ok(); }, 10s));
  EXPECT_EQ(at_a.error.code, ErrorCode::kConnectTimeout);
  EXPECT_GE(world->now() - start, 300ms);
  EXPECT_LT(world->now() - start, 301ms);
}

TEST_F(NetworkTest, AReaderThatDoesNotReadStopsTheWriter) {
  Faults faults;
  faults.send_buffer_min = faults.send_buffer_max = 10000;
  faults.receive_buffer_min = faults.receive_buffer_max = 5000;
  Open(faults);
  ConnectAndAccept();
  b().SetReading(false);
  WriteText(*a, Pattern(100000));
  world->RunFor(60s);
  EXPECT_EQ(at_b().received, "");
  EXPECT_EQ(a->pending(), 100000u - 10000 - 5000) << "the kernels hold what their buffers hold, no more";
  EXPECT_EQ(at_a.drained, 0);
  b().SetReading(true);
  ASSERT_TRUE(world->RunUntil([&] { return at_b().received.size() == 100000; }, 60s));
  EXPECT_EQ(at_b().received, Pattern(100000));
  EXPECT_EQ(a->pending(), 0u);
  EXPECT_EQ(at_a.drained, 1);
}

TEST_F(NetworkTest, WhatIsWrittenBeforeTheConnectionStandsGoesOutOnceItDoes) {
  Open();
  Connect();
  WriteText(*a, "early");
  EXPECT_EQ(a->pending(), 5u);
  a->ShutdownWrite();
  ASSERT_TRUE(world->RunUntil([&] { return acceptor->accepted.size() == 1 && at_b().eof; }, 1s));
  EXPECT_EQ(at_b().received, "early");
  EXPECT_EQ(at_a.drained, 1);
}

TEST_F(NetworkTest, AfterFinTheOtherDirectionGoesOn) {
  Open();
  ConnectAndAccept();
  WriteText(*a, "question");
  a->ShutdownWrite();
  ASSERT_TRUE(world->RunUntil([&] { return at_b().eof; }, 1s));
  EXPECT_EQ(at_b().received, "question");
  EXPECT_FALSE(at_a.eof);
  WriteText(b(), "answer");
  b().ShutdownWrite();
  ASSERT_TRUE(world->RunUntil([&] { return at_a.eof; }, 1s));
  EXPECT_EQ(at_a.received, "answer");
  EXPECT_EQ(at_a.events, "ce");
}

TEST_F(NetworkTest, FinComesAfterEverythingThatWaited) {
  Faults faults;
  faults.send_buffer_min = faults.send_buffer_max = 1000;
  faults.receive_buffer_min = faults.receive_buffer_max = 1000;
  Open(faults);
  ConnectAndAccept();
  WriteText(*a, Pattern(50000));
  a->ShutdownWrite();
  ASSERT_TRUE(world->RunUntil([&] { return at_b().eof; }, 60s));
  EXPECT_EQ(at_b().received, Pattern(50000));
}

TEST_F(NetworkTest, AbortReachesThePeerAsAReset) {
  Open();
  ConnectAndAccept();
  a->Abort();
  a.reset();
  ASSERT_TRUE(world->RunUntil([&] { return !at_b().error.ok(); }, 1s));
  EXPECT_EQ(at_b().error.code, ErrorCode::kReset);
  EXPECT_EQ(at_b().events, "x");
  EXPECT_EQ(at_a.events, "c") << "the one who aborts hears nothing more";
}

TEST_F(NetworkTest, ClosingWithUnreadBytesResetsAndClosingWithoutEndsInOrder) {
  Open();
  ConnectAndAccept();
  b().SetReading(false);
  WriteText(*a, "never read");
  world->RunFor(10ms);
  acceptor->accepted.clear();
  ASSERT_TRUE(world->RunUntil([&] { return !at_a.error.ok(); }, 1s));
  EXPECT_EQ(at_a.error.code, ErrorCode::kReset);

  a.reset();
  at_a = Recorder();
  ConnectAndAccept();
  acceptor->accepted.clear();
  ASSERT_TRUE(world->RunUntil([&] { return at_a.eof; }, 1s));
  EXPECT_TRUE(at_a.error.ok());
}

TEST_F(NetworkTest, WritingToAPeerThatClosedIsAnsweredByAReset) {
  Open();
  ConnectAndAccept();
  acceptor->accepted.clear();
  ASSERT_TRUE(world->RunUntil([&] { return at_a.eof; }, 1s));
  WriteText(*a, "anyone?");
  ASSERT_TRUE(world->RunUntil([&] { return !at_a.error.ok(); }, 1s));
  EXPECT_EQ(at_a.error.code, ErrorCode::kReset);
  EXPECT_EQ(at_a.events, "cex");
}

TEST_F(NetworkTest, AResetIsToldWhileReadingIsOffUnlessBytesWaitBeforeIt) {
  Faults faults;
  faults.reset_discards = 0;
  Open(faults);
  ConnectAndAccept();
  b().SetReading(false);
  a->Abort();
  a.reset();
  ASSERT_TRUE(world->RunUntil([&] { return !at_b().error.ok(); }, 1s));

  acceptor->accepted.clear();
  ConnectAndAccept();
  b().SetReading(false);
  WriteText(*a, "last words");
  world->RunFor(10ms);
  a->Abort();
  a.reset();
  world->RunFor(1s);
  EXPECT_TRUE(at_b().error.ok());
  b().SetReading(true);
  ASSERT_TRUE(world->RunUntil([&] { return !at_b().error.ok(); }, 1s));
  EXPECT_EQ(at_b().received, "last words");
  EXPECT_EQ(at_b().events, "x") << "never an orderly end";
}

TEST_F(NetworkTest, NoReadAndNoEofWhileReadingIsOff) {
  Open();
  ConnectAndAccept();
  b().SetReading(false);
  WriteText(*a, "hello");
  a->ShutdownWrite();
  world->RunFor(1s);
  EXPECT_EQ(at_b().events, "");
  EXPECT_EQ(at_b().received, "");
  uint8_t peeked[3];
  EXPECT_EQ(b().Peek(peeked), 3u);
  EXPECT_EQ(AsText(peeked), "hel");
  b().SetReading(true);
  EXPECT_EQ(at_b().received, "") << "not from inside the call";
  ASSERT_TRUE(world->RunUntil([&] { return at_b().eof; }, 1s));
  EXPECT_EQ(at_b().received, "hello");
}

TEST_F(NetworkTest, AnAcceptedConnectionReadsNothingBeforeItHasAHandler) {
  Open();
  acceptor->start_reading = false;
  ConnectAndAccept();
  WriteText(*a, "hello");
  world->RunFor(1s);
  EXPECT_EQ(at_b().received, "");
  uint8_t peeked[16];
  EXPECT_EQ(b().Peek(peeked), 5u);
  b().SetHandler(&at_b());
  ASSERT_TRUE(world->RunUntil([&] { return at_b().received == "hello"; }, 1s));
}

TEST_F(NetworkTest, APartitionDelaysBytesUntilItHeals) {
  Open();
  ConnectAndAccept();
  world->Partition(client_machine(), server_machine());
  WriteText(*a, Pattern(5000));
  a->ShutdownWrite();
  world->RunFor(20s);  // shorter than keep-alive's patience
  EXPECT_EQ(at_b().received, "");
  EXPECT_FALSE(at_b().eof);
  world->HealAll();
  ASSERT_TRUE(world->RunUntil([&] { return at_b().eof; }, 10s));
  EXPECT_EQ(at_b().received, Pattern(5000));
}

TEST_F(NetworkTest, NoConnectionIsMadeAcrossAPartition) {
  Open();
  world->Partition(client_machine(), server_machine());
  Connect(500ms);
  ASSERT_TRUE(world->RunUntil([&] { return !at_a.error.ok(); }, 10s));
  EXPECT_EQ(at_a.error.code, ErrorCode::kConnectTimeout);
  EXPECT_THAT(acceptor->accepted, IsEmpty());
}

TEST_F(NetworkTest, ASynThatWasLostIsSentAgain) {
  Open();
  world->Partition(client_machine(), server_machine());
  Connect(5s);
  world->After(500ms, [&] { world->HealAll(); });
  ASSERT_TRUE(world->RunUntil([&] { return at_a.connected; }, 10s));
  EXPECT_EQ(at_a.events, "c");
}

TEST_F(NetworkTest, AResetIsSentOnceAndAPartitionSwallowsIt) {
  Open();
  ConnectAndAccept();
  world->Partition(client_machine(), server_machine());
  a->Abort();
  a.reset();
  world->RunFor(1s);
  world->HealAll();
  world->RunFor(20s);
  EXPECT_EQ(at_b().events, "") << "half open: only a byte sent, or keep-alive, would find out";
  WriteText(b(), "are you there?");
  ASSERT_TRUE(world->RunUntil([&] { return !at_b().error.ok(); }, 10s));
  EXPECT_EQ(at_b().error.code, ErrorCode::kReset);
}

TEST_F(NetworkTest, AResetThatAPartitionSwallowedIsLearntFromKeepAlive) {
  Open();
  ConnectAndAccept();
  world->Partition(client_machine(), server_machine());
  a->Abort();
  a.reset();
  world->RunFor(1s);
  world->HealAll();
  world->RunFor(60s);  // a kernel that knows no such connection answers the probe
  EXPECT_EQ(at_b().error.code, ErrorCode::kReset);
}

TEST_F(NetworkTest, RetireDeliversWhatIsPendingEvenWhenThePeerStillSends) {
  Faults faults;
  faults.send_buffer_min = faults.send_buffer_max = 2000;
  faults.receive_buffer_min = faults.receive_buffer_max = 2000;
  Open(faults);
  ConnectAndAccept();
  WriteText(b(), Pattern(30000));
  WriteText(*a, "more of a request that nobody wants");
  server->Retire(std::move(acceptor->accepted.at(0)->connection));
  acceptor->accepted.clear();
  ASSERT_TRUE(world->RunUntil([&] { return at_a.eof; }, 10s));
  EXPECT_EQ(at_a.received, Pattern(30000));
  EXPECT_TRUE(at_a.error.ok());
  a.reset();
  world->RunFor(10s);
  EXPECT_EQ(world->open_connections(), 0u);
}

TEST_F(NetworkTest, RetireGivesUpOnAPeerThatTakesNothing) {
  Faults faults;
  faults.send_buffer_min = faults.send_buffer_max = 2000;
  faults.receive_buffer_min = faults.receive_buffer_max = 2000;
  Open(faults);
  ConnectAndAccept();
  a->SetReading(false);
  WriteText(b(), Pattern(30000));
  server->Retire(std::move(acceptor->accepted.at(0)->connection));
  acceptor->accepted.clear();
  world->RunFor(30s);
  std::vector<std::string> held = world->Holdings();
  EXPECT_EQ(held, (std::vector<std::string>{"client: 1 connections", "server: 1 listeners"}));
}

TEST_F(NetworkTest, AFullBacklogRefusesNobodyButMakesThemWait) {
  Open();
  listener.reset();
  listener = std::move(server->Listen({.address = ServerAddress(), .backlog = 2}, acceptor.get()).value());
  listener->SetAccepting(false);
  Recorder recorders[3];
  std::unique_ptr<net::Connection> connections[3];
  for (int i = 0; i < 3; ++i) connections[i] = client->Connect({.address = ServerAddress(), .timeout = 10s}, &recorders[i]);
  world->RunFor(100ms);
  EXPECT_EQ(recorders[0].connected + recorders[1].connected + recorders[2].connected, 2);
  EXPECT_THAT(acceptor->accepted, IsEmpty());
  listener->SetAccepting(true);
  ASSERT_TRUE(world->RunUntil([&] { return acceptor->accepted.size() == 3; }, 5s));
}

TEST_F(NetworkTest, OneAddressTakesOneListenerUnlessThePortIsShared) {
  Open();
  Result<std::unique_ptr<net::Listener>> again = server->Listen({.address = ServerAddress()}, acceptor.get());
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::kIo);
  listener.reset();

  SimLoop& worker = server->process().AddLoop();
  Acceptor other;
  const net::ListenOptions shared{.address = ServerAddress(), .share_port = true};
  auto one = std::move(server->Listen(shared, acceptor.get()).value());
  auto two = std::move(worker.Listen(shared, &other).value());
  std::vector<std::unique_ptr<net::Connection>> connections;
  Recorder recorder;
  for (int i = 0; i < 100; ++i) connections.push_back(client->Connect({.address = ServerAddress()}, &recorder));
  world->RunFor(1s);
  EXPECT_EQ(acceptor->accepted.size() + other.accepted.size(), 100u);
  EXPECT_GT(acceptor->accepted.size(), 20u);
  EXPECT_GT(other.accepted.size(), 20u);
}

TEST_F(NetworkTest, LoopbackBelongsToOneMachineAndItsProcessesShareIt) {
  Open();
  const net::Address local = net::Address::Loopback(8080);
  Acceptor app;
  auto app_listener = std::move(server->Listen({.address = local}, &app).value());
  Process& sidecar = server_machine().AddProcess("sidecar");
  sidecar.Start();
  Recorder beside, elsewhere;
  auto one = sidecar.loop().Connect({.address = local}, &beside);
  auto two = client->Connect({.address = local}, &elsewhere);
  world->RunFor(1s);
  EXPECT_TRUE(beside.connected);
  EXPECT_EQ(elsewhere.error.code, ErrorCode::kConnectRefused);
  EXPECT_TRUE(app.accepted.at(0)->connection->remote().loopback());
}

TEST_F(NetworkTest, AHandlerMayDestroyItsConnectionAndItsListenerInAnyCall) {
  struct Suicidal : Recorder {
    std::unique_ptr<net::Connection>* connection = nullptr;
    void OnConnected() override { Recorder::OnConnected(), connection->reset(); }
    void OnRead(Bytes bytes) override { Recorder::OnRead(bytes), connection->reset(); }
    void OnClosed(Error e) override { Recorder::OnClosed(e), connection->reset(); }
  };
  Open();
  Suicidal connecting;
  std::unique_ptr<net::Connection> c = client->Connect({.address = ServerAddress()}, &connecting);
  connecting.connection = &c;
  world->RunFor(1s);
  EXPECT_EQ(connecting.events, "c");
  EXPECT_EQ(c, nullptr);

  acceptor->accepted.clear();
  ConnectAndAccept();
  Suicidal reading;
  reading.connection = &acceptor->accepted.at(0)->connection;
  b().SetHandler(&reading);
  WriteText(*a, "first");
  world->RunFor(1s);
  WriteText(*a, "second");
  world->RunFor(1s);
  EXPECT_EQ(reading.received, "first");

  Suicidal refused;
  std::unique_ptr<net::Connection> d = client->Connect({.address = ServerAddress().WithPort(81)}, &refused);
  refused.connection = &d;
  world->RunFor(1s);
  EXPECT_EQ(refused.events, "x");

  struct Closing : net::Listener::Handler {
    std::unique_ptr<net::Listener> listener;
    int accepted = 0;
    void OnAccept(std::unique_ptr<net::Connection>) override { ++accepted, listener.reset(); }
  } closing;
  closing.listener = std::move(server->Listen({.address = ServerAddress().WithPort(82)}, &closing).value());
  Recorder x, y;
  auto e = client->Connect({.address = ServerAddress().WithPort(82)}, &x);
  auto f = client->Connect({.address = ServerAddress().WithPort(82)}, &y);
  world->RunFor(1s);
  EXPECT_EQ(closing.accepted, 1);
  EXPECT_THAT(world->problems(), IsEmpty());
}

TEST_F(NetworkTest, RedirectedConnectionsRememberWhereTheyMeantToGo) {
  Open();
  Process& sidecar = client_machine().AddProcess("sidecar");
  sidecar.Start();
  Acceptor outbound;
  auto capture = std::move(sidecar.loop().Listen({.address = net::Address::Loopback(15001)}, &outbound).value());
  client_machine().RedirectOutbound(net::Address::Loopback(15001), {&sidecar});
  Acceptor inbound;
  auto inbound_capture = std::move(server->Listen({.address = *net::Address::Parse(":15006")}, &inbound).value());
  server_machine().RedirectInbound(net::Address::Loopback(15006), {});

  Connect();
  Recorder onward;
  auto from_sidecar = sidecar.loop().Connect({.address = ServerAddress()}, &onward);
  world->RunFor(1s);
  EXPECT_TRUE(at_a.connected);
  EXPECT_EQ(a->remote(), ServerAddress());
  ASSERT_EQ(outbound.accepted.size(), 1u);
  EXPECT_EQ(outbound.accepted[0]->connection->original_destination(), ServerAddress());
  ASSERT_EQ(inbound.accepted.size(), 1u);
  EXPECT_EQ(inbound.accepted[0]->connection->original_destination(), ServerAddress());
  EXPECT_EQ(inbound.accepted[0]->connection->local().port(), 15006);
  EXPECT_THAT(acceptor->accepted, IsEmpty());
}

}  // namespace
}  // namespace outrigger::sim
