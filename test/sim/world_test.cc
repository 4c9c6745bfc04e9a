// Time, turns, processes, and the promise that a seed is a run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "test/sim/testing.h"
#include "test/sim/world.h"

namespace outrigger::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct TestTimer : Timer {
  explicit TestTimer(std::function<void()> call) : call(std::move(call)) {}
  void OnTimer() override { call(); }
  std::function<void()> call;
};

struct TestTask : net::TurnTask {
  explicit TestTask(std::function<void()> call) : call(std::move(call)) {}
  void OnTurnEnd() override { call(); }
  std::function<void()> call;
};

// Echoes what it gets, and closes after the peer's FIN.
class Echo : public net::Listener::Handler {
 public:
  explicit Echo(net::Loop& loop, net::Address address) : loop_(loop) {
    listener_ = std::move(loop.Listen({.address = address}, this).value());
  }
  void OnAccept(std::unique_ptr<net::Connection> connection) override {
    auto peer = std::make_unique<Peer>(this, std::move(connection));
    peer->connection->SetHandler(peer.get());
    Peer* key = peer.get();
    peers_.emplace_back(std::move(peer));
    (void)key;
  }

 private:
  struct Peer : net::Connection::Handler {
    Peer(Echo* echo, std::unique_ptr<net::Connection> c) : owner(echo), connection(std::move(c)) {}
    void OnRead(Bytes bytes) override {
      Buffer out;
      out.Append(bytes);
      connection->Write(&out);
    }
    void OnEof() override {
      owner->loop_.Retire(std::move(connection));
      owner->Drop(this);
    }
    void OnClosed(Error) override { owner->Drop(this); }
    Echo* owner;
    std::unique_ptr<net::Connection> connection;
  };
  void Drop(Peer* peer) {
    std::erase_if(peers_, [peer](const auto& p) { return p.get() == peer; });
  }
  net::Loop& loop_;
  std::unique_ptr<net::Listener> listener_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

// Ten clients that talk to an echo server that is killed and restarted, in a world where everything goes wrong.
uint64_t BusyRun(uint64_t seed, std::string* received = nullptr) {
  Random swarm(seed);
  World world(seed, Faults::Swarm(swarm));
  Machine& machine = world.AddMachine("server");
  const net::Address address = machine.address(7);
  Process& server = machine.AddProcess("server", [address](Process& process) { return std::make_shared<Echo>(process.loop(), address); });
  server.Start();
  SimLoop& loop = world.AddLoop("clients");
  std::vector<Recorder> recorders(10);
  std::vector<std::unique_ptr<net::Connection>> connections;
  for (Recorder& recorder : recorders) connections.push_back(loop.Connect({.address = address}, &recorder));
  for (int i = 0; i < 20; ++i) {
    world.RunFor(Duration(static_cast<int64_t>(world.random().Below(50'000'000))));
    for (auto& connection : connections) WriteText(*connection, Pattern(1 + world.random().Below(3000)));
    if (i % 5 == 4) server.Restart();
  }
  world.RunFor(10s);
  if (received != nullptr) {
    for (const Recorder& recorder : recorders) *received += recorder.received;
  }
  connections.clear();
  EXPECT_THAT(world.problems(), IsEmpty());
  return world.trace_hash();
}

TEST(WorldTest, TheSameSeedIsTheSameRunAndAnotherSeedIsAnother) {
  std::set<uint64_t> hashes;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    std::string once, twice;
    const uint64_t hash = BusyRun(seed, &once);
    EXPECT_EQ(hash, BusyRun(seed, &twice));
    EXPECT_EQ(once, twice);
    EXPECT_FALSE(once.empty());
    hashes.insert(hash);
  }
  EXPECT_EQ(hashes.size(), 30u);
}

TEST(WorldTest, TimersFireInTimeAndIdleTimeCostsNothing) {
  World world(1);
  SimLoop& loop = world.AddLoop("one");
  const Instant start = world.now();
  std::vector<int64_t> fired;
  TestTimer late([&] { fired.push_back(Milliseconds(loop.now() - start)); });
  TestTimer soon([&] {
    fired.push_back(Milliseconds(loop.now() - start));
    loop.Arm(&late, 24h);
  });
  loop.Arm(&soon, 5ms);
  ASSERT_TRUE(world.RunUntil([&] { return fired.size() == 2; }, 48h));
  EXPECT_THAT(fired, ElementsAre(5, 24 * 3600 * 1000 + 5));
  EXPECT_LT(world.trace().events(), 100u);
}

