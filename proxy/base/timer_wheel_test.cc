#include "proxy/base/timer_wheel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "proxy/base/random.h"

namespace outrigger {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Instant kStart{Duration(123'456'789)};

class FunctionTimer final : public Timer {
 public:
  explicit FunctionTimer(std::function<void()> fire = [] {}) : fire_(std::move(fire)) {}

 private:
  void OnTimer() override { fire_(); }
  std::function<void()> fire_;
};

// A wheel with the time it was last told.
struct Driven {
  TimerWheel wheel{kStart};
  Instant now = kStart;
  void Arm(Timer* timer, Duration delay) { wheel.Arm(timer, now, delay); }
  void Go(Duration by) {
    now += by;
    wheel.Advance(now);
  }
  // Goes from wake-up to wake-up, as a loop does; returns how many there were.
  int GoByWakes(Instant until) {
    int wakes = 0;
    while (std::optional<Instant> wake = wheel.NextWake()) {
      if (*wake > until) break;
      EXPECT_GT(*wake, now) << "a wake-up that is due already would spin";
      now = std::max(now, *wake);
      wheel.Advance(now);
      ++wakes;
    }
    now = std::max(now, until);
    wheel.Advance(now);
    return wakes;
  }
};

TEST(TimerWheel, AnEmptyWheelWantsNoWakeUp) {
  Driven t;
  EXPECT_TRUE(t.wheel.empty());
  EXPECT_EQ(t.wheel.NextWake(), std::nullopt);
  t.Go(24h);
  EXPECT_EQ(t.wheel.NextWake(), std::nullopt);
}

TEST(TimerWheel, FiresOnceAndNeverEarly) {
  Driven t;
  int fired = 0;
  FunctionTimer timer([&] { ++fired; });
  t.Arm(&timer, 10ms);
  EXPECT_TRUE(timer.armed());
  EXPECT_EQ(timer.expiry(), kStart + 10ms);
  t.Go(10ms - 1ns);
  EXPECT_EQ(fired, 0);
  t.Go(1ns);
  EXPECT_EQ(fired, 1);
  EXPECT_FALSE(timer.armed());
  t.Go(1h);
  EXPECT_EQ(fired, 1);
}

TEST(TimerWheel, IsAtMostOneTickLate) {
  Driven t;
  t.Go(300us);  // between ticks
  int fired = 0;
  FunctionTimer timer([&] { ++fired; });
  t.Arm(&timer, 5ms);
  t.Go(5ms + 1ms);
  EXPECT_EQ(fired, 1);
}

TEST(TimerWheel, ZeroAndNegativeDelaysFireAtTheNextTick) {
  Driven t;
  int fired = 0;
  FunctionTimer zero([&] { ++fired; });
  FunctionTimer negative([&] { ++fired; });
  t.Arm(&zero, 0ms);
  t.Arm(&negative, -5s);
  t.Go(1ms);
  EXPECT_EQ(fired, 2);
}

TEST(TimerWheel, FiresByTickThenInTheOrderArmed) {
  Driven t;
  std::vector<int> order;
  FunctionTimer a([&] { order.push_back(1); });
  FunctionTimer b([&] { order.push_back(2); });
  FunctionTimer c([&] { order.push_back(3); });
  FunctionTimer d([&] { order.push_back(4); });
  t.Arm(&d, 100ms);
  t.Arm(&a, 50ms);
  t.Arm(&b, 50ms);
  t.Arm(&c, 51ms);
  t.Go(1s);
  EXPECT_THAT(order, ElementsAre(1, 2, 3, 4));
}

TEST(TimerWheel, ArmingAgainMovesTheTimer) {
  Driven t;
  int fired = 0;
  FunctionTimer timer([&] { ++fired; });
  t.Arm(&timer, 10ms);
  t.Arm(&timer, 1000ms);
  t.Go(999ms);
  EXPECT_EQ(fired, 0);
  t.Go(1ms);
  EXPECT_EQ(fired, 1);
  t.Arm(&timer, 1000ms);
  t.Arm(&timer, 10ms);
  t.Go(10ms);
  EXPECT_EQ(fired, 2);
  EXPECT_TRUE(t.wheel.empty());
}

TEST(TimerWheel, ATimerThatIsDestroyedNeverFires) {
  Driven t;
  int fired = 0;
  auto timer = std::make_unique<FunctionTimer>([&] { ++fired; });
  t.Arm(timer.get(), 10ms);
  timer.reset();
  EXPECT_TRUE(t.wheel.empty());
  t.Go(1s);
  EXPECT_EQ(fired, 0);
}

TEST(TimerWheel, ATimerMayDisarmOneThatIsDueInTheSameTurn) {
  Driven t;
  int fired = 0;
  FunctionTimer second([&] { ++fired; });
  FunctionTimer first([&] { second.Disarm(); });
  t.Arm(&first, 10ms);
  t.Arm(&second, 10ms);
  t.Go(1s);
  EXPECT_EQ(fired, 0);
  EXPECT_TRUE(t.wheel.empty());
  EXPECT_EQ(t.wheel.NextWake(), std::nullopt);
}

TEST(TimerWheel, ATimerMayDestroyItselfAndOthers) {
  Driven t;
  int fired = 0;
  auto other = std::make_unique<FunctionTimer>([&] { ++fired; });
  std::unique_ptr<FunctionTimer> self;
  self = std::make_unique<FunctionTimer>([&] {
    ++fired;
    other.reset();
    auto gone = std::move(self);
  });
  t.Arm(self.get(), 10ms);
  t.Arm(other.get(), 11ms);
  t.Go(1s);
  EXPECT_EQ(fired, 1);
  EXPECT_TRUE(t.wheel.empty());
}

TEST(TimerWheel, ATimerMayArmItselfAgainAndThenWaitsForTheNextAdvance) {
  Driven t;
  int fired = 0;
  FunctionTimer timer;
  FunctionTimer again([&] {
    ++fired;
    t.wheel.Arm(&again, t.now, 0ms);
  });
  t.Arm(&again, 10ms);
  t.Go(1s);
  EXPECT_EQ(fired, 1);
  t.Go(1ms);
  EXPECT_EQ(fired, 2);
}

TEST(TimerWheel, ATimerMayMoveOneThatIsDueInTheSameTurn) {
  Driven t;
  int fired = 0;
  FunctionTimer second([&] { ++fired; });
  FunctionTimer first([&] { t.wheel.Arm(&second, t.now, 5ms); });
  t.Arm(&first, 10ms);
  t.Arm(&second, 10ms);
  t.Go(10ms);
  EXPECT_EQ(fired, 0);
  t.Go(5ms);
  EXPECT_EQ(fired, 1);
}

TEST(TimerWheel, CallsAMemberOfItsOwner) {
  struct Owner {
    void OnDeadline() { ++called; }
    int called = 0;
    CallbackTimer<Owner, &Owner::OnDeadline> deadline{this};
  } owner;
  Driven t;
  t.Arm(&owner.deadline, 2ms);
  t.Go(2ms);
  EXPECT_EQ(owner.called, 1);
}

TEST(TimerWheel, AWheelMayGoBeforeItsTimers) {
  FunctionTimer timer;
  {
    Driven t;
    t.Arm(&timer, 1s);
  }
  EXPECT_FALSE(timer.armed());
}

TEST(TimerWheel, LongDelaysFireOnTimeWithFewWakeUps) {
  for (const Duration delay : {Duration(64ms), Duration(4096ms), Duration(24h), Duration(11 * 24h), Duration(12 * 24h), Duration(13 * 24h),
                               Duration(30 * 24h), Duration(400 * 24h)}) {
    Driven t;
    t.Go(777ms);
    Instant fired{};
    FunctionTimer timer([&] { fired = t.now; });
    t.Arm(&timer, delay);
    const Instant expected = t.now + delay;
    const int wakes = t.GoByWakes(expected + 1ms);
    EXPECT_GE(fired, expected) << Milliseconds(delay);
    EXPECT_LE(fired, expected + 1ms) << Milliseconds(delay);
    EXPECT_LE(wakes, 80) << Milliseconds(delay);
  }
}

TEST(TimerWheel, AProcessThatRanTwelveDaysStillFiresOnTime) {
  // Around the turn-over of the last level: 64^5 ticks.
  constexpr Duration kTurnOver = std::chrono::milliseconds(1ll << 30);
  for (const Duration delay : {Duration(1ms), Duration(50ms), Duration(5s), Duration(24h), Duration(11 * 24h), Duration(13 * 24h)}) {
    for (const Duration before : {Duration(1ms), Duration(2ms), Duration(64ms), Duration(1h), Duration(24h)}) {
      Driven t;
      FunctionTimer keeps_the_wheel_turning;
      t.Arm(&keeps_the_wheel_turning, 100 * 24h);
      t.GoByWakes(kStart + kTurnOver - before);
      Instant fired{};
      FunctionTimer timer([&] { fired = t.now; });
      t.Arm(&timer, delay);
      const Instant expected = t.now + delay;
      t.GoByWakes(expected + 1ms);
      ASSERT_GE(fired, expected) << Milliseconds(delay) << " ms, " << Milliseconds(before) << " ms before";
      ASSERT_LE(fired, expected + 1ms);
    }
  }
}

TEST(TimerWheel, AfterALongIdleTimeATimerIsStillOnTime) {
  Driven t;
  t.now += 90 * 24h;  // nobody advanced the wheel: it was empty
  Instant fired{};
  FunctionTimer timer([&] { fired = t.now; });
  t.Arm(&timer, 250ms);
  const Instant expected = t.now + 250ms;
  EXPECT_LE(t.GoByWakes(expected + 1ms), 5);
  EXPECT_GE(fired, expected);
}

// The specification, word for word, by a sorted map.
class NaiveWheel {
 public:
  using Key = std::pair<uint64_t, uint64_t>;  // tick, order armed
  void Arm(int id, Instant now, Duration delay) {
    Disarm(id);
    const Instant expiry = now + std::max(delay, Duration::zero());
    const uint64_t due = static_cast<uint64_t>((expiry - kStart + 1ms - 1ns) / 1ms);
    const Key key{std::max(due, Tick(now) + 1), ++order_};
    by_key_[key] = id;
    by_id_[id] = key;
  }
  void Disarm(int id) {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return;
    by_key_.erase(found->second);
    by_id_.erase(found);
  }
  std::vector<std::pair<uint64_t, int>> Advance(Instant now) {
    std::vector<std::pair<uint64_t, int>> fired;
    while (!by_key_.empty() && by_key_.begin()->first.first <= Tick(now)) {
      fired.push_back({by_key_.begin()->first.first, by_key_.begin()->second});
      Disarm(fired.back().second);
    }
    return fired;
  }
  static uint64_t Tick(Instant t) { return static_cast<uint64_t>((t - kStart) / 1ms); }
  std::optional<uint64_t> next_tick() const {
    if (by_key_.empty()) return std::nullopt;
    return by_key_.begin()->first.first;
  }
  bool armed(int id) const { return by_id_.contains(id); }

