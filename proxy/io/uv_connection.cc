#include "proxy/io/uv_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "proxy/io/socket_address.h"

namespace outrigger::io {
namespace {

// linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h; those headers collide with netinet/in.h.
constexpr int kSoOriginalDst = 80;
constexpr int kIp6tSoOriginalDst = 80;

bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

// The error that the socket holds, which this takes away.
int TakeError(int fd) {
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

ErrorCode ConnectErrorCode(int error) {
  switch (error) {
    case ETIMEDOUT: return ErrorCode::kConnectTimeout;
    // Ours, not the peer's: out of descriptors, memory, local ports; or an address that makes no sense.
    case EMFILE: case ENFILE: case ENOBUFS: case ENOMEM: case EADDRNOTAVAIL: case EAFNOSUPPORT: return ErrorCode::kIo;
    case EINVAL: return ErrorCode::kInvalid;
    default: return ErrorCode::kConnectRefused;
  }
}

ErrorCode OpenErrorCode(int error) {
  switch (error) {
    case EIO: case ENOBUFS: case ENOMEM: case EBADF: case EINVAL: return ErrorCode::kIo;
    default: return ErrorCode::kReset;
  }
}

void SetNoDelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));  // fails on Unix sockets, which do not delay
}

// Ten seconds of silence, then a probe every five: three without an answer are the end. Within one machine the kernel knows anyway.
void SetKeepAlive(int fd, const net::Address& remote) {
  if (remote.family() == net::Address::Family::kUnix || remote.loopback()) return;
  const auto set = [fd](int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof(value)); };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 10);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

void ResetOnClose(int fd) {
  const linger reset{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

}  // namespace

UvConnection::UvConnection(UvLoop* loop, int fd, net::Address remote)
    : loop_(loop), poll_(loop, fd, this), remote_(std::move(remote)), accepted_(true) {
  if (remote_.family() != net::Address::Family::kUnix) SetNoDelay(fd);
  SetKeepAlive(fd, remote_);
}

UvConnection::UvConnection(UvLoop* loop, const net::ConnectOptions& options, Handler* handler)
    : loop_(loop), poll_(loop, -1, this), handler_(handler), remote_(options.address), state_(State::kConnecting) {
  StartConnect();
  if (error_ == 0) loop_->Arm(&connect_timer_, options.timeout);
}

UvConnection::~UvConnection() {
  if (destroyed_ != nullptr) *destroyed_ = true;
}

void UvConnection::StartConnect() {
  const SocketAddress address(remote_);
  const int fd = address.length == 0 ? -1 : socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    error_ = address.length == 0 ? EINVAL : errno;
    loop_->Later(this);
    return;
  }
  poll_.SetDescriptor(fd);
  if (remote_.family() != net::Address::Family::kUnix) SetNoDelay(fd);
  SetKeepAlive(fd, remote_);
  if (connect(fd, address.get(), address.length) != 0 && errno != EINPROGRESS) {
    error_ = errno;
    loop_->Later(this);
    return;
  }
  poll_.Touch();  // writable when done, also when it is done already: OnConnected comes in a later turn
}

void UvConnection::SetHandler(Handler* handler) {
  handler_ = handler;
  if (state_ == State::kBroken) loop_->Later(this);
  poll_.Touch();
}

void UvConnection::SetReading(bool on) {
  reading_ = on;
  if (on && state_ == State::kBroken) loop_->Later(this);
  poll_.Touch();
}

int UvConnection::Interest() const {
  switch (state_) {
    case State::kConnecting: return error_ == 0 ? UV_WRITABLE : 0;
    case State::kBroken:
    case State::kClosed: return 0;
    case State::kOpen: break;
  }
  const int events = (CanRead() ? UV_READABLE : 0) | (pending_.empty() ? 0 : UV_WRITABLE);
  if (events != 0 || handler_ == nullptr || hung_up_) return events;
  return UV_PRIORITIZED;  // no data wanted, but a reset is: whoever waits for this peer should learn of it
}

template <typename Call>
bool UvConnection::CallHandler(Call&& call) {
  bool destroyed = false;
  destroyed_ = &destroyed;
  call();
  if (!destroyed) destroyed_ = nullptr;
  return destroyed;
}

