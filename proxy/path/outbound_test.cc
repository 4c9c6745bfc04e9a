// Routing as a client of the outbound port sees it: which service, what is changed on the way, and what is answered here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "proxy/path/common.h"
#include "test/shard/hop.h"

namespace outrigger::path {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using shardtest::Answer;
using shardtest::Client;
using shardtest::Message;
using shardtest::Server;
using shardtest::Wire;
using config::HeaderEdit;

constexpr char kGet[] = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n";

class OutboundTest : public shardtest::HopTest {
 protected:
  OutboundTest() { AddServer("orders-1"); }
  const Message& seen() { return server().requests.back(); }
  // A cluster with one server of its own, whose answers are the cluster's name.
  Server& AddCluster(const std::string& name) {
    Server& server = AddServer(name);
    config::Cluster other = cluster;
    other.name = name;
    other.discovered = false;
    other.inline_endpoints.endpoints = {endpoints.endpoints.back()};
    endpoints.endpoints.pop_back();
    more_clusters.push_back(other);
    server.on_request = [name](Wire& wire, const Message&) { wire.Send(Answer(200, name)); };
    return server;
  }
  static config::Route To(const std::string& cluster, const std::string& prefix) {
    config::Route route;
    route.name = "default/" + cluster;
    route.match.path = {config::PathMatch::Kind::kPathPrefix, prefix};
    config::Forward forward;
    forward.clusters = {{.cluster = cluster}};
    route.action = forward;
    return route;
  }
};

TEST_F(OutboundTest, TheHostNamesTheService) {
  Publish();
  for (const char* host : {"orders", "ORDERS", "orders:80", "orders.default"}) {
    EXPECT_EQ(Fetch("GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n").status(), 200) << host;
  }
  EXPECT_EQ(last_record().route, "default/orders/0");
  EXPECT_EQ(last_record().cluster, "orders");
  EXPECT_EQ(last_record().upstream, server().address().ToString());
}

TEST_F(OutboundTest, AHostThatNobodyDeclaredIs404) {
  Publish();
  const Message answer = Fetch("GET / HTTP/1.1\r\nHost: unknown.example\r\n\r\n");
  EXPECT_EQ(answer.status(), 404);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "no-such-service");
  EXPECT_EQ(answer.body, "nobody declared a service for host unknown.example: check the name, its namespace and its port\n");
  EXPECT_EQ(answer.Get("content-type"), "text/plain; charset=utf-8");
  EXPECT_FALSE(answer.Has("connection")) << "the connection is as good as before";
  EXPECT_EQ(last_record().flags, "NR");
}

TEST_F(OutboundTest, ARequestThatNoRouteMatchesIs404) {
  route.match.path = {config::PathMatch::Kind::kPathPrefix, "/api"};
  Publish();
  EXPECT_EQ(Fetch("GET /api/x HTTP/1.1\r\nHost: orders\r\n\r\n").status(), 200);
  const Message answer = Fetch("GET /apix HTTP/1.1\r\nHost: orders\r\n\r\n");
  EXPECT_EQ(answer.status(), 404);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "no-matching-route");
  EXPECT_EQ(last_record().flags, "NR");
}

TEST_F(OutboundTest, ALocalAnswerToHeadHasNoBodyAndKeepsTheConnection) {
  Publish();
  Client& client = Connect();
  client.Send(std::string("HEAD / HTTP/1.1\r\nHost: unknown\r\n\r\n") + kGet);
  EXPECT_EQ(Next(client, /*head_only=*/true).status(), 404);
  EXPECT_EQ(Next(client).status(), 200);
}

TEST_F(OutboundTest, TheBodyOfARequestThatIsAnsweredHereIsReadAndDropped) {
  Publish();
  Client& client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: unknown\r\nContent-Length: 300000\r\n\r\n" + std::string(300000, 'x') + kGet);
  EXPECT_EQ(Next(client).status(), 404);
  EXPECT_EQ(Next(client).status(), 200);
}

TEST_F(OutboundTest, BeforeConfigurationItIs503) {
  Publish();
  caller.compiler->RemoveListener("outbound");
  caller.shard->Publish(caller.compiler->Build());
  const Message answer = Fetch(kGet);
  EXPECT_EQ(answer.status(), 503);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "not-configured");
}

