// Through a pair of sidecars with mutual TLS between them: who is believed to be who, what the application is told about its caller, what
// the two sidecars tell each other, and what strict and permissive mean.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/shard/hop.h"

namespace outrigger::path {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using shardtest::Answer;
using shardtest::Client;
using shardtest::Message;
using shardtest::Server;
using shardtest::Wire;

constexpr char kGet[] = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n";
constexpr char kPost[] = "POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 4\r\n\r\nbody";

class PairTest : public shardtest::HopTest {
 protected:
  PairTest() : HopTest(kPair) { AddServer("orders-1"); }
  const Message& seen() { return server().requests.back(); }
  net::Address inbound_address() { return world.AddressOf(*callee.loop, 15006); }
};

TEST_F(PairTest, TheCallerIsKnownByItsIdentity) {
  Publish();
  EXPECT_EQ(Fetch(kGet).status(), 200);
  const std::string web = authority->Id("default", "web"), orders = authority->Id("default", "orders");
  EXPECT_THAT(seen().Get("x-forwarded-client-cert"), MatchesRegex("By=" + orders + ";Hash=[0-9a-f]{64};URI=" + web));
  ASSERT_EQ(callee.sink.records.size(), 1u);
  EXPECT_EQ(callee.sink.records[0].source_identity, web);
  EXPECT_TRUE(callee.sink.records[0].mutual_tls);
  EXPECT_TRUE(last_record().mutual_tls);
}

TEST_F(PairTest, WhatACallerSaysOfItselfIsReplacedByWhatItProved) {
  Publish();
  Fetch("GET / HTTP/1.1\r\nHost: orders\r\nx-forwarded-client-cert: URI=spiffe://cluster.local/ns/default/sa/admin\r\n\r\n");
  EXPECT_THAT(seen().Get("x-forwarded-client-cert"), HasSubstr("URI=" + authority->Id("default", "web")));
  EXPECT_EQ(seen().Get("x-forwarded-client-cert").find("admin"), std::string::npos);
}

TEST_F(PairTest, ForwardedFieldsSayWhereTheRequestCameFrom) {
  Publish();
  const std::string caller_ip = world.AddressOf(*caller.loop, 0).Ip();
  Fetch(kGet);
  EXPECT_EQ(seen().Get("x-forwarded-for"), caller_ip);
  EXPECT_EQ(seen().Get("x-forwarded-proto"), "http");
  EXPECT_EQ(seen().Get("x-forwarded-host"), "orders");
  EXPECT_EQ(seen().Get("host"), "orders");
  Fetch("GET / HTTP/1.1\r\nHost: orders\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\nX-Forwarded-Proto: https\r\n"
        "X-Forwarded-Host: shop.example\r\nForwarded: for=192.0.2.1\r\n\r\n");
  EXPECT_EQ(seen().Get("x-forwarded-for"), "192.0.2.1, 192.0.2.2, " + caller_ip);
  EXPECT_EQ(seen().Get("x-forwarded-proto"), "https");
  EXPECT_EQ(seen().Get("x-forwarded-host"), "shop.example");
  EXPECT_EQ(seen().Get("forwarded"), "for=192.0.2.1");
  EXPECT_FALSE(seen().Has("via"));
}

TEST_F(PairTest, RequestsHaveOneIdOnTheirWholeWay) {
  Publish();
  Fetch("GET / HTTP/1.1\r\nHost: orders\r\nx-request-id: abc\r\n\r\n");
  EXPECT_EQ(seen().Get("x-request-id"), "abc");
}

TEST_F(PairTest, OneHandshakeServesManyRequests) {
  Publish();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Fetch(kGet).status(), 200);
  EXPECT_EQ(caller.shard->stats().pool.connections_opened, 1u);
  EXPECT_EQ(callee.shard->stats().connections_accepted, 1u);
}

