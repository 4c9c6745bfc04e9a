#include "proxy/balance/endpoint_state.h"

#include <algorithm>

namespace outrigger::balance {
namespace {

Duration AsideFor(uint32_t consecutive) {
  const uint32_t doublings = std::min<uint32_t>(consecutive - 1, 10);
  return std::min<Duration>(EndpointState::kFirstAside * (1 << doublings), EndpointState::kLongestAside);
}

}  // namespace

EndpointState::Standing EndpointState::standing(Instant now) const {
  const int64_t until = aside_until_ns_.load(std::memory_order_relaxed);
  if (until == 0) return Standing::kGood;
  return now.time_since_epoch().count() < until ? Standing::kAside : Standing::kTrial;
}

bool EndpointState::TakeTrial(Instant now) {
  int64_t until = aside_until_ns_.load(std::memory_order_relaxed);
  if (until == 0 || now.time_since_epoch().count() < until) return false;
  // The trial sets the endpoint aside again for as long as a failure would: if its request never reports back, the next trial
  // comes after that.
  const Duration aside = AsideFor(std::max<uint32_t>(1, consecutive_.load(std::memory_order_relaxed)));
  if (!aside_until_ns_.compare_exchange_strong(until, (now + aside).time_since_epoch().count(), std::memory_order_relaxed)) {
    return false;  // another worker was quicker
  }
  trial_.store(true, std::memory_order_relaxed);
  return true;
}

void EndpointState::OnSuccess() {
  // Read before write: on the hot path the line stays shared between workers.
  if (aside_until_ns_.load(std::memory_order_relaxed) == 0) return;
  aside_until_ns_.store(0, std::memory_order_relaxed);
  consecutive_.store(0, std::memory_order_relaxed);
  trial_.store(false, std::memory_order_relaxed);
}

void EndpointState::OnFailure(Instant now) {
  failures.fetch_add(1, std::memory_order_relaxed);
  // Many requests in flight on a dying endpoint fail together: that is one failure, not twenty doublings. Only the failure of a
  // trial counts while the endpoint is set aside.
  const int64_t until = aside_until_ns_.load(std::memory_order_relaxed);
  const bool aside = until != 0 && now.time_since_epoch().count() < until;
  if (aside && !trial_.exchange(false, std::memory_order_relaxed)) return;
  const uint32_t consecutive = consecutive_.fetch_add(1, std::memory_order_relaxed) + 1;
  aside_until_ns_.store((now + AsideFor(consecutive)).time_since_epoch().count(), std::memory_order_relaxed);
}

}  // namespace outrigger::balance
