// Is this peer working us for nothing? Counts the frames of one HTTP/2 connection that cost the receiver more than the
// sender (CVE-2019-9511 and its kin of 2019, CVE-2023-44487 "rapid reset", CVE-2025-8671 "made you reset") by token
// buckets with the caller's `now`. nghttp2 has a limiter for resets only, and it reads the clock; it is off.
// Pure; a verdict is final: the connection ends with ENHANCE_YOUR_CALM. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "proxy/base/time.h"

namespace outrigger::codec {

// `burst` tokens at first, one more every `refill`, never more than `burst`.
class TokenBucket {
 public:
  constexpr TokenBucket(int64_t burst, Duration refill) : refill_(refill), depth_(refill * burst) {}

  bool Take(Instant now) {
    // As in a GCRA: the bucket is the time by which it will be full again.
    const Instant full = std::max(full_at_, now);
    if (full + refill_ - now > depth_) return false;
    full_at_ = full + refill_;
    return true;
  }

 private:
  Duration refill_;
  Duration depth_;
  Instant full_at_{Duration::min() / 2};
};

class FloodGuard {
 public:
  // A stream that lives at least this long did real work before it was given up: not a rapid reset. The announced
  // MAX_CONCURRENT_STREAMS bounds those.
  static constexpr Duration kRapid = 100ms;

  // Each returns false when it is too much.
  bool OnControl(Instant now) { return control_.Take(now); }      // PING, SETTINGS, PRIORITY, GOAWAY
  bool OnEmptyData(Instant now) { return empty_data_.Take(now); }  // DATA without payload that ends nothing
  // A stream of the peer's died before its time because of the peer: RST_STREAM, a malformed request, one stream too many.
  bool OnPeerReset(Instant opened, Instant now) { return now - opened >= kRapid || resets_.Take(now); }
  // WINDOW_UPDATE is paid for by the bytes and streams that call for it.
  bool OnWindowUpdate() { return window_updates_-- > 0; }

  void OnStream() { AllowUpdates(8); }
  void OnDataSent(size_t size) { AllowUpdates(2 + static_cast<int64_t>(size / 256)); }

 private:
  void AllowUpdates(int64_t n) { window_updates_ = std::min<int64_t>(window_updates_ + n, 1 << 20); }

  TokenBucket control_{1000, 5ms};
  TokenBucket empty_data_{100, 50ms};
  TokenBucket resets_{500, 10ms};
  int64_t window_updates_ = 1000;
};

}  // namespace outrigger::codec
