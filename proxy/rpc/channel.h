// The client's end: one connection and its calls. rpc.h is the contract; this header is for channel.cc and call.cc only.
//
//   kDown -> kResolving -> kConnecting -> kUp -> kLeaving (GOAWAY: calls finish, none starts) -> kFalling (calls are told) -> kDown
//
// Everything is reference-counted among Channel, calls and the call stack, because a handler may destroy any of them in any call.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/timer_wheel.h"
#include "proxy/codec/http2.h"
#include "proxy/net/transport.h"
#include "proxy/rpc/rpc.h"
#include "proxy/rpc/wire.h"

namespace outrigger::rpc {

class ChannelCore;

// One call. Owned by ChannelCore while it is under way and by the caller's handle.
class CallCore : public std::enable_shared_from_this<CallCore> {
 public:
  CallCore(std::shared_ptr<ChannelCore> channel, ClientCall::Handler* handler);

  // ---- from the handle
  void Send(const google::protobuf::MessageLite& message);
  void HalfClose();
  size_t buffered() const;
  void Abandon();  // the handle is gone: cancels, and the handler hears no more

  // ---- from the channel
  void Begin(codec::StreamId stream, std::optional<Duration> timeout);
  void OnResponse(http::ResponseHead* head);
  void OnData(Bytes data);
  void OnTrailers(http::HeaderMap* trailers);
  void OnEnd();
  void OnReset(const Error& error);
  void CheckWritable();
  void FinishLater(Status status);  // told at the end of the turn
  void FinishNow() { Done(*later_, {}); }
  void Done(const Status& status, const Metadata& trailers);
  void Silence() { handler_ = nullptr; }  // the handler hears no more

 private:
  void OnDeadline();
  void Fail(Status status);  // ends the stream as well
  void SetOverLimit(bool on);

  const std::shared_ptr<ChannelCore> channel_;
  ClientCall::Handler* handler_;  // null: nothing more is told
  codec::StreamId stream_ = 0;    // 0: none
  MessageReader reader_;
  bool half_closed_ = false;
  bool over_limit_ = false;  // OnWritable is owed
  bool head_received_ = false;
  bool done_ = false;
  std::optional<Status> status_;  // from a trailers-only response or trailers, told at the stream's end
  Metadata trailers_;
  std::optional<Status> later_;
  CallbackTimer<CallCore, &CallCore::OnDeadline> deadline_{this};
};

class ChannelCore final : public std::enable_shared_from_this<ChannelCore>, private net::Transport::Handler, private net::TurnTask {
 public:
  ChannelCore(net::Loop* loop, ChannelOptions options, Channel::Handler* handler);

  // ---- from the handle
  void Connect();
  bool up() const { return state_ == State::kUp; }
  std::shared_ptr<CallCore> Start(std::string_view path, const Metadata& metadata, std::optional<Duration> timeout,
                                  ClientCall::Handler* handler);
  const tls::Peer* peer() const;
  void Close();  // the handle is gone

  // ---- from calls
  net::Loop* loop() const { return loop_; }
  const ChannelOptions& options() const { return options_; }
  codec::Http2Client* codec() const { return codec_.get(); }  // null while down
  size_t pending() const { return transport_ != nullptr ? transport_->pending() : 0; }
  void Dirty() { loop_->AtTurnEnd(this); }
  void Forget(codec::StreamId stream);
  void QueueDone(std::shared_ptr<CallCore> call);
  void CountWaiting(int change) { waiting_ += change; }  // calls that are owed OnWritable

 private:
  enum class State : uint8_t { kDown, kResolving, kConnecting, kUp, kLeaving, kFalling };

  void OnOpen() override;
  void OnBytes(Bytes plaintext) override;
  void OnEof() override;
  void OnClosed(Error error) override;
  void OnDrained() override;
  void OnTurnEnd() override;

  void OnResolved(Result<std::vector<net::Address>> addresses);
  void ConnectNext();
  void OnConnectTimeout();
  void OnPingTimer();
  void ArmPing();
  void DrainEvents();
  void Dispatch(codec::StreamEvent& event);
  void CheckWritable();
  void FailDown(Error error);
  bool LeftForGood() const { return state_ == State::kLeaving && calls_.empty(); }

  net::Loop* const loop_;
  const ChannelOptions options_;
  Channel::Handler* handler_;  // null: the handle is gone
  State state_ = State::kDown;
  std::unique_ptr<net::Resolution> resolution_;
  std::vector<net::Address> addresses_;  // still to try, last first
  std::shared_ptr<const tls::Context> context_;
  std::unique_ptr<net::Transport> transport_;
  std::unique_ptr<codec::Http2Client> codec_;
  std::map<codec::StreamId, std::shared_ptr<CallCore>> calls_;
  std::vector<std::shared_ptr<CallCore>> done_later_;
  int waiting_ = 0;
  Error goaway_;
  Instant last_read_{};
  Instant pinged_{};
  bool pinging_ = false;
  CallbackTimer<ChannelCore, &ChannelCore::OnConnectTimeout> connect_timer_{this};
  CallbackTimer<ChannelCore, &ChannelCore::OnPingTimer> ping_timer_{this};
};

}  // namespace outrigger::rpc
