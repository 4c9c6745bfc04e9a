// What is known about one endpoint while it lives, for the whole process: requests in flight, and whether it is set aside after
// refusing or resetting. Kept outside snapshots, keyed by the endpoint's identity, so that new configuration forgets nothing.
// Thread-safe: plain atomics, one cache line of its own for the count.
//
// Setting aside: an endpoint that refuses or resets gets no requests for 100 ms, doubling with each further failure to 5 s. When the
// time is over one request readmits it: success clears the mark, failure doubles the time. (Without it a dead replica, which
// fails fast, has the fewest requests in flight and attracts all traffic.)
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "proxy/base/shared_count.h"
#include "proxy/base/time.h"

namespace outrigger::balance {

class EndpointState {
 public:
  SharedCount active;  // requests in flight from this process
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> failures{0};

  enum class Standing : uint8_t { kGood, kAside, kTrial };  // kTrial: aside, time over, one request may try

  Standing standing(Instant now) const;
  // Takes the one trial of a kTrial endpoint; false when another request has it.
  bool TakeTrial(Instant now);
  void OnSuccess();
  void OnFailure(Instant now);  // refused, reset, connect timeout
  // Nanoseconds since the monotonic origin; 0 when not set aside. For /clusters.
  int64_t aside_until_ns() const { return aside_until_ns_.load(std::memory_order_relaxed); }
  uint32_t consecutive_failures() const { return consecutive_.load(std::memory_order_relaxed); }

  static constexpr Duration kFirstAside = std::chrono::milliseconds(100);
  static constexpr Duration kLongestAside = std::chrono::seconds(5);

 private:
  std::atomic<int64_t> aside_until_ns_{0};
  std::atomic<uint32_t> consecutive_{0};
  std::atomic<bool> trial_{false};  // the request that readmits is under way
};

}  // namespace outrigger::balance
