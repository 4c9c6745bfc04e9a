// Names to addresses by getaddrinfo on libuv's threads; numeric addresses without one.
#pragma once

#include <memory>
#include <string>

#include "proxy/io/uv_loop.h"

namespace outrigger::io {

// kNotFound when there is no such name, kUnavailable when nobody could be asked. The system's order (RFC 6724), each once.
std::unique_ptr<net::Resolution> StartResolution(UvLoop* loop, const std::string& host, uint16_t port, net::ResolveCallback callback);

}  // namespace outrigger::io
