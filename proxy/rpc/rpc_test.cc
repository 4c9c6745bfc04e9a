// Channel and Server against each other in the simulation: all kinds of calls, deadlines, cancellation, limits, back-pressure.
#include "proxy/rpc/rpc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/rpc/rpc_testing.h"
#include "test/sim/world.h"

namespace outrigger::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::CallRecorder;
using testing::ChannelRecorder;
using testing::TestCall;
using testing::Text;

class RpcTest : public ::testing::Test {
 protected:
  void Open(sim::Faults faults = sim::Faults::None(), uint64_t seed = 1) {
    world = std::make_unique<sim::World>(seed, faults);
    client_loop = &world->AddLoop("client");
    server_loop = &world->AddLoop("server");
    StartServer();
    channel_options.target = world->AddressOf(*server_loop, 80).ToString();
    channel = MakeChannel(client_loop, channel_options, &at_channel);
    channel->Connect();
    ASSERT_TRUE(world->RunUntil([&] { return at_channel.ups == 1; }, 60s));
  }
  void StartServer() {
    server_options.address = world->AddressOf(*server_loop, 80);
    auto made = MakeServer(server_loop, server_options, testing::TestService(&log, [this](ServerCall* call) {
                             metadata_seen = call->metadata();
                             path_seen = call->path();
                             secure_seen = call->secure();
                           }));
    ASSERT_TRUE(made.ok()) << made.error().detail;
    server = std::move(made.value());
  }
  std::unique_ptr<ClientCall> Start(std::string_view method, CallRecorder* recorder, std::optional<Duration> timeout = std::nullopt,
                                    const Metadata& metadata = {}) {
    return channel->Start("/test.Echo/" + std::string(method), metadata, timeout, recorder);
  }
  bool RunUntilDone(CallRecorder& recorder, Duration within = 60s) {
    return world->RunUntil([&] { return recorder.done; }, within);
  }
  // Everything ends, and nothing is left.
  void Close() {
    channel.reset();
    server.reset();
    if (world != nullptr) {
      world->RunFor(3s);
      EXPECT_THAT(world->problems(), IsEmpty());
      EXPECT_EQ(world->open_connections(), 0u);
    }
    EXPECT_EQ(log.open, 0);
    at_channel = {};
    log = {};
  }
  ~RpcTest() override { Close(); }

  std::unique_ptr<sim::World> world;
  net::Loop* client_loop = nullptr;
  net::Loop* server_loop = nullptr;
  ServerOptions server_options;
  ChannelOptions channel_options;
  TestCall::Log log;
  ChannelRecorder at_channel;
  std::unique_ptr<Server> server;
  std::unique_ptr<Channel> channel;
  Metadata metadata_seen;
  std::string path_seen;
  bool secure_seen = true;
};

TEST_F(RpcTest, UnaryCallAnswers) {
  Open();
  CallRecorder recorder;
  auto call = Start("Unary", &recorder);
  call->Send(Text("hello"));
  call->HalfClose();
  ASSERT_TRUE(RunUntilDone(recorder));
  EXPECT_TRUE(recorder.status.ok()) << recorder.status.ToString();
  EXPECT_THAT(recorder.messages, ElementsAre("hello"));
  EXPECT_EQ(recorder.heads, 1);
  EXPECT_EQ(path_seen, "/test.Echo/Unary");
  EXPECT_FALSE(secure_seen);
}

TEST_F(RpcTest, StreamsOfEveryKindWorkHoweverTheNetworkCutsThem) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    sim::Faults faults;
    faults.tear = 0.9;
    faults.jitter_max = 3ms;
    Close();
    Open(faults, seed);

    CallRecorder client_stream, server_stream, bidi;
    auto a = Start("ClientStream", &client_stream);
    auto b = Start("ServerStream", &server_stream);
    auto c = Start("Bidi", &bidi);
    for (const char* text : {"a", "b", "c"}) {
      a->Send(Text(text));
      c->Send(Text(text));
    }
    b->Send(Text("xyz"));
    for (auto* call : {a.get(), b.get(), c.get()}) call->HalfClose();
    ASSERT_TRUE(world->RunUntil([&] { return client_stream.done && server_stream.done && bidi.done; }, 60s));
    EXPECT_THAT(client_stream.messages, ElementsAre("abc"));
    EXPECT_THAT(server_stream.messages, ElementsAre("x", "y", "z"));
    EXPECT_THAT(bidi.messages, ElementsAre("a", "b", "c"));
    EXPECT_TRUE(client_stream.status.ok() && server_stream.status.ok() && bidi.status.ok());
  }
}

