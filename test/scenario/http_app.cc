#include "test/scenario/http_app.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace outrigger::scenario {
namespace {

using http::StreamEvent;

constexpr size_t kPiece = 16 * 1024;
constexpr size_t kHighWater = 64 * 1024;

uint64_t Draw(Random& random, uint64_t min, uint64_t max) { return max > min ? min + random.Below(max - min + 1) : min; }

}  // namespace

// One connection: one request at a time, as HTTP/1.1 has it.
class HttpApp::Peer final : public net::Connection::Handler {
 public:
  Peer(HttpApp* app, std::unique_ptr<net::Connection> connection)
      : app_(app), codec_(codec::MakeHttp1Server({})), connection_(std::move(connection)) {
    connection_->SetHandler(this);
  }

  void Quiet() { delay_.Disarm(); }

 private:
  struct Answer {
    http::StreamId stream = 0;
    uint64_t id = 0;
    uint64_t size = 0;
    uint64_t sent = 0;
    std::optional<uint64_t> cut;  // RST after so many bytes of the body
    bool head_sent = false;
    bool early = false;
    bool request_whole = false;
  };

  void OnRead(Bytes bytes) override {
    held_.Append(bytes);
    FeedHeld();
  }

  void OnEof() override {
    eof_ = true;
    codec_->FeedEof();
    DrainEvents();
    if (!answering_) End();
  }

  void OnClosed(Error) override {
    connection_.reset();
    app_->Drop(this);
  }

  void OnDrained() override { SendMore(); }

  void FeedHeld() {
    while (connection_ != nullptr && !held_.empty() && codec_->wants_input()) {
      const size_t taken = codec_->Feed(held_.view(), app_->loop_->now());
      DrainEvents();  // events point into what was fed
      held_.Consume(taken);
      if (taken == 0) break;
    }
    Flush();
  }

  void DrainEvents() {
    StreamEvent event;
    while (connection_ != nullptr && codec_->Next(&event)) On(event);
  }

  void On(StreamEvent& event) {
    switch (event.kind) {
      case StreamEvent::Kind::kRequest: return OnRequest(event);
      case StreamEvent::Kind::kData: return request_body_.Take(AsText(event.data));
      case StreamEvent::Kind::kEnd: return OnRequestEnd();
      case StreamEvent::Kind::kReset:
        answering_ = false;
        delay_.Disarm();
        return;
      default: return;  // kFailed: the codec has written its reply; should_close() ends it
    }
  }

  void OnRequest(const StreamEvent& event) {
    Random& random = app_->loop_->random();
    const HttpAppOptions& options = app_->options_;
    answer_ = Answer{};
    answer_.stream = event.stream;
    answer_.id = NumberIn(event.request->headers, kIdHeader).value_or(0);
    answer_.size = Draw(random, options.body_min, options.body_max);
    answer_.early = random.Chance(options.early);
    if (random.Chance(options.reset)) answer_.cut = random.Below(answer_.size + 1);
    request_body_ = PayloadChecker(answer_.id, Way::kRequest, NumberIn(event.request->headers, kBytesHeader).value_or(0));
    answering_ = true;
    ++app_->requests_;
    if (options.ledger != nullptr) options.ledger->Seen(answer_.id, options.name, app_->loop_->now());
    if (event.request->expect_continue) {
      http::ResponseHead go_on;
      go_on.status = 100;
      codec_->SendInformational(event.stream, go_on);
    }
    if (answer_.early) Begin();
  }

  void OnRequestEnd() {
    answer_.request_whole = true;
    if (!request_body_.complete() && app_->options_.ledger != nullptr) {
      app_->options_.ledger->Wrong(app_->options_.name + " got a wrong body with request " + std::to_string(answer_.id) + ": " +
                                   std::to_string(request_body_.position()) + " bytes of " + std::to_string(request_body_.size()));
    }
    if (!answer_.early) {
      Begin();
    } else {
      SendMore();
    }
  }

  void Begin() {
    const HttpAppOptions& options = app_->options_;
    const auto wait = static_cast<int64_t>(Draw(app_->loop_->random(), static_cast<uint64_t>(options.delay_min.count()),
                                                static_cast<uint64_t>(options.delay_max.count())));
    if (wait > 0) {
      app_->loop_->Arm(&delay_, Duration(wait));
    } else {
      SendHead();
    }
  }

