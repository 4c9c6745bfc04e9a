// Our gRPC on real sockets, for grpc_interop_test.py to talk to.
//
//   grpc_peer serve          serves /test.Echo/* on a free port of 127.0.0.1 and prints it, until killed
//   grpc_peer call PORT      makes calls of every kind to a server of the other make; exit code 0 when all went as they should
#include <gtest/gtest.h>

#include <charconv>
#include <cstdio>
#include <string_view>

#include "proxy/io/uv_loop.h"
#include "proxy/rpc/rpc.h"
#include "proxy/rpc/rpc_testing.h"

namespace outrigger::rpc {
namespace {

using testing::CallRecorder;
using testing::ChannelRecorder;
using testing::TestCall;
using testing::Text;

int Serve() {
  io::UvLoop loop(1);
  TestCall::Log log;
  ServerOptions options;
  options.address = net::Address::Loopback(0);
  auto server = MakeServer(&loop, options, testing::TestService(&log));
  if (!server) {
    std::fprintf(stderr, "grpc_peer: %s\n", server.error().detail.c_str());
    return 2;
  }
  std::printf("%d\n", server.value()->local().port());
  std::fflush(stdout);
  loop.Run();
  return 0;
}

class Caller {
 public:
  explicit Caller(uint16_t port) {
    ChannelOptions options;
    options.target = "127.0.0.1:" + std::to_string(port);
    channel_ = MakeChannel(&loop_, options, &at_channel_);
    channel_->Connect();
    Until([&] { return at_channel_.ups + at_channel_.downs > 0; });
    EXPECT_EQ(at_channel_.ups, 1) << at_channel_.error.ToString();
  }

  // Sends `messages`, ends, and waits for the answer.
  CallRecorder Call(std::string_view path, const std::vector<std::string>& messages, std::optional<Duration> timeout = std::nullopt,
                    const Metadata& metadata = {}) {
    CallRecorder recorder;
    auto call = channel_->Start(path, metadata, timeout, &recorder);
    for (const std::string& message : messages) call->Send(Text(message));
    call->HalfClose();
    Until([&] { return recorder.done; });
    return recorder;
  }

  void TalksBackAndForth() {
    CallRecorder recorder;
    auto call = channel_->Start("/test.Echo/Bidi", {}, std::nullopt, &recorder);
    for (int i = 0; i < 100; ++i) {
      call->Send(Text(std::to_string(i)));
      Until([&] { return recorder.done || recorder.messages.size() == static_cast<size_t>(i) + 1; });
    }
    call->HalfClose();
    Until([&] { return recorder.done; });
    EXPECT_TRUE(recorder.status.ok()) << recorder.status.ToString();
    EXPECT_EQ(recorder.messages.size(), 100u);
  }

  void Cancels() {
    CallRecorder recorder;
    auto call = channel_->Start("/test.Echo/Bidi", {}, std::nullopt, &recorder);
    call->Send(Text("x"));
    Until([&] { return recorder.done || recorder.messages.size() == 1; });
    call.reset();
    EXPECT_TRUE(Call("/test.Echo/WaitForCancel", {"x"}).status.ok());  // the server says OK once it saw the cancellation
  }

  void GoesAway() {
    EXPECT_TRUE(Call("/test.Echo/Shutdown", {"x"}).status.ok());
    Until([&] { return at_channel_.downs == 1; });
    EXPECT_FALSE(channel_->up());
  }

 private:
  void Until(const std::function<bool()>& done) {
    while (!done()) loop_.RunTurn();
  }

  io::UvLoop loop_{1};
  ChannelRecorder at_channel_;
  std::unique_ptr<Channel> channel_;
};

void CallAll(uint16_t port) {
  Caller caller(port);
  using Strings = std::vector<std::string>;
  const std::string large(5'000'000, 'x');

  CallRecorder r = caller.Call("/test.Echo/Unary", {"hello"});
  EXPECT_TRUE(r.status.ok()) << r.status.ToString();
  EXPECT_EQ(r.messages, Strings{"hello"});
  EXPECT_TRUE(caller.Call("/test.Echo/Unary", {large}).messages == Strings{large});
  EXPECT_EQ(caller.Call("/test.Echo/Unary", {""}).messages, Strings{""});
  EXPECT_EQ(caller.Call("/test.Echo/ClientStream", {"a", "b", "c"}).messages, Strings{"abc"});
  EXPECT_EQ(caller.Call("/test.Echo/ServerStream", {"abc"}).messages, (Strings{"a", "b", "c"}));
  EXPECT_EQ(caller.Call("/test.Echo/Bidi", {"a", "b"}).messages, (Strings{"a", "b"}));
  caller.TalksBackAndForth();

  r = caller.Call("/test.Echo/Fail", {"x"});
  EXPECT_EQ(r.status.code, Code::kFailedPrecondition);
  EXPECT_EQ(r.status.message, "it's 100 % “off”");
  EXPECT_EQ(caller.Call("/test.Echo/NoSuchMethod", {"x"}).status.code, Code::kUnimplemented);
  EXPECT_EQ(caller.Call("/test.Echo/Hang", {"x"}, 200ms).status.code, Code::kDeadlineExceeded);

  Metadata metadata;
  metadata.Add("x-text", "plain");
  metadata.Add("x-bytes-bin", std::string_view("\0\xff", 2));
  r = caller.Call("/test.Echo/Metadata", {"x"}, 5s, metadata);
  EXPECT_TRUE(r.status.ok()) << r.status.ToString();
  EXPECT_EQ(r.metadata.Get("x-text"), "plain");
  EXPECT_EQ(r.trailers.Get("x-bytes-bin"), std::string_view("\0\xff", 2));

  caller.Cancels();
  caller.GoesAway();
}

int Main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "serve") return Serve();
  uint16_t port = 0;
  if (mode == "call" && argc == 3) std::from_chars(argv[2], argv[2] + std::string_view(argv[2]).size(), port);
  if (port == 0) {
    std::fprintf(stderr, "usage: grpc_peer serve | grpc_peer call PORT\n");
    return 2;
  }
  ::testing::InitGoogleTest();
  ::testing::GTEST_FLAG(throw_on_failure) = true;  // outside of a TEST: the first failure ends the program
  CallAll(port);
  return 0;
}

}  // namespace
}  // namespace outrigger::rpc

int main(int argc, char** argv) { return outrigger::rpc::Main(argc, argv); }
