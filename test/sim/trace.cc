#include "test/sim/trace.h"

#include <cstdio>

namespace outrigger::sim {

std::string_view TraceKindName(TraceKind kind) {
  static constexpr std::string_view kNames[] = {
      "turn", "start", "kill", "stop", "pause", "resume", "step", "mail", "resolve", "file", "watch",
      "connect", "accept", "connected", "connect-failed", "write", "segment", "read", "drained", "fin", "eof", "rst", "closed",
      "close", "abort", "partition", "heal", "note",
  };
  static_assert(std::size(kNames) == static_cast<size_t>(TraceKind::kNote) + 1);
  return kNames[static_cast<size_t>(kind)];
}

void Trace::Tell(Instant at, TraceKind kind, uint32_t who, uint64_t value) const {
  char line[128];
  const std::string_view name = TraceKindName(kind);
  const double ms = static_cast<double>(at.time_since_epoch().count()) / 1e6;
  std::snprintf(line, sizeof line, "%14.6f ms  actor %-3u %-14.*s %llu", ms, who, static_cast<int>(name.size()), name.data(),
                static_cast<unsigned long long>(value));
  log_(line);
}

}  // namespace outrigger::sim
