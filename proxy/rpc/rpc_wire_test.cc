// Each end against peers of another make: a bare HTTP/2 codec that says what a test wants, and garbage.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/base/random.h"
#include "proxy/codec/http2.h"
#include "proxy/rpc/rpc.h"
#include "proxy/rpc/rpc_testing.h"
#include "proxy/rpc/wire.h"
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

using Fields = std::vector<std::pair<std::string, std::string>>;

std::string Framed(std::string_view text, char flag = 0) {
  Buffer buffer;
  EXPECT_TRUE(AppendMessage(Text(text), &buffer).ok());
  std::string bytes(buffer.text());
  bytes[0] = flag;
  return bytes;
}

http::HeaderMap Map(const Fields& fields) {
  http::HeaderMap map;
  for (const auto& [name, value] : fields) map.Add(name, value);
  return map;
}

// ---------------------------------------------------------------- client against a scripted server

// Answers every request by `answer`.
class ScriptedServer : public net::Listener::Handler, public net::Connection::Handler {
 public:
  using Answer = std::function<void(codec::ServerCodec&, codec::StreamId)>;
  ScriptedServer(net::Loop* loop, net::Address address, Answer answer) : loop_(loop), answer_(std::move(answer)) {
    listener_ = std::move(loop->Listen({.address = address}, this).value());
  }
  void OnAccept(std::unique_ptr<net::Connection> connection) override {
    connection_ = std::move(connection);
    connection_->SetHandler(this);
  }
  void OnRead(Bytes bytes) override {
    codec_->Feed(bytes, loop_->now());
    codec::StreamEvent event;
    while (codec_->Next(&event)) {
      if (event.kind == codec::StreamEvent::Kind::kRequest) answer_(*codec_, event.stream);
      if (event.kind == codec::StreamEvent::Kind::kData) codec_->Consumed(event.stream, event.data.size());
    }
    connection_->Write(&codec_->output());
  }
  void OnEof() override { connection_->ShutdownWrite(); }
  void OnClosed(Error) override {}

 private:
  net::Loop* loop_;
  Answer answer_;
  std::unique_ptr<net::Listener> listener_;
  std::unique_ptr<net::Connection> connection_;
  std::unique_ptr<codec::ServerCodec> codec_ = codec::MakeHttp2Server({});
};

// The outcome of one unary call against `answer`.
struct Ending {
  Status status;
  std::vector<std::string> messages;
  Metadata trailers;
};
Ending CallAgainst(ScriptedServer::Answer answer) {
  sim::World world(1);
  net::Loop& client_loop = world.AddLoop("client");
  net::Loop& server_loop = world.AddLoop("server");
  const net::Address address = world.AddressOf(server_loop, 80);
  ScriptedServer server(&server_loop, address, std::move(answer));
  ChannelRecorder at_channel;
  ChannelOptions options;
  options.target = address.ToString();
  auto channel = MakeChannel(&client_loop, options, &at_channel);
  channel->Connect();
  EXPECT_TRUE(world.RunUntil([&] { return at_channel.ups == 1; }, 5s));
  CallRecorder recorder;
  auto call = channel->Start("/a.B/C", {}, std::nullopt, &recorder);
  call->Send(Text("x"));
  call->HalfClose();
  EXPECT_TRUE(world.RunUntil([&] { return recorder.done; }, 5s));
  Ending outcome{recorder.status, recorder.messages, recorder.trailers};
  call.reset();
  channel.reset();
  world.RunFor(2s);
  return outcome;
}

ScriptedServer::Answer Reply(int status, Fields fields, std::string body, std::optional<Fields> trailers) {
  return [=](codec::ServerCodec& codec, codec::StreamId id) {
    http::ResponseHead head;
    head.status = status;
    head.headers = Map(fields);
    const bool end = body.empty() && !trailers;
    codec.SendResponse(id, head, end);
    codec.SendData(id, AsBytes(body));
    if (trailers) {
      codec.SendTrailers(id, Map(*trailers));
    } else if (!end) {
      codec.SendEnd(id);
    }
  };
}
ScriptedServer::Answer Reset(ErrorCode reason) {
  return [=](codec::ServerCodec& codec, codec::StreamId id) { codec.Reset(id, reason); };
}
const Fields kGrpc = {{"content-type", "application/grpc"}};
Fields Grpc(Fields more) {
  more.insert(more.begin(), kGrpc.begin(), kGrpc.end());
  return more;
}

