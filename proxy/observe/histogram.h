// Durations in fixed buckets, one addition each. Bounds in seconds, chosen for services in one data centre (0.5 ms to 10 s); the same
// for every series, so that they add up. Plain counters: one worker; merged when scraped.
#pragma once

#include <array>
#include <cstdint>

#include "proxy/base/time.h"

namespace outrigger::observe {

class Histogram {
 public:
  static constexpr std::array<int64_t, 14> kBoundsUs = {500,    1'000,   2'500,   5'000,     10'000,    25'000,    50'000,
                                                        100'000, 250'000, 500'000, 1'000'000, 2'500'000, 5'000'000, 10'000'000};

  void Record(Duration duration) {
    const int64_t us = duration.count() / 1000;
    size_t bucket = 0;
    while (bucket < kBoundsUs.size() && us > kBoundsUs[bucket]) ++bucket;
    ++buckets_[bucket];
    sum_ns_ += static_cast<uint64_t>(duration.count() < 0 ? 0 : duration.count());
  }
  void Merge(const Histogram& other) {
    for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    sum_ns_ += other.sum_ns_;
  }
  // Not cumulative; the last one is +Inf.
  const std::array<uint64_t, kBoundsUs.size() + 1>& buckets() const { return buckets_; }
  double sum_seconds() const { return static_cast<double>(sum_ns_) * 1e-9; }
  uint64_t count() const {
    uint64_t count = 0;
    for (const uint64_t bucket : buckets_) count += bucket;
    return count;
  }

 private:
  std::array<uint64_t, kBoundsUs.size() + 1> buckets_{};
  uint64_t sum_ns_ = 0;
};

}  // namespace outrigger::observe