TEST_F(OutboundTest, WhatThisMachineLacksIsNotBlamedOnTheEndpoint) {
  exchange::FailedRequest failed;
  failed.error = Error::Make(ErrorCode::kIo, "connect to 10.0.0.1:80: Too many open files", Fault::kLocal, /*unseen=*/true);
  failed.cluster = "orders";
  const exchange::Reply reply = Rescue(failed);
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.flags, 0u | observe::Flag::kUO);
  EXPECT_EQ(reply.reason, "out-of-resources");
  EXPECT_EQ(reply.receipt, "not-forwarded");
  EXPECT_THAT(reply.text, HasSubstr("Too many open files"));
}

TEST_F(OutboundTest, ConnectIsNotImplemented) {
  Publish();
  Client& client = Connect();
  client.Send("CONNECT orders:80 HTTP/1.1\r\nHost: orders:80\r\n\r\n");
  EXPECT_EQ(Next(client).Get("x-outrigger-reason"), "connect-not-supported");
}

TEST_F(OutboundTest, RoutesByPathHeaderMethodAndQuery) {
  AddCluster("by-path");
  AddCluster("by-header");
  AddCluster("by-method");
  AddCluster("by-query");
  using Kind = config::StringMatch::Kind;
  config::Route header = To("by-header", "/");
  header.match.headers = {{"x-user", {Kind::kExact, "ann"}}};
  config::Route method = To("by-method", "/");
  method.match.headers = {{":method", {Kind::kExact, "DELETE"}}};
  config::Route query = To("by-query", "/");
  query.match.query = {{"v", {Kind::kRegex, "[0-9]+"}}};
  more_routes = {To("by-path", "/p"), header, method, query};
  route.match.path = {config::PathMatch::Kind::kExact, "/exactly"};
  Publish();
  EXPECT_EQ(Fetch("GET /p/1 HTTP/1.1\r\nHost: orders\r\n\r\n").body, "by-path");
  EXPECT_EQ(Fetch("GET / HTTP/1.1\r\nHost: orders\r\nX-User: ann\r\n\r\n").body, "by-header");
  EXPECT_EQ(Fetch("DELETE / HTTP/1.1\r\nHost: orders\r\n\r\n").body, "by-method");
  EXPECT_EQ(Fetch("GET /?v=12 HTTP/1.1\r\nHost: orders\r\n\r\n").body, "by-query");
  EXPECT_EQ(Fetch("GET /?v=x HTTP/1.1\r\nHost: orders\r\n\r\n").status(), 404);
  EXPECT_EQ(Fetch("GET /exactly HTTP/1.1\r\nHost: orders\r\n\r\n").body, "answer 1");
}

TEST_F(OutboundTest, WeightsAreKeptOnAverage) {
  AddCluster("canary");
  forward().clusters = {{.cluster = "orders", .weight = 90}, {.cluster = "canary", .weight = 10}};
  Publish();
  Client& client = Connect();
  int canary = 0;
  for (int i = 0; i < 1000; ++i) {
    client.Send(kGet);
    canary += Next(client).body == "canary";
  }
  EXPECT_NEAR(canary, 100, 35);
}

TEST_F(OutboundTest, AWeightOfZeroGetsNothing) {
  Server& none = AddCluster("none");
  forward().clusters = {{.cluster = "orders", .weight = 1}, {.cluster = "none", .weight = 0}};
  Publish();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(Fetch(kGet).status(), 200);
  EXPECT_TRUE(none.requests.empty());
}

TEST_F(OutboundTest, ABackendThatDoesNotExistIs500) {
  forward().clusters = {{.cluster = "blackhole"}};
  Publish();
  const Message answer = Fetch(kGet);
  EXPECT_EQ(answer.status(), 500);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "no-backend");
  EXPECT_EQ(last_record().flags, "NC");
}

TEST_F(OutboundTest, AClusterThatIsNotKnownIs503) {
  forward().clusters = {{.cluster = "elsewhere"}};
  Publish();
  EXPECT_EQ(Fetch(kGet).Get("x-outrigger-reason"), "no-cluster");
  EXPECT_EQ(last_record().flags, "NC");
}

