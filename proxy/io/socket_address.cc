#include "proxy/io/socket_address.h"

#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <string>

namespace outrigger::io {

using net::Address;

SocketAddress::SocketAddress(const Address& address) {
  switch (address.family()) {
    case Address::Family::kNone: length = 0; return;
    case Address::Family::kIpv4: {
      sockaddr_in in{};
      in.sin_family = AF_INET;
      in.sin_port = htons(address.port());
      std::memcpy(&in.sin_addr, address.ip().data(), 4);
      length = sizeof(in);
      std::memcpy(&storage, &in, sizeof(in));
      return;
    }
    case Address::Family::kIpv6: {
      sockaddr_in6 in{};
      in.sin6_family = AF_INET6;
      in.sin6_port = htons(address.port());
      std::memcpy(&in.sin6_addr, address.ip().data(), 16);
      length = sizeof(in);
      std::memcpy(&storage, &in, sizeof(in));
      return;
    }
    case Address::Family::kUnix: {
      sockaddr_un un{};
      un.sun_family = AF_UNIX;
      const size_t size = address.path().size();
      if (size >= sizeof(un.sun_path)) {  // cut, it would be another socket
        length = 0;
        return;
      }
      std::memcpy(un.sun_path, address.path().data(), size);
      length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size + 1);
      std::memcpy(&storage, &un, sizeof(un));
      return;
    }
  }
}

Address FromSocketAddress(const sockaddr* address, socklen_t length) {
  if (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    sockaddr_in in;
    std::memcpy(&in, address, sizeof(in));
    std::array<uint8_t, 4> ip;
    std::memcpy(ip.data(), &in.sin_addr, 4);
    return Address::Ipv4(ip, ntohs(in.sin_port));
  }
  if (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    sockaddr_in6 in;
    std::memcpy(&in, address, sizeof(in));
    std::array<uint8_t, 16> ip;
    std::memcpy(ip.data(), &in.sin6_addr, 16);
    if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr)) return Address::Ipv4({ip[12], ip[13], ip[14], ip[15]}, ntohs(in.sin6_port));
    return Address::Ipv6(ip, ntohs(in.sin6_port));
  }
  if (address->sa_family == AF_UNIX) {
    sockaddr_un un{};
    std::memcpy(&un, address, std::min<size_t>(length, sizeof(un)));
    const size_t room = length > offsetof(sockaddr_un, sun_path) ? length - offsetof(sockaddr_un, sun_path) : 0;
    return Address::Unix(std::string(un.sun_path, strnlen(un.sun_path, std::min(room, sizeof(un.sun_path)))));
  }
  return {};
}

Address LocalAddress(int fd) {
  SocketAddress address;
  return getsockname(fd, address.get(), &address.length) == 0 ? FromSocketAddress(address.get(), address.length) : Address();
}

Address RemoteAddress(int fd) {
  SocketAddress address;
  return getpeername(fd, address.get(), &address.length) == 0 ? FromSocketAddress(address.get(), address.length) : Address();
}

}  // namespace outrigger::io
