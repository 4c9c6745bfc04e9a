// A count that holds for the whole process: active requests of an endpoint, connections of a service. Policies stay pure:
// they are given load(). A reservation is taken before use and given back by the guard that stands for it.
// Thread-safe. Each count has a cache line of its own, so that workers do not slow each other by neighbourhood.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace outrigger {

class alignas(64) SharedCount {
 public:
  int64_t load() const { return value_.load(std::memory_order_relaxed); }
  void Add(int64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
  // Adds one unless that would pass `limit`; false when it would.
  bool TryAdd(int64_t limit) {
    if (value_.fetch_add(1, std::memory_order_relaxed) < limit) return true;
    value_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }

 private:
  std::atomic<int64_t> value_{0};
};

// Holds one unit of a SharedCount for as long as it lives. The count must outlive it. Movable, not thread-safe itself.
class CountGuard {
 public:
  CountGuard() = default;
  explicit CountGuard(SharedCount* count) : count_(count) { count_->Add(1); }
  static CountGuard Adopt(SharedCount* count) {  // after a TryAdd that said yes
    CountGuard guard;
    guard.count_ = count;
    return guard;
  }
  CountGuard(CountGuard&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  CountGuard& operator=(CountGuard&& other) noexcept {
    if (this != &other) {
      Release();
      count_ = std::exchange(other.count_, nullptr);
    }
    return *this;
  }
  ~CountGuard() { Release(); }
  void Release() {
    if (count_ != nullptr) std::exchange(count_, nullptr)->Add(-1);
  }
  explicit operator bool() const { return count_ != nullptr; }

 private:
  SharedCount* count_ = nullptr;
};

}  // namespace outrigger
