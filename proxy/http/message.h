// Request and response heads, the same for every protocol version. What a version spells in its own way (Host or
// :authority, Content-Length, Transfer-Encoding, Connection, :path) is a member here and not in `headers`; the codec takes
// it out on the way in and puts it back on the way out (RFC 9110, 9112, 9113).
// All views point into `headers`' arena (use Store) or to static text: a head moves and swaps as one value.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "proxy/http/header_map.h"

namespace outrigger::http {

enum class Version : uint8_t { kHttp10, kHttp11, kHttp2 };

enum class Method : uint8_t { kGet, kHead, kPost, kPut, kDelete, kConnect, kOptions, kTrace, kPatch, kOther };
Method ParseMethod(std::string_view text);  // case-sensitive (RFC 9110 section 9.1)
// Safe: meant not to change anything (RFC 9110 section 9.2.1): GET, HEAD, OPTIONS, TRACE.
bool IsSafe(Method method);
// Idempotent: twice is as good as once (section 9.2.2): the safe ones, PUT and DELETE.
bool IsIdempotent(Method method);

struct RequestHead {
  Version version = Version::kHttp11;
  Method method = Method::kGet;
  std::string_view method_text = "GET";
  std::string_view scheme;     // "http" or "https" when the target was in absolute form or came by HTTP/2; else empty
  std::string_view authority;  // Host or :authority, host[:port] as received; empty when absent (HTTP/1.0)
  std::string_view path;       // path and query, "*" for OPTIONS *; empty for CONNECT
  std::string_view protocol;   // token of Upgrade (HTTP/1.1) or :protocol (RFC 8441); empty when none is asked for
  std::optional<uint64_t> content_length;
  bool expect_continue = false;  // Expect: 100-continue
  HeaderMap headers;

  void Clear();
};

struct ResponseHead {
  Version version = Version::kHttp11;
  int status = 200;
  std::string_view reason;  // HTTP/1 reason phrase; empty: the codec writes the standard one
  std::optional<uint64_t> content_length;
  bool close = false;  // HTTP/1: say Connection: close and close after this response; HTTP/2: no meaning
  HeaderMap headers;

  void Clear();
};

std::string_view StandardReason(int status);  // "Not Found"; empty when not registered

// Removes the fields that concern one connection only: Connection and all it names, Keep-Alive, Proxy-Connection, TE (but
// for "trailers"), Upgrade, Proxy-Authenticate/-Authorization stay (RFC 9110 section 7.6.1). The codecs do it on the way in.
void RemoveHopByHop(HeaderMap* headers);

}  // namespace outrigger::http
