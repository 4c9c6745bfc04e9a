// How the body of one HTTP/1 message is delimited (RFC 9112 section 6). A value.
#pragma once

#include <cstdint>

namespace outrigger::codec {

struct Framing {
  enum class Kind : uint8_t { kNone, kFixed, kChunked, kUntilClose };
  Kind kind = Kind::kNone;
  uint64_t length = 0;  // kFixed
};

}  // namespace outrigger::codec