  void OnDelay() {
    SendHead();
    FeedHeld();
  }

  void SendHead() {
    const HttpAppOptions& options = app_->options_;
    http::ResponseHead head;
    head.status = options.status;
    head.headers.Add(kIdHeader, std::to_string(answer_.id));
    head.headers.Add(kBytesHeader, std::to_string(answer_.size));
    head.headers.Add(kAppHeader, options.name);
    if (!app_->loop_->random().Chance(options.chunked)) head.content_length = answer_.size;
    ++answers_;
    head.close = options.close_after > 0 && answers_ >= options.close_after;
    answer_.head_sent = true;
    codec_->SendResponse(answer_.stream, head, answer_.size == 0 && !answer_.cut);
    SendMore();
  }

  // As much of the body as back-pressure allows.
  void SendMore() {
    if (!answering_ || !answer_.head_sent || connection_ == nullptr) return;
    while (answer_.sent < answer_.cut.value_or(answer_.size)) {
      WriteOutput();
      if (connection_->pending() > kHighWater) return;  // OnDrained comes
      const uint64_t size = std::min<uint64_t>(kPiece, answer_.cut.value_or(answer_.size) - answer_.sent);
      const std::string piece = Payload(answer_.id, Way::kResponse, answer_.sent, size);
      codec_->SendData(answer_.stream, AsBytes(piece));
      answer_.sent += size;
    }
    if (answer_.cut) return Cut();
    Finish();
  }

  void Finish() {
    if (!answer_.head_sent) return;
    if (answer_.size > 0 && !body_ended_) {
      body_ended_ = true;
      codec_->SendEnd(answer_.stream);
    }
    if (!answer_.request_whole) return Flush();  // an early answer: the rest of the request is still read
    answering_ = body_ended_ = false;
    const bool close = eof_ || app_->loop_->random().Chance(app_->options_.silent_close);
    Flush();
    if (close && connection_ != nullptr) End();
  }

  void Cut() {
    WriteOutput();
    connection_->Abort();
    connection_.reset();
    app_->Drop(this);
  }

  void Flush() {
    if (connection_ == nullptr) return;
    WriteOutput();
    if (codec_->should_close()) End();
  }

  void WriteOutput() {
    if (!codec_->output().empty()) connection_->Write(&codec_->output());
  }

  void End() {
    if (connection_ == nullptr) return;
    WriteOutput();
    app_->loop_->Retire(std::move(connection_));
    app_->Drop(this);
  }

  HttpApp* const app_;
  std::unique_ptr<codec::ServerCodec> codec_;
  std::unique_ptr<net::Connection> connection_;
  Buffer held_;
  PayloadChecker request_body_;
  Answer answer_;
  bool answering_ = false;
  bool body_ended_ = false;
  bool eof_ = false;
  int answers_ = 0;
  CallbackTimer<Peer, &Peer::OnDelay> delay_{this};
};

HttpApp::HttpApp(net::Loop* loop, HttpAppOptions options) : loop_(loop), options_(std::move(options)) {
  Result<std::unique_ptr<net::Listener>> listener = loop_->Listen({.address = options_.address}, this);
  if (!listener.ok()) {
    std::fprintf(stderr, "%s cannot listen: %s\n", options_.name.c_str(), listener.error().ToString().c_str());
    std::abort();
  }
  listener_ = std::move(*listener);
}

HttpApp::~HttpApp() = default;

void HttpApp::OnTurnEnd() { dead_.clear(); }

void HttpApp::OnAccept(std::unique_ptr<net::Connection> connection) {
  peers_.push_back(std::make_unique<Peer>(this, std::move(connection)));
}

void HttpApp::Drop(Peer* peer) {
  const auto at = std::find_if(peers_.begin(), peers_.end(), [peer](const auto& p) { return p.get() == peer; });
  if (at == peers_.end()) return;
  peer->Quiet();
  dead_.push_back(std::move(*at));
  peers_.erase(at);
  loop_->AtTurnEnd(this);
}

}  // namespace outrigger::scenario
