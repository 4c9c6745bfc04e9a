#include "proxy/guard/retry_budget.h"

#include <algorithm>

namespace outrigger::guard {

RetryBudget::RetryBudget(Settings settings)
    : success_(static_cast<int64_t>(settings.ratio * kUnit)),
      capacity_(static_cast<int64_t>(settings.capacity * kUnit)),
      floor_per_second_(settings.floor_per_second),
      tokens_(capacity_.load(std::memory_order_relaxed)) {}

void RetryBudget::Configure(Settings settings) {
  success_.store(static_cast<int64_t>(settings.ratio * kUnit), std::memory_order_relaxed);
  capacity_.store(static_cast<int64_t>(settings.capacity * kUnit), std::memory_order_relaxed);
  floor_per_second_.store(settings.floor_per_second, std::memory_order_relaxed);
}

void RetryBudget::OnSuccess() {
  // Full most of the time: then nothing is written and the line stays shared.
  if (tokens_.load(std::memory_order_relaxed) >= capacity_.load(std::memory_order_relaxed)) return;
  tokens_.fetch_add(success_.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

void RetryBudget::Refill(Instant now) {
  const int64_t now_ns = now.time_since_epoch().count();
  int64_t last = refilled_ns_.load(std::memory_order_relaxed);
  if (now_ns - last < 10'000'000) return;  // every 10 ms is often enough
  if (!refilled_ns_.compare_exchange_strong(last, now_ns, std::memory_order_relaxed)) return;
  if (last == 0) return;
  const double seconds = std::min(10.0, static_cast<double>(now_ns - last) * 1e-9);
  const double floor_per_second = floor_per_second_.load(std::memory_order_relaxed);
  tokens_.fetch_add(static_cast<int64_t>(seconds * floor_per_second * kUnit), std::memory_order_relaxed);
}

bool RetryBudget::TryTake(Instant now) {
  Refill(now);
  const int64_t capacity = capacity_.load(std::memory_order_relaxed);
  if (capacity < kUnit) return false;
  int64_t have = tokens_.load(std::memory_order_relaxed);
  while (have >= kUnit) {
    const int64_t left = std::min(have, capacity) - kUnit;
    if (tokens_.compare_exchange_weak(have, left, std::memory_order_relaxed)) return true;
  }
  return false;
}

double RetryBudget::tokens() const {
  return static_cast<double>(std::min(tokens_.load(std::memory_order_relaxed), capacity_.load(std::memory_order_relaxed))) / kUnit;
}

}  // namespace outrigger::guard
