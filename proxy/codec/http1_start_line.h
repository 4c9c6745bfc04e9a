// The first line of an HTTP/1 message, the request target and the host: strict readers over text that is complete. Ours
// rather than llhttp's, because llhttp refuses every method that is not on its list, and knows protocols that we do not.
// Pure functions; offsets, not views, so that the head can move afterwards.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/http/message.h"

namespace outrigger::codec {

// Why a message is refused: the status of the reply (a client has no use for it) and one line for a person. Static text.
struct Refusal {
  int status = 0;
  std::string_view text;

  explicit operator bool() const { return status != 0; }
};

struct StartLine {
  http::Version version = http::Version::kHttp11;
  int status = 0;            // of a response
  uint32_t method_size = 0;  // of a request; the line begins with it
  uint32_t text_at = 0;      // request: the target; response: the reason phrase
  uint32_t text_size = 0;
};

// `line` is without its CRLF (RFC 9112 sections 3 and 4). Exactly one space between the parts, HTTP/1.0 or HTTP/1.1.
Refusal ParseRequestLine(std::string_view line, StartLine* start);
Refusal ParseStatusLine(std::string_view line, StartLine* start);

// token, RFC 9110 section 5.6.2.
bool IsTokenChar(char c);
// host [":" port] without user information (RFC 9110 section 7.2); `port_required` for CONNECT.
bool IsValidAuthority(std::string_view authority, bool port_required);

// What the request target says (RFC 9112 section 3.2). Views into `target` or static text.
struct Target {
  std::string_view scheme;     // absolute-form only, as spelled
  std::string_view authority;  // absolute-form and authority-form only
  std::string_view path;       // path and query; empty for CONNECT
  bool slash_missing = false;  // absolute-form with a query and no path: "/" goes before `path`
};
Refusal ParseTarget(http::Method method, std::string_view text, Target* target);

}  // namespace outrigger::codec
