// What the test applications say to each other: bodies that depend on the request's id and differ from byte to byte, so that a lost,
// repeated, swapped or foreign byte shows; and the names of the headers that carry the facts.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/http/header_map.h"

namespace outrigger::scenario {

inline constexpr std::string_view kIdHeader = "x-test-id";        // of the request; every answer repeats it
inline constexpr std::string_view kBytesHeader = "x-test-bytes";  // size of the body that this head announces
inline constexpr std::string_view kAppHeader = "x-test-app";      // who answered

enum class Way : uint8_t { kRequest = 1, kResponse = 2 };

inline char PayloadByte(uint64_t id, Way way, uint64_t position) {
  return static_cast<char>(((position + id * 977 + static_cast<uint64_t>(way) * 31) * 0x9e3779b97f4a7c15ull) >> 56);
}

inline std::string Payload(uint64_t id, Way way, uint64_t from, uint64_t size) {
  std::string text(size, '\0');
  for (uint64_t i = 0; i < size; ++i) text[i] = PayloadByte(id, way, from + i);
  return text;
}

// Checks a body as it comes, piece by piece.
class PayloadChecker {
 public:
  PayloadChecker() = default;
  PayloadChecker(uint64_t id, Way way, uint64_t size) : id_(id), size_(size), way_(way) {}
  void Take(std::string_view piece) {
    for (const char c : piece) right_ = right_ && position_ < size_ && c == PayloadByte(id_, way_, position_), ++position_;
  }
  bool right() const { return right_; }                            // so far
  bool complete() const { return right_ && position_ == size_; }   // and nothing missing
  uint64_t position() const { return position_; }
  uint64_t size() const { return size_; }

 private:
  uint64_t id_ = 0;
  uint64_t size_ = 0;
  uint64_t position_ = 0;
  Way way_ = Way::kRequest;
  bool right_ = true;
};

inline std::optional<uint64_t> NumberIn(const http::HeaderMap& headers, std::string_view name) {
  const std::optional<std::string_view> text = headers.Get(name);
  if (!text) return std::nullopt;
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return number;
}

}  // namespace outrigger::scenario