TEST(WorldTest, ATimerArmedBetweenRunsCountsFromNow) {
  World world(1);
  SimLoop& loop = world.AddLoop("one");
  world.RunFor(10s);
  bool fired = false;
  TestTimer timer([&] { fired = true; });
  loop.Arm(&timer, 100ms);
  world.RunFor(99ms);
  EXPECT_FALSE(fired);
  world.RunFor(2ms);
  EXPECT_TRUE(fired);
}

TEST(WorldTest, RunUntilSaysWhetherItHappenedAndStopsWhenNothingIsLeftToDo) {
  World world(1);
  SimLoop& loop = world.AddLoop("one");
  const Instant start = world.now();
  EXPECT_FALSE(world.RunUntil([] { return false; }, 5s));
  EXPECT_EQ(world.now() - start, 5s);
  EXPECT_TRUE(world.quiet());
  TestTimer timer([] {});
  loop.Arm(&timer, 1h);
  EXPECT_FALSE(world.RunUntil([] { return false; }, 5s));
  EXPECT_FALSE(world.quiet()) << "an hour from now there is something to do";
}

TEST(WorldTest, ATurnEndsWithItsTasksInTheSameTurn) {
  World world(1);
  SimLoop& loop = world.AddLoop("one");
  std::string order;
  Instant timer_turn, task_turn;
  TestTask task([&] { order += 'e', task_turn = loop.now(); });
  TestTimer first([&] { order += '1', timer_turn = loop.now(), loop.AtTurnEnd(&task), loop.AtTurnEnd(&task); });
  TestTimer second([&] { order += '2'; });
  loop.Arm(&first, 1ms);
  loop.Arm(&second, 1ms);
  world.RunFor(1s);
  EXPECT_EQ(order, "12e");
  EXPECT_EQ(timer_turn, task_turn);
  loop.AtTurnEnd(&task);  // from between the runs
  world.RunFor(1ms);
  EXPECT_EQ(order, "12ee");
}

TEST(WorldTest, MailArrivesInOrderInATurnOfTheReceiver) {
  World world(1);
  Process& process = world.AddMachine("m").AddProcess("proxy");
  process.Start();
  SimLoop& main = process.loop();
  SimLoop& worker = process.AddLoop();
  std::string order;
  std::shared_ptr<net::Mailbox> box = worker.mailbox();
  TestTimer timer([&] {
    box->Post([&] {
      order += 'a';
      EXPECT_EQ(world.running(), &worker);
    });
    box->Post([&] {
      order += 'b';
      main.mailbox()->Post([&] {
        order += 'c';
        EXPECT_EQ(world.running(), &main);
      });
    });
    EXPECT_EQ(order, "");
  });
  main.Arm(&timer, 1ms);
  world.RunFor(1s);
  EXPECT_EQ(order, "abc");
}

TEST(WorldTest, MailToAProcessThatIsGoneIsDestroyedUnrun) {
  World world(1);
  SimLoop& loop = world.AddLoop("one");
  std::shared_ptr<net::Mailbox> box = loop.mailbox();
  auto token = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = token;
  box->Post([token] { FAIL(); });
  loop.process().Kill();
  EXPECT_EQ(watched.use_count(), 1) << "the message that waited is gone";
  box->Post([token = std::move(token)] { FAIL(); });
  world.RunFor(1s);
  EXPECT_TRUE(watched.expired());
}

