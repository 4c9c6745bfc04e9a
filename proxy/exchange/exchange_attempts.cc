// The attempts of an exchange: which endpoint, what of the request goes out again, and whether another one is wanted and safe.
#include <algorithm>
#include <string>
#include <utility>

#include "proxy/exchange/exchange.h"
#include "proxy/exchange/server_session.h"

namespace outrigger::exchange {

using http::Known;
using observe::Flag;

bool Exchange::ChooseEndpoint() {
  if (!plan_.cluster->warm()) return false;
  const std::optional<uint32_t> index =
      host_->PickerOf(plan_.cluster->state->index)
          .Pick(plan_.cluster->config.lb_policy, *plan_.cluster->endpoints, std::span(tried_.data(), tried_count_),
                host_->loop->now(), host_->loop->random());
  if (!index.has_value()) return false;
  endpoint_ = &(*plan_.cluster->endpoints)[*index];
  if (tried_count_ < tried_.size()) tried_[tried_count_++] = *index;
  return true;
}

void Exchange::StartAttempt() {
  state_ = State::kAttempt;
  if (!ChooseEndpoint()) {
    endpoint_ = nullptr;
    Reply reply;
    reply.status = 503;
    reply.flags = 0u | Flag::kUH;
    reply.reason = "no-healthy-endpoint";
    reply.text = "no endpoint of " + plan_.cluster->config.name + " can take the request: check that its workloads run and are selected";
    reply.receipt = may_have_been_seen_ ? "forwarded" : "not-forwarded";
    SendReply(reply);
    return;
  }
  if (!endpoint_->config.mesh && !plan_.cluster->config.allow_plaintext) {
    Reply reply;
    reply.status = 503;
    reply.flags = 0u | Flag::kUF;
    reply.reason = "plaintext-not-allowed";
    reply.text = "endpoint " + endpoint_->config.address.ToString() +
                 " has no sidecar and the mesh is strict: inject it, or set mtls: permissive in MeshPolicy";
    reply.receipt = "not-forwarded";
    SendReply(reply);
    return;
  }
  ++attempts_;
  attempt_started_ = host_->loop->now();
  endpoint_active_ = CountGuard(&endpoint_->state->active);
  endpoint_->state->requests.fetch_add(1, std::memory_order_relaxed);
  const Duration per_try = plan_.forward->retry.per_try_timeout;
  if (per_try > Duration::zero()) host_->loop->Arm(&try_timer_, per_try);
  replay_sent_ = 0;
  stream_ = host_->pool->Start(*endpoint_, plan_.cluster->config, head_, !request_has_body_, this);
  if (stream_->started()) OnStarted();
}

void Exchange::OnStarted() {
  peer_is_mesh_ = stream_->peer() != nullptr;
  if (request_has_body_) SendKeptBody();
}

void Exchange::SendKeptBody() {
  if (!replay_.empty()) stream_->SendData(replay_.view());
  replay_sent_ = replay_.size();
  if (replay_.size() > host_->settings.replay_bytes) {
    replay_whole_ = false;
    replay_.Clear();
    replay_sent_ = 0;
  }
  if (request_ended_) {
    if (request_trailers_ != nullptr) {
      stream_->SendTrailers(*request_trailers_);
    } else {
      stream_->SendEnd();
    }
  }
  if (stream_->buffered() <= host_->settings.high_water_bytes) ResumeClient();
}

void Exchange::OnWritable() {
  if (state_ != State::kDone) ResumeClient();
}

void Exchange::FinishAttempt(bool endpoint_failed) {
  try_timer_.Disarm();
  if (endpoint_ != nullptr && endpoint_failed) endpoint_->state->OnFailure(host_->loop->now());
  endpoint_active_.Release();
}

bool Exchange::TryAgain(guard::FailedAttempt failed) {
  guard::RetryInput input;
  input.policy = &plan_.forward->retry;
  input.safe_method = http::IsSafe(head_.method);
  input.has_idempotency_key = head_.headers.Has(Known::kIdempotencyKey);
  input.body_replayable = replay_whole_ || !request_has_body_;
  input.response_sent = response_sent_;
  input.retries_done = retries_;
  input.failed = std::move(failed);
  guard::RetryVerdict verdict = guard::DecideRetry(input);
  if (verdict.kind == guard::RetryVerdict::Kind::kAtOnce) {
    if (stale_retries_ < host_->settings.stale_retries) {
      ++stale_retries_;
      ++host_->stale_retries;
      tried_count_ -= std::min<uint32_t>(tried_count_, 1);  // the endpoint did nothing wrong
      StartAttempt();
      return true;
    }
    verdict = {guard::RetryVerdict::Kind::kNo, "attempts-exhausted"};
  }
  if (verdict.kind == guard::RetryVerdict::Kind::kNo) {
    not_retried_ = verdict.reason;
    return false;
  }
  if (!plan_.cluster->state->retry_budget.TryTake(host_->loop->now())) {
    ++host_->retries_refused_by_budget;
    not_retried_ = "retry-budget-exhausted";
    return false;
  }
  ++host_->retries;
  state_ = State::kBackOff;
  host_->loop->Arm(&backoff_timer_, guard::Backoff(plan_.forward->retry, retries_++, host_->loop->random()));
  return true;
}

void Exchange::OnBackOffOver() { StartAttempt(); }

void Exchange::OnFailed(const Error& error, bool response_started) {
  const bool reused = stream_->reused();
  const bool stale = reused && !response_started && (error.code == ErrorCode::kReset || error.code == ErrorCode::kClosed);
  stream_.reset();
  FinishAttempt(/*endpoint_failed=*/!stale && error.fault == Fault::kUpstream && error.code != ErrorCode::kProtocol);
  if (!error.unseen) may_have_been_seen_ = true;
  if (response_sent_) {
    Fail(error);
    return;
  }
  guard::FailedAttempt failed;
  failed.error = error;
  failed.response_started = response_started;
  failed.reused_connection = reused;
  if (TryAgain(std::move(failed))) return;
  Fail(error);
}

void Exchange::OnTryTimeout() {
  const bool unseen = !stream_->started();  // it still waited for a connection
  if (!unseen) may_have_been_seen_ = true;
  const Error error = Error::Make(ErrorCode::kTimeout, "no response within the per-try timeout", Fault::kUpstream, unseen);
  stream_.reset();
  FinishAttempt(/*endpoint_failed=*/true);
  guard::FailedAttempt failed;
  failed.error = error;
  if (TryAgain(std::move(failed))) return;
  Fail(error);
}

}  // namespace outrigger::exchange
