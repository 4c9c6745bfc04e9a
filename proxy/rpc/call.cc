#include "proxy/rpc/channel.h"

namespace outrigger::rpc {

CallCore::CallCore(std::shared_ptr<ChannelCore> channel, ClientCall::Handler* handler)
    : channel_(std::move(channel)), handler_(handler), reader_(channel_->options().limits.message_bytes) {}

void CallCore::Begin(codec::StreamId stream, std::optional<Duration> timeout) {
  stream_ = stream;
  if (timeout) channel_->loop()->Arm(&deadline_, *timeout);
}

void CallCore::Send(const google::protobuf::MessageLite& message) {
  if (done_ || half_closed_ || stream_ == 0 || channel_->codec() == nullptr) return;
  Buffer bytes;
  if (const Outcome outcome = AppendMessage(message, &bytes); !outcome) {
    FinishLater({Code::kResourceExhausted, outcome.error().detail});
    return;
  }
  channel_->codec()->SendData(stream_, bytes.view());
  if (buffered() > channel_->options().limits.send_buffer_bytes) SetOverLimit(true);
  channel_->Dirty();
}

void CallCore::HalfClose() {
  if (done_ || half_closed_ || stream_ == 0 || channel_->codec() == nullptr) return;
  half_closed_ = true;
  channel_->codec()->SendEnd(stream_);
  channel_->Dirty();
}

size_t CallCore::buffered() const {
  if (done_ || stream_ == 0 || channel_->codec() == nullptr) return 0;
  return channel_->codec()->buffered(stream_) + channel_->pending();
}

void CallCore::Abandon() {
  handler_ = nullptr;
  if (!done_) Done({Code::kCancelled, {}}, {});
}

void CallCore::OnResponse(http::ResponseHead* head) {
  if (head_received_) return;
  head_received_ = true;
  std::optional<Status> status = ReadStatus(head->headers);
  if (!status && head->status != 200) {
    status = Status{FromHttpStatus(head->status), "HTTP status " + std::to_string(head->status)};
  } else if (!IsGrpcContentType(head->headers)) {
    status = Status{FromHttpStatus(head->status), "the response is not gRPC (content-type)"};
  } else if (const auto encoding = head->headers.Get("grpc-encoding"); encoding.value_or("identity") != "identity") {
    return Fail({Code::kInternal, "the response is compressed, which was not offered"});
  }
  if (const Outcome outcome = TakeMetadata(&head->headers); !outcome) return Fail({Code::kInternal, outcome.error().detail});
  if (status) {
    status_ = std::move(status);  // trailers-only, or no gRPC at all: the rest of the stream does not count
    std::swap(trailers_, head->headers);
    return;
  }
  if (handler_ != nullptr) handler_->OnHeaders(head->headers);
}

void CallCore::OnData(Bytes data) {
  if (done_ || status_) return;
  if (!head_received_) return Fail({Code::kInternal, "data before the response's head"});
  Bytes message;
  while (!done_ && reader_.Next(&data, &message)) {
    if (handler_ != nullptr) handler_->OnMessage(message);
  }
  if (!done_ && !reader_.status().ok()) Fail(reader_.status());
}

void CallCore::OnTrailers(http::HeaderMap* trailers) {
  if (status_) return;
  status_ = ReadStatus(*trailers);
  if (!status_) status_ = Status{Code::kUnknown, "the response ended without grpc-status"};
  if (const Outcome outcome = TakeMetadata(trailers); !outcome) return Fail({Code::kInternal, outcome.error().detail});
  std::swap(trailers_, *trailers);
}

void CallCore::OnEnd() {
  Status status = status_.value_or(Status{Code::kUnknown, "the response ended without grpc-status"});
  if (status.ok() && reader_.inside_message()) status = {Code::kInternal, "the response ended inside a message"};
  Metadata trailers = std::move(trailers_);
  Done(status, trailers);
}

void CallCore::OnReset(const Error& error) {
  // The server's own deadline is ours: it may be a moment earlier in saying so.
  if (error.code == ErrorCode::kCancelled && deadline_.armed() && deadline_.expiry() <= channel_->loop()->now()) {
    return Done({Code::kDeadlineExceeded, "deadline exceeded"}, {});
  }
  Done(FromError(error), {});
}

void CallCore::OnDeadline() {
  const auto self = shared_from_this();
  Done({Code::kDeadlineExceeded, "deadline exceeded"}, {});
}

void CallCore::CheckWritable() {
  if (!over_limit_ || done_ || buffered() > 0) return;
  SetOverLimit(false);
  if (handler_ != nullptr) handler_->OnWritable();
}

void CallCore::SetOverLimit(bool on) {
  if (over_limit_ != on) channel_->CountWaiting(on ? 1 : -1);
  over_limit_ = on;
}

void CallCore::FinishLater(Status status) {
  if (later_) return;
  later_ = std::move(status);
  channel_->QueueDone(shared_from_this());
}

void CallCore::Fail(Status status) { Done(status, {}); }

// However it ended: unless both sides had said their last, the stream is given up.
void CallCore::Done(const Status& status, const Metadata& trailers) {
  if (done_) return;
  done_ = true;
  SetOverLimit(false);
  deadline_.Disarm();
  const auto self = shared_from_this();
  if (stream_ != 0) {
    const bool ended = status_.has_value() && status.code != Code::kCancelled;
    if (channel_->codec() != nullptr) {
      channel_->codec()->Reset(stream_, ended ? ErrorCode::kOk : ErrorCode::kCancelled);
      channel_->Dirty();
    }
    channel_->Forget(stream_);
  }
  if (ClientCall::Handler* handler = std::exchange(handler_, nullptr)) handler->OnDone(status, trailers);
}

}  // namespace outrigger::rpc