TEST(WorldTest, NamesAreAnsweredInALaterTurnUnlessTheAskerLostInterest) {
  World world(1);
  SimLoop& loop = world.AddLoop("one");
  world.AddName("orders.default", {*net::Address::ParseIp("10.0.0.7", 0), *net::Address::ParseIp("10.0.0.8", 0)});
  std::vector<std::string> answers;
  const auto keep = [&](Result<std::vector<net::Address>> result) {
    if (!result.ok()) return answers.push_back(std::string(ErrorCodeName(result.error().code)));
    for (const net::Address& address : *result) answers.push_back(address.ToString());
  };
  auto known = loop.Resolve("orders.default", 80, keep);
  EXPECT_THAT(answers, IsEmpty());
  world.RunFor(1s);
  EXPECT_THAT(answers, ElementsAre("10.0.0.7:80", "10.0.0.8:80"));
  answers.clear();
  auto numeric = loop.Resolve("::1", 81, keep);
  world.RunFor(1s);
  EXPECT_THAT(answers, ElementsAre("[::1]:81"));
  answers.clear();
  auto unknown = loop.Resolve("nobody", 80, keep);
  world.RunFor(1s);
  EXPECT_THAT(answers, ElementsAre("not-found"));
  answers.clear();
  loop.Resolve("orders.default", 80, keep).reset();
  world.RunFor(1s);
  EXPECT_THAT(answers, IsEmpty());
}

TEST(WorldTest, KillingAProcessEndsItsConnectionsAndRefusesNewOnesUntilItRestarts) {
  for (const double kill_resets : {0.0, 1.0}) {
    Faults faults;
    faults.kill_resets = kill_resets;
    World world(1, faults);
    Machine& machine = world.AddMachine("server");
    const net::Address address = machine.address(7);
    Process& server = machine.AddProcess("server", [address](Process& p) { return std::make_shared<Echo>(p.loop(), address); });
    server.Start();
    SimLoop& loop = world.AddLoop("client");
    Recorder before, during, after;
    auto a = loop.Connect({.address = address}, &before);
    WriteText(*a, "hello");
    ASSERT_TRUE(world.RunUntil([&] { return before.received == "hello"; }, 1s));
    server.Kill();
    EXPECT_FALSE(server.alive());
    auto b = loop.Connect({.address = address}, &during);
    world.RunFor(1s);
    EXPECT_EQ(before.events, kill_resets == 1.0 ? "cx" : "ce");
    EXPECT_EQ(during.error.code, ErrorCode::kConnectRefused);
    server.Start();
    auto c = loop.Connect({.address = address}, &after);
    WriteText(*c, "again");
    ASSERT_TRUE(world.RunUntil([&] { return after.received == "again"; }, 1s));
    EXPECT_THAT(world.problems(), IsEmpty());
  }
}

TEST(WorldTest, APausedProcessTakesConnectionsAndBytesButDoesNothing) {
  World world(1);
  Machine& machine = world.AddMachine("server");
  const net::Address address = machine.address(7);
  Process& server = machine.AddProcess("server", [address](Process& p) { return std::make_shared<Echo>(p.loop(), address); });
  server.Start();
  SimLoop& loop = world.AddLoop("client");
  server.Pause();
  Recorder recorder;
  auto connection = loop.Connect({.address = address}, &recorder);
  WriteText(*connection, "hello");
  world.RunFor(1h);
  EXPECT_TRUE(recorder.connected);
  EXPECT_EQ(connection->pending(), 0u);
  EXPECT_EQ(recorder.received, "");
  server.Resume();
  ASSERT_TRUE(world.RunUntil([&] { return recorder.received == "hello"; }, 1s));
}

TEST(WorldTest, PowerLossIsSilentUntilTheMachineIsBack) {
  World world(1);
  Machine& machine = world.AddMachine("server");
  const net::Address address = machine.address(7);
  Process& server = machine.AddProcess("server", [address](Process& p) { return std::make_shared<Echo>(p.loop(), address); });
  server.Start();
  SimLoop& loop = world.AddLoop("client");
  Recorder recorder;
  auto connection = loop.Connect({.address = address}, &recorder);
  ASSERT_TRUE(world.RunUntil([&] { return recorder.connected; }, 1s));
  world.RunFor(10ms);
  machine.PowerOff();
  WriteText(*connection, "anyone?");
  world.RunFor(10min);  // shorter than the kernel's retransmissions
  EXPECT_EQ(recorder.events, "c");
  EXPECT_GE(connection->unacknowledged_for(), 10min - 1s);
  machine.PowerOn();
  ASSERT_TRUE(world.RunUntil([&] { return !recorder.error.ok(); }, 10s));
  EXPECT_EQ(recorder.error.code, ErrorCode::kReset);
  EXPECT_FALSE(server.alive());
  server.Start();
  Recorder again;
  auto second = loop.Connect({.address = address}, &again);
  ASSERT_TRUE(world.RunUntil([&] { return again.connected; }, 1s));
}

