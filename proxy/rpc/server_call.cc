#include "proxy/rpc/server.h"

namespace outrigger::rpc {
namespace {

http::ResponseHead GrpcHead() {
  http::ResponseHead head;
  head.status = 200;
  head.headers.Add(http::Known::kContentType, "application/grpc");
  head.headers.Add("grpc-accept-encoding", "identity");
  return head;
}

}  // namespace

ServerCallCore::ServerCallCore(ServerConnection* connection, codec::StreamId stream, size_t message_bytes)
    : connection_(connection), stream_(stream), reader_(message_bytes) {}

const tls::Peer& ServerCallCore::peer() const { return connection_->peer(); }
bool ServerCallCore::secure() const { return connection_->secure(); }
net::Address ServerCallCore::remote() const { return connection_->remote(); }

// What makes a request no good gRPC call, as a status.
Status ServerCallCore::CheckHead(http::RequestHead* head) {
  const std::string_view encoding = head->headers.Get("grpc-encoding").value_or("identity");
  if (encoding != "identity") {
    return {Code::kUnimplemented, "grpc-encoding `" + std::string(encoding) + "` is not supported, only identity is"};
  }
  if (const auto text = head->headers.Get(http::Known::kGrpcTimeout)) {
    const std::optional<Duration> timeout = ParseTimeout(*text);
    if (!timeout) return {Code::kInternal, "grpc-timeout is malformed"};
    connection_->loop()->Arm(&deadline_, *timeout);
  }
  if (const Outcome outcome = TakeMetadata(&head->headers); !outcome) return {Code::kInternal, outcome.error().detail};
  return {};
}

void ServerCallCore::Begin(http::RequestHead* head, const AcceptCall& accept) {
  path_ = head->path;
  const Status status = CheckHead(head);
  std::swap(metadata_, head->headers);
  if (!status.ok()) return Finish(status);
  std::unique_ptr<ServerCall::Handler> handler = accept(this);
  handler_ = std::move(handler);
  if (handler_ == nullptr && !finished_) Finish({Code::kUnimplemented, "no such method: " + path_});
}

void ServerCallCore::Send(const google::protobuf::MessageLite& message) {
  if (finished_ || connection_->codec() == nullptr) return;
  Buffer bytes;
  if (const Outcome outcome = AppendMessage(message, &bytes); !outcome) {
    return Finish({Code::kResourceExhausted, outcome.error().detail});
  }
  if (!head_sent_) {
    head_sent_ = true;
    connection_->codec()->SendResponse(stream_, GrpcHead(), /*end=*/false);
  }
  connection_->codec()->SendData(stream_, bytes.view());
  if (buffered() > connection_->limits().send_buffer_bytes) SetOverLimit(true);
  connection_->Dirty();
}

size_t ServerCallCore::buffered() const {
  if (finished_ || connection_->codec() == nullptr) return 0;
  return connection_->codec()->buffered(stream_) + connection_->pending();
}

void ServerCallCore::Finish(const Status& status) {
  if (finished_) return;
  finished_ = true;
  SetOverLimit(false);
  deadline_.Disarm();
  if (codec::Http2Server* codec = connection_->codec()) {
    if (head_sent_) {
      http::HeaderMap trailers;
      AppendStatus(status, &trailers);
      codec->SendTrailers(stream_, trailers);
    } else {
      http::ResponseHead head = GrpcHead();
      AppendStatus(status, &head.headers);
      codec->SendResponse(stream_, head, /*end=*/true);
    }
    if (!half_closed_) codec->Reset(stream_, ErrorCode::kOk);  // what the client still sends is of no use
  }
  connection_->Finished(stream_);
}

void ServerCallCore::OnData(Bytes data) {
  Bytes message;
  while (!finished_ && reader_.Next(&data, &message)) handler_->OnMessage(message);
  if (!finished_ && !reader_.status().ok()) {
    const Status status = reader_.status();
    handler_->OnCancelled();
    Finish(status);
  }
}

void ServerCallCore::OnEnd() {
  half_closed_ = true;
  if (finished_) return;
  if (reader_.inside_message()) {
    handler_->OnCancelled();
    return Finish({Code::kInternal, "the request ended inside a message"});
  }
  handler_->OnHalfClose();
}

void ServerCallCore::OnDeadline() {
  if (finished_) return;
  handler_->OnCancelled();
  Finish({Code::kDeadlineExceeded, "deadline exceeded"});
}

void ServerCallCore::Cancel() {
  if (finished_) return;
  finished_ = true;
  SetOverLimit(false);
  deadline_.Disarm();
  connection_->Finished(stream_);
  handler_->OnCancelled();
}

void ServerCallCore::Silence() {
  finished_ = true;
  deadline_.Disarm();
}

void ServerCallCore::CheckWritable() {
  if (!over_limit_ || finished_ || buffered() > 0) return;
  SetOverLimit(false);
  handler_->OnWritable();
}

void ServerCallCore::SetOverLimit(bool on) {
  if (over_limit_ != on) connection_->CountWaiting(on ? 1 : -1);
  over_limit_ = on;
}

}  // namespace outrigger::rpc
