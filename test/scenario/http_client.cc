#include "test/scenario/http_client.h"

#include <algorithm>
#include <utility>

namespace outrigger::scenario {
namespace {

using check::Ending;
using check::Kind;
using http::StreamEvent;

constexpr size_t kPiece = 16 * 1024;
constexpr size_t kHighWater = 64 * 1024;

uint64_t Draw(Random& random, uint64_t min, uint64_t max) { return max > min ? min + random.Below(max - min + 1) : min; }

}  // namespace

// One connection at a time, and on it one request at a time.
class HttpClient::Lane final : public net::Connection::Handler {
 public:
  explicit Lane(HttpClient* client) : client_(client), loop_(client->loop_), options_(client->options_) { loop_->Arm(&pause_, {}); }
  bool done() const { return done_; }

 private:
  // The next request, or the end.
  void Next() {
    if (client_->started_ >= options_.requests) {
      done_ = true;
      return Disconnect();
    }
    ++client_->started_;
    Random& random = loop_->random();
    const double draw = random.Uniform();
    kind_ = draw < options_.once ? Kind::kOnce : draw < options_.once + options_.keyed ? Kind::kKeyed : Kind::kSafe;
    id_ = options_.ledger->Send(kind_, loop_->now());
    size_ = kind_ == Kind::kSafe ? 0 : Draw(random, options_.body_min, options_.body_max);
    chunked_ = random.Chance(options_.chunked);
    resent_ = false;
    in_request_ = true;
    loop_->Arm(&deadline_, options_.timeout);
    if (random.Chance(options_.fresh)) Disconnect();
    Try();
  }

  void Try() {
    sent_ = 0;
    request_sent_ = head_read_ = answer_whole_ = broken_ = false;
    if (connection_ != nullptr && connected_ && codec_->can_start()) return SendRequest();
    Disconnect();
    ++client_->connects_;
    served_ = 0;
    codec_ = codec::MakeHttp1Client({});
    connection_ = loop_->Connect({.address = options_.target, .timeout = 1s}, this);
  }

  void SendRequest() {
    const std::string id = std::to_string(id_);
    const std::string path = "/request/" + id;
    http::RequestHead head;
    head.method = kind_ == Kind::kSafe ? http::Method::kGet : http::Method::kPost;
    head.method_text = kind_ == Kind::kSafe ? "GET" : "POST";
    head.authority = options_.authority;
    head.path = path;
    head.headers.Add(kIdHeader, id);
    head.headers.Add(kBytesHeader, std::to_string(size_));
    if (kind_ == Kind::kKeyed) head.headers.Add(http::Known::kIdempotencyKey, id);
    if (kind_ != Kind::kSafe && !chunked_) head.content_length = size_;
    started_ = true;
    request_sent_ = size_ == 0;
    stream_ = codec_->SendRequest(head, size_ == 0);
    SendMore();
  }

  void SendMore() {
    while (started_ && !request_sent_) {
      Flush();
      if (connection_->pending() > kHighWater) return;  // OnDrained comes
      const uint64_t size = std::min<uint64_t>(kPiece, size_ - sent_);
      codec_->SendData(stream_, AsBytes(Payload(id_, Way::kRequest, sent_, size)));
      sent_ += size;
      if (sent_ < size_) continue;
      request_sent_ = true;
      codec_->SendEnd(stream_);
    }
    Flush();
    if (answer_whole_ && request_sent_) Complete();
  }

  void Flush() {
    if (!codec_->output().empty()) connection_->Write(&codec_->output());
  }

  void OnConnected() override {
    connected_ = true;
    if (in_request_) SendRequest();
  }

  void OnRead(Bytes bytes) override {
    while (!bytes.empty()) {
      const size_t taken = codec_->Feed(bytes, loop_->now());
      bytes = bytes.subspan(taken);
      DrainEvents();
      if (taken == 0) break;
    }
    if (!bytes.empty()) {
      if (!broken_ && !answer_whole_) options_.ledger->Wrong("bytes that belong to no answer");
      broken_ = true;
    }
    React("");
  }

  void OnEof() override {
    if (!in_request_) {
      closed_by_peer_ = true;
      return Disconnect();
    }
    codec_->FeedEof();
    DrainEvents();
    closed_by_peer_ = true;
    if (!answer_whole_) broken_ = true;
    React("closed by peer");
  }

  void OnClosed(Error error) override {
    const bool was_connected = connected_;
    detail_ = error.ToString();
    closed_by_peer_ = true;
    if (!in_request_) return Disconnect();
    if (!was_connected) {
      Disconnect();
      // From 5 to 50 ms: someone may be restarting there.
      loop_->Arm(&pause_, Duration(static_cast<int64_t>(5'000'000 + loop_->random().Below(45'000'000))));
      return;
    }
    if (!answer_whole_) broken_ = true;
    request_sent_ = true;  // what is not yet sent never will be
    React(detail_);
  }

  void OnDrained() override {
    if (in_request_ && connected_) SendMore();
  }

  void DrainEvents() {
    StreamEvent event;
    while (codec_->Next(&event)) {
      switch (event.kind) {
        case StreamEvent::Kind::kResponse: OnHead(*event.response); break;
        case StreamEvent::Kind::kData:
          if (local_error_) text_.append(AsText(event.data));
          else body_.Take(AsText(event.data));
          break;
        case StreamEvent::Kind::kEnd: answer_whole_ = head_read_; break;
        case StreamEvent::Kind::kReset:
        case StreamEvent::Kind::kFailed:
          broken_ = broken_ || !answer_whole_;
          detail_ = event.error.ToString();
          break;
        default: break;
      }
    }
  }

