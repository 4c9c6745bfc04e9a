#include "proxy/admin/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/sim/testing.h"
#include "test/sim/world.h"

namespace outrigger::admin {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class HttpServerTest : public ::testing::Test {
 protected:
  HttpServerTest() { Make({.address = net::Address::Loopback(8000)}); }

  void Make(ServerOptions options) {
    server_.reset();
    auto server = MakeHttpServer(&loop_, options);
    ASSERT_TRUE(server.ok()) << server.error().detail;
    server_ = std::move(*server);
    server_->Route(http::Method::kGet, "/hello", [](const Request&, Responder out) { out.Send(Response::Text(200, "hello\n")); });
    server_->Route(http::Method::kPost, "/echo", [](const Request& request, Responder out) {
      out.Send(Response::Json(201, request.body));
    });
    server_->Route(http::Method::kGet, "/things/{}/{}", [](const Request& request, Responder out) {
      out.Send(Response::Text(200, request.parameters[0] + "|" + request.parameters[1] + "|" + std::string(request.Query("q"))));
    });
    server_->Route(http::Method::kGet, "/forgotten", [](const Request&, Responder) {});
    server_->Route(http::Method::kGet, "/later", [this](const Request&, Responder out) { later_.push_back(std::move(out)); });
  }

  struct Client {
    sim::Recorder recorder;
    std::unique_ptr<net::Connection> connection;
  };
  std::unique_ptr<Client> Connect() {
    auto client = std::make_unique<Client>();
    client->connection = loop_.Connect({.address = server_->local()}, &client->recorder);
    return client;
  }
  // What comes back for these bytes until nothing more happens for a second.
  std::string Talk(std::string_view bytes) {
    auto client = Connect();
    sim::WriteText(*client->connection, bytes);
    world_.RunFor(1s);
    return client->recorder.received;
  }
  static std::string Get(const std::string& path, const std::string& more = "") {
    return "GET " + path + " HTTP/1.1\r\nHost: localhost:8000\r\n" + more + "\r\n";
  }

