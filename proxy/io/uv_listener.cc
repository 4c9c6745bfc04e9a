#include "proxy/io/uv_listener.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "proxy/io/socket_address.h"
#include "proxy/io/uv_connection.h"

namespace outrigger::io {
namespace {

constexpr int kLargestBatch = 32;
constexpr Duration kExhaustedPause = 100ms;

bool IsUnix(const net::Address& address) { return address.family() == net::Address::Family::kUnix; }

Error CannotListen(const net::Address& address, int error) {
  std::string why = std::strerror(error);
  if (error == EADDRINUSE) why = IsUnix(address) ? "another process listens there" : "the port is in use by another process";
  if (error == EACCES)
    why = IsUnix(address) ? "no permission to make the socket"
                          : "no permission for this port (below 1024 needs CAP_NET_BIND_SERVICE)";
  if (error == EADDRNOTAVAIL) why = "this machine has no such address";
  return Error::Make(ErrorCode::kIo, "cannot listen on " + address.ToString() + ": " + why);
}

// A socket file that a process left behind when it died refuses connections; only such a one is removed.
void RemoveStaleSocket(const net::Address& address) {
  struct stat status{};
  if (lstat(address.path().c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
  const SocketAddress target(address);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const bool refused = connect(fd, target.get(), target.length) != 0 && errno == ECONNREFUSED;
  close(fd);
  if (refused) unlink(address.path().c_str());
}

// A bound socket, or -1 with errno in `error`.
int Bind(const net::Address& address, bool share_port, int* error) {
  const SocketAddress target(address);
  const int fd = target.length == 0 ? -1 : socket(target.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    *error = target.length > 0 ? errno : IsUnix(address) ? ENAMETOOLONG : EINVAL;
    return -1;
  }
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (share_port) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  if (IsUnix(address)) RemoveStaleSocket(address);
  if (bind(fd, target.get(), target.length) == 0) return fd;
  *error = errno;
  close(fd);
  return -1;
}

bool OutOfResources(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

}  // namespace

Outcome ProbeBind(const net::Address& address) {
  int error = 0;
  const int fd = Bind(address, false, &error);
  if (fd < 0) return CannotListen(address, error);
  close(fd);
  if (IsUnix(address)) unlink(address.path().c_str());
  return {};
}

Result<std::unique_ptr<net::Listener>> UvListener::Open(UvLoop* loop, const net::ListenOptions& options, Handler* handler) {
  if (options.share_port && IsUnix(options.address)) {
    return Error::Make(ErrorCode::kIo, "cannot listen on " + options.address.ToString() + ": a Unix socket has one listener only");
  }
  int error = 0;
  const int fd = Bind(options.address, options.share_port, &error);
  if (fd < 0) return CannotListen(options.address, error);
  if (listen(fd, options.backlog) != 0) {
    error = errno;
    close(fd);
    return CannotListen(options.address, error);
  }
  const std::string path = IsUnix(options.address) ? options.address.path() : std::string();
  return std::unique_ptr<net::Listener>(std::make_unique<UvListener>(loop, fd, path, handler));
}

UvListener::UvListener(UvLoop* loop, int fd, std::string unix_path, Handler* handler)
    : loop_(loop), poll_(loop, fd, this), handler_(handler), local_(LocalAddress(fd)), unix_path_(std::move(unix_path)) {
  poll_.Touch();
}

UvListener::~UvListener() {
  if (destroyed_ != nullptr) *destroyed_ = true;
  if (!unix_path_.empty()) unlink(unix_path_.c_str());
}

void UvListener::SetAccepting(bool on) {
  accepting_ = on;
  poll_.Touch();
}

void UvListener::OnRetry() {
  exhausted_ = false;
  poll_.Touch();
}

void UvListener::OnReady(bool /*failed*/, int /*events*/) {
  // One connection a readiness while they come singly (no call in vain), more as long as they come in bursts.
  bool destroyed = false;
  destroyed_ = &destroyed;
  for (int taken = 0; taken < batch_ && accepting_; ++taken) {
    SocketAddress peer;
    const int fd = accept4(poll_.fd(), peer.get(), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      handler_->OnAccept(std::make_unique<UvConnection>(loop_, fd, FromSocketAddress(peer.get(), peer.length)));
      if (destroyed) return;
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      batch_ = 0;  // doubled below to the least
      break;
    }
    if (OutOfResources(errno)) {
      exhausted_ = true;
      loop_->Arm(&retry_, kExhaustedPause);
      break;
    }
    // The connection failed before it was taken (ECONNABORTED, EPROTO...; accept(2)): the next one.
  }
  destroyed_ = nullptr;
  batch_ = std::clamp(batch_ * 2, 1, kLargestBatch);
  poll_.Touch();
}

}  // namespace outrigger::io