void UvConnection::OnReady(bool failed, int events) {
  if (state_ == State::kConnecting) return FinishConnect();
  if (state_ != State::kOpen) return;
  if (failed) {
    state_ = State::kBroken;
    pending_.Clear();
    return HandOnWhatIsLeft();
  }
  if ((events & UV_WRITABLE) != 0 && !pending_.empty() && FlushPending()) return;
  if ((events & UV_READABLE) != 0 && state_ == State::kOpen && CanRead() && ReadOnce()) return;
  if ((events & UV_PRIORITIZED) != 0 && state_ == State::kOpen) return OnHangUp();
  poll_.Touch();
}

void UvConnection::FinishConnect() {
  int error = TakeError(poll_.fd());
  // A connect to a free port of this machine may be given that very port and meet itself (simultaneous open).
  if (error == 0 && remote_.loopback() && remote_.port() != 0 && local() == remote_) {
    ResetOnClose(poll_.fd());
    error = ECONNREFUSED;
  }
  if (error != 0) {
    static_cast<void>(Fail(error));
    return;
  }
  connect_timer_.Disarm();
  state_ = State::kOpen;
  if (handler_ != nullptr && CallHandler([&] { handler_->OnConnected(); })) return;
  if (state_ == State::kOpen && !pending_.empty() && FlushPending()) return;
  if (state_ == State::kOpen && fin_wanted_ && pending_.empty()) SendFin();
  poll_.Touch();
}

void UvConnection::OnConnectTimeout() { static_cast<void>(Fail(ETIMEDOUT)); }

ssize_t UvConnection::Send(Bytes bytes) {
  const ssize_t sent = send(poll_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent >= 0) return sent;
  if (WouldBlock(errno)) return 0;
  Break(errno);
  return -1;
}

void UvConnection::Write(Buffer* out) {
  if (out->empty()) return;
  if (state_ == State::kBroken || state_ == State::kClosed || fin_wanted_) {
    out->Clear();  // nobody will read it; OnClosed comes or came
    return;
  }
  if (!pending_.empty()) {
    pending_.Append(out->view());
    out->Clear();
    return;
  }
  if (state_ == State::kOpen) {
    const ssize_t sent = Send(out->view());
    if (sent < 0) {
      out->Clear();
      return;
    }
    out->Consume(static_cast<size_t>(sent));
    if (out->empty()) return;
  }
  pending_.Swap(*out);
  poll_.Touch();
}

bool UvConnection::FlushPending() {
  const ssize_t sent = Send(pending_.view());
  if (sent <= 0) return false;
  pending_.Consume(static_cast<size_t>(sent));
  if (!pending_.empty()) return false;
  if (fin_wanted_) SendFin();
  return handler_ != nullptr && CallHandler([&] { handler_->OnDrained(); });
}

void UvConnection::ShutdownWrite() {
  if (fin_wanted_) return;
  fin_wanted_ = true;
  if (state_ == State::kOpen && pending_.empty()) SendFin();
}

void UvConnection::SendFin() { shutdown(poll_.fd(), SHUT_WR); }  // fails only when the peer is gone, which reading will tell

bool UvConnection::ReadOnce() {
  const std::span<uint8_t> buffer = loop_->read_buffer();
  const ssize_t size = recv(poll_.fd(), buffer.data(), buffer.size(), 0);
  if (size > 0) return CallHandler([&] { handler_->OnRead(Bytes(buffer.data(), static_cast<size_t>(size))); });
  if (size < 0) {
    const int error = errno;
    if (!WouldBlock(error)) return Fail(error_ != 0 ? error_ : error);
    return state_ == State::kBroken && Fail(error_ != 0 ? error_ : ECONNRESET);
  }
  // After a write failed the kernel has forgotten the reset and says "end": it was none.
  if (state_ == State::kBroken) return Fail(error_ != 0 ? error_ : ECONNRESET);
  eof_ = true;
  return CallHandler([&] { handler_->OnEof(); });
}

void UvConnection::Break(int error) {
  state_ = State::kBroken;
  error_ = error;
  pending_.Clear();
  loop_->Later(this);
  poll_.Touch();
}

void UvConnection::OnLater() {
  if (state_ == State::kConnecting) {
    static_cast<void>(Fail(error_));
  } else if (state_ == State::kBroken) {
    HandOnWhatIsLeft();
  }
}

