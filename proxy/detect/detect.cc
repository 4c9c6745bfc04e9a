#include "proxy/detect/detect.h"

namespace outrigger::detect {

Protocol Detect(Bytes first) {
  constexpr uint8_t kHandshakeRecord = 0x16;  // no HTTP method and no text protocol begins with SYN
  return first[0] == kHandshakeRecord ? Protocol::kTls : Protocol::kPlaintext;
}

}  // namespace outrigger::detect