TEST_F(PairTest, BodiesAndTrailersGoThroughBothSidecars) {
  server().on_request = [](Wire& wire, const Message& request) {
    wire.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + shardtest::Chunk(request.body) + "0\r\nx-sum: 7\r\n\r\n");
  };
  Publish();
  const std::string body(1'000'000, 'b');
  const std::string head = "POST / HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n";
  const Message answer = Fetch(head + shardtest::Chunk(body) + "0\r\n\r\n");
  EXPECT_EQ(answer.body, body);
  ASSERT_EQ(answer.trailers.size(), 1u);
}

TEST_F(PairTest, TheCalleesServiceAccountMustBeTheExpectedOne) {
  endpoints.endpoints[0].identity = authority->Id("default", "somebody-else");
  Publish();
  const Message answer = Fetch(kPost);
  EXPECT_EQ(answer.status(), 503);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "tls-failed");
  EXPECT_EQ(last_record().flags, "UF");
  EXPECT_TRUE(server().requests.empty());
}

TEST_F(PairTest, ANewLeafIsUsedAtOnceAndNothingUnderWayIsCut) {
  server().on_request = nullptr;
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  ASSERT_TRUE(Wait([&] { return !server().wires().empty() && server().last().total > 0; }));
  caller.shard->SetTls(tls::testing::MustMakeContext(authority->Workload("default", "web")));
  callee.shard->SetTls(tls::testing::MustMakeContext(authority->Workload("default", "orders")));
  world.RunFor(1s);
  server().last().received.clear();
  server().on_request = [](Wire& wire, const Message&) { wire.Send(Answer(200, "ok")); };
  server().last().Send(Answer(200, "ok"));
  EXPECT_EQ(Next(client).body, "ok");
  client.Send(kGet);
  EXPECT_EQ(Next(client).body, "ok");
  EXPECT_EQ(caller.shard->stats().pool.connections_opened, 2u) << "the old connection took nothing new";
}

// ---------------------------------------------------------------- errors across the hop

TEST_F(PairTest, ADeadApplicationIsToldWithItsReasonAndThatNothingRan) {
  server().StopListening();
  Publish();
  const Message answer = Fetch(kPost);
  EXPECT_EQ(answer.status(), 503);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "connect-refused");
  EXPECT_EQ(answer.Get("x-outrigger-receipt"), "not-forwarded");
}

TEST_F(PairTest, APostIsTriedAgainWhenTheSidecarSaysThatItWasNotForwarded) {
  forward().retry.max_retries = 5;
  forward().retry.on_refused = true;
  forward().retry.backoff_base = forward().retry.backoff_max = 100ms;
  server().StopListening();
  Publish();
  Client& client = Connect();
  client.Send(kPost);
  ASSERT_TRUE(Wait([&] { return caller.shard->stats().retries >= 1; }));
  server().Listen();
  EXPECT_EQ(Next(client).status(), 200);
  EXPECT_EQ(server().requests.size(), 1u);
  EXPECT_EQ(seen().body, "body");
}

TEST_F(PairTest, APostThatTheApplicationCutIsNotTriedAgain) {
  forward().retry.max_retries = 5;
  forward().retry.on_refused = forward().retry.on_reset = forward().retry.on_gateway_error = true;
  server().on_request = [](Wire& wire, const Message&) { wire.Abort(); };
  Publish();
  const Message answer = Fetch(kPost);
  EXPECT_EQ(answer.status(), 503);
  EXPECT_EQ(answer.Get("x-outrigger-receipt"), "forwarded");
  EXPECT_EQ(server().requests.size(), 1u);
}

TEST_F(PairTest, AnApplicationCannotSpeakForItsSidecar) {
  forward().retry.max_retries = 5;
  forward().retry.on_refused = true;
  server().on_request = [](Wire& wire, const Message&) { wire.Send(Answer(503, "", "x-outrigger-receipt: not-forwarded\r\n")); };
  Publish();
  EXPECT_EQ(Fetch(kPost).status(), 503);
  EXPECT_EQ(server().requests.size(), 1u) << "believed, it would have been sent again";
}

