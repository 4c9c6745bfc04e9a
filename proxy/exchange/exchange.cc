#include "proxy/exchange/exchange.h"

#include <algorithm>
#include <string>
#include <utility>

#include "proxy/exchange/server_session.h"
#include "proxy/route/route.h"

namespace outrigger::exchange {

using http::Known;
using observe::Flag;

Exchange::Exchange(Host* host, ServerSession* session, Path* path, http::StreamId id)
    : host_(host), session_(session), path_(path), id_(id) {}

Exchange::~Exchange() = default;

// ---------------------------------------------------------------- request

void Exchange::Begin(http::RequestHead* head) {
  std::swap(head_, *head);
  epoch_ = host_->epoch;
  started_ = host_->loop->now();
  started_wall_ = host_->loop->wall_now();
  ++host_->active_requests;
  plan_ = path_->Decide(session_->origin(), &head_, *epoch_, host_->loop->random());
  if (plan_.reply.has_value()) {
    SendReply(*plan_.reply);
    return;
  }
  cluster_active_ = CountGuard(&plan_.cluster->state->active_requests);
  request_has_body_ = head_.content_length.value_or(1) != 0;
  if (plan_.forward->timeout > Duration::zero()) host_->loop->Arm(&deadline_, plan_.forward->timeout);
  Moved();
  if (plan_.forward->idle_timeout > Duration::zero()) host_->loop->Arm(&idle_timer_, plan_.forward->idle_timeout);
  // A request without a body is complete with its head; kEnd, which comes with the same read, finds it sent already.
  if (!request_has_body_) request_ended_ = true;
  StartAttempt();
}

void Exchange::OnRequestData(Bytes data) {
  record_.request_bytes += data.size();
  if (state_ == State::kDone) {
    session_->Consumed(id_, data.size());  // the rest of a body whose answer is out: read and dropped
    return;
  }
  Moved();
  owed_ += data.size();
  KeepForReplay(data);
  if (stream_ != nullptr && stream_->started()) {
    stream_->SendData(data);
    if (replay_whole_) replay_sent_ = replay_.size();
  }
  ConsiderBackPressure();
}

// Keeps what a retry would have to send again. What outgrows the buffer can no longer be repeated; while no attempt takes it, it is
// kept all the same, and the client is not read any further.
void Exchange::KeepForReplay(Bytes data) {
  const bool attempt_takes_it = stream_ != nullptr && stream_->started();
  if (replay_whole_ && (replay_.size() + data.size() <= host_->settings.replay_bytes || !attempt_takes_it)) {
    replay_.Append(data);
    return;
  }
  if (!attempt_takes_it) return;
  replay_whole_ = false;
  replay_.Clear();
  replay_sent_ = 0;
}

void Exchange::ConsiderBackPressure() {
  const bool attempt_takes_it = stream_ != nullptr && stream_->started();
  const size_t waiting = attempt_takes_it ? stream_->buffered() : replay_.size();
  if (waiting <= host_->settings.high_water_bytes) {
    session_->Consumed(id_, std::exchange(owed_, 0));
    return;
  }
  if (client_paused_) return;
  client_paused_ = true;
  session_->SetReading(false);
}

void Exchange::ResumeClient() {
  session_->Consumed(id_, std::exchange(owed_, 0));
  if (!client_paused_) return;
  client_paused_ = false;
  session_->SetReading(true);
}

void Exchange::OnRequestTrailers(http::HeaderMap* trailers) {
  if (state_ == State::kDone) return;
  request_trailers_ = std::make_unique<http::HeaderMap>(std::move(*trailers));
}

void Exchange::OnRequestEnd() {
  if (state_ == State::kDone || request_ended_) return;
  request_ended_ = true;
  if (stream_ == nullptr || !stream_->started()) return;
  if (request_trailers_ != nullptr) {
    stream_->SendTrailers(*request_trailers_);
  } else {
    stream_->SendEnd();
  }
  if (response_ended_) OnEnd();
}

void Exchange::OnClientGone(const Error& error) {
  if (state_ == State::kDone) return;
  record_.flags = record_.flags | (error.code == ErrorCode::kProtocol ? Flag::kDPE : Flag::kDC);
  if (record_.reason.empty()) record_.reason = "client-gone";
  stream_.reset();  // cancels the attempt
  FinishAttempt(/*endpoint_failed=*/false);
  Finish();
}

void Exchange::OnClientDrained() {
  if (!upstream_paused_ || session_->buffered(id_) > 0) return;
  upstream_paused_ = false;
  Moved();
  if (stream_ == nullptr) return;
  stream_->SetReading(true);
  if (const size_t owed = std::exchange(upstream_owed_, 0); owed > 0) stream_->Consumed(owed);
}

// The exchange cannot be answered by the upstream: an answer of our own, or, when the response has begun, a cut that nobody can take for
// its end.
void Exchange::Fail(const Error& error) {
  FailedRequest failed;
  failed.error = error;
  failed.reached_application = may_have_been_seen_;
  failed.idled = idled_;
  failed.retries_exhausted = not_retried_ == "attempts-exhausted" || not_retried_ == "retry-budget-exhausted";
  failed.not_retried = not_retried_;
  failed.cluster = plan_.cluster->config.name;
  const Reply reply = path_->Rescue(failed);
  if (!response_sent_) {
    SendReply(reply);
    return;
  }
  record_.flags |= reply.flags;
  record_.reason = reply.reason;
  session_->Reset(id_, error.code);
  Finish();
}

// ---------------------------------------------------------------- response

void Exchange::OnInformational(const http::ResponseHead& head) {
  // A repeated attempt must not repeat them.
  if (head_.version == http::Version::kHttp10 || (head.status == 100 && std::exchange(informational_sent_, true))) return;
  session_->SendInformational(id_, head);
}

void Exchange::OnResponse(http::ResponseHead* head) {
  record_.upstream_duration = host_->loop->now() - attempt_started_;
  const std::optional<std::string_view> receipt = peer_is_mesh_ ? head->headers.Get(Known::kXOutriggerReceipt) : std::nullopt;
  const bool unseen = receipt == "not-forwarded";
  if (!unseen) may_have_been_seen_ = true;
  // Another endpoint may do better where this one has no configuration for the service yet (421) or no application (502 to 504). What
  // it refuses for a reason of the request's own (401, 403, 404) all of them would refuse.
  const bool not_forwarded = unseen && (head->status == 421 || (head->status >= 502 && head->status <= 504));
  if ((head->status >= 500 || not_forwarded) && !upgraded_) {
    guard::FailedAttempt failed;
    failed.status = head->status;
    failed.not_forwarded = not_forwarded;
    failed.response_started = true;
    // Nothing of the response goes on before this is settled, so the attempt can still be given up.
    std::unique_ptr<pool::Stream> kept = std::move(stream_);
    CountGuard active = std::move(endpoint_active_);
    if (!not_forwarded) endpoint_->state->OnSuccess();  // it lives: what refuses is set aside, not what answers
    FinishAttempt(/*endpoint_failed=*/not_forwarded);
    if (TryAgain(std::move(failed))) return;
    stream_ = std::move(kept);
    endpoint_active_ = std::move(active);
  } else {
    plan_.cluster->state->retry_budget.OnSuccess();
    endpoint_->state->OnSuccess();
  }
  try_timer_.Disarm();
  PassResponse(head);
}

void Exchange::PassResponse(http::ResponseHead* head) {
  state_ = State::kResponse;
  record_.status = head->status;
  if (const auto receipt = head->headers.Get(Known::kXOutriggerReceipt)) {
    // The sidecar's word, unless an earlier attempt may have been seen. Nobody else's word is passed on.
    const bool unseen = peer_is_mesh_ && receipt == "not-forwarded" && !may_have_been_seen_;
    head->headers.Remove(Known::kXOutriggerReceipt);
    if (peer_is_mesh_) head->headers.Add(Known::kXOutriggerReceipt, unseen ? "not-forwarded" : "forwarded");
  }
  if (const auto grpc = head->headers.Get(Known::kGrpcStatus)) record_.grpc_status = grpc->size() == 1 ? (*grpc)[0] - '0' : 2;
  path_->OnResponse(plan_, head);
  response_sent_ = true;
  session_->SendResponse(id_, *head, /*end=*/false);
}

void Exchange::OnUpgraded(http::ResponseHead* head) {
  upgraded_ = true;
  may_have_been_seen_ = true;
  endpoint_->state->OnSuccess();
  try_timer_.Disarm();
  deadline_.Disarm();  // a live socket is not cut by the deadline of the request that opened it
  replay_whole_ = false;
  replay_.Clear();
  request_ended_ = false;
  request_has_body_ = true;
  PassResponse(head);
}

void Exchange::OnData(Bytes data) {
  Moved();
  record_.response_bytes += data.size();
  session_->SendData(id_, data);
  if (!upstream_paused_ && session_->buffered(id_) > host_->settings.high_water_bytes) {
    upstream_paused_ = true;
    stream_->SetReading(false);
  }
  if (upstream_paused_) {
    upstream_owed_ += data.size();  // a shared connection is read on: its window is what holds this stream back
  } else {
    stream_->Consumed(data.size());
  }
}

void Exchange::OnTrailers(http::HeaderMap* trailers) {
  if (const auto grpc = trailers->Get(Known::kGrpcStatus)) record_.grpc_status = grpc->size() == 1 ? (*grpc)[0] - '0' : 2;
  session_->SendTrailers(id_, *trailers);
}

void Exchange::OnEnd() {
  if (!std::exchange(response_ended_, true)) session_->SendEnd(id_);
  if (upgraded_ && !request_ended_) return;  // half closed
  stream_.reset();  // whatever else comes on its connection is not ours any more
  FinishAttempt(/*endpoint_failed=*/false);
  Finish();
}

void Exchange::SendReply(const Reply& reply) {
  http::ResponseHead head;
  head.status = reply.status;
  head.close = reply.close;
  std::string text = reply.text;
  if (!text.empty()) {
    text += '\n';
    head.headers.Add(Known::kContentType, "text/plain; charset=utf-8");
  }
  head.content_length = text.size();
  if (!reply.location.empty()) head.headers.Add(Known::kLocation, reply.location);
  if (!reply.reason.empty()) head.headers.Add(Known::kXOutriggerReason, reply.reason);
  // With every error, and to sidecars always: it is what makes sending again safe.
  const bool told = session_->origin().peer != nullptr || !reply.reason.empty();
  if (!reply.receipt.empty() && told) head.headers.Add(Known::kXOutriggerReceipt, reply.receipt);
  record_.status = reply.status;
  record_.flags |= reply.flags;
  record_.reason = reply.reason;
  record_.response_bytes = text.size();
  response_sent_ = true;
  session_->SendResponse(id_, head, /*end=*/text.empty());
  if (!text.empty()) {
    session_->SendData(id_, AsBytes(text));
    session_->SendEnd(id_);
  }
  Finish();
}

void Exchange::OnDeadline() {
  if (stream_ != nullptr && stream_->started()) may_have_been_seen_ = true;
  stream_.reset();
  FinishAttempt(/*endpoint_failed=*/false);
  not_retried_ = {};
  Fail(Error::Make(ErrorCode::kTimeout, "no response within the request timeout", Fault::kUpstream));
}

// Armed once: what has moved meanwhile is asked when it fires.
void Exchange::OnIdle() {
  const Duration idle = host_->loop->now() - moved_;
  if (idle < plan_.forward->idle_timeout) {
    host_->loop->Arm(&idle_timer_, plan_.forward->idle_timeout - idle);
    return;
  }
  idled_ = true;
  if (stream_ != nullptr && stream_->started()) may_have_been_seen_ = true;
  const bool waits_for_client = !request_ended_ && !client_paused_;
  stream_.reset();
  FinishAttempt(/*endpoint_failed=*/false);
  not_retried_ = {};
  const char* const what = waits_for_client ? "the rest of the request did not come within the idle timeout"
                                            : "no byte moved within the idle timeout";
  Fail(Error::Make(ErrorCode::kTimeout, what, waits_for_client ? Fault::kDownstream : Fault::kUpstream));
}

void Exchange::Finish() {
  if (state_ == State::kDone) return;
  state_ = State::kDone;
  deadline_.Disarm();
  idle_timer_.Disarm();
  try_timer_.Disarm();
  backoff_timer_.Disarm();
  --host_->active_requests;
  FillRecord();
  host_->sink->OnExchange(record_);
  cluster_active_.Release();
  endpoint_active_.Release();
  replay_.Clear();
  if (client_paused_) {
    client_paused_ = false;
    session_->SetReading(true);
  }
  session_->OnExchangeDone(this);
}

void Exchange::FillRecord() {
  const Origin& origin = session_->origin();
  record_.direction = origin.direction;
  if (const auto listener = epoch_->listeners.find(origin.listener); listener != epoch_->listeners.end()) {
    record_.access_log = listener->second->config.access_log;
  }
  record_.started = started_wall_;
  record_.duration = host_->loop->now() - started_;
  record_.version = head_.version;
  record_.method = head_.method;
  record_.method_text = head_.method_text;
  record_.authority = head_.authority;
  record_.path = head_.path;
  record_.request_id = head_.headers.Get(Known::kXRequestId).value_or("");
  record_.traceparent = head_.headers.Get(Known::kTraceparent).value_or("");
  record_.user_agent = head_.headers.Get(Known::kUserAgent).value_or("");
  record_.forwarded_for = head_.headers.Get(Known::kXForwardedFor).value_or("");
  record_.attempts = attempts_;
  record_.downstream_address = origin.remote_text;
  record_.mutual_tls = origin.peer != nullptr || peer_is_mesh_;
  if (retries_ > 0 && not_retried_ == "attempts-exhausted") record_.flags = record_.flags | Flag::kURX;
  if (not_retried_ == "retry-budget-exhausted") record_.flags = record_.flags | Flag::kURX;
  path_->Describe(origin, plan_, endpoint_, &record_);
}

}  // namespace outrigger::exchange
