// May this request be tried again? Asked once per failed attempt; pure.
//
// Two questions, kept apart. *Wanted*: does the route's RetryPolicy name this failure? *Safe*: can the application not have seen
// the attempt, or does a repetition do no harm? A failure that is certain to be unseen (nothing was connected, or an authenticated callee's
// sidecar says "not forwarded") is safe for every method. After that only safe or keyed requests are repeated (RFC 9110 section
// 9.2.2 would allow PUT and DELETE too, but applications number their writes by them: they count as unsafe here without a key).
// And the body must still be whole: unsent, or kept in the replay buffer.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/base/error.h"
#include "proxy/base/random.h"
#include "proxy/base/time.h"
#include "proxy/config/config.h"

namespace outrigger::guard {

struct FailedAttempt {
  Error error;             // code kOk: a response came, see status
  int status = 0;
  bool response_started = false;  // any response byte was read before the error
  bool not_forwarded = false;     // an authenticated callee's sidecar says so (x-outrigger-receipt: not-forwarded)
  bool reused_connection = false; // the attempt went out on a pooled connection
};

struct RetryInput {
  const config::RetryPolicy* policy = nullptr;
  FailedAttempt failed;
  bool safe_method = false;      // http::IsSafe
  bool has_idempotency_key = false;
  bool body_replayable = true;   // unsent, or whole in the replay buffer
  bool response_sent = false;    // the client has had response bytes
  uint32_t retries_done = 0;
  bool client_gone = false;
  bool draining = false;
};

struct RetryVerdict {
  enum class Kind : uint8_t { kNo, kBackOff, kAtOnce };
  Kind kind = Kind::kNo;
  // Why not, for the log and x-outrigger-reason: "not-retriable", "unsafe", "attempts-exhausted", "body-too-large", ...
  std::string_view reason;
};

// kAtOnce: a pooled connection was closed under the request before any byte of a response; does not count as a retry, needs no budget (but
// only a few times: the caller bounds it with `stale_retries`).
RetryVerdict DecideRetry(const RetryInput& input);

// Full jitter: uniform in [0, min(max, base * 2^retries_done)) (Brooker 2015).
Duration Backoff(const config::RetryPolicy& policy, uint32_t retries_done, Random& random);

}  // namespace outrigger::guard