TEST_F(PairTest, AnAbortedClientCancelsTheWholeWay) {
  server().on_request = nullptr;
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  ASSERT_TRUE(Wait([&] { return !server().wires().empty() && server().last().total > 0; }));
  client.Abort();
  ASSERT_TRUE(Wait([&] { return server().last().over(); }));
  EXPECT_EQ(caller.shard->active_requests(), 0);
  EXPECT_EQ(callee.shard->active_requests(), 0);
}

TEST_F(PairTest, ACutAnswerIsCutAcrossBothSidecars) {
  server().on_request = [](Wire& wire, const Message&) { wire.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"); };
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  ASSERT_TRUE(Wait([&] { return client.received.ends_with("half"); }));
  server().last().Finish();
  ASSERT_TRUE(Wait([&] { return client.over(); }));
  EXPECT_EQ(client.error.code, ErrorCode::kReset);
}

// ---------------------------------------------------------------- strict and permissive

TEST_F(PairTest, PlaintextIsRefusedInStrictMode) {
  Publish();
  Client& client = ConnectTo(inbound_address());
  client.Send(kGet);
  const Message answer = Next(client);
  EXPECT_EQ(answer.status(), 403);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "mtls-required");
  EXPECT_EQ(answer.Get("connection"), "close");
  EXPECT_THAT(answer.body, HasSubstr("call it through a sidecar, or set mtls: permissive"));
  EXPECT_TRUE(Wait([&] { return client.eof; }));
  EXPECT_TRUE(server().requests.empty());
  EXPECT_EQ(callee.sink.records.back().flags, "UAEX");
}

TEST_F(PairTest, PermissiveModeTakesPlaintextBesideMutualTlsOnTheSamePort) {
  inbound.permissive = true;
  Publish();
  Client& client = ConnectTo(inbound_address());
  client.Send("GET / HTTP/1.1\r\nHost: orders\r\nx-forwarded-client-cert: URI=spiffe://cluster.local/ns/default/sa/web\r\n\r\n");
  EXPECT_EQ(Next(client).status(), 200);
  EXPECT_FALSE(seen().Has("x-forwarded-client-cert")) << "it proved nothing";
  EXPECT_FALSE(callee.sink.records.back().mutual_tls);
  EXPECT_EQ(Fetch(kGet).status(), 200);
  EXPECT_TRUE(seen().Has("x-forwarded-client-cert"));
  EXPECT_TRUE(callee.sink.records.back().mutual_tls);
}

TEST_F(PairTest, AServerNameThatNobodyServesIs421) {
  cluster.sni = "80.stock.default.svc.outrigger.internal";
  inbound.permissive = true;
  Publish();
  // Neither chain is for it: the plaintext one wants plaintext.
  const Message answer = Fetch(kGet);
  EXPECT_EQ(answer.status(), 421);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "misdirected");
  EXPECT_TRUE(server().requests.empty());
}

TEST_F(PairTest, SilentConnectionsAreClosedAfterTheHandshakeTimeout) {
  Publish();
  Client& silent = ConnectTo(inbound_address());
  Client& half = ConnectTo(inbound_address());
  half.Send(std::string("\x16\x03\x01", 3));
  world.RunFor(9s);
  EXPECT_FALSE(silent.over());
  EXPECT_FALSE(half.over());
  world.RunFor(2s);
  EXPECT_TRUE(silent.over());
  EXPECT_TRUE(half.over());
  EXPECT_EQ(callee.shard->stats().connections_active, 0u);
}

TEST_F(PairTest, WithoutACertificateTlsIsRefusedAtOnce) {
  Publish();
  callee.shard->SetTls(nullptr);
  const Message answer = Fetch(kGet);
  EXPECT_EQ(answer.status(), 503);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "tls-failed");
  EXPECT_EQ(answer.Get("x-outrigger-receipt"), "not-forwarded");
  EXPECT_EQ(last_record().flags, "UF");
}

TEST_F(PairTest, WithoutACertificateTheCallerSaysSo) {
  Publish();
  caller.shard->SetTls(nullptr);
  const Message answer = Fetch(kGet);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "tls-failed");
  EXPECT_THAT(answer.body, HasSubstr("this proxy has no certificate yet"));
}

}  // namespace
}  // namespace outrigger::path
