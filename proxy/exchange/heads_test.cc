// What becomes of heads: fields of one connection removed, Host and forwarded fields set, limits and ambiguous framing refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/shard/hop.h"

namespace outrigger::exchange {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;
using shardtest::Answer;
using shardtest::Client;
using shardtest::Message;
using shardtest::Server;
using shardtest::Wire;

constexpr char kGet[] = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n";

class HeadsTest : public shardtest::HopTest {
 protected:
  HeadsTest() { AddServer("orders-1"); }
  const Message& seen() { return server().requests.back(); }
  // The status and reason of a refusal; the connection must end, and nothing may have reached the server.
  std::string Refused(const std::string& text) {
    Client& client = Connect();
    client.Send(text);
    const Message answer = Next(client);
    EXPECT_EQ(answer.Get("connection"), "close");
    EXPECT_TRUE(Wait([&] { return client.eof; }));
    EXPECT_EQ(client.received, "") << "one answer, and no more";
    EXPECT_TRUE(server().requests.empty());
    return std::to_string(answer.status()) + " " + answer.Get("x-outrigger-reason");
  }
};

TEST_F(HeadsTest, FieldsOfOneConnectionAreNotPassedOn) {
  server().on_request = [](Wire& wire, const Message&) {
    wire.Send(Answer(200, "", "Connection: x-private, keep-alive\r\nx-private: 1\r\nKeep-Alive: timeout=9\r\n"
                              "Proxy-Connection: keep-alive\r\nx-public: 2\r\n"));
  };
  Publish();
  const Message answer = Fetch("GET / HTTP/1.1\r\nHost: orders\r\nConnection: keep-alive, X-Secret, te\r\n"
                               "x-secret: 1\r\nTE: trailers, gzip\r\nKeep-Alive: timeout=5\r\n"
                               "Proxy-Connection: close\r\nUpgrade: h2c\r\nx-kept: 1\r\n\r\n");
  for (const char* name : {"x-secret", "keep-alive", "proxy-connection", "upgrade"}) EXPECT_FALSE(seen().Has(name)) << name;
  EXPECT_EQ(seen().Get("te"), "trailers");
  EXPECT_EQ(seen().Get("connection"), "TE");
  EXPECT_EQ(seen().Get("x-kept"), "1");
  for (const char* name : {"x-private", "keep-alive", "proxy-connection", "connection"}) EXPECT_FALSE(answer.Has(name)) << name;
  EXPECT_EQ(answer.Get("x-public"), "2");
}

TEST_F(HeadsTest, NobodyIsToldThatAProxyWasHere) {
  Publish();
  const Message answer = Fetch(kGet);
  EXPECT_FALSE(seen().Has("via"));
  EXPECT_FALSE(answer.Has("via"));
  EXPECT_FALSE(answer.Has("server"));
}

TEST_F(HeadsTest, ViaOfOthersIsTheirs) {
  Publish();
  Fetch("GET / HTTP/1.1\r\nHost: orders\r\nVia: 1.1 edge\r\n\r\n");
  EXPECT_EQ(seen().Get("via"), "1.1 edge");
}

TEST_F(HeadsTest, HostIsKeptAsItWasSaid) {
  Publish();
  Fetch("GET / HTTP/1.1\r\nHost: Orders.Default:80\r\n\r\n");
  EXPECT_EQ(seen().Get("host"), "Orders.Default:80");
  Fetch("GET http://orders/a?b HTTP/1.1\r\nHost: other\r\n\r\n");
  EXPECT_EQ(seen().Get("host"), "orders") << "the target goes before Host (RFC 9112 section 3.2.2)";
  EXPECT_EQ(seen().target(), "/a?b");
}

TEST_F(HeadsTest, EveryRequestHasAnId) {
  Publish();
  Fetch(kGet);
  EXPECT_THAT(seen().Get("x-request-id"), MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  Fetch("GET / HTTP/1.1\r\nHost: orders\r\nx-request-id: mine\r\n\r\n");
  EXPECT_EQ(seen().Get("x-request-id"), "mine");
}

TEST_F(HeadsTest, AnApplicationCannotSayWhatOnlySidecarsMay) {
  Publish();
  Fetch("GET / HTTP/1.1\r\nHost: orders\r\nx-outrigger-protocol: h2\r\nx-outrigger-receipt: not-forwarded\r\nx-outrigger-attempt: 7\r\n"
        "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/default/sa/admin\r\n\r\n");
  for (const char* name : {"x-outrigger-protocol", "x-outrigger-receipt", "x-outrigger-attempt", "x-forwarded-client-cert"}) {
    EXPECT_FALSE(seen().Has(name)) << name;
  }
}

TEST_F(HeadsTest, AReceiptOfAPlaintextServerIsNotBelieved) {
  forward().retry = {.max_retries = 3, .on_refused = true};
  server().on_request = [](Wire& wire, const Message&) { wire.Send(Answer(503, "", "x-outrigger-receipt: not-forwarded\r\n")); };
  Publish();
  const Message answer = Fetch("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(answer.status(), 503);
  EXPECT_FALSE(answer.Has("x-outrigger-receipt"));
  EXPECT_EQ(server().requests.size(), 1u);
}

TEST_F(HeadsTest, LargeHeadsThatAreWithinTheLimitsGoThrough) {
  Publish();
  const std::string value(60 * 1024, 'v');
  EXPECT_EQ(Fetch("GET /" + std::string(3000, 'p') + " HTTP/1.1\r\nHost: orders\r\nx: " + value + "\r\n\r\n").status(), 200);
  EXPECT_EQ(seen().Get("x"), value);
}

// ---------------------------------------------------------------- limits

TEST_F(HeadsTest, AHeadOver64KibIs431) {
  Publish();
  EXPECT_EQ(Refused("GET / HTTP/1.1\r\nHost: orders\r\nx: " + std::string(65 * 1024, 'v') + "\r\n\r\n"), "431 request-head-too-large");
}

TEST_F(HeadsTest, WhatCannotBeReadIsCountedAndLoggedLikeAnyRequest) {
  Publish();
  EXPECT_EQ(Refused("HELLO WORLD\r\n\r\n"), "400 malformed-request");
  ASSERT_EQ(records().size(), 1u);
  EXPECT_EQ(last_record().status, 400);
  EXPECT_EQ(last_record().reason, "malformed-request");
  EXPECT_EQ(last_record().flags, "DPE");
  EXPECT_EQ(last_record().attempts, 0u);
}

TEST_F(HeadsTest, MoreThanAHundredFieldsAre431) {
  Publish();
  std::string fields;
  for (int i = 0; i < 101; ++i) fields += "x" + std::to_string(i) + ": 1\r\n";
  EXPECT_EQ(Refused("GET / HTTP/1.1\r\nHost: orders\r\n" + fields + "\r\n"), "431 request-head-too-large");
}

TEST_F(HeadsTest, ARequestLineOver16KibIs414) {
  Publish();
  EXPECT_EQ(Refused("GET /" + std::string(17 * 1024, 'p') + " HTTP/1.1\r\nHost: orders\r\n\r\n"), "414 request-line-too-long");
}

TEST_F(HeadsTest, AmbiguousFramingIs400) {
  Publish();
  for (const char* framing : {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 5\r\nContent-Length: 6\r\n",
                              "Content-Length: 5, 5\r\n", "Content-Length: +5\r\n", "Transfer-Encoding: chunked, chunked\r\n",
                              "Transfer-Encoding: xchunked\r\n", "Transfer-Encoding : chunked\r\n",
                              "Transfer-Encoding: chunked\r\n x\r\n"}) {
    SCOPED_TRACE(framing);
    EXPECT_EQ(Refused("POST / HTTP/1.1\r\nHost: orders\r\n" + std::string(framing) +
                      "\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: orders\r\n\r\n"),
              "400 malformed-request");
  }
}

TEST_F(HeadsTest, WhatFollowsAMalformedChunkIsNotARequest) {
  server().on_request = nullptr;
  Publish();
  Client& client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n"
              "5\r\nhelloGET /hidden HTTP/1.1\r\nHost: orders\r\n\r\n");
  const Message answer = Next(client);
  EXPECT_EQ(answer.status(), 400);
  ASSERT_TRUE(Wait([&] { return client.eof; }));
  world.RunFor(1s);
  for (const auto& wire : server().wires()) EXPECT_EQ(wire->received.find("/hidden"), std::string::npos);
  EXPECT_THAT(last_record().flags, HasSubstr("DPE"));
}

TEST_F(HeadsTest, BytesThatAreNotHttpAre400) {
  Publish();
  EXPECT_EQ(Refused(std::string("\x16\x03\x01\x02\x00\x01", 6)), "400 malformed-request");
}

TEST_F(HeadsTest, AHeadThatDoesNotEndIs408TenSecondsAfterItsFirstByte) {
  Publish();
  Client& client = Connect();
  world.RunFor(60s);
  EXPECT_FALSE(client.over()) << "silence between requests is no offence";
  client.Send("GET / HTTP/1.1\r\n");
  const Instant began = world.now();
  for (int i = 0; i < 9; ++i) {
    world.RunFor(1s);
    client.Send("x: 1\r\n");  // each byte does not buy time
  }
  const Message answer = Next(client);
  EXPECT_EQ(answer.status(), 408);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "request-head-timeout");
  EXPECT_NEAR(static_cast<double>((world.now() - began).count()) * 1e-9, 10.0, 0.1);
  EXPECT_TRUE(Wait([&] { return client.eof; }));
}

TEST_F(HeadsTest, ASlowHeadAfterAGoodRequestIs408Too) {
  Publish();
  Client& client = Connect();
  client.Send(std::string(kGet) + "GET /slow");
  EXPECT_EQ(Next(client).status(), 200);
  EXPECT_EQ(Next(client).status(), 408);
}

TEST_F(HeadsTest, ASlowBodyIsNotASlowHead) {
  Publish();
  Client& client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 4\r\n\r\nbo");
  world.RunFor(60s);
  client.Send("dy");
  EXPECT_EQ(Next(client).status(), 200);
}

// ---------------------------------------------------------------- servers that break the protocol

TEST_F(HeadsTest, AMalformedAnswerIs502) {
  for (const char* malformed : {"garbage\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "HTTP/1.1 99 Early\r\n\r\n"}) {
    SCOPED_TRACE(malformed);
    server().on_request = [=](Wire& wire, const Message&) { wire.Send(malformed); };
    Publish();
    const Message answer = Fetch(kGet);
    EXPECT_EQ(answer.status(), 502);
    EXPECT_EQ(answer.Get("x-outrigger-reason"), "upstream-protocol-error");
    EXPECT_EQ(last_record().flags, "UPE");
  }
}

TEST_F(HeadsTest, AnAnswerNobodyAskedForEndsAnIdleConnectionAndReachesNobody) {
  Publish();
  EXPECT_EQ(Fetch(kGet).status(), 200);
  server().last().Send(Answer(200, "poison"));
  ASSERT_TRUE(Wait([&] { return server().open() == 0; }));
  EXPECT_EQ(Fetch(kGet).body, "answer 2");
}

TEST_F(HeadsTest, TwoAnswersToOneRequestDoNotPoisonTheNext) {
  server().on_request = [](Wire& wire, const Message&) { wire.Send(Answer(200, "good") + Answer(200, "poison")); };
  Publish();
  Client& client = Connect();
  for (int i = 0; i < 3; ++i) {
    client.Send(kGet);
    EXPECT_EQ(Next(client).body, "good");
  }
  EXPECT_EQ(server().wires().size(), 3u);
}

}  // namespace
}  // namespace outrigger::exchange
