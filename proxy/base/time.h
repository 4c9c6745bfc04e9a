// Points in time and spans of it. There is no clock here: `now` is an argument of everything that needs it, and only the
// shell (io/, worker/, main/) reads a real one. Thread-safe: plain values.
#pragma once

#include <chrono>
#include <cstdint>

namespace outrigger {

using Duration = std::chrono::nanoseconds;

// A tag without now(): an Instant can only come from the event loop (net::Loop::now()).
struct MonotonicClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock, Duration>;
  static constexpr bool is_steady = true;
};

// Monotonic, for measuring and for timers. Its origin means nothing.
using Instant = MonotonicClock::time_point;

// Wall clock as nanoseconds since 1970-01-01T00:00:00Z: for certificates, logs and headers, never for measuring.
struct WallClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<WallClock, Duration>;
  static constexpr bool is_steady = false;
};
using WallTime = WallClock::time_point;

constexpr int64_t UnixSeconds(WallTime t) {
  return std::chrono::duration_cast<std::chrono::seconds>(t.time_since_epoch()).count();
}
constexpr int64_t Milliseconds(Duration d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); }

using namespace std::chrono_literals;  // 250ms, 24h: durations read as they are spoken everywhere in the project

}  // namespace outrigger
