#include "proxy/base/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace outrigger {
namespace {
constexpr Duration kTick = std::chrono::milliseconds(1);
}

void Timer::Disarm() {
  if (!linked()) return;
  Unlink();
  --wheel_->count_;
}

TimerWheel::TimerWheel(Instant start) : start_(start) {}
TimerWheel::~TimerWheel() = default;

uint64_t TimerWheel::TickAtOrAfter(Instant t) const {
  return t <= start_ ? 0 : static_cast<uint64_t>((t - start_ + kTick - Duration(1)) / kTick);
}
uint64_t TimerWheel::TickAtOrBefore(Instant t) const {
  return t <= start_ ? 0 : static_cast<uint64_t>((t - start_) / kTick);
}

void TimerWheel::Arm(Timer* timer, Instant now, Duration delay) {
  timer->Disarm();
  if (count_ == 0) Skip(TickAtOrBefore(now));  // the wheel stood still while empty; do not make Advance walk that way
  timer->wheel_ = this;
  timer->expiry_ = now + std::max(delay, Duration::zero());
  timer->tick_ = std::max(TickAtOrAfter(timer->expiry_), tick_ + 1);
  ++count_;
  Insert(timer);
}

void TimerWheel::Insert(Timer* timer) {
  // The level is set by the highest group of bits in which the timer's tick differs from the present one.
  const uint64_t different = timer->tick_ ^ tick_;
  const int highest = different == 0 ? 0 : static_cast<int>(std::bit_width(different)) - 1;
  const int level = std::min(kLevels - 1, highest / kSlotBits);
  const int shift = level * kSlotBits;
  // On the last level the hand may have to go round: distance counts there, not the differing bits (from 2^30 - 1 to 2^30
  // is one tick). Beyond the horizon: wait in the slot that is turned over last, and be placed anew then.
  const uint64_t ahead = std::min<uint64_t>((timer->tick_ >> shift) - (tick_ >> shift), kSlots - 1);
  const int slot = static_cast<int>(((tick_ >> shift) + ahead) & (kSlots - 1));
  slots_[level][slot].PushBack(timer);
  occupied_[level] |= 1ull << slot;
}

void TimerWheel::Cascade(int level) {
  const int slot = static_cast<int>((tick_ >> (level * kSlotBits)) & (kSlots - 1));
  if (slot == 0 && level + 1 < kLevels) Cascade(level + 1);
  if ((occupied_[level] & (1ull << slot)) == 0) return;
  occupied_[level] &= ~(1ull << slot);
  IntrusiveList<Timer> moved;
  moved.TakeAll(slots_[level][slot]);
  while (!moved.empty()) Insert(moved.PopFront());
}

void TimerWheel::Skip(uint64_t target) {
  tick_ = std::max(tick_, target);
  std::fill(std::begin(occupied_), std::end(occupied_), 0);
}

void TimerWheel::Advance(Instant now) {
  const uint64_t target = TickAtOrBefore(now);
  if (count_ == 0) {
    Skip(target);
    return;
  }
  IntrusiveList<Timer> due;
  while (tick_ < target) {
    tick_ = std::min(NextTick(), target);
    const int slot = static_cast<int>(tick_ & (kSlots - 1));
    if (slot == 0) Cascade(1);
    if ((occupied_[0] & (1ull << slot)) == 0) continue;
    occupied_[0] &= ~(1ull << slot);
    due.TakeAll(slots_[0][slot]);
  }
  while (!due.empty()) {
    Timer* timer = due.PopFront();
    --count_;
    timer->OnTimer();
  }
}

std::optional<Instant> TimerWheel::NextWake() const {
  if (count_ == 0) return std::nullopt;
  return start_ + NextTick() * kTick;
}

uint64_t TimerWheel::NextTick() const {
  // The first occupied slot ahead of the hand: a lower level's lies before any of a higher one.
  for (int level = 0; level < kLevels; ++level) {
    const int shift = level * kSlotBits;
    const int at = static_cast<int>((tick_ >> shift) & (kSlots - 1));
    const uint64_t later = at + 1 < kSlots ? occupied_[level] >> (at + 1) : 0;
    if (later != 0) return ((tick_ >> shift) + static_cast<uint64_t>(std::countr_zero(later)) + 1) << shift;
  }
  // Only slots behind the hand (next turn of the last level): its turn-over is early enough.
  const int shift = kLevels * kSlotBits;
  return ((tick_ >> shift) + 1) << shift;
}

}  // namespace outrigger
