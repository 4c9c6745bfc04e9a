// Heads and chunks as bytes, straight into an output Buffer. A head is refused as a whole, with nothing written, when any part of it
// holds a byte that would end its line or field early (CR, LF, NUL and their like): whatever was configured, injected or received
// over HTTP/2, it cannot become another message here (RFC 9110 section 5.5).
// Pure functions but for BodyWriter, a value.
#pragma once

#include <optional>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/base/bytes.h"
#include "proxy/codec/http1_framing.h"
#include "proxy/http/message.h"

namespace outrigger::codec {

// The lines that the codec adds to the owner's fields. Fields of these names in the map are left out: framing and connection
// are decided here alone.
struct WireLines {
  std::optional<uint64_t> content_length;
  bool chunked = false;
  std::string_view connection;  // "close", "keep-alive", "Upgrade"; empty: none
  std::string_view upgrade;     // empty: none
  bool expect_continue = false;
};

[[nodiscard]] bool WriteRequestHead(const http::RequestHead& head, const WireLines& lines, Buffer* out);
[[nodiscard]] bool WriteResponseHead(const http::ResponseHead& head, const WireLines& lines, Buffer* out);

// The body after a head, in its framing. kNone drops what comes (responses to HEAD, 204, 304).
class BodyWriter {
 public:
  void Start(Framing framing) { framing_ = framing; }
  // False when there is more data than was announced: the rest is dropped, the framing holds.
  [[nodiscard]] bool Data(Bytes data, Buffer* out);
  // Trailers (null: none) go out in chunked framing only. False when the message is incomplete on the wire (fewer bytes than were
  // announced, or an unsafe trailer): only the end of the connection can tell the peer.
  [[nodiscard]] bool End(const http::HeaderMap* trailers, Buffer* out);

 private:
  Framing framing_;
};

// Is any byte of it below 0x20 and not a tab?
bool HasControl(std::string_view text);

}  // namespace outrigger::codec
