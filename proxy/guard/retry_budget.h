// How many retries a service may be sent, as a token bucket funded by successes (Brooker, "Fixing retries with token buckets",
// 2022): each success adds `ratio` of a retry, each retry takes one; a floor of so many a second keeps rarely used services
// retryable. A share of *active* requests would let high load turn into a lasting outage; successes dry up with the outage.
// Holds per process; thread-safe (relaxed atomics; a change of settings may be seen piece by piece, which only moves a few retries).
#pragma once

#include <atomic>
#include <cstdint>

#include "proxy/base/time.h"

namespace outrigger::guard {

class RetryBudget {
 public:
  struct Settings {
    double ratio = 0.2;             // retries per success
    double floor_per_second = 10;   // added whatever succeeds
    double capacity = 100;          // most retries saved up
    bool operator==(const Settings&) const = default;
  };

  explicit RetryBudget(Settings settings);
  RetryBudget() : RetryBudget(Settings{}) {}

  // From now on; what is saved up stays, as far as the capacity goes.
  void Configure(Settings settings);

  void OnSuccess();
  // Takes one retry; false when the budget is spent (response flag URX, reason "retry-budget-exhausted").
  bool TryTake(Instant now);
  double tokens() const;  // for /clusters

 private:
  static constexpr int64_t kUnit = 1000;  // milli-retries
  void Refill(Instant now);

  std::atomic<int64_t> success_;
  std::atomic<int64_t> capacity_;
  std::atomic<double> floor_per_second_;
  std::atomic<int64_t> tokens_;
  std::atomic<int64_t> refilled_ns_{0};
};

}  // namespace outrigger::guard
