#include "proxy/admin/http_client.h"

#include <optional>

#include "proxy/codec/codec.h"
#include "proxy/net/transport.h"

namespace outrigger::admin {

namespace {

constexpr size_t kMaxReplyBytes = 256 << 20;

std::string_view MethodText(http::Method method) {
  switch (method) {
    case http::Method::kPost: return "POST";
    case http::Method::kPut: return "PUT";
    case http::Method::kDelete: return "DELETE";
    default: return "GET";
  }
}

class Exchange final : public HttpExchange, public net::Transport::Handler {
 public:
  Exchange(net::Loop* loop, const net::Address& address, const HttpRequest& request, Duration timeout, HttpCallback callback)
      : loop_(loop), callback_(std::move(callback)), codec_(codec::MakeHttp1Client({})) {
    Write(request);
    auto connection = loop->Connect({.address = address, .timeout = std::chrono::seconds(3)}, nullptr);
    transport_.emplace(loop, std::move(connection), nullptr, false, this);
    transport_->Start();
    transport_->Send(&codec_->output());
    loop_->Arm(&deadline_, timeout);
  }

 private:
  void Write(const HttpRequest& request) {
    http::RequestHead head;
    head.method = request.method;
    head.method_text = MethodText(request.method);
    head.authority = head.headers.Store(request.host);
    head.path = head.headers.Store(request.path);
    for (const auto& [name, value] : request.headers) head.headers.Add(name, value);
    const bool body = !request.body.empty();
    if (body || request.method == http::Method::kPost) head.content_length = request.body.size();
    const http::StreamId stream = codec_->SendRequest(head, !body);
    if (body) {
      codec_->SendData(stream, AsBytes(request.body));
      codec_->SendEnd(stream);
    }
  }

  void OnOpen() override {}
  void OnBytes(Bytes bytes) override {
    while (!bytes.empty() && !done_) {
      const size_t taken = codec_->Feed(bytes, loop_->now());
      bytes = bytes.subspan(taken);
      if (Drain() || taken == 0) return;
    }
  }
  void OnEof() override {
    codec_->FeedEof();
    if (!Drain()) Finish(Error::Make(ErrorCode::kClosed, "the connection ended before the answer"));
  }
  void OnClosed(Error error) override { Finish(std::move(error)); }
  void OnDeadline() { Finish(Error::Make(ErrorCode::kTimeout, "no answer in time")); }

  // True when the exchange is over; then it may be destroyed already.
  bool Drain() {
    codec::StreamEvent event;
    while (codec_->Next(&event)) {
      switch (event.kind) {
        case codec::StreamEvent::Kind::kResponse:
          reply_.status = event.response->status;
          reply_.content_type = std::string(event.response->headers.Get("content-type").value_or(""));
          break;
        case codec::StreamEvent::Kind::kData:
          codec_->Consumed(event.stream, event.data.size());
          if (reply_.body.size() + event.data.size() > kMaxReplyBytes) {
            Finish(Error::Make(ErrorCode::kTooLarge, "the answer is too large"));
            return true;
          }
          reply_.body.append(AsText(event.data));
          break;
        case codec::StreamEvent::Kind::kEnd:
          Finish(std::move(reply_));
          return true;
        case codec::StreamEvent::Kind::kReset:
        case codec::StreamEvent::Kind::kFailed:
          Finish(event.error);
          return true;
        default:
          break;
      }
    }
    return false;
  }

  void Finish(Result<HttpReply> result) {
    if (std::exchange(done_, true)) return;
    deadline_.Disarm();
    HttpCallback callback = std::move(callback_);
    callback(std::move(result));
  }

  net::Loop* const loop_;
  HttpCallback callback_;
  std::unique_ptr<codec::ClientCodec> codec_;
  std::optional<net::Transport> transport_;
  CallbackTimer<Exchange, &Exchange::OnDeadline> deadline_{this};
  HttpReply reply_;
  bool done_ = false;
};

}  // namespace

std::unique_ptr<HttpExchange> StartHttp(net::Loop* loop, const net::Address& address, const HttpRequest& request, Duration timeout,
                                        HttpCallback callback) {
  return std::make_unique<Exchange>(loop, address, request, timeout, std::move(callback));
}

}  // namespace outrigger::admin
