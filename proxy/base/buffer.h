// A contiguous queue of bytes: appended at the back, consumed at the front. Contiguous so that everything a loop turn
// produced leaves in one write. It holds memory only while it holds bytes: when the last byte is consumed the storage
// goes back to a small per-thread cache (idle connections then cost nothing).
// It does not enforce a limit by itself: the owner asks size() and stops the producer (back-pressure).
// Not thread-safe; a Buffer stays on the thread that made it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "proxy/base/bytes.h"

namespace outrigger {

class Buffer {
 public:
  Buffer() = default;
  ~Buffer() { Release(); }
  Buffer(Buffer&& other) noexcept { Swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      Release();
      Swap(other);
    }
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  // Valid until the next call that is not const.
  Bytes view() const { return {storage_ + begin_, size()}; }
  std::string_view text() const { return AsText(view()); }
  size_t capacity() const { return capacity_; }

  void Append(Bytes bytes);
  void Append(std::string_view text) { Append(AsBytes(text)); }
  void Append(char c) { *Reserve(1).data() = static_cast<uint8_t>(c), Commit(1); }

  // Room for at least `size` bytes at the back; write there, then Commit what was written.
  std::span<uint8_t> Reserve(size_t size);
  void Commit(size_t size) { end_ += size; }

  // Drops `size` bytes from the front (size <= size()).
  void Consume(size_t size);
  void Clear() { Consume(size()); }

  void Swap(Buffer& other) noexcept;

 private:
  void Release();
  void Grow(size_t needed);

  uint8_t* storage_ = nullptr;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace outrigger