TEST(RpcClientWire, AnswersOfEveryShapeBecomeAStatus) {
  const Fields ok = {{"grpc-status", "0"}};
  struct Case {
    const char* what;
    ScriptedServer::Answer answer;
    Code code;
    std::string message_part;
  };
  const std::vector<Case> cases = {
      {"good", Reply(200, kGrpc, Framed("a"), ok), Code::kOk, ""},
      {"trailers-only", Reply(200, Grpc({{"grpc-status", "5"}, {"grpc-message", "no%21"}}), "", std::nullopt), Code::kNotFound, "no!"},
      {"unknown code", Reply(200, kGrpc, "", Fields{{"grpc-status", "99"}}), Code::kUnknown, ""},
      {"no status at all", Reply(200, kGrpc, Framed("a"), std::nullopt), Code::kUnknown, "without grpc-status"},
      {"trailers without status", Reply(200, kGrpc, "", Fields{{"x", "y"}}), Code::kUnknown, "without grpc-status"},
      {"inside a message", Reply(200, kGrpc, Framed("abc").substr(0, 7), ok), Code::kInternal, "inside a message"},
      {"compressed message", Reply(200, kGrpc, Framed("a", 1), ok), Code::kUnimplemented, "compressed"},
      {"compressed call", Reply(200, Grpc({{"grpc-encoding", "gzip"}}), "", ok), Code::kInternal, "compressed"},
      {"no message at all", Reply(200, kGrpc, std::string("\x07\0\0\0\1x", 6), ok), Code::kInternal, "no gRPC message"},
      {"html", Reply(200, {{"content-type", "text/html"}}, "<html>", std::nullopt), Code::kUnknown, "not gRPC"},
      {"404", Reply(404, {}, "nope", std::nullopt), Code::kUnimplemented, "404"},
      {"503", Reply(503, {}, "", std::nullopt), Code::kUnavailable, "503"},
      {"401", Reply(401, {}, "", std::nullopt), Code::kUnauthenticated, "401"},
      {"bad binary metadata", Reply(200, Grpc({{"x-bin", "*"}}), "", ok), Code::kInternal, "base64"},
      {"bad binary trailer", Reply(200, kGrpc, "", Fields{{"grpc-status", "0"}, {"x-bin", "*"}}), Code::kInternal, "base64"},
      {"refused", Reset(ErrorCode::kRefused), Code::kUnavailable, "REFUSED"},
      {"cancelled", Reset(ErrorCode::kCancelled), Code::kCancelled, ""},
      {"enhance your calm", Reset(ErrorCode::kOverload), Code::kResourceExhausted, ""},
      {"internal error", Reset(ErrorCode::kInvalid), Code::kInternal, ""},
  };
  for (const Case& c : cases) {
    const Ending outcome = CallAgainst(c.answer);
    EXPECT_EQ(outcome.status.code, c.code) << c.what << ": " << outcome.status.ToString();
    EXPECT_THAT(outcome.status.message, HasSubstr(c.message_part)) << c.what;
  }
}

TEST(RpcClientWire, TrailersAreTold) {
  const Ending outcome = CallAgainst(Reply(200, kGrpc, Framed("a") + Framed("b"), Fields{{"grpc-status", "0"}, {"x-sum-bin", "AAE"}}));
  EXPECT_THAT(outcome.messages, ElementsAre("a", "b"));
  EXPECT_EQ(outcome.trailers.Get("x-sum-bin"), std::string_view("\0\1", 2));
  EXPECT_FALSE(outcome.trailers.Get("grpc-status"));
}

// ---------------------------------------------------------------- server against a scripted client

class RpcServerWire : public ::testing::Test {
 protected:
  RpcServerWire() {
    ServerOptions options;
    options.address = world.AddressOf(server_loop, 80);
    server = std::move(MakeServer(&server_loop, options, testing::TestService(&log)).value());
  }
  ~RpcServerWire() override {
    server.reset();
    world.RunFor(3s);
    EXPECT_THAT(world.problems(), IsEmpty());
    EXPECT_EQ(log.open, 0);
  }

  struct Client : net::Connection::Handler {
    void OnConnected() override {}
    void OnRead(Bytes bytes) override {
      codec->Feed(bytes, Instant{});
      codec::StreamEvent event;
      while (codec->Next(&event)) {
        if (event.kind == codec::StreamEvent::Kind::kResponse) {
          status = event.response->status;
          Note(event.response->headers);
        }
        if (event.kind == codec::StreamEvent::Kind::kTrailers) Note(*event.trailers);
        if (event.kind == codec::StreamEvent::Kind::kData) body += AsText(event.data);
        if (event.kind == codec::StreamEvent::Kind::kEnd || event.kind == codec::StreamEvent::Kind::kReset) ended = true;
      }
      connection->Write(&codec->output());
    }
    void OnEof() override { closed = true; }
    void OnClosed(Error) override { closed = true; }
    void Note(const http::HeaderMap& map) {
      for (const http::Field& f : map.fields()) fields[std::string(f.name)] = f.value;
    }
    std::unique_ptr<codec::ClientCodec> codec = codec::MakeHttp2Client({});
    std::unique_ptr<net::Connection> connection;
    int status = 0;
    std::map<std::string, std::string> fields;
    std::string body;
    bool ended = false, closed = false;
  };

