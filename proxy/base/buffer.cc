#include "proxy/base/buffer.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace outrigger {
namespace {

// Storage comes in powers of two. The three sizes that a request uses again and again are kept on a short per-thread list
// each, so that a warm worker allocates nothing; larger ones go straight back.
constexpr size_t kSmallest = 512;
constexpr int kCachedClasses = 6;  // 512 B .. 16 KiB
constexpr int kCachedEach = 16;

struct StorageCache {
  uint8_t* free_list[kCachedClasses][kCachedEach];
  int count[kCachedClasses] = {};
  ~StorageCache() {
    for (int c = 0; c < kCachedClasses; ++c) {
      for (int i = 0; i < count[c]; ++i) std::free(free_list[c][i]);
    }
  }
};
thread_local StorageCache cache;

int ClassOf(size_t capacity) { return std::countr_zero(capacity) - std::countr_zero(kSmallest); }

uint8_t* Allocate(size_t capacity) {
  const int c = ClassOf(capacity);
  if (c < kCachedClasses && cache.count[c] > 0) return cache.free_list[c][--cache.count[c]];
  void* memory = std::malloc(capacity);
  if (memory == nullptr) throw std::bad_alloc();  // out of memory is not survivable: nothing catches it
  return static_cast<uint8_t*>(memory);
}

void Free(uint8_t* memory, size_t capacity) {
  const int c = ClassOf(capacity);
  if (c < kCachedClasses && cache.count[c] < kCachedEach) {
    cache.free_list[c][cache.count[c]++] = memory;
    return;
  }
  std::free(memory);
}

}  // namespace

void Buffer::Append(Bytes bytes) {
  if (bytes.empty()) return;
  std::memcpy(Reserve(bytes.size()).data(), bytes.data(), bytes.size());
  Commit(bytes.size());
}

std::span<uint8_t> Buffer::Reserve(size_t size) {
  if (capacity_ - end_ < size) Grow(size);
  return {storage_ + end_, capacity_ - end_};
}

void Buffer::Consume(size_t size) {
  begin_ += size;
  if (begin_ == end_) Release();
}

void Buffer::Swap(Buffer& other) noexcept {
  std::swap(storage_, other.storage_);
  std::swap(capacity_, other.capacity_);
  std::swap(begin_, other.begin_);
  std::swap(end_, other.end_);
}

void Buffer::Release() {
  if (storage_ != nullptr) Free(storage_, capacity_);
  storage_ = nullptr;
  capacity_ = begin_ = end_ = 0;
}

void Buffer::Grow(size_t needed) {
  const size_t used = size();
  // Sliding down is enough when at least half of the storage is free: amortised, a byte is moved at most twice.
  if (capacity_ >= 2 * (used + needed)) {
    std::memmove(storage_, storage_ + begin_, used);
    begin_ = 0;
    end_ = used;
    return;
  }
  const size_t capacity = std::bit_ceil(std::max(kSmallest, used + needed));
  uint8_t* storage = Allocate(capacity);
  if (used > 0) std::memcpy(storage, storage_ + begin_, used);
  if (storage_ != nullptr) Free(storage_, capacity_);
  storage_ = storage;
  capacity_ = capacity;
  begin_ = 0;
  end_ = used;
}

}  // namespace outrigger