  void OnHead(const http::ResponseHead& head) {
    if (!in_request_) return options_.ledger->Wrong("an answer to no request");
    head_read_ = true;
    status_ = head.status;
    text_.clear();
    const std::optional<std::string_view> reason = head.headers.Get(http::Known::kXOutriggerReason);
    const std::optional<std::string_view> receipt = head.headers.Get(http::Known::kXOutriggerReceipt);
    answered_id_ = NumberIn(head.headers, kIdHeader).value_or(0);
    local_error_ = reason.has_value() && answered_id_ == 0;
    forwarded_ = receipt == "forwarded";
    reason_ = reason.value_or("");
    body_ = PayloadChecker(id_, Way::kResponse, NumberIn(head.headers, kBytesHeader).value_or(0));
  }

  // After events: how the request stands.
  void React(std::string_view detail) {
    if (in_request_ && answer_whole_ && request_sent_) return Complete();
    if (in_request_ && answer_whole_) return;  // early answer: the body goes on
    if (!broken_) return;
    broken_ = false;
    const bool may_resend = options_.resend && served_ > 0 && kind_ != Kind::kOnce && !resent_ && !head_read_ &&
                            !codec_->response_started(stream_);
    const std::string why = detail_.empty() ? std::string(detail) : detail_;
    Disconnect();
    if (!in_request_) return;
    if (may_resend) {
      resent_ = true;
      ++client_->resends_;
      return Try();
    }
    End(head_read_ && !local_error_ ? Ending::kCut : Ending::kBroken, why);
  }

  void Complete() {
    ++served_;
    const std::string name = "answer to request " + std::to_string(id_);
    if (local_error_) {
      const std::string detail = std::to_string(status_) + " " + reason_ + ": " + text_;
      // What is promised of the second try says nothing of the first.
      End(forwarded_ || resent_ ? Ending::kUnknown : Ending::kDeclined, detail);
    } else {
      if (answered_id_ != id_) options_.ledger->Wrong(name + " is one to request " + std::to_string(answered_id_));
      if (!body_.complete()) {
        options_.ledger->Wrong(name + " has a wrong body: " + std::to_string(body_.position()) + " bytes of " +
                               std::to_string(body_.size()));
      }
      if (status_ < 200 || status_ > 299) options_.ledger->Wrong(name + " has status " + std::to_string(status_));
      End(Ending::kAnswered, "");
    }
  }

  void End(Ending ending, std::string_view detail) {
    options_.ledger->End(id_, ending, loop_->now(), detail);
    GoOn();
  }

  void GoOn() {
    in_request_ = started_ = false;
    deadline_.Disarm();
    detail_.clear();
    if (codec_ != nullptr && (codec_->should_close() || closed_by_peer_)) Disconnect();
    loop_->Arm(&pause_, Duration(static_cast<int64_t>(Draw(loop_->random(), static_cast<uint64_t>(options_.think_min.count()),
                                                           static_cast<uint64_t>(options_.think_max.count())))));
  }

  void OnPause() {
    if (done_) return;
    if (in_request_) Try();  // the connection could not be made before
    else Next();
  }

  // No ending in the ledger: lost.
  void OnDeadline() {
    ++client_->timeouts_;
    if (connection_ != nullptr) connection_->Abort();
    pause_.Disarm();
    Disconnect();
    GoOn();
  }

  void Disconnect() {
    if (connection_ != nullptr && connected_ && !closed_by_peer_) loop_->Retire(std::move(connection_));
    connection_.reset();
    connected_ = closed_by_peer_ = started_ = false;
  }

  HttpClient* const client_;
  net::Loop* const loop_;
  const HttpClientOptions& options_;
  std::unique_ptr<codec::ClientCodec> codec_;
  std::unique_ptr<net::Connection> connection_;
  bool connected_ = false;
  bool closed_by_peer_ = false;
  int served_ = 0;  // answers on this connection
  bool done_ = false;

  // The request.
  bool in_request_ = false;
  uint64_t id_ = 0;
  Kind kind_ = Kind::kSafe;
  uint64_t size_ = 0;
  uint64_t sent_ = 0;
  bool chunked_ = false;
  bool resent_ = false;
  bool started_ = false;       // its head is with the codec
  bool request_sent_ = false;  // and all of its body
  http::StreamId stream_ = 0;

  // The answer.
  bool head_read_ = false;
  bool answer_whole_ = false;
  bool broken_ = false;
  bool local_error_ = false;
  bool forwarded_ = false;
  int status_ = 0;
  uint64_t answered_id_ = 0;
  PayloadChecker body_;
  std::string reason_, text_, detail_;

  CallbackTimer<Lane, &Lane::OnPause> pause_{this};
  CallbackTimer<Lane, &Lane::OnDeadline> deadline_{this};
};

HttpClient::HttpClient(net::Loop* loop, HttpClientOptions options) : loop_(loop), options_(std::move(options)) {
  for (int i = 0; i < options_.connections; ++i) lanes_.push_back(std::make_unique<Lane>(this));
}

HttpClient::~HttpClient() = default;

bool HttpClient::done() const {
  return std::all_of(lanes_.begin(), lanes_.end(), [](const auto& lane) { return lane->done(); });
}

}  // namespace outrigger::scenario