TEST_F(RpcTest, BidiTalksBackAndForth) {
  Open();
  CallRecorder recorder;
  auto call = Start("Bidi", &recorder);
  for (int i = 0; i < 50; ++i) {
    call->Send(Text(std::to_string(i)));
    ASSERT_TRUE(world->RunUntil([&] { return recorder.messages.size() == static_cast<size_t>(i) + 1; }, 1s));
    EXPECT_EQ(recorder.messages.back(), std::to_string(i));
  }
  EXPECT_FALSE(recorder.done);
  call->HalfClose();
  ASSERT_TRUE(RunUntilDone(recorder));
  EXPECT_TRUE(recorder.status.ok());
}

TEST_F(RpcTest, StatusAndMessageTravel) {
  Open();
  CallRecorder failed, refused, unknown;
  auto a = Start("Fail", &failed);
  auto b = Start("Refuse", &refused);
  auto c = channel->Start("/other.Service/Method", {}, std::nullopt, &unknown);
  for (auto* call : {a.get(), b.get(), c.get()}) call->HalfClose();
  ASSERT_TRUE(world->RunUntil([&] { return failed.done && refused.done && unknown.done; }, 5s));
  EXPECT_EQ(failed.status.code, Code::kFailedPrecondition);
  EXPECT_EQ(failed.status.message, "it's 100 % “off”");
  EXPECT_EQ(refused.status.ToString(), "UNAUTHENTICATED: who are you?");
  EXPECT_EQ(unknown.status.code, Code::kUnimplemented);
}

TEST_F(RpcTest, MetadataTravels) {
  Open();
  Metadata metadata;
  metadata.Add("authorization", "Bearer secret");
  metadata.Add("trace-bin", std::string_view("\0\1\2", 3));
  CallRecorder recorder;
  auto call = Start("Unary", &recorder, std::nullopt, metadata);
  call->HalfClose();
  ASSERT_TRUE(RunUntilDone(recorder));
  EXPECT_EQ(metadata_seen.Get("authorization"), "Bearer secret");
  EXPECT_EQ(metadata_seen.Get("trace-bin"), std::string_view("\0\1\2", 3));
  EXPECT_FALSE(metadata_seen.Get("te"));
  EXPECT_FALSE(metadata_seen.Get("content-type"));
}

TEST_F(RpcTest, MetadataThatCannotTravelFailsTheCallAtOnce) {
  Open();
  Metadata metadata;
  metadata.Add("x", "line\nfeed");
  CallRecorder recorder;
  auto call = Start("Unary", &recorder, std::nullopt, metadata);
  EXPECT_FALSE(recorder.done);  // never from inside a call of ours
  ASSERT_TRUE(RunUntilDone(recorder));
  EXPECT_EQ(recorder.status.code, Code::kInternal);
}

TEST_F(RpcTest, LargeMessagesTravelWhole) {
  Open();
  const std::string large(9'000'000, 'x');
  CallRecorder recorder;
  auto call = Start("Unary", &recorder);
  call->Send(Text(large));
  call->HalfClose();
  ASSERT_TRUE(RunUntilDone(recorder));
  ASSERT_TRUE(recorder.status.ok()) << recorder.status.ToString();
  EXPECT_TRUE(recorder.messages.at(0) == large);
}

TEST_F(RpcTest, MessagesOverTheLimitAreResourceExhausted) {
  server_options.limits.message_bytes = 1000;
  channel_options.limits.message_bytes = 1000;
  Open();
  CallRecorder to_server, to_client;
  auto a = Start("Unary", &to_server);
  a->Send(Text(std::string(2000, 'x')));
  log.on_message = [](TestCall& call) { call.call->Send(Text(std::string(2000, 'y'))); };
  auto b = Start("Hang", &to_client);
  b->Send(Text("x"));
  ASSERT_TRUE(world->RunUntil([&] { return to_server.done && to_client.done; }, 5s));
  EXPECT_EQ(to_server.status.code, Code::kResourceExhausted);
  EXPECT_EQ(to_client.status.code, Code::kResourceExhausted);
  world->RunFor(1s);
  EXPECT_EQ(log.open, 0);
}

