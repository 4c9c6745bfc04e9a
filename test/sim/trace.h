// A running hash over everything that happens in a world: two runs with the same hash did the same things at the same virtual times.
// Optionally every event is also told as a line of text, to read what a failing seed did. Not thread-safe.
#pragma once

#include <bit>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "proxy/base/time.h"

namespace outrigger::sim {

enum class TraceKind : uint8_t {
  kTurn, kStart, kKill, kStop, kPause, kResume, kStep, kMail, kResolve, kFile, kWatch,
  kConnect, kAccept, kConnected, kConnectFailed, kWrite, kSegment, kRead, kDrained, kFin, kEof, kRst, kClosed, kClose, kAbort,
  kPartition, kHeal, kNote,
};
std::string_view TraceKindName(TraceKind kind);

class Trace {
 public:
  using Log = std::function<void(const std::string& line)>;

  void SetLog(Log log) { log_ = std::move(log); }
  bool logging() const { return log_ != nullptr; }

  // who: the actor's number, 0 for the world itself.
  void Add(Instant at, TraceKind kind, uint32_t who, uint64_t value) {
    Mix(static_cast<uint64_t>(at.time_since_epoch().count()));
    Mix((static_cast<uint64_t>(kind) << 32) | who);
    Mix(value);
    ++events_;
    if (log_) Tell(at, kind, who, value);
  }
  uint64_t hash() const { return hash_; }
  uint64_t events() const { return events_; }

 private:
  // FNV-1a by words instead of bytes, with a rotation so that high bits come down again.
  void Mix(uint64_t word) { hash_ = std::rotl((hash_ ^ word) * 0x100000001b3ull, 29) + 0x9e3779b97f4a7c15ull; }
  void Tell(Instant at, TraceKind kind, uint32_t who, uint64_t value) const;

  uint64_t hash_ = 0xcbf29ce484222325ull;
  uint64_t events_ = 0;
  Log log_;
};

}  // namespace outrigger::sim