  // One request; what came back.
  Client Ask(Fields fields, std::string_view body, std::string_view method = "POST") {
    Client client;
    client.connection = client_loop.Connect({.address = server->local()}, &client);
    http::RequestHead head;
    head.method_text = method;
    head.method = http::ParseMethod(method);
    head.authority = "server";
    head.path = "/test.Echo/Unary";
    head.headers = Map(fields);
    const codec::StreamId id = client.codec->SendRequest(head, body.empty());
    client.codec->SendData(id, AsBytes(body));
    client.codec->SendEnd(id);
    client.connection->Write(&client.codec->output());
    EXPECT_TRUE(world.RunUntil([&] { return client.ended || client.closed; }, 10s));
    client.connection.reset();
    return client;
  }

  sim::World world{1};
  sim::SimLoop& client_loop = world.AddLoop("client");
  sim::SimLoop& server_loop = world.AddLoop("server");
  TestCall::Log log;
  std::unique_ptr<Server> server;
};

TEST_F(RpcServerWire, GoodCallIsAnsweredInFull) {
  Client client = Ask({{"content-type", "application/grpc+proto"}, {"te", "trailers"}, {"grpc-timeout", "5S"}}, Framed("a"));
  EXPECT_EQ(client.status, 200);
  EXPECT_EQ(client.fields["content-type"], "application/grpc");
  EXPECT_EQ(client.fields["grpc-accept-encoding"], "identity");
  EXPECT_EQ(client.fields["grpc-status"], "0");
  EXPECT_EQ(client.body, Framed("a"));
}

TEST_F(RpcServerWire, BadCallsAreToldWhy) {
  const auto grpc = [](std::string name, std::string value) { return Fields{{"content-type", "application/grpc"}, {name, value}}; };
  EXPECT_EQ(Ask({{"content-type", "application/json"}}, "{}").status, 415);
  EXPECT_EQ(Ask({}, "x").status, 415);
  EXPECT_EQ(Ask(kGrpc, "", "GET").status, 405);
  EXPECT_EQ(Ask(grpc("grpc-encoding", "gzip"), Framed("a", 1)).fields["grpc-status"], "12");
  EXPECT_EQ(Ask(kGrpc, Framed("a", 1)).fields["grpc-status"], "12");
  EXPECT_EQ(Ask(grpc("grpc-timeout", "soon"), Framed("a")).fields["grpc-status"], "13");
  EXPECT_EQ(Ask(grpc("x-bin", "*"), Framed("a")).fields["grpc-status"], "13");
  EXPECT_EQ(Ask(kGrpc, "nonsense").fields["grpc-status"], "13");
  EXPECT_EQ(Ask(kGrpc, Framed("abc").substr(0, 7)).fields["grpc-status"], "13");
  EXPECT_EQ(Ask(kGrpc, std::string("\0\xff\xff\xff\xff", 5) + "x").fields["grpc-status"], "8");
  EXPECT_EQ(Ask(kGrpc, Framed("fine")).fields["grpc-status"], "0");
}

TEST_F(RpcServerWire, GarbageEndsTheConnectionAndNothingElse) {
  struct Sender : net::Connection::Handler {
    void OnRead(Bytes) override {}
    void OnEof() override { closed = true; }
    void OnClosed(Error) override { closed = true; }
    bool closed = false;
  };
  codec::Limits limits;
  auto codec = codec::MakeHttp2Client(limits);
  http::RequestHead head;
  head.method = http::Method::kPost;
  head.method_text = "POST";
  head.authority = "server";
  head.path = "/test.Echo/Bidi";
  head.headers = Map(kGrpc);
  const codec::StreamId id = codec->SendRequest(head, false);
  codec->SendData(id, AsBytes(Framed("abc") + Framed("def")));
  codec->SendEnd(id);
  const std::string good(codec->output().text());

  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Random random(seed);
    std::string bytes = good;
    if (random.Chance(0.3)) {
      bytes.resize(1 + random.Below(200));
      for (char& c : bytes) c = static_cast<char>(random.Next());
    } else {
      for (uint64_t n = 1 + random.Below(5); n > 0; --n) bytes[random.Below(bytes.size())] = static_cast<char>(random.Next());
    }
    Sender sender;
    auto connection = client_loop.Connect({.address = server->local()}, &sender);
    Buffer out;
    out.Append(bytes);
    connection->Write(&out);
    connection->ShutdownWrite();
    EXPECT_TRUE(world.RunUntil([&] { return sender.closed; }, 20s)) << "seed " << seed;
    connection.reset();
  }
  world.RunFor(2s);
  EXPECT_EQ(server->connections(), 0u);
  EXPECT_EQ(log.open, 0);
  EXPECT_EQ(Ask(kGrpc, Framed("fine")).fields["grpc-status"], "0");
}

}  // namespace
}  // namespace outrigger::rpc
