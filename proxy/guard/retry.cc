#include "proxy/guard/retry.h"

#include <algorithm>

namespace outrigger::guard {
namespace {

bool Wanted(const config::RetryPolicy& policy, const FailedAttempt& failed) {
  if (failed.not_forwarded) return policy.on_refused || policy.on_connect_failure;
  if (failed.error.ok()) {
    if (std::find(policy.on_status.begin(), policy.on_status.end(), failed.status) != policy.on_status.end()) return true;
    if (policy.on_gateway_error && failed.status >= 502 && failed.status <= 504) return true;
    return policy.on_5xx && failed.status >= 500 && failed.status <= 599;
  }
  switch (failed.error.code) {
    case ErrorCode::kConnectRefused:
    case ErrorCode::kConnectTimeout:
    case ErrorCode::kTls: return policy.on_connect_failure;
    case ErrorCode::kRefused: return policy.on_refused;
    case ErrorCode::kReset:
    case ErrorCode::kClosed: return policy.on_reset;
    case ErrorCode::kTimeout: return policy.on_gateway_error || policy.on_5xx;  // per-try timeout: a 504 of our own
    default: return false;
  }
}

}  // namespace

RetryVerdict DecideRetry(const RetryInput& input) {
  using Kind = RetryVerdict::Kind;
  const FailedAttempt& failed = input.failed;
  if (input.client_gone) return {Kind::kNo, "client-gone"};
  if (input.response_sent) return {Kind::kNo, "response-started"};
  if (!input.body_replayable) return {Kind::kNo, "body-not-replayable"};

  const bool unseen = failed.not_forwarded || (!failed.error.ok() && failed.error.unseen);
  const bool harmless = input.safe_method || input.has_idempotency_key;
  if (!unseen && !harmless) return {Kind::kNo, "unsafe"};

  // A stale pooled connection is nobody's failure: the request goes out anew whatever the policy says.
  const bool closed_under_us = failed.error.code == ErrorCode::kReset || failed.error.code == ErrorCode::kClosed;
  if (failed.reused_connection && closed_under_us && !failed.response_started) return {Kind::kAtOnce, "stale-connection"};

  if (input.policy == nullptr || !Wanted(*input.policy, failed)) return {Kind::kNo, "not-retriable"};
  if (input.retries_done >= input.policy->max_retries) return {Kind::kNo, "attempts-exhausted"};
  return {Kind::kBackOff, {}};
}

Duration Backoff(const config::RetryPolicy& policy, uint32_t retries_done, Random& random) {
  const double base = static_cast<double>(policy.backoff_base.count()) * static_cast<double>(1ull << std::min<uint32_t>(retries_done, 20));
  const double ceiling = std::min(base, static_cast<double>(policy.backoff_max.count()));
  return Duration(static_cast<int64_t>(random.Uniform() * ceiling));
}

}  // namespace outrigger::guard