// ---------------------------------------------------------------- deadlines and cancellation

TEST_F(RpcTest, DeadlineEndsTheCallOnBothSides) {
  Open();
  CallRecorder recorder;
  auto call = Start("Hang", &recorder, 2s);
  call->Send(Text("x"));
  const Instant start = world->now();
  ASSERT_TRUE(RunUntilDone(recorder));
  EXPECT_EQ(recorder.status.code, Code::kDeadlineExceeded);
  EXPECT_GE(world->now() - start, 2s);
  EXPECT_LT(world->now() - start, 2100ms);
  world->RunFor(100ms);
  EXPECT_EQ(log.cancelled, 1);
  EXPECT_EQ(log.open, 0);
}

TEST_F(RpcTest, ServerEnforcesTheDeadlineWhenTheClientIsCutOff) {
  Open();
  CallRecorder recorder;
  auto call = Start("Hang", &recorder, 2s);
  call->Send(Text("x"));
  ASSERT_TRUE(world->RunUntil([&] { return log.open == 1; }, 1s));
  world->Partition(*world->machines()[0], *world->machines()[1]);
  world->RunFor(3s);
  EXPECT_EQ(log.cancelled, 1);
  EXPECT_EQ(log.open, 0);
  world->HealAll();
}

TEST_F(RpcTest, DestroyingTheCallCancelsIt) {
  Open();
  CallRecorder recorder;
  auto call = Start("Hang", &recorder);
  call->Send(Text("x"));
  ASSERT_TRUE(world->RunUntil([&] { return log.open == 1; }, 1s));
  call.reset();
  ASSERT_TRUE(world->RunUntil([&] { return log.open == 0; }, 1s));
  EXPECT_EQ(log.cancelled, 1);
  EXPECT_FALSE(recorder.done);  // its owner knows
}

TEST_F(RpcTest, ServerMayFinishBeforeTheClientHasSaidAll) {
  Open();
  log.on_message = [](TestCall& call) { call.call->Finish({Code::kOutOfRange, "enough"}); };
  CallRecorder recorder;
  auto call = Start("ClientStream", &recorder);
  for (int i = 0; i < 10; ++i) call->Send(Text("x"));
  ASSERT_TRUE(RunUntilDone(recorder));
  EXPECT_EQ(recorder.status.code, Code::kOutOfRange);
  EXPECT_EQ(log.messages.size(), 1u);
  EXPECT_EQ(log.cancelled, 0);
  call->Send(Text("ignored"));
  CallRecorder next;
  auto again = Start("Bidi", &next);
  again->HalfClose();
  ASSERT_TRUE(RunUntilDone(next));
  EXPECT_TRUE(next.status.ok());
}

TEST_F(RpcTest, CallsAreIndependentWhenManyAreUnderWay) {
  Open();
  std::vector<CallRecorder> recorders(200);
  std::vector<std::unique_ptr<ClientCall>> calls;
  for (size_t i = 0; i < recorders.size(); ++i) {
    if (i == 90) world->RunFor(100ms);  // the server's settings have come: more than 100 streams are allowed
    calls.push_back(Start(i % 3 == 0 ? "Hang" : "Unary", &recorders[i], i % 3 == 0 ? std::optional<Duration>(3s) : std::nullopt));
    calls.back()->Send(Text(std::to_string(i)));
    calls.back()->HalfClose();
  }
  ASSERT_TRUE(world->RunUntil([&] { return std::all_of(recorders.begin(), recorders.end(), [](const auto& r) { return r.done; }); }, 30s));
  for (size_t i = 0; i < recorders.size(); ++i) {
    if (i % 3 == 0) {
      EXPECT_EQ(recorders[i].status.code, Code::kDeadlineExceeded);
    } else {
      EXPECT_THAT(recorders[i].messages, ElementsAre(std::to_string(i)));
    }
  }
}

// ---------------------------------------------------------------- back-pressure