 private:
  std::map<Key, int> by_key_;
  std::map<int, Key> by_id_;
  uint64_t order_ = 0;
};

Duration RandomDelay(Random& random) {
  // Every magnitude from nothing to past the horizon.
  const uint64_t bits = random.Below(52);
  return Duration(static_cast<int64_t>(random.Next() >> (63 - bits)));
}

TEST(TimerWheel, AgreesWithANaiveModel) {
  constexpr int kTimers = 40;
  int total = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Driven t;
    NaiveWheel model;
    std::vector<int> fired;
    std::vector<std::unique_ptr<FunctionTimer>> timers;
    for (int id = 0; id < kTimers; ++id) timers.push_back(std::make_unique<FunctionTimer>([&fired, id] { fired.push_back(id); }));
    for (int step = 0; step < 1500; ++step) {
      const int id = static_cast<int>(random.Below(kTimers));
      switch (random.Below(4)) {
        case 0:
        case 1: {
          const Duration delay = RandomDelay(random);
          t.Arm(timers[static_cast<size_t>(id)].get(), delay);
          model.Arm(id, t.now, delay);
          break;
        }
        case 2:
          timers[static_cast<size_t>(id)]->Disarm();
          model.Disarm(id);
          break;
        default: {
          // Either to the wake-up asked for, or anywhere.
          const std::optional<Instant> wake = t.wheel.NextWake();
          t.now = wake && random.Chance(0.5) ? *wake : t.now + RandomDelay(random);
          fired.clear();
          t.wheel.Advance(t.now);
          std::vector<std::pair<uint64_t, int>> expected = model.Advance(t.now);
          // Within a tick the order is the one of arming as far as the timers never waited on a higher level; by tick always.
          ASSERT_EQ(fired.size(), expected.size());
          for (size_t begin = 0; begin < expected.size();) {
            size_t end = begin;
            std::vector<int> want, got;
            for (; end < expected.size() && expected[end].first == expected[begin].first; ++end) {
              want.push_back(expected[end].second);
              got.push_back(fired[end]);
            }
            ASSERT_THAT(got, ::testing::UnorderedElementsAreArray(want));
            begin = end;
          }
          total += static_cast<int>(fired.size());
        }
      }
      const std::optional<Instant> wake = t.wheel.NextWake();
      const std::optional<uint64_t> next = model.next_tick();
      ASSERT_EQ(wake.has_value(), next.has_value());
      if (wake) {
        ASSERT_LE(*wake, kStart + Duration(1ms) * static_cast<int64_t>(*next)) << "the wheel would oversleep";
        ASSERT_GT(*wake, t.now) << "the loop would spin";
      }
      ASSERT_EQ(timers[static_cast<size_t>(id)]->armed(), model.armed(id));
    }
  }
  EXPECT_GT(total, 5000);
}

}  // namespace
}  // namespace outrigger
