// Timers for one worker: a hierarchical wheel of 1 ms ticks (Varghese & Lauck 1987, scheme 7), O(1) to arm and to
// disarm, no allocation. A timer never fires early and at most one tick late by the wheel's own doing.
// Pure: the owner advances it with `now` and asks when to come again; an empty wheel wants no wake-up.
// Order is deterministic: by tick, then in the order armed. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>

#include "proxy/base/intrusive_list.h"
#include "proxy/base/time.h"

namespace outrigger {

class TimerWheel;

// Derive (or use CallbackTimer below) and embed as a member of what it times: destroying it disarms it.
class Timer : public ListLink<Timer> {
 public:
  virtual ~Timer() { Disarm(); }
  bool armed() const { return linked(); }
  void Disarm();
  Instant expiry() const { return expiry_; }  // meaningful while armed

 protected:
  virtual void OnTimer() = 0;  // disarmed already: may arm itself again, may destroy itself

 private:
  friend class TimerWheel;
  TimerWheel* wheel_ = nullptr;
  Instant expiry_{};
  uint64_t tick_ = 0;
};

// A timer that calls a member function of its owner: CallbackTimer<Exchange, &Exchange::OnDeadline> deadline_{this};
template <typename Owner, void (Owner::*kMember)()>
class CallbackTimer final : public Timer {
 public:
  explicit CallbackTimer(Owner* owner) : owner_(owner) {}

 protected:
  void OnTimer() override { (owner_->*kMember)(); }

 private:
  Owner* owner_;
};

class TimerWheel {
 public:
  explicit TimerWheel(Instant start);
  ~TimerWheel();
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // (Re)arms `timer` to fire `delay` after `now` (negative counts as zero: the next tick).
  void Arm(Timer* timer, Instant now, Duration delay);

  // Fires everything due at `now`. Timers armed meanwhile with zero delay fire on the next call.
  void Advance(Instant now);

  // When Advance has something to do next; nullopt while empty. May be early (a cascade), never late.
  std::optional<Instant> NextWake() const;

  bool empty() const { return count_ == 0; }

 private:
  friend class Timer;
  static constexpr int kLevels = 5;      // 64^5 ticks of 1 ms: 12 days; longer delays wait in the last slot and cascade
  static constexpr int kSlotBits = 6;
  static constexpr int kSlots = 1 << kSlotBits;

  uint64_t TickAtOrAfter(Instant t) const;
  uint64_t TickAtOrBefore(Instant t) const;
  uint64_t NextTick() const;  // the next at which a slot is to be emptied; may be early, never late
  void Insert(Timer* timer);
  void Cascade(int level);
  void Skip(uint64_t target);  // of an empty wheel

  const Instant start_;
  uint64_t tick_ = 0;  // everything up to this tick has fired
  int64_t count_ = 0;
  uint64_t occupied_[kLevels] = {};  // a bit per slot; may be set for a slot that Disarm emptied
  IntrusiveList<Timer> slots_[kLevels][kSlots];
};

}  // namespace outrigger
