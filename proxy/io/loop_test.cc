#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "proxy/io/signals.h"
#include "proxy/io/test_support.h"

namespace outrigger::io {
namespace {

using ::testing::ElementsAre;

class FunctionTimer final : public Timer {
 public:
  explicit FunctionTimer(std::function<void()> fire) : fire_(std::move(fire)) {}

 private:
  void OnTimer() override { fire_(); }
  std::function<void()> fire_;
};

class FunctionTask final : public net::TurnTask {
 public:
  explicit FunctionTask(std::function<void()> run) : run_(std::move(run)) {}
  void OnTurnEnd() override { run_(); }

 private:
  std::function<void()> run_;
};

TEST(UvLoop, TimersFireInOrderAndNotEarly) {
  UvLoop loop(1);
  std::vector<int> order;
  const Instant start = loop.now();
  FunctionTimer late([&] {
    order.push_back(2);
    EXPECT_GE(loop.now() - start, 20ms);
    loop.Stop();
  });
  FunctionTimer early([&] {
    order.push_back(1);
    EXPECT_GE(loop.now() - start, 5ms);
  });
  loop.Arm(&late, 20ms);
  loop.Arm(&early, 5ms);
  loop.Run();
  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST(UvLoop, ATimerWakesTheLoopOnce) {
  UvLoop loop(1);
  for (int i = 0; i < 20; ++i) {
    bool fired = false;
    FunctionTimer timer([&] { fired = true; });
    loop.mailbox()->Post([] {});
    loop.RunTurn();  // a fresh now
    loop.Arm(&timer, 3ms + Duration(i * 50'000));
    int turns = 0;
    while (!fired) {
      loop.RunTurn();
      ++turns;
    }
    EXPECT_LE(turns, 2) << "waking early spins";
  }
}

TEST(UvLoop, TheTimeStandsStillWithinATurn) {
  UvLoop loop(1);
  Instant first, second, task_time;
  FunctionTask task([&] { task_time = loop.now(); });
  loop.mailbox()->Post([&] {
    first = loop.now();
    const auto begin = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - begin < 2ms) {
    }
    loop.AtTurnEnd(&task);
  });
  loop.mailbox()->Post([&] { second = loop.now(); });
  loop.RunTurn();
  EXPECT_EQ(first, second);
  EXPECT_EQ(first, task_time);
  loop.mailbox()->Post([] {});
  loop.RunTurn();
  EXPECT_GE(loop.now() - first, 2ms);
}

TEST(UvLoop, TheWallClockIsTheSystems) {
  UvLoop loop(1);
  loop.mailbox()->Post([] {});
  loop.RunTurn();
  const int64_t difference = UnixSeconds(loop.wall_now()) - static_cast<int64_t>(std::time(nullptr));
  EXPECT_LE(std::abs(difference), 5);
}

// Turn-end tasks run in the turn that scheduled them, before the loop sleeps, whatever the turn was made of. Nothing else
// would wake these loops: if a task waited for a further turn, RunTurn would hang or the flag would be missing.

TEST(UvLoop, TurnEndTasksRunAfterMessages) {
  UvLoop loop(1);
  bool ran = false;
  FunctionTask task([&] { ran = true; });
  loop.mailbox()->Post([&] { loop.AtTurnEnd(&task); });
  loop.RunTurn();
  EXPECT_TRUE(ran);
}

TEST(UvLoop, TurnEndTasksRunAfterTimers) {
  UvLoop loop(1);
  bool ran = false;
  FunctionTask task([&] {
    ran = true;
    loop.Stop();
  });
  FunctionTimer timer([&] { loop.AtTurnEnd(&task); });
  loop.Arm(&timer, 1ms);
  loop.Run();
  EXPECT_TRUE(ran);
}

TEST(UvLoop, TurnEndTasksRunAfterReads) {
  UvLoop loop(1);
  Pair pair(loop);
  bool ran = false;
  FunctionTask task([&] { ran = true; });
  pair.server.on_read = [&] { loop.AtTurnEnd(&task); };
  pair.client.Send("x");
  while (pair.server.received.empty()) loop.RunTurn();
  EXPECT_TRUE(ran) << "not by the end of the turn that read";
}

TEST(UvLoop, TurnEndTasksRunAfterDeferredCalls) {
  UvLoop loop(1);
  bool ran = false;
  FunctionTask task([&] {
    ran = true;
    loop.Stop();
  });
  auto resolution = loop.Resolve("127.0.0.1", 1, [&](Result<std::vector<net::Address>>) { loop.AtTurnEnd(&task); });
  loop.Run();
  EXPECT_TRUE(ran);
}

TEST(UvLoop, TurnEndTasksScheduledBeforeRunAndByTasksRunToo) {
  UvLoop loop(1);
  bool ran = false;
  FunctionTask second([&] {
    ran = true;
    loop.Stop();
  });
  FunctionTask first([&] { loop.AtTurnEnd(&second); });
  loop.AtTurnEnd(&first);
  loop.Run();
  EXPECT_TRUE(ran);
}

TEST(UvLoop, AnArmedTimerOfZeroFiresWithoutAnythingElseHappening) {
  UvLoop loop(1);
  int fired = 0;
  FunctionTimer timer([&] {
    if (++fired == 5) loop.Stop();
    loop.Arm(&timer, 0ms);
  });
  loop.Arm(&timer, 0ms);
  loop.Run();
  EXPECT_EQ(fired, 5);
}

TEST(UvLoop, StopComesFromAnyThread) {
  UvLoop loop(1);
  std::thread other([&] { loop.Stop(); });
  loop.Run();
  other.join();
  // And the loop runs again after it.
  bool ran = false;
  loop.mailbox()->Post([&] {
    ran = true;
    loop.Stop();
  });
  loop.Run();
  EXPECT_TRUE(ran);
}

TEST(UvMailbox, MessagesOfEveryThreadArriveInTheirOrder) {
  UvLoop loop(1);
  constexpr int kThreads = 4;
  constexpr int kEach = 5000;
  std::vector<int> next(kThreads, 0);
  int total = 0, out_of_order = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t, mailbox = loop.mailbox()] {
      for (int i = 0; i < kEach; ++i) {
        mailbox->Post([&, t, i] {
          out_of_order += next[static_cast<size_t>(t)]++ != i;
          ++total;
        });
      }
    });
  }
  TurnUntil(loop, [&] { return total == kThreads * kEach; });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(out_of_order, 0);
}

TEST(UvMailbox, AMessagePostedByAMessageComesInALaterTurn) {
  UvLoop loop(1);
  bool ran = false;
  loop.mailbox()->Post([&] { loop.mailbox()->Post([&] { ran = true; }); });
  loop.RunTurn();
  EXPECT_FALSE(ran);
  loop.RunTurn();
  EXPECT_TRUE(ran);
}

TEST(UvMailbox, WhatIsPostedToALoopThatIsGoneIsDestroyedUnrun) {
  std::shared_ptr<net::Mailbox> mailbox;
  const auto token = std::make_shared<int>(0);
  bool ran = false;
  {
    UvLoop loop(1);
    mailbox = loop.mailbox();
    mailbox->Post([&ran, token] { ran = true; });
  }
  EXPECT_EQ(token.use_count(), 1) << "left behind";
  mailbox->Post([&ran, token] { ran = true; });
  EXPECT_EQ(token.use_count(), 1);
  EXPECT_FALSE(ran);
}

TEST(UvMailbox, AMessageMayPostWhenItIsDestroyedUnrun) {
  struct PostsOnDestruction {
    explicit PostsOnDestruction(std::shared_ptr<net::Mailbox> to) : mailbox(std::move(to)) {}
    ~PostsOnDestruction() { mailbox->Post([] {}); }
    std::shared_ptr<net::Mailbox> mailbox;
  };
  UvLoop loop(1);
  auto message = std::make_shared<PostsOnDestruction>(loop.mailbox());
  loop.mailbox()->Post([held = std::move(message)] {});
}

TEST(UvMailbox, ThreadsMayPostWhileTheLoopGoes) {
  for (int round = 0; round < 50; ++round) {
    auto loop = std::make_unique<UvLoop>(1);
    std::atomic<bool> going{true};
    std::thread other([&going, mailbox = loop->mailbox()] {
      while (going) mailbox->Post([] {});
    });
    loop->RunTurn();
    loop.reset();
    going = false;
    other.join();
  }
}

TEST(SignalWatcher, CallsBackOnTheLoop) {
  UvLoop loop(1);
  std::vector<int> seen;
  std::unique_ptr<SignalWatcher> watcher;
  watcher = std::make_unique<SignalWatcher>(&loop, std::vector<int>{SIGTERM, SIGHUP}, [&](int signal) {
    seen.push_back(signal);
    if (seen.size() == 2) {
      watcher.reset();
      loop.Stop();
    } else {
      raise(SIGTERM);
    }
  });
  raise(SIGHUP);
  loop.Run();
  EXPECT_THAT(seen, ElementsAre(SIGHUP, SIGTERM));
}

}  // namespace
}  // namespace outrigger::io
