// net::Address to and from the kernel's sockaddr. Pure; thread-safe.
#pragma once

#include <sys/socket.h>

#include "proxy/net/address.h"

namespace outrigger::io {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_storage);

  SocketAddress() = default;
  explicit SocketAddress(const net::Address& address);  // family kNone gives AF_UNSPEC

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

// IPv4-mapped IPv6 addresses (what an IPv6 socket says of IPv4 peers) come out as IPv4, so that they compare equal.
net::Address FromSocketAddress(const sockaddr* address, socklen_t length);

net::Address LocalAddress(int fd);   // kNone when the kernel does not say
net::Address RemoteAddress(int fd);  // likewise

}  // namespace outrigger::io
