#include "test/sim/connection.h"

#include <algorithm>
#include <cstring>

#include "test/sim/machine.h"
#include "test/sim/world.h"

namespace outrigger::sim {

SimConnection::SimConnection(SimLoop* loop, std::shared_ptr<Tcp> tcp, int side, Handler* handler, std::optional<net::Address> original)
    : loop_(loop), tcp_(std::move(tcp)), side_(side), handler_(handler), original_(std::move(original)),
      told_connected_(side == Tcp::kServer) {
  if (tcp_ == nullptr) return;
  local_ = tcp_->local(side_);
  remote_ = tcp_->remote(side_);
  tcp_->SetOwner(side_, loop_->actor(), this);
  loop_->connections_.push_back(this);
}

SimConnection::~SimConnection() {
  if (destroyed_ != nullptr) *destroyed_ = true;
  if (loop_ == nullptr) return;
  loop_->CheckOwnTurn("~Connection");
  if (tcp_ != nullptr) tcp_->Close(side_);
  std::erase(loop_->connections_, this);
}

void SimConnection::Orphan(bool reset) {
  if (tcp_ != nullptr) reset ? tcp_->Abort(side_) : tcp_->Close(side_);
  tcp_.reset();
  pending_.Clear();
  Unlink();
}

void SimConnection::SetHandler(Handler* handler) {
  handler_ = handler;
  MarkIfSomething();
}

void SimConnection::Write(Buffer* out) {
  if (loop_ == nullptr || !loop_->CheckOwnTurn("Connection::Write") || tcp_ == nullptr) return out->Clear();
  if (finish_wanted_ && !out->empty()) {
    loop_->world().Problem(loop_->name() + ": Connection::Write after ShutdownWrite");
    return out->Clear();
  }
  if (!tcp_->failure(side_).ok()) return out->Clear();  // nobody will read it; OnClosed comes
  if (told_connected_ && pending_.empty()) out->Consume(tcp_->Take(side_, out->view()));
  if (out->empty()) return;
  owes_drained_ = true;
  if (pending_.empty()) {
    pending_.Swap(*out);
  } else {
    pending_.Append(out->view());
    out->Clear();
  }
  MarkIfSomething();
}

void SimConnection::SetReading(bool on) {
  reading_ = on;
  MarkIfSomething();
}

void SimConnection::ShutdownWrite() {
  if (loop_ == nullptr || !loop_->CheckOwnTurn("Connection::ShutdownWrite") || tcp_ == nullptr || finish_wanted_) return;
  finish_wanted_ = true;
  if (told_connected_ && pending_.empty()) tcp_->Finish(side_);
}

void SimConnection::Abort() {
  if (loop_ == nullptr || !loop_->CheckOwnTurn("Connection::Abort") || tcp_ == nullptr) return;
  tcp_->Abort(side_);
  tcp_.reset();
  pending_.Clear();
  Unlink();
}

Duration SimConnection::unacknowledged_for() const { return tcp_ == nullptr ? Duration() : tcp_->unacknowledged_for(side_); }

size_t SimConnection::Peek(std::span<uint8_t> into) {
  if (tcp_ == nullptr) return 0;
  const size_t size = std::min(into.size(), tcp_->readable(side_));
  if (size > 0) std::memcpy(into.data(), tcp_->Front(side_).data(), size);
  return size;
}

// Bytes that came before the failure come first, and wait while reading is off.
bool SimConnection::FailureShows() const { return !tcp_->failure(side_).ok() && (eof_told_ || tcp_->readable(side_) == 0); }

bool SimConnection::Something() const {
  if (tcp_ == nullptr || !loop_->alive()) return false;
  if (!told_connected_) return !tcp_->failure(side_).ok() || tcp_->connected(side_);
  if (handler_ == nullptr) return false;
  if (FailureShows()) return true;
  if (reading_ && !eof_told_ && (tcp_->readable(side_) > 0 || tcp_->at_eof(side_))) return true;
  return pending_.empty() ? owes_drained_ : tcp_->writable(side_);
}

void SimConnection::MarkIfSomething() {
  if (Something()) loop_->MarkReady(this);
}

void SimConnection::OnTcpReady() { MarkIfSomething(); }

template <typename Call>
bool SimConnection::Guarded(Call&& call) {
  bool destroyed = false;
  destroyed_ = &destroyed;
  call();
  if (destroyed) return false;
  destroyed_ = nullptr;
  return tcp_ != nullptr;
}

void SimConnection::Deliver() {
  if (!Something()) return;
  if (!told_connected_ && !DeliverConnect()) return;
  if (FailureShows()) return handler_ != nullptr ? TellClosed() : void();
  if (DeliverWritable() && DeliverRead()) MarkIfSomething();
}

void SimConnection::TellClosed() {
  const Error error = tcp_->failure(side_);
  loop_->world().Note(error.code == ErrorCode::kReset ? TraceKind::kClosed : TraceKind::kConnectFailed, loop_->actor(),
                      static_cast<uint64_t>(error.code));
  tcp_->Close(side_);
  tcp_.reset();
  pending_.Clear();
  if (handler_ != nullptr) handler_->OnClosed(error);
}

bool SimConnection::DeliverConnect() {
  if (!tcp_->failure(side_).ok() && !tcp_->connected(side_)) {
    TellClosed();
    return false;
  }
  if (!tcp_->connected(side_)) return false;
  told_connected_ = true;
  if (pending_.empty() && finish_wanted_) tcp_->Finish(side_);
  return handler_ == nullptr || Guarded([this] { handler_->OnConnected(); });
}

// One read, as one readiness gives; into memory of its own, so that a span kept beyond the call is caught by what is in it afterwards
// (and by AddressSanitizer).
bool SimConnection::DeliverRead() {
  if (handler_ == nullptr || !reading_ || eof_told_) return true;
  World& world = loop_->world();
  size_t size = std::min(tcp_->readable(side_), world.faults().read_max);
  if (size > 0) {
    size = world.Tear(size);
    const std::unique_ptr<uint8_t[]> memory(new uint8_t[size]);
    std::memcpy(memory.get(), tcp_->Front(side_).data(), size);
    tcp_->Read(side_, size);
    const bool go_on = Guarded([&] { handler_->OnRead(Bytes(memory.get(), size)); });
    std::memset(memory.get(), 0xdd, size);
    return go_on;
  }
  if (!tcp_->at_eof(side_) || !tcp_->failure(side_).ok()) return true;
  eof_told_ = true;
  world.Note(TraceKind::kEof, loop_->actor(), 0);
  return Guarded([this] { handler_->OnEof(); });
}

bool SimConnection::DeliverWritable() {
  if (!tcp_->failure(side_).ok()) {
    pending_.Clear();
    owes_drained_ = false;
    return true;
  }
  if (!pending_.empty()) {
    pending_.Consume(tcp_->Take(side_, pending_.view()));
    if (!pending_.empty()) return true;
  }
  if (finish_wanted_) tcp_->Finish(side_);
  if (!owes_drained_ || handler_ == nullptr) return true;
  owes_drained_ = false;
  loop_->world().Note(TraceKind::kDrained, loop_->actor(), 0);
  return Guarded([this] { handler_->OnDrained(); });
}

SimListener::SimListener(SimLoop* loop, net::Address local, const net::ListenOptions& options, Handler* handler)
    : loop_(loop), local_(std::move(local)), max_backlog_(options.backlog), share_port_(options.share_port), handler_(handler) {
  loop_->listeners_.push_back(this);
  loop_->process().machine().AddListener(this);
}

SimListener::~SimListener() {
  if (destroyed_ != nullptr) *destroyed_ = true;
  loop_->CheckOwnTurn("~Listener");
  Orphan();
  std::erase(loop_->listeners_, this);
}

void SimListener::Orphan() {
  loop_->process().machine().RemoveListener(this);
  for (const std::shared_ptr<Tcp>& tcp : backlog_) tcp->Abort(Tcp::kServer);
  backlog_.clear();
  Unlink();
}

void SimListener::SetAccepting(bool on) {
  accepting_ = on;
  if (on && !backlog_.empty()) loop_->MarkReady(this);
}

void SimListener::Queue(std::shared_ptr<Tcp> tcp) {
  backlog_.push_back(std::move(tcp));
  if (accepting_) loop_->MarkReady(this);
}

void SimListener::Deliver() {
  bool destroyed = false;
  destroyed_ = &destroyed;
  size_t batch = 1 + loop_->world().scheduler().Below(std::max<size_t>(backlog_.size(), 1));
  for (; accepting_ && !backlog_.empty() && batch > 0; --batch) {
    std::shared_ptr<Tcp> tcp = std::move(backlog_.front());
    backlog_.pop_front();
    std::optional<net::Address> original;
    if (tcp->redirected()) original = tcp->remote(Tcp::kClient);
    auto connection = std::make_unique<SimConnection>(loop_, std::move(tcp), Tcp::kServer, nullptr, std::move(original));
    handler_->OnAccept(std::move(connection));
    if (destroyed) return;
  }
  destroyed_ = nullptr;
  if (accepting_ && !backlog_.empty()) loop_->MarkReady(this);
}

}  // namespace outrigger::sim
