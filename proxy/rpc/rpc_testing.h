// Handlers that write down what they are told, and a service with a method of each kind. Test code only.
#pragma once

#include <google/protobuf/wrappers.pb.h>

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/rpc/rpc.h"

namespace outrigger::rpc::testing {

using google::protobuf::BytesValue;

inline BytesValue Text(std::string_view text) {
  BytesValue message;
  message.set_value(text.data(), text.size());
  return message;
}
inline std::string TextOf(Bytes message) {
  BytesValue value;
  return value.ParseFromArray(message.data(), static_cast<int>(message.size())) ? value.value() : "(not a message)";
}

struct ChannelRecorder : Channel::Handler {
  void OnUp() override {
    ++ups;
    if (on_up) on_up();
  }
  void OnDown(Error e) override {
    ++downs;
    error = std::move(e);
    if (on_down) on_down();
  }
  int ups = 0, downs = 0;
  Error error;
  std::function<void()> on_up, on_down;
};

struct CallRecorder : ClientCall::Handler {
  void OnHeaders(const Metadata& headers) override {
    ++heads;
    metadata = headers;
  }
  void OnMessage(Bytes message) override {
    EXPECT_FALSE(done);
    messages.push_back(TextOf(message));
    if (on_message) on_message();
  }
  void OnWritable() override {
    ++writables;
    if (on_writable) on_writable();
  }
  void OnDone(const Status& s, const Metadata& t) override {
    EXPECT_FALSE(done);
    done = true;
    status = s;
    trailers = t;
    if (on_done) on_done();
  }
  int heads = 0, writables = 0;
  bool done = false;
  Status status;
  Metadata metadata, trailers;
  std::vector<std::string> messages;
  std::function<void()> on_message, on_writable, on_done;
};

// What a test service's call does, chosen by its path.
class TestCall : public ServerCall::Handler {
 public:
  struct Log {
    int open = 0, cancelled = 0, half_closed = 0, writables = 0;
    std::vector<std::string> messages;
    std::function<void(TestCall&)> on_message, on_half_close, on_cancelled;
    TestCall* last = nullptr;
  };
  TestCall(ServerCall* call, Log* log) : call(call), log_(log) {
    ++log_->open;
    log_->last = this;
  }
  ~TestCall() override {
    --log_->open;
    if (log_->last == this) log_->last = nullptr;
  }
  void OnMessage(Bytes message) override {
    received.push_back(TextOf(message));
    log_->messages.push_back(received.back());
    if (call->path() == "/test.Echo/Bidi") call->Send(Text(received.back()));
    if (log_->on_message) log_->on_message(*this);
  }
  void OnHalfClose() override {
    ++log_->half_closed;
    if (log_->on_half_close) return log_->on_half_close(*this);
    std::string joined;
    for (const std::string& text : received) joined += text;
    if (call->path() == "/test.Echo/Unary" || call->path() == "/test.Echo/ClientStream") call->Send(Text(joined));
    if (call->path() == "/test.Echo/ServerStream") {
      for (char c : joined) call->Send(Text(std::string(1, c)));
    }
    if (call->path() == "/test.Echo/Fail") return call->Finish({Code::kFailedPrecondition, "it's 100 % “off”"});
    if (call->path() == "/test.Echo/Hang") return;
    call->Finish({});
  }
  void OnWritable() override { ++log_->writables; }
  void OnCancelled() override {
    ++log_->cancelled;
    if (log_->on_cancelled) log_->on_cancelled(*this);
  }

  ServerCall* const call;
  std::vector<std::string> received;

 private:
  Log* const log_;
};

inline AcceptCall TestService(TestCall::Log* log, std::function<void(ServerCall*)> seen = nullptr) {
  return [log, seen](ServerCall* call) -> std::unique_ptr<ServerCall::Handler> {
    if (seen) seen(call);
    if (!call->path().starts_with("/test.Echo/")) return nullptr;
    if (call->path() == "/test.Echo/Refuse") {
      call->Finish({Code::kUnauthenticated, "who are you?"});
      return nullptr;
    }
    return std::make_unique<TestCall>(call, log);
  };
}

}  // namespace outrigger::rpc::testing
