#include "proxy/codec/http1_start_line.h"

#include <array>

namespace outrigger::codec {
namespace {

enum CharClass : uint8_t {
  kToken = 1,
  kTargetByte = 2,   // visible ASCII but '#': a fragment is never sent (RFC 9110 section 7.1)
  kHostByte = 4,     // reg-name of RFC 3986 section 3.2.2, and what dots and digits make up
  kReasonByte = 8,   // HTAB, SP, VCHAR, obs-text
};

constexpr std::array<uint8_t, 256> MakeClasses() {
  std::array<uint8_t, 256> classes{};
  for (int c = 0; c < 256; ++c) {
    uint8_t set = 0;
    const bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (alnum) set |= kToken | kHostByte;
    if (c > 0x20 && c < 0x7f && c != '#') set |= kTargetByte;
    if (c == '\t' || (c >= 0x20 && c != 0x7f)) set |= kReasonByte;
    classes[static_cast<size_t>(c)] = set;
  }
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) classes[static_cast<uint8_t>(c)] |= kToken;
  for (char c : std::string_view("-._~%!$&'()*+,;=")) classes[static_cast<uint8_t>(c)] |= kHostByte;
  return classes;
}
constexpr std::array<uint8_t, 256> kClasses = MakeClasses();

bool All(std::string_view text, CharClass wanted) {
  uint8_t all = wanted;
  for (char c : text) all &= kClasses[static_cast<uint8_t>(c)];
  return all != 0;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// "HTTP/1.1" (RFC 9112 section 2.3: case-sensitive, one digit each).
Refusal ParseVersion(std::string_view text, http::Version* version) {
  if (text == "HTTP/1.1") {
    *version = http::Version::kHttp11;
    return {};
  }
  if (text == "HTTP/1.0") {
    *version = http::Version::kHttp10;
    return {};
  }
  if (text.size() == 8 && text.substr(0, 5) == "HTTP/" && IsDigit(text[5]) && text[6] == '.' && IsDigit(text[7])) {
    return {505, "only HTTP/1.1 and HTTP/1.0 are spoken here"};
  }
  return {400, "malformed HTTP version"};
}

bool IsValidPort(std::string_view port) {
  if (port.empty() || port.size() > 5) return false;
  uint32_t number = 0;
  for (char c : port) {
    if (!IsDigit(c)) return false;
    number = number * 10 + static_cast<uint32_t>(c - '0');
  }
  return number <= 65535;
}

// The inside of "[...]": IPv6 address or IPvFuture; the resolver judges the address itself.
bool IsIpLiteral(std::string_view text) {
  if (text.size() < 2) return false;
  for (char c : text) {
    const bool hex = IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (!hex && c != ':' && c != '.') return false;
  }
  return true;
}

bool StartsWithIgnoreCase(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && http::EqualsIgnoreCase(text.substr(0, prefix.size()), prefix);
}

}  // namespace

bool IsTokenChar(char c) { return (kClasses[static_cast<uint8_t>(c)] & kToken) != 0; }

bool IsValidAuthority(std::string_view authority, bool port_required) {
  std::string_view host = authority;
  std::string_view rest;
  if (!authority.empty() && authority.front() == '[') {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos || !IsIpLiteral(authority.substr(1, close - 1))) return false;
    rest = authority.substr(close + 1);
  } else {
    const size_t colon = authority.find(':');
    host = authority.substr(0, colon);
    if (colon != std::string_view::npos) rest = authority.substr(colon);
    if (host.empty() || !All(host, kHostByte)) return false;
  }
  if (rest.empty()) return !port_required;
  if (rest.front() != ':') return false;
  rest.remove_prefix(1);
  // "host:" is allowed by the grammar and means the default port.
  return (rest.empty() && !port_required) || IsValidPort(rest);
}

Refusal ParseRequestLine(std::string_view line, StartLine* start) {
  const size_t first = line.find(' ');
  if (first == std::string_view::npos) return {400, "malformed request line"};
  const std::string_view method = line.substr(0, first);
  if (method.empty() || !All(method, kToken)) return {400, "malformed method"};
  const size_t second = line.find(' ', first + 1);
  if (second == std::string_view::npos) return {400, "the request line has no HTTP version"};
  const std::string_view target = line.substr(first + 1, second - first - 1);
  if (target.empty() || !All(target, kTargetByte)) return {400, "invalid character in the request target"};
  if (Refusal refusal = ParseVersion(line.substr(second + 1), &start->version)) return refusal;
  start->method_size = static_cast<uint32_t>(first);
  start->text_at = static_cast<uint32_t>(first + 1);
  start->text_size = static_cast<uint32_t>(target.size());
  return {};
}

Refusal ParseStatusLine(std::string_view line, StartLine* start) {
  const size_t first = line.find(' ');
  if (first == std::string_view::npos) return {400, "malformed status line"};
  if (Refusal refusal = ParseVersion(line.substr(0, first), &start->version)) return refusal;
  const std::string_view rest = line.substr(first + 1);
  if (rest.size() < 3 || !IsDigit(rest[0]) || !IsDigit(rest[1]) || !IsDigit(rest[2])) return {400, "malformed status code"};
  start->status = (rest[0] - '0') * 100 + (rest[1] - '0') * 10 + (rest[2] - '0');
  if (start->status < 100) return {400, "status code below 100"};
  // The space before an empty reason is often left out; nothing depends on it.
  if (rest.size() > 3 && rest[3] != ' ') return {400, "malformed status code"};
  const size_t reason_at = rest.size() > 3 ? first + 5 : line.size();
  if (!All(line.substr(reason_at), kReasonByte)) return {400, "invalid character in the reason phrase"};
  start->text_at = static_cast<uint32_t>(reason_at);
  start->text_size = static_cast<uint32_t>(line.size() - reason_at);
  return {};
}

Refusal ParseTarget(http::Method method, std::string_view text, Target* target) {
  *target = {};
  if (method == http::Method::kConnect) {
    if (!IsValidAuthority(text, /*port_required=*/true)) return {400, "CONNECT needs host:port as its target"};
    target->authority = text;
    return {};
  }
  if (text.front() == '/') {
    target->path = text;
    return {};
  }
  if (text == "*") {
    if (method != http::Method::kOptions) return {400, "only OPTIONS has the target *"};
    target->path = text;
    return {};
  }
  const size_t scheme_size = StartsWithIgnoreCase(text, "http://") ? 4 : StartsWithIgnoreCase(text, "https://") ? 5 : 0;
  if (scheme_size == 0) return {400, "the request target is neither a path nor an http URL"};
  target->scheme = scheme_size == 4 ? "http" : "https";
  const std::string_view rest = text.substr(scheme_size + 3);
  const size_t end = rest.find_first_of("/?");
  target->authority = rest.substr(0, end);
  if (!IsValidAuthority(target->authority, false)) return {400, "invalid host in the request target"};
  if (end == std::string_view::npos) {
    target->path = method == http::Method::kOptions ? "*" : "/";  // RFC 9112 section 3.2.4
  } else {
    target->path = rest.substr(end);
    target->slash_missing = rest[end] == '?';
  }
  return {};
}

}  // namespace outrigger::codec