TEST_F(OutboundTest, RedirectsAreAnsweredHere) {
  config::Redirect redirect;
  redirect.status = 302;
  redirect.scheme = "https";
  redirect.host = "shop.example";
  route.action = redirect;
  Publish();
  const Message answer = Fetch("GET /a?b=c HTTP/1.1\r\nHost: orders\r\n\r\n");
  EXPECT_EQ(answer.status(), 302);
  EXPECT_EQ(answer.Get("location"), "https://shop.example/a?b=c");
  EXPECT_EQ(answer.Get("content-length"), "0");
  EXPECT_EQ(last_record().flags, "-");
  EXPECT_TRUE(server().requests.empty());
}

TEST_F(OutboundTest, APrefixIsRewritten) {
  route.match.path = {config::PathMatch::Kind::kPathPrefix, "/api"};
  forward().has_prefix_rewrite = true;
  forward().prefix_rewrite = "/v2";
  forward().host_rewrite = "backend.internal";
  Publish();
  EXPECT_EQ(Fetch("GET /api/items?q=1 HTTP/1.1\r\nHost: orders\r\n\r\n").status(), 200);
  EXPECT_EQ(seen().target(), "/v2/items?q=1");
  EXPECT_EQ(seen().Get("host"), "backend.internal");
}

TEST_F(OutboundTest, AWholePathIsRewritten) {
  route.match.path = {config::PathMatch::Kind::kExact, "/old"};
  forward().has_prefix_rewrite = true;
  forward().prefix_rewrite = "/new/place";
  Publish();
  Fetch("GET /old?q=1 HTTP/1.1\r\nHost: orders\r\n\r\n");
  EXPECT_EQ(seen().target(), "/new/place?q=1");
}

TEST_F(OutboundTest, APathIsRewrittenByRegularExpression) {
  forward().regex_rewrite_pattern = "/user/([^/]+)/";
  forward().regex_rewrite_substitution = "/u/\\1/";
  Publish();
  Fetch("GET /user/ann/cart?user/x/ HTTP/1.1\r\nHost: orders\r\n\r\n");
  EXPECT_EQ(seen().target(), "/u/ann/cart?user/x/");
}

TEST_F(OutboundTest, HeadersAreEditedBothWays) {
  using Op = HeaderEdit::Op;
  route.request_edits = {{Op::kSet, "x-set", "new"}, {Op::kAdd, "x-added", "2"}, {Op::kRemove, "x-removed", ""}};
  route.response_edits = {{Op::kSet, "x-answer", "mesh"}, {Op::kRemove, "server", ""}};
  forward().clusters[0].request_edits = {{Op::kSet, "x-cluster", "a"}};
  forward().clusters[0].response_edits = {{Op::kAdd, "x-from", "a"}};
  server().on_request = [](Wire& wire, const Message&) { wire.Send(Answer(200, "", "Server: secret\r\nx-answer: app\r\n")); };
  Publish();
  const Message answer = Fetch("GET / HTTP/1.1\r\nHost: orders\r\nX-Set: old\r\nx-added: 1\r\nX-Removed: 1\r\n\r\n");
  EXPECT_EQ(seen().Get("x-set"), "new");
  EXPECT_EQ(seen().Get("x-added"), "1, 2");
  EXPECT_FALSE(seen().Has("x-removed"));
  EXPECT_EQ(seen().Get("x-cluster"), "a");
  EXPECT_EQ(answer.Get("x-answer"), "mesh");
  EXPECT_EQ(answer.Get("x-from"), "a");
  EXPECT_FALSE(answer.Has("server"));
}

TEST_F(OutboundTest, ARequestKeepsTheConfigurationItBeganWith) {
  server().on_request = nullptr;
  route.response_edits = {{HeaderEdit::Op::kSet, "x-version", "1"}};
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  ASSERT_TRUE(Wait([&] { return !server().wires().empty() && server().last().total > 0; }));
  route.response_edits = {{HeaderEdit::Op::kSet, "x-version", "2"}};
  Publish();
  server().last().received.clear();
  server().on_request = [](Wire& wire, const Message&) { wire.Send(Answer(200, "")); };
  server().last().Send(Answer(200, ""));
  EXPECT_EQ(Next(client).Get("x-version"), "1");
  client.Send(kGet);
  EXPECT_EQ(Next(client).Get("x-version"), "2");
  EXPECT_EQ(server().wires().size(), 1u) << "connections survive new configuration";
}

}  // namespace
}  // namespace outrigger::path
