#include "proxy/net/address.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace outrigger::net {
namespace {

// Room in sockaddr_un for the path and its final zero.
constexpr size_t kUnixPathLimit = 107;
constexpr std::string_view kUnixPrefix = "unix:";

Error Invalid(std::string_view text, std::string_view why) {
  return Error::Make(ErrorCode::kInvalid, "'" + std::string(text.substr(0, 200)) + "' is not an address: " + std::string(why));
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Decimal without sign, spaces or leading zeros, as RFC 6943 section 3.1.1 asks for: "010" means 8 to some and 10 to others.
std::optional<uint32_t> ParseDecimal(std::string_view text, uint32_t max) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  uint32_t value = 0;
  for (char c : text) {
    if (!IsDigit(c)) return std::nullopt;
    value = value * 10 + static_cast<uint32_t>(c - '0');
  }
  if (value > max) return std::nullopt;
  return value;
}

bool ParseIpv4(std::string_view text, uint8_t* out) {
  for (int i = 0; i < 4; ++i) {
    const size_t dot = i < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos) return false;
    const std::optional<uint32_t> part = ParseDecimal(text.substr(0, dot), 255);
    if (!part) return false;
    out[i] = static_cast<uint8_t>(*part);
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  return text.empty();
}

std::optional<uint16_t> ParseHexGroup(std::string_view text) {
  if (text.empty() || text.size() > 4) return std::nullopt;
  uint16_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Colon-separated groups, none of them empty; the last may be a dotted IPv4 address. Returns how many bytes were written
// (at most `room`); nullopt when malformed. Empty text: no groups.
std::optional<size_t> ParseGroups(std::string_view text, uint8_t* out, size_t room) {
  size_t written = 0;
  while (!text.empty()) {
    const size_t colon = text.find(':');
    const std::string_view group = text.substr(0, colon);
    if (colon == std::string_view::npos && group.find('.') != std::string_view::npos) {
      if (room - written < 4 || !ParseIpv4(group, out + written)) return std::nullopt;
      return written + 4;
    }
    const std::optional<uint16_t> value = ParseHexGroup(group);
    if (!value || room - written < 2) return std::nullopt;
    out[written++] = static_cast<uint8_t>(*value >> 8);
    out[written++] = static_cast<uint8_t>(*value);
    if (colon == std::string_view::npos) break;
    text.remove_prefix(colon + 1);
    if (text.empty()) return std::nullopt;  // "1:"
  }
  return written;
}

// RFC 4291 section 2.2; zone identifiers ("%eth0") are not taken.
bool ParseIpv6(std::string_view text, std::array<uint8_t, 16>* out) {
  out->fill(0);
  const size_t gap = text.find("::");
  if (gap == std::string_view::npos) return ParseGroups(text, out->data(), 16) == 16;
  // "::" stands for at least one group of zeros.
  const std::optional<size_t> front = ParseGroups(text.substr(0, gap), out->data(), 14);
  if (!front || text.substr(0, gap).find('.') != std::string_view::npos) return false;
  std::array<uint8_t, 16> tail{};
  const std::optional<size_t> back = ParseGroups(text.substr(gap + 2), tail.data(), 14 - *front);
  if (!back) return false;
  std::copy_n(tail.begin(), *back, out->end() - static_cast<ptrdiff_t>(*back));
  return true;
}

void AppendIpv4(const uint8_t* ip, std::string* out) {
  for (int i = 0; i < 4; ++i) {
    if (i > 0) *out += '.';
    *out += std::to_string(ip[i]);
  }
}

// The canonical form of RFC 5952: lower case, the longest run of two or more zero groups (the first of equals) as "::",
// IPv4-mapped addresses with a dotted tail.
void AppendIpv6(const std::array<uint8_t, 16>& ip, std::string* out) {
  uint16_t groups[8];
  for (int i = 0; i < 8; ++i) groups[i] = static_cast<uint16_t>(ip[2 * i] << 8 | ip[2 * i + 1]);
  const bool mapped = std::all_of(groups, groups + 5, [](uint16_t g) { return g == 0; }) && groups[5] == 0xffff;
  if (mapped) {
    *out += "::ffff:";
    AppendIpv4(ip.data() + 12, out);
    return;
  }
  int gap = -1;
  int gap_length = 1;
  for (int i = 0; i < 8; ++i) {
    int length = 0;
    while (i + length < 8 && groups[i + length] == 0) ++length;
    if (length > gap_length) gap = i, gap_length = length;
    i += length;
  }
  for (int i = 0; i < 8; ++i) {
    if (i == gap) {
      *out += "::";
      i += gap_length - 1;
      continue;
    }
    if (i > 0 && i != gap + gap_length) *out += ':';
    char text[4];
    const auto [end, error] = std::to_chars(text, text + sizeof(text), groups[i], 16);
    static_cast<void>(error);  // four digits always fit
    out->append(text, end);
  }
}

}  // namespace

Address Address::Ipv4(std::array<uint8_t, 4> ip, uint16_t port) {
  Address address;
  address.family_ = Family::kIpv4;
  address.port_ = port;
  std::copy(ip.begin(), ip.end(), address.ip_.begin());
  return address;
}

Address Address::Ipv6(std::array<uint8_t, 16> ip, uint16_t port) {
  Address address;
  address.family_ = Family::kIpv6;
  address.port_ = port;
  address.ip_ = ip;
  return address;
}

Address Address::Unix(std::string path) {
  Address address;
  address.family_ = Family::kUnix;
  address.path_ = std::move(path);
  return address;
}

Result<Address> Address::Parse(std::string_view text) {
  if (text.substr(0, kUnixPrefix.size()) == kUnixPrefix) {
    const std::string_view path = text.substr(kUnixPrefix.size());
    if (path.empty()) return Invalid(text, "a socket's path must follow 'unix:'");
    if (path.size() > kUnixPathLimit) return Invalid(text, "a socket's path has at most 107 bytes");
    if (path.find('\0') != std::string_view::npos) return Invalid(text, "a socket's path has no zero byte");
    return Unix(std::string(path));
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || (!text.empty() && text.back() == ']')) {
    return Invalid(text, "a port is missing, as in '127.0.0.1:8080'");
  }
  const std::optional<uint32_t> port = ParseDecimal(text.substr(colon + 1), 65535);
  if (!port) return Invalid(text, "the port must be a number from 0 to 65535");
  const std::string_view host = text.substr(0, colon);
  if (host.empty()) return Ipv4({0, 0, 0, 0}, static_cast<uint16_t>(*port));
  std::array<uint8_t, 16> ip{};
  if (host.front() == '[') {
    if (host.back() != ']' || !ParseIpv6(host.substr(1, host.size() - 2), &ip))
      return Invalid(text, "no IPv6 address stands in the brackets");
    return Ipv6(ip, static_cast<uint16_t>(*port));
  }
  if (host.find(':') != std::string_view::npos) return Invalid(text, "an IPv6 address with a port needs brackets, as in '[::1]:8080'");
  if (!ParseIpv4(host, ip.data())) return Invalid(text, "'" + std::string(host.substr(0, 200)) + "' is not a numeric IP address");
  return Ipv4({ip[0], ip[1], ip[2], ip[3]}, static_cast<uint16_t>(*port));
}

Result<Address> Address::ParseIp(std::string_view ip, uint16_t port) {
  std::array<uint8_t, 16> bytes{};
  if (ip.find(':') != std::string_view::npos) {
    if (ParseIpv6(ip, &bytes)) return Ipv6(bytes, port);
  } else if (ParseIpv4(ip, bytes.data())) {
    return Ipv4({bytes[0], bytes[1], bytes[2], bytes[3]}, port);
  }
  return Invalid(ip, "it is neither IPv4 (10.1.2.3) nor IPv6 (::1)");
}

Address Address::WithPort(uint16_t port) const {
  Address address = *this;
  if (family_ == Family::kIpv4 || family_ == Family::kIpv6) address.port_ = port;
  return address;
}

bool Address::loopback() const {
  switch (family_) {
    case Family::kNone: return false;
    case Family::kUnix: return true;
    case Family::kIpv4: return ip_[0] == 127;
    case Family::kIpv6: break;
  }
  static constexpr std::array<uint8_t, 16> kLoopback = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  static constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return ip_ == kLoopback || (std::equal(kMapped.begin(), kMapped.end(), ip_.begin()) && ip_[12] == 127);
}

bool Address::any() const {
  return (family_ == Family::kIpv4 || family_ == Family::kIpv6) && ip_ == std::array<uint8_t, 16>{};
}

std::string Address::Ip() const {
  std::string text;
  if (family_ == Family::kIpv4) AppendIpv4(ip_.data(), &text);
  if (family_ == Family::kIpv6) AppendIpv6(ip_, &text);
  return text;
}

std::string Address::ToString() const {
  switch (family_) {
    case Family::kNone: return "none";
    case Family::kUnix: return std::string(kUnixPrefix) + path_;
    case Family::kIpv4: return Ip() + ":" + std::to_string(port_);
    case Family::kIpv6: return "[" + Ip() + "]:" + std::to_string(port_);
  }
  return {};
}

}  // namespace outrigger::net