  sim::World world_{1};
  sim::SimLoop& loop_ = world_.AddLoop("admin");
  std::vector<Responder> later_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersARequestWithItsLengthAndWithoutCaching) {
  const std::string reply = Talk(Get("/hello"));
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(reply, HasSubstr("Content-Length: 6\r\n"));
  EXPECT_THAT(reply, HasSubstr("cache-control: no-store\r\n"));
  EXPECT_THAT(reply, ::testing::EndsWith("\r\n\r\nhello\n"));
}

TEST_F(HttpServerTest, KeepsTheConnectionAndAnswersPipelinedRequestsInOrder) {
  const std::string reply = Talk(Get("/hello") + Get("/things/a/b?q=1") + Get("/hello"));
  const size_t second = reply.find("a|b|1");
  ASSERT_NE(second, std::string::npos);
  EXPECT_LT(reply.find("hello"), second);
  EXPECT_GT(reply.rfind("hello"), second);
}

TEST_F(HttpServerTest, ReadsABodyWhateverWayItIsFramed) {
  EXPECT_THAT(Talk("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nabcd"), ::testing::EndsWith("\r\n\r\nabcd"));
  EXPECT_THAT(Talk("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"),
              ::testing::EndsWith("\r\n\r\nabcd"));
}

TEST_F(HttpServerTest, ALargeBodyIs413WhetherAnnouncedOrNot) {
  Make({.address = net::Address::Loopback(8001), .body_bytes = 10});
  EXPECT_THAT(Talk("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\n"), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(Talk("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n"),
              StartsWith("HTTP/1.1 413"));
}

TEST_F(HttpServerTest, UnknownPathsAre404AndWrongMethods405WithAllow) {
  EXPECT_THAT(Talk(Get("/nothing")), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Talk(Get("/things/a")), StartsWith("HTTP/1.1 404"));
  const std::string reply = Talk("DELETE /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(reply, HasSubstr("allow: GET, HEAD\r\n"));
}

TEST_F(HttpServerTest, HeadHasTheHeadOfGetAndNoBody) {
  const std::string reply = Talk("HEAD /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(reply, HasSubstr("Content-Length: 6\r\n"));
  EXPECT_THAT(reply, ::testing::EndsWith("\r\n\r\n"));
}

TEST_F(HttpServerTest, PathsAreDecodedAndAnEscapedSlashStaysInItsSegment) {
  EXPECT_THAT(Talk(Get("/things/a%2Fb/c%20d?q=%31+2")), ::testing::EndsWith("a/b|c d|1 2"));
  EXPECT_THAT(Talk(Get("/things/a/b%zz")), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Talk(Get("/things/a/b?q=1&q=2")), StartsWith("HTTP/1.1 400"));
}

TEST_F(HttpServerTest, ARequestForAHostThatIsNotOursIsRefused) {
  EXPECT_THAT(Talk("GET /hello HTTP/1.1\r\nHost: evil.example\r\n\r\n"), StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(Talk("GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Talk(Get("/hello", "Origin: http://evil.example\r\n")), StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(Talk(Get("/hello", "Origin: null\r\n")), StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(Talk(Get("/hello", "Origin: http://localhost:8000\r\n")), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, AnAnswerMayComeLater) {
  auto client = Connect();
  sim::WriteText(*client->connection, Get("/later"));
  world_.RunFor(30s);
  EXPECT_THAT(client->recorder.received, IsEmpty());
  ASSERT_EQ(later_.size(), 1u);
  EXPECT_TRUE(later_[0].alive());
  later_[0].Send(Response::Text(200, "at last"));
  world_.RunFor(1s);
  EXPECT_THAT(client->recorder.received, ::testing::EndsWith("at last"));
}

TEST_F(HttpServerTest, AnAnswerForAClientThatIsGoneIsDropped) {
  auto client = Connect();
  sim::WriteText(*client->connection, Get("/later"));
  world_.RunFor(1s);
  ASSERT_EQ(later_.size(), 1u);
  client->connection->Abort();
  client.reset();
  world_.RunFor(1s);
  EXPECT_FALSE(later_[0].alive());
  later_[0].Send(Response::Text(200, "too late"));
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(HttpServerTest, AForgottenRequestIsAnsweredWith500) { EXPECT_THAT(Talk(Get("/forgotten")), StartsWith("HTTP/1.1 500")); }

TEST_F(HttpServerTest, ASlowRequestIs408AndAnIdleConnectionIsClosed) {
  auto slow = Connect();
  auto idle = Connect();
  sim::WriteText(*slow->connection, "GET /hello HTTP/1.1\r\nHost: local");
  world_.RunFor(15s);
  EXPECT_THAT(slow->recorder.received, StartsWith("HTTP/1.1 408"));
  EXPECT_FALSE(idle->recorder.eof);
  world_.RunFor(60s);
  EXPECT_TRUE(idle->recorder.eof);
}

TEST_F(HttpServerTest, NonsenseIsAnsweredWith400AndTheEndOfTheConnection) {
  auto client = Connect();
  sim::WriteText(*client->connection, "nonsense\r\n\r\n");
  world_.RunFor(2s);
  EXPECT_THAT(client->recorder.received, StartsWith("HTTP/1.1 400"));
  EXPECT_TRUE(client->recorder.eof);
}

TEST_F(HttpServerTest, AHalfClosedClientStillGetsItsAnswer) {
  auto client = Connect();
  sim::WriteText(*client->connection, Get("/hello"));
  client->connection->ShutdownWrite();
  world_.RunFor(1s);
  EXPECT_THAT(client->recorder.received, HasSubstr("hello\n"));
  EXPECT_TRUE(client->recorder.eof);
}

TEST_F(HttpServerTest, DrainAnswersWhatIsUnderWayAndClosesTheRest) {
  auto busy = Connect();
  auto idle = Connect();
  sim::WriteText(*busy->connection, Get("/later"));
  world_.RunFor(1s);
  server_->Drain();
  world_.RunFor(1s);
  EXPECT_TRUE(idle->recorder.eof);
  EXPECT_FALSE(busy->recorder.eof);
  later_.at(0).Send(Response::Text(200, "done"));
  world_.RunFor(2s);
  EXPECT_THAT(busy->recorder.received, HasSubstr("done"));
  EXPECT_TRUE(busy->recorder.eof);
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(HttpServerTest, MoreConnectionsThanAllowedAreClosed) {
  Make({.address = net::Address::Loopback(8002), .max_connections = 1});
  auto first = Connect();
  world_.RunFor(1s);
  auto second = Connect();
  world_.RunFor(1s);
  EXPECT_EQ(server_->connections(), 1u);
  sim::WriteText(*first->connection, Get("/hello"));
  world_.RunFor(1s);
  EXPECT_THAT(first->recorder.received, HasSubstr("hello"));
}

TEST_F(HttpServerTest, EveryCutOfARequestGivesTheSameAnswer) {
  const std::string request = "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  const std::string whole = Talk(request);
  for (size_t cut = 1; cut < request.size(); ++cut) {
    auto client = Connect();
    sim::WriteText(*client->connection, request.substr(0, cut));
    world_.RunFor(1s);
    sim::WriteText(*client->connection, request.substr(cut));
    world_.RunFor(1s);
    ASSERT_EQ(client->recorder.received, whole) << "cut at " << cut;
  }
}

TEST(AcceptsHost, TakesLoopbackTheOwnAddressAndAllowedNames) {
  const net::Address local = net::Address::Ipv4({10, 0, 0, 1}, 80);
  EXPECT_TRUE(AcceptsHost("localhost", local, {}));
  EXPECT_TRUE(AcceptsHost("LOCALHOST:99", local, {}));
  EXPECT_TRUE(AcceptsHost("[::1]:99", local, {}));
  EXPECT_TRUE(AcceptsHost("127.9.9.9", local, {}));
  EXPECT_TRUE(AcceptsHost("10.0.0.1:80", local, {}));
  EXPECT_TRUE(AcceptsHost("mesh.example:80", local, {"mesh.example"}));
  EXPECT_FALSE(AcceptsHost("10.0.0.2:80", local, {}));
  EXPECT_FALSE(AcceptsHost("localhost.evil.example", local, {}));
  EXPECT_FALSE(AcceptsHost("mesh.example", local, {}));
  EXPECT_FALSE(AcceptsHost("", local, {}));
  EXPECT_FALSE(AcceptsHost("[::1", local, {}));
}

}  // namespace
}  // namespace outrigger::admin
