// An IPv4, IPv6 or Unix socket address as a value. Pure; thread-safe.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/base/error.h"

namespace outrigger::net {

class Address {
 public:
  enum class Family : uint8_t { kNone, kIpv4, kIpv6, kUnix };

  Address() = default;
  static Address Ipv4(std::array<uint8_t, 4> ip, uint16_t port);
  static Address Ipv6(std::array<uint8_t, 16> ip, uint16_t port);
  static Address Unix(std::string path);
  static Address Loopback(uint16_t port) { return Ipv4({127, 0, 0, 1}, port); }

  // "127.0.0.1:80", "[::1]:80", ":80" (all IPv4 addresses), "unix:/run/x.sock". Numeric only: names go through the Resolver.
  // kInvalid with a sentence for the user otherwise.
  static Result<Address> Parse(std::string_view text);
  // Numeric ip without port ("10.1.2.3", "::1").
  static Result<Address> ParseIp(std::string_view ip, uint16_t port);

  Family family() const { return family_; }
  uint16_t port() const { return port_; }
  Address WithPort(uint16_t port) const;
  bool loopback() const;  // 127.0.0.0/8, ::1, unix
  bool any() const;       // 0.0.0.0, ::
  const std::array<uint8_t, 16>& ip() const { return ip_; }  // network order; IPv4 uses the first four bytes
  const std::string& path() const { return path_; }          // unix

  std::string ToString() const;  // the form that Parse takes
  std::string Ip() const;        // without the port

  friend bool operator==(const Address&, const Address&) = default;
  friend auto operator<=>(const Address&, const Address&) = default;

  template <typename H>  // absl hash
  friend H AbslHashValue(H h, const Address& a) {
    return H::combine(std::move(h), a.family_, a.port_, a.ip_, a.path_);
  }

 private:
  Family family_ = Family::kNone;
  uint16_t port_ = 0;
  std::array<uint8_t, 16> ip_{};
  std::string path_;
};

}  // namespace outrigger::net