TEST(WorldTest, KeepAliveNoticesThatAMachineIsGoneForGood) {
  World world(1);
  Machine& machine = world.AddMachine("server");
  const net::Address address = machine.address(7);
  Process& server = machine.AddProcess("server", [address](Process& p) { return std::make_shared<Echo>(p.loop(), address); });
  server.Start();
  SimLoop& loop = world.AddLoop("client");
  Recorder idle, waiting;
  auto silent = loop.Connect({.address = address}, &idle);
  auto asking = loop.Connect({.address = address}, &waiting);
  ASSERT_TRUE(world.RunUntil([&] { return idle.connected && waiting.connected; }, 1s));
  world.RunFor(10ms);
  machine.PowerOff();
  WriteText(*asking, "anyone?");
  world.RunFor(20s);
  EXPECT_TRUE(idle.error.ok());
  world.RunFor(10s);
  EXPECT_EQ(idle.error.code, ErrorCode::kReset);
  EXPECT_TRUE(waiting.error.ok());
  world.RunFor(16min);
  EXPECT_EQ(waiting.error.code, ErrorCode::kReset);
}

TEST(WorldTest, WhatAProcessLeavesBehindIsAProblem) {
  static net::Connection* left_behind = nullptr;  // still reachable, so that only the world takes it for a leak
  struct Leaky {
    explicit Leaky(net::Loop& loop) { left_behind = loop.Connect({.address = net::Address::Loopback(1)}, &handler).release(); }
    Recorder handler;
  };
  World world(1);
  Process& process = world.AddMachine("m").AddProcess("leaky", [](Process& p) { return std::make_shared<Leaky>(p.loop()); });
  process.Start();
  process.Stop();
  ASSERT_NE(left_behind, nullptr);
  ASSERT_EQ(world.problems().size(), 1u);
  EXPECT_THAT(world.problems()[0], HasSubstr("leaky: 1 connections left behind"));
}

TEST(WorldTest, UsingAConnectionFromAnotherLoopsTurnIsAProblem) {
  World world(1);
  SimLoop& one = world.AddLoop("one");
  SimLoop& two = world.AddLoop("two");
  Recorder recorder;
  auto connection = one.Connect({.address = net::Address::Loopback(1)}, &recorder);
  TestTimer timer([&] { WriteText(*connection, "a data race in production"); });
  two.Arm(&timer, 1ms);
  world.RunFor(1s);
  ASSERT_EQ(world.problems().size(), 1u);
  EXPECT_THAT(world.problems()[0], HasSubstr("one: Connection::Write called from a turn of two"));
}

TEST(WorldTest, AProcessMayEndItselfFromItsOwnTurn) {
  World world(1);
  struct Program {
    Program(Process& p) : timer([&p] { p.Restart(); }) { p.loop().Arm(&timer, 1ms); }
    TestTimer timer;
  };
  Process& process = world.AddMachine("m").AddProcess("p", [](Process& p) { return std::make_shared<Program>(p); });
  process.Start();
  world.RunFor(10ms + 500us);
  EXPECT_GT(process.starts(), 5);
  EXPECT_TRUE(process.alive());
  EXPECT_THAT(world.problems(), IsEmpty());
}

TEST(WorldTest, ClocksOfMachinesMayBeWrong) {
  World world(1);
  SimLoop& loop = world.AddLoop("one");
  const WallTime before = loop.wall_now();
  loop.process().machine().ShiftWallClock(-1h);
  world.RunFor(1s);
  EXPECT_EQ(loop.wall_now() - before, 1s - 1h);
}

TEST(WorldTest, AFloodOfEventsWithoutTimePassingIsToldAsNoProgress) {
  World world(1);
  std::function<void()> again = [&] { world.Later(Duration::zero(), again); };
  again();
  EXPECT_FALSE(world.RunUntil([] { return false; }, 1s));
  ASSERT_EQ(world.problems().size(), 1u);
  EXPECT_THAT(world.problems()[0], HasSubstr("no progress"));
}

}  // namespace
}  // namespace outrigger::sim