void UvConnection::HandOnWhatIsLeft() {
  if (CanRead()) {
    if (!ReadOnce() && state_ == State::kBroken) loop_->Later(this);
    return;
  }
  if (handler_ == nullptr) return;  // SetHandler comes back here
  int unread = 0;
  // Reading is paused with bytes still to come: the early answer of a server that then closed must not be lost. SetReading
  // comes back here.
  if (!eof_ && ioctl(poll_.fd(), FIONREAD, &unread) == 0 && unread > 0) return;
  if (error_ == 0) error_ = TakeError(poll_.fd());
  static_cast<void>(Fail(error_ != 0 ? error_ : ECONNRESET));
}

void UvConnection::OnHangUp() {
  const int error = TakeError(poll_.fd());
  if (error == 0) {
    hung_up_ = true;  // both directions ended in order
    poll_.Touch();
    return;
  }
  state_ = State::kBroken;
  error_ = error;
  HandOnWhatIsLeft();
}

bool UvConnection::Fail(int error) {
  const bool connecting = state_ == State::kConnecting;
  state_ = State::kClosed;
  connect_timer_.Disarm();
  pending_.Clear();
  poll_.Close();
  if (handler_ == nullptr) return false;
  const ErrorCode code = connecting ? ConnectErrorCode(error) : OpenErrorCode(error);
  const Fault fault = code == ErrorCode::kIo ? Fault::kLocal : (accepted_ ? Fault::kDownstream : Fault::kUpstream);
  Error reason = Error::Make(code, (connecting ? "connect to " : "connection with ") + remote_.ToString() + ": " + std::strerror(error),
                             fault, connecting);
  return CallHandler([&] { handler_->OnClosed(std::move(reason)); });
}

void UvConnection::Abort() {
  if (state_ == State::kClosed) return;
  if (poll_.fd() >= 0) ResetOnClose(poll_.fd());
  state_ = State::kClosed;
  connect_timer_.Disarm();
  pending_.Clear();
  poll_.Close();
}

size_t UvConnection::Peek(std::span<uint8_t> into) {
  if (poll_.fd() < 0 || into.empty()) return 0;
  const ssize_t size = recv(poll_.fd(), into.data(), into.size(), MSG_PEEK | MSG_DONTWAIT);
  return size > 0 ? static_cast<size_t>(size) : 0;
}

Duration UvConnection::unacknowledged_for() const {
  tcp_info info{};
  socklen_t length = sizeof(info);
  if (poll_.fd() < 0 || getsockopt(poll_.fd(), IPPROTO_TCP, TCP_INFO, &info, &length) != 0 || info.tcpi_unacked == 0) return {};
  // An acknowledgement of zero-window probes counts: that peer is there and does not read. Younger bytes have waited less.
  return std::chrono::milliseconds(std::min(info.tcpi_last_ack_recv, info.tcpi_last_data_sent));
}

net::Address UvConnection::local() const {
  if (!local_ && poll_.fd() >= 0) local_ = LocalAddress(poll_.fd());
  return local_.value_or(net::Address());
}

std::optional<net::Address> UvConnection::original_destination() const {
  if (!accepted_ || poll_.fd() < 0) return std::nullopt;
  const net::Address here = local();
  SocketAddress original;
  int result = -1;
  // Netfilter answers by the family of the packets: an IPv6 socket that carries an IPv4 connection is asked as IPv4.
  if (here.family() == net::Address::Family::kIpv4) {
    result = getsockopt(poll_.fd(), SOL_IP, kSoOriginalDst, &original.storage, &original.length);
  } else if (here.family() == net::Address::Family::kIpv6) {
    result = getsockopt(poll_.fd(), SOL_IPV6, kIp6tSoOriginalDst, &original.storage, &original.length);
  }
  // ENOENT: not tracked; ENOPROTOOPT: no netfilter here. Where connections are tracked and not redirected, it is `here`.
  if (result != 0) return std::nullopt;
  const net::Address address = FromSocketAddress(original.get(), original.length);
  if (address.family() == net::Address::Family::kNone || address == here) return std::nullopt;
  return address;
}

}  // namespace outrigger::io
