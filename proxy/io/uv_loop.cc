#include "proxy/io/uv_loop.h"

#include <cstdlib>
#include <ctime>
#include <utility>

#include "proxy/io/posix_files.h"
#include "proxy/io/resolver.h"
#include "proxy/io/retire.h"
#include "proxy/io/uv_connection.h"
#include "proxy/io/uv_listener.h"

namespace outrigger::io {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;
// How old the comparison of wall clock and monotonic clock may become before a turn makes it again.
constexpr int64_t kWallCheckNs = 1'000'000'000;

int64_t Nanoseconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// On libuv's millisecond grid, so that the wheel's ticks are epoll's milliseconds and no wake-up comes a fraction early.
Instant StartOfWheel() {
  return Instant(Duration(static_cast<int64_t>(uv_hrtime() / kMillisecond * kMillisecond)));
}

template <typename Handle>
void CloseHandle(Handle* handle) {
  uv_close(reinterpret_cast<uv_handle_t*>(handle), nullptr);
}

}  // namespace

UvLoop::UvLoop(uint64_t seed)
    : net::Loop(StartOfWheel(), seed), read_buffer_(std::make_unique_for_overwrite<uint8_t[]>(kReadBufferSize)) {
  if (uv_loop_init(&uv_) != 0) std::abort();  // no descriptors at start: nothing can be done
  uv_.data = this;
  uv_check_init(&uv_, &check_);
  uv_prepare_init(&uv_, &prepare_);
  uv_idle_init(&uv_, &idle_);
  uv_timer_init(&uv_, &timer_);
  uv_async_init(&uv_, &stop_, [](uv_async_t* stop) { uv_stop(stop->loop); });
  uv_check_start(&check_, [](uv_check_t* check) {
    UvLoop* loop = static_cast<UvLoop*>(check->loop->data);
    loop->BeginTurn();
    loop->EndTurn();
  });
  uv_prepare_start(&prepare_, [](uv_prepare_t* prepare) { static_cast<UvLoop*>(prepare->loop->data)->OnPrepare(); });
  files_ = MakePosixFiles(this);
  mailbox_ = std::make_shared<UvMailbox>(this);
  ReadTime();
}

UvLoop::~UvLoop() {
  mailbox_->Close();
  while (!retiring_.empty()) delete retiring_.front();
  CloseHandle(&check_);
  CloseHandle(&prepare_);
  CloseHandle(&idle_);
  CloseHandle(&timer_);
  CloseHandle(&stop_);
  uv_run(&uv_, UV_RUN_DEFAULT);  // lets libuv give back what was closed; waits for name lookups that cannot be cancelled
  if (uv_loop_close(&uv_) != 0) std::abort();  // something made by this loop outlives it
}

void UvLoop::Run() {
  running_ = true;
  uv_run(&uv_, UV_RUN_DEFAULT);
  running_ = false;
}

void UvLoop::RunTurn() {
  running_ = true;
  uv_run(&uv_, UV_RUN_ONCE);
  running_ = false;
}

void UvLoop::Stop() { uv_async_send(&stop_); }

void UvLoop::ReadTime() {
  const int64_t now = static_cast<int64_t>(uv_hrtime());
  if (wall_checked_ns_ < 0 || now - wall_checked_ns_ > kWallCheckNs) {
    wall_offset_ns_ = Nanoseconds(CLOCK_REALTIME) - now;
    wall_checked_ns_ = now;
  }
  SetTime(Instant(Duration(now)), WallTime(Duration(now + wall_offset_ns_)));
}

void UvLoop::BeginTurn() {
  if (in_turn_) return;
  in_turn_ = true;
  ReadTime();
}

void UvLoop::EndTurn() {
  timers().Advance(now());
  RunTurnEnd();
  while (!changed_.empty()) changed_.PopFront()->Apply();
  in_turn_ = false;
}

// Before the loop sleeps: ends the turn of what ran since the last check (timers, deferred calls, set-up before Run).
void UvLoop::OnPrepare() {
  if (in_turn_ || !turn_end_empty() || !changed_.empty()) {
    BeginTurn();
    EndTurn();
  }
  ArmWakeUp();
}

void UvLoop::ArmWakeUp() {
  const std::optional<Instant> wake = timers().NextWake();
  if (!wake) {
    if (wake_ms_ != 0) uv_timer_stop(&timer_);
    wake_ms_ = 0;
    return;
  }
  const uint64_t wake_ms = (static_cast<uint64_t>(wake->time_since_epoch().count()) + kMillisecond - 1) / kMillisecond;
  if (wake_ms == wake_ms_) return;
  wake_ms_ = wake_ms;
  const uint64_t uv_ms = uv_now(&uv_);
  uv_timer_start(
      &timer_,
      [](uv_timer_t* timer) {
        // Usually the check after epoll has done the work already; OnPrepare does it now if not.
        UvLoop* loop = static_cast<UvLoop*>(timer->loop->data);
        loop->wake_ms_ = 0;
        loop->BeginTurn();
      },
      wake_ms > uv_ms ? wake_ms - uv_ms : 0, 0);
}

void UvLoop::Later(Deferred* deferred) {
  if (deferred->linked()) return;
  later_.PushBack(deferred);
  // Idle handles keep epoll from sleeping.
  uv_idle_start(&idle_, [](uv_idle_t* idle) { static_cast<UvLoop*>(idle->loop->data)->OnIdle(); });
}

void UvLoop::OnIdle() {
  BeginTurn();
  IntrusiveList<Deferred> now;
  now.TakeAll(later_);
  while (!now.empty()) now.PopFront()->OnLater();
  if (later_.empty()) uv_idle_stop(&idle_);
}

// Set-up outside of turns must not measure its delays from when the loop was made.
void UvLoop::RefreshOutsideTurns() {
  if (!running_) ReadTime();
}

Result<std::unique_ptr<net::Listener>> UvLoop::Listen(const net::ListenOptions& options, net::Listener::Handler* handler) {
  return UvListener::Open(this, options, handler);
}

std::unique_ptr<net::Connection> UvLoop::Connect(const net::ConnectOptions& options, net::Connection::Handler* handler) {
  RefreshOutsideTurns();
  return std::make_unique<UvConnection>(this, options, handler);
}

void UvLoop::AddRetiring(Retiring* retiring) { retiring_.PushBack(retiring); }

void UvLoop::Retire(std::unique_ptr<net::Connection> connection) {
  if (connection == nullptr) return;
  RefreshOutsideTurns();
  auto* retiring = new Retiring(this, std::unique_ptr<UvConnection>(static_cast<UvConnection*>(connection.release())));
  AddRetiring(retiring);
  retiring->Start();
}

std::unique_ptr<net::Resolution> UvLoop::Resolve(const std::string& host, uint16_t port, net::ResolveCallback callback) {
  return StartResolution(this, host, port, std::move(callback));
}

}  // namespace outrigger::io
