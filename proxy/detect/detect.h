// Which protocol is this? From the first bytes that a client sends. Pure.
#pragma once

#include "proxy/base/bytes.h"

namespace outrigger::detect {

enum class Protocol : uint8_t {
  kTls,        // a TLS record with a handshake in it (RFC 8446 section 5.1)
  kPlaintext,  // anything else; the HTTP codec says what is wrong with it, if it is not HTTP
};

// `first`: at least one byte.
Protocol Detect(Bytes first);

}  // namespace outrigger::detect