TEST_F(RpcTest, SenderIsHeldBackAndToldToGoOn) {
  channel_options.limits.send_buffer_bytes = 100'000;
  sim::Faults faults;
  faults.send_buffer_min = faults.send_buffer_max = 64 * 1024;
  faults.receive_buffer_min = faults.receive_buffer_max = 64 * 1024;
  Open(faults);
  CallRecorder recorder;
  auto call = Start("ClientStream", &recorder);
  const std::string piece(50'000, 'x');
  size_t sent = 0, most = 0;
  const auto send = [&] {
    while (sent < 100 && call->buffered() <= 100'000) {
      call->Send(Text(piece));
      ++sent;
      most = std::max(most, call->buffered());
    }
    if (sent == 100) call->HalfClose();
  };
  recorder.on_writable = send;
  send();
  EXPECT_LT(sent, 10u);
  ASSERT_TRUE(RunUntilDone(recorder));
  EXPECT_TRUE(recorder.status.ok()) << recorder.status.ToString();
  EXPECT_EQ(recorder.messages.at(0).size(), 5'000'000u);
  EXPECT_GT(recorder.writables, 10);
  EXPECT_LT(most, 200'000u);
}

TEST_F(RpcTest, ServerIsToldWhenASlowClientHasTakenAll) {
  server_options.limits.send_buffer_bytes = 100'000;
  sim::Faults faults;
  faults.send_buffer_min = faults.send_buffer_max = 64 * 1024;
  Open(faults);
  log.on_message = [](TestCall& call) { call.call->Send(Text(std::string(3'000'000, 'y'))); };
  CallRecorder recorder;
  auto call = Start("Bidi", &recorder);
  call->Send(Text("go"));
  ASSERT_TRUE(world->RunUntil([&] { return recorder.messages.size() == 2; }, 30s));
  ASSERT_TRUE(world->RunUntil([&] { return log.writables == 1; }, 30s));
}

// ---------------------------------------------------------------- destruction in any call

TEST_F(RpcTest, ClientMayDestroyItsCallInOnMessage) {
  Open();
  CallRecorder recorder;
  auto call = Start("ServerStream", &recorder);
  recorder.on_message = [&] { call.reset(); };
  call->Send(Text("abc"));
  call->HalfClose();
  world->RunFor(1s);
  EXPECT_THAT(recorder.messages, ElementsAre("a"));
  EXPECT_FALSE(recorder.done);
}

TEST_F(RpcTest, ClientMayDestroyTheChannelInAnyCall) {
  for (const char* when : {"message", "done", "down", "up"}) {
    SCOPED_TRACE(when);
    Close();
    Open();
    CallRecorder recorder, other;
    auto call = Start("ServerStream", &recorder);
    auto second = Start("Hang", &other);
    call->Send(Text("abc"));
    call->HalfClose();
    const auto destroy = [&] { channel.reset(); };
    if (std::string_view(when) == "message") recorder.on_message = destroy;
    if (std::string_view(when) == "done") recorder.on_done = destroy;
    if (std::string_view(when) == "down") {
      at_channel.on_down = destroy;
      world->RunFor(1s);
      server.reset();
    }
    if (std::string_view(when) == "up") {
      channel = MakeChannel(client_loop, channel_options, &at_channel);
      at_channel.on_up = destroy;
      channel->Connect();
    }
    world->RunFor(2s);
    EXPECT_EQ(channel, nullptr);
    call->Send(Text("to nobody"));  // handles may outlive their channel
    EXPECT_EQ(call->buffered(), 0u);
    call.reset();
    second.reset();
    world->RunFor(2s);
    EXPECT_EQ(log.open, 0);
  }
}

TEST_F(RpcTest, ServiceMayDestroyTheServerInAnyCall) {
  for (const char* when : {"message", "half-close", "cancelled"}) {
    SCOPED_TRACE(when);
    Close();
    Open();
    CallRecorder recorder, other;
    const auto destroy = [&](TestCall&) { server.reset(); };
    if (std::string_view(when) == "message") log.on_message = destroy;
    if (std::string_view(when) == "half-close") log.on_half_close = destroy;
    if (std::string_view(when) == "cancelled") log.on_cancelled = destroy;
    auto second = Start("Hang", &other);
    auto call = Start("Hang", &recorder);
    for (int i = 0; i < 3; ++i) call->Send(Text("x"));
    call->HalfClose();
    world->RunFor(1s);
    if (std::string_view(when) == "cancelled") call.reset();
    world->RunFor(1s);
    EXPECT_EQ(server, nullptr);
    EXPECT_EQ(log.open, 0);
    EXPECT_EQ(other.status.code, Code::kUnavailable);
    EXPECT_EQ(at_channel.downs, 1);
  }
}

}  // namespace
}  // namespace outrigger::rpc
