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
  timer->wheel_ = this;
  timer->expiry_ = now + std::max(delay, Duration::zero());
  timer->tick_ = std::max(TickAtOrAfter(timer->expiry_), tick_ + 1);
  ++count_;
  Insert(timer);
}

void TimerWheel::Insert(Timer* timer) {
  // The level is set by the highest group of bits in which the timer's tick differs from the present one.
  const uint64_t different = timer->tick_ ^ tick_;
  const int level = different == 0 ? 0 : std::min(kLevels - 1, (std::bit_width(different) - 1) / kSlotBits);
  int slot = static_cast<int>((timer->tick_ >> (level * kSlotBits)) & (kSlots - 1));
  if (level == kLevels - 1 && (different >> (kLevels * kSlotBits)) != 0) {
    // Beyond the horizon: wait in the slot that is turned over last, and be placed anew then.
    slot = static_cast<int>(((tick_ >> (level * kSlotBits)) + kSlots - 1) & (kSlots - 1));
  }
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

void TimerWheel::Advance(Instant now) {
  const uint64_t target = TickAtOrBefore(now);
  if (count_ == 0) {
    tick_ = std::max(tick_, target);
    std::fill(std::begin(occupied_), std::end(occupied_), 0);
    return;
  }
  IntrusiveList<Timer> due;
  while (tick_ < target) {
    // Jump to the next occupied slot of the lowest level, or to its turn-over, whichever comes first.
    const int index = static_cast<int>(tick_ & (kSlots - 1));
    const uint64_t ahead = index + 1 < kSlots ? occupied_[0] >> (index + 1) : 0;
    const uint64_t step = ahead != 0 ? static_cast<uint64_t>(std::countr_zero(ahead)) + 1 : static_cast<uint64_t>(kSlots - index);
    tick_ = std::min(tick_ + step, target);
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
  const int index = static_cast<int>(tick_ & (kSlots - 1));
  const uint64_t ahead = index + 1 < kSlots ? occupied_[0] >> (index + 1) : 0;
  if (ahead != 0) return start_ + (tick_ + static_cast<uint64_t>(std::countr_zero(ahead)) + 1) * kTick;
  // Nothing left in this turn of the lowest level: come back where the first occupied slot above is turned over.
  for (int level = 1; level < kLevels; ++level) {
    const int shift = level * kSlotBits;
    const int at = static_cast<int>((tick_ >> shift) & (kSlots - 1));
    const uint64_t later = at + 1 < kSlots ? occupied_[level] >> (at + 1) : 0;
    if (later == 0) continue;
    const uint64_t steps = static_cast<uint64_t>(std::countr_zero(later)) + 1;
    return start_ + (((tick_ >> shift) + steps) << shift) * kTick;
  }
  // Only slots behind the hand (next turn of the last level): its turn-over is early enough.
  const int shift = kLevels * kSlotBits;
  return start_ + (((tick_ >> shift) + 1) << shift) * kTick;
}

}  // namespace outrigger
