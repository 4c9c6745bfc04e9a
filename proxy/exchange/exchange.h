// One request and its response, from head to record. The phases, in the order of docs and metrics:
//
//    Begin -> (path decides) -> attempt -> [fail -> back off -> attempt]* -> response -> done
//                     \-> local reply -----------------------------------------> done
//
//    state       | what may happen                          | next
//    ------------+------------------------------------------+-------------------------------
//    kAttempt    | stream fails, retriable status           | kBackOff, kAttempt (at once), kDone (reply)
//                | response head                            | kResponse
//    kBackOff    | timer                                    | kAttempt
//    kResponse   | end                                      | kDone
//                | stream fails                             | kDone (client stream reset: the response is cut, never passed as whole)
//    any         | client gone                              | kDone (attempt cancelled)
//    any         | request deadline, idle timeout           | kDone (504, or reset when the response had begun)
//
// Bytes of both bodies go through as they come; nothing is held but the replay buffer (bounded) while a retry may need it.
// Belongs to one ServerSession; one worker.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "proxy/base/buffer.h"
#include "proxy/exchange/host.h"
#include "proxy/exchange/path.h"
#include "proxy/guard/retry.h"

namespace outrigger::exchange {

class ServerSession;

class Exchange final : private pool::Stream::Handler {
 public:
  Exchange(Host* host, ServerSession* session, Path* path, http::StreamId id);
  ~Exchange() override;

  http::StreamId id() const { return id_; }
  bool done() const { return state_ == State::kDone; }

  // ---- from the client's side (ServerSession)
  void Begin(http::RequestHead* head);  // takes the head by swapping
  void OnRequestData(Bytes data);
  void OnRequestTrailers(http::HeaderMap* trailers);
  void OnRequestEnd();
  void OnClientGone(const Error& error);  // nothing more can be sent to the client
  void OnClientDrained();                 // the client takes data again

 private:
  enum class State : uint8_t { kAttempt, kBackOff, kResponse, kDone };

  // ---- from the upstream (pool::Stream::Handler)
  void OnStarted() override;
  void OnInformational(const http::ResponseHead& head) override;
  void OnResponse(http::ResponseHead* head) override;
  void OnUpgraded(http::ResponseHead* head) override;
  void OnData(Bytes data) override;
  void OnTrailers(http::HeaderMap* trailers) override;
  void OnEnd() override;
  void OnFailed(const Error& error, bool response_started) override;
  void OnWritable() override;

  void StartAttempt();
  bool ChooseEndpoint();
  void SendKeptBody();
  void KeepForReplay(Bytes data);
  void ConsiderBackPressure();
  void ResumeClient();
  // Another attempt, if that is wanted and safe: true when one was started or is waiting.
  bool TryAgain(guard::FailedAttempt failed);
  void FinishAttempt(bool endpoint_failed);
  void Fail(const Error& error);
  void SendReply(const Reply& reply);
  void PassResponse(http::ResponseHead* head);
  void Finish();
  void OnDeadline();
  void OnIdle();
  void Moved() { moved_ = host_->loop->now(); }
  void FillRecord();
  void OnTryTimeout();
  void OnBackOffOver();

  Host* const host_;
  ServerSession* const session_;
  Path* const path_;
  const http::StreamId id_;
  State state_ = State::kAttempt;

  snapshot::Epoch epoch_;
  Plan plan_;
  http::RequestHead head_;
  Instant started_{};
  WallTime started_wall_{};
  Instant attempt_started_{};
  Instant moved_{};  // when a byte last went in either direction

  // request body
  Buffer replay_;                 // from the first byte on, while it is whole
  size_t replay_sent_ = 0;        // how much of it the present attempt has had
  bool replay_whole_ = true;
  bool request_ended_ = false;
  bool request_has_body_ = true;
  bool client_paused_ = false;
  size_t owed_ = 0;               // bytes the client's window waits for
  std::unique_ptr<http::HeaderMap> request_trailers_;

  // attempts
  std::unique_ptr<pool::Stream> stream_;
  const balance::ListedEndpoint* endpoint_ = nullptr;
  CountGuard endpoint_active_;
  CountGuard cluster_active_;
  std::array<uint32_t, 8> tried_{};
  uint32_t tried_count_ = 0;
  uint32_t attempts_ = 0;
  uint32_t retries_ = 0;
  uint32_t stale_retries_ = 0;
  bool may_have_been_seen_ = false;
  bool idled_ = false;  // ended by the idle timeout
  std::string_view not_retried_;

  // response
  bool response_sent_ = false;
  bool informational_sent_ = false;
  bool upgraded_ = false;
  bool response_ended_ = false;  // of a tunnel, which ends when both directions have
  bool upstream_paused_ = false;
  size_t upstream_owed_ = 0;  // bytes the upstream's window waits for
  bool peer_is_mesh_ = false;
  observe::ExchangeRecord record_;

  CallbackTimer<Exchange, &Exchange::OnDeadline> deadline_{this};
  CallbackTimer<Exchange, &Exchange::OnIdle> idle_timer_{this};
  CallbackTimer<Exchange, &Exchange::OnTryTimeout> try_timer_{this};
  CallbackTimer<Exchange, &Exchange::OnBackOffOver> backoff_timer_{this};
};

}  // namespace outrigger::exchange
