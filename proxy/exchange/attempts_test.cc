// Attempts: what is tried again, what is not, how often, where, and what the caller is told in the end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/shard/hop.h"

namespace outrigger::exchange {
namespace {

using ::testing::HasSubstr;
using shardtest::Answer;
using shardtest::Client;
using shardtest::Message;
using shardtest::Server;
using shardtest::Wire;
using Standing = balance::EndpointState::Standing;

constexpr char kGet[] = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n";
constexpr char kPost[] = "POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 4\r\n\r\nbody";
constexpr char kKeyedPost[] = "POST / HTTP/1.1\r\nHost: orders\r\nIdempotency-Key: 7\r\nContent-Length: 4\r\n\r\nbody";

config::RetryPolicy All(uint32_t retries) {
  config::RetryPolicy policy;
  policy.max_retries = retries;
  policy.on_connect_failure = policy.on_refused = policy.on_reset = policy.on_gateway_error = true;
  return policy;
}

class AttemptsTest : public shardtest::HopTest {
 protected:
  AttemptsTest() { cluster.lb_policy = config::LbPolicy::kRoundRobin; }
  // Servers that do the same; `requests` of all together.
  void AddServers(int count, std::function<void(Wire&, const Message&)> on_request = nullptr) {
    for (int i = 0; i < count; ++i) {
      Server& server = AddServer("orders-" + std::to_string(i + 1));
      all.push_back(&server);
      if (on_request) server.on_request = on_request;
    }
  }
  size_t requests() const {
    size_t sum = 0;
    for (const Server* server : all) sum += server->requests.size();
    return sum;
  }
  std::vector<Server*> all;
};

void Cut(Wire& wire, const Message&) { wire.Abort(); }

// ---------------------------------------------------------------- connections that were closed while idle

TEST_F(AttemptsTest, AConnectionClosedWhileIdleIsNoFailureOfASafeRequest) {
  AddServers(1);
  Publish();
  EXPECT_EQ(Fetch(kGet).status(), 200);
  // The request and the close cross on the way: the server closes as it arrives.
  bool first = true;
  server().on_request = [&](Wire& wire, const Message&) {
    if (std::exchange(first, false)) wire.Abort();
    else wire.Send(Answer(200, "again"));
  };
  EXPECT_EQ(Fetch(kGet).body, "again");
  EXPECT_EQ(caller.shard->stats().stale_retries, 1u);
  EXPECT_EQ(caller.shard->stats().retries, 0u) << "no policy was needed, and no budget";
  EXPECT_EQ(endpoint_state(0)->standing(world.now()), Standing::kGood);
}

TEST_F(AttemptsTest, APoliteCloseWhileIdleIsNoFailureEither) {
  AddServers(1);
  Publish();
  EXPECT_EQ(Fetch(kGet).status(), 200);
  bool first = true;
  server().on_request = [&](Wire& wire, const Message&) {
    if (std::exchange(first, false)) wire.Finish();
    else wire.Send(Answer(200, "again"));
  };
  EXPECT_EQ(Fetch(kKeyedPost).body, "again") << "a key makes a POST safe to send again";
}

TEST_F(AttemptsTest, APostThatMayHaveBeenSeenIsNotSentAgain) {
  AddServers(1);
  forward().retry = All(3);
  Publish();
  EXPECT_EQ(Fetch(kGet).status(), 200);
  server().on_request = Cut;
  const Message answer = Fetch(kPost);
  EXPECT_EQ(answer.status(), 503);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "upstream-reset");
  EXPECT_THAT(answer.body, HasSubstr("may have acted on the request, so it was not sent again"));
  EXPECT_EQ(requests(), 2u);
  EXPECT_EQ(last_record().flags, "UC");
  EXPECT_EQ(last_record().attempts, 1u);
}

TEST_F(AttemptsTest, StaleConnectionsAreForgivenAFewTimesOnly) {
  AddServers(1);
  Publish();
  // Eight idle connections, each of which will be cut under the next request.
  server().on_request = nullptr;
  std::vector<Client*> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(&Connect());
    clients.back()->Send(kGet);
  }
  ASSERT_TRUE(Wait([&] {
    size_t heads = 0;
    for (const auto& wire : server().wires()) heads += wire->total > 0;
    return heads == 8;
  }));
  for (const auto& wire : server().wires()) wire->received.clear(), wire->Send(Answer(200, ""));
  for (Client* client : clients) EXPECT_EQ(Next(*client).status(), 200);
  server().on_request = Cut;
  EXPECT_EQ(Fetch(kGet).status(), 503);
  EXPECT_EQ(caller.shard->stats().stale_retries, 3u);
}

TEST_F(AttemptsTest, AnAnswerCutInsideItsHeadIsTriedAgainWhenThatIsSafe) {
  AddServers(1);
  forward().retry = All(3);
  Publish();
  server().on_request = [](Wire& wire, const Message&) { wire.Send("HTTP/1.1 200 OK\r\nContent-Le"), wire.Finish(); };
  const Message answer = Fetch(kGet);
  EXPECT_EQ(answer.status(), 503);
  EXPECT_EQ(requests(), 4u) << "no byte of it had reached the client: a GET is tried as often as the policy says";
  EXPECT_EQ(last_record().flags, "URX,UC");
}

// ---------------------------------------------------------------- refused and lost connections

TEST_F(AttemptsTest, ARefusedConnectionIsTriedElsewhereWhateverTheMethod) {
  AddServers(3);
  forward().retry = All(2);
  all[0]->StopListening();
  Publish();
  for (int i = 0; i < 6; ++i) EXPECT_EQ(Fetch(kPost).status(), 200);
  EXPECT_EQ(requests(), 6u);
  EXPECT_GE(caller.shard->stats().retries, 1u);
}

TEST_F(AttemptsTest, ARefusingEndpointIsSetAsideAndComesBackByOneRequest) {
  AddServers(2);
  forward().retry = All(2);
  all[0]->StopListening();
  Publish();
  Fetch(kGet);
  Fetch(kGet);
  EXPECT_EQ(endpoint_state(0)->standing(world.now()), Standing::kAside);
  const uint64_t failed = caller.shard->stats().pool.connections_failed;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Fetch(kGet).status(), 200);
  EXPECT_EQ(caller.shard->stats().pool.connections_failed, failed) << "set aside: nobody tries it";
  all[0]->Listen();
  world.RunFor(10s);
  EXPECT_EQ(endpoint_state(0)->standing(world.now()), Standing::kTrial);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Fetch(kGet).status(), 200);
  EXPECT_EQ(endpoint_state(0)->standing(world.now()), Standing::kGood);
  EXPECT_GE(all[0]->requests.size(), 2u);
}

TEST_F(AttemptsTest, WithoutARetryPolicyARefusedConnectionIs503) {
  AddServers(1);
  server().StopListening();
  Publish();
  const Message answer = Fetch(kGet);
  EXPECT_EQ(answer.status(), 503);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "connect-refused");
  EXPECT_EQ(answer.Get("x-outrigger-receipt"), "not-forwarded");
  EXPECT_THAT(answer.body, HasSubstr("orders"));
  EXPECT_EQ(last_record().flags, "UF");
}

TEST_F(AttemptsTest, NoConnectionInTimeIs503AfterTheConnectTimeout) {
  AddServers(1);
  cluster.connect_timeout = 2s;
  Publish();
  world.Partition(*world.machines()[1], *world.machines()[2]);
  const Instant began = world.now();
  const Message answer = Fetch(kGet);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "connect-timeout");
  EXPECT_NEAR(static_cast<double>((world.now() - began).count()) * 1e-9, 2.0, 0.1);
  EXPECT_EQ(last_record().flags, "UF");
}

TEST_F(AttemptsTest, AResetIsTriedElsewhereWhenThatIsSafe) {
  AddServers(1, Cut);
  AddServer("orders-ok");
  forward().retry = All(2);
  Publish();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Fetch(kGet).status(), 200);
  EXPECT_EQ(Fetch(kKeyedPost).status(), 200);
}

TEST_F(AttemptsTest, TriesEachEndpointBeforeItTriesOneAgain) {
  AddServers(4, Cut);
  forward().retry = All(3);
  Publish();
  EXPECT_EQ(Fetch(kGet).status(), 503);
  for (const Server* server : all) EXPECT_EQ(server->requests.size(), 1u);
  EXPECT_EQ(last_record().attempts, 4u);
  EXPECT_EQ(last_record().flags, "URX,UC");
}

// ---------------------------------------------------------------- statuses

TEST_F(AttemptsTest, GatewayErrorsOfSafeRequestsAreTriedAgain) {
  int count = 0;
  AddServers(2, [&](Wire& wire, const Message&) { wire.Send(++count % 2 == 1 ? Answer(502, "bad") : Answer(200, "good")); });
  forward().retry = All(1);
  Publish();
  EXPECT_EQ(Fetch(kGet).body, "good");
  EXPECT_EQ(Fetch(kPost).status(), 502) << "the application has acted on it, maybe";
  EXPECT_EQ(count, 3);
}

TEST_F(AttemptsTest, TheLastAnswerIsPassedOnAsItIs) {
  AddServers(2, [](Wire& wire, const Message&) { wire.Send(Answer(503, "sold out", "Retry-After: 9\r\n")); });
  forward().retry = All(1);
  Publish();
  const Message answer = Fetch(kGet);
  EXPECT_EQ(answer.status(), 503);
  EXPECT_EQ(answer.body, "sold out");
  EXPECT_EQ(answer.Get("retry-after"), "9");
  EXPECT_FALSE(answer.Has("x-outrigger-reason")) << "it is the application's";
  EXPECT_EQ(last_record().flags, "URX");
  EXPECT_EQ(requests(), 2u);
}

TEST_F(AttemptsTest, AnEndpointThatAnswersIsNotSetAsideWhateverItAnswers) {
  AddServers(1, [](Wire& wire, const Message&) { wire.Send(Answer(500, "")); });
  Publish();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Fetch(kGet).status(), 500);
  EXPECT_EQ(endpoint_state(0)->standing(world.now()), Standing::kGood);
  EXPECT_EQ(requests(), 5u);
}

TEST_F(AttemptsTest, AnErrorWithALongBodyCountsAsActiveUntilItsEnd) {
  AddServers(1);
  server().on_request = [](Wire& wire, const Message&) { wire.Send("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nha"); };
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  ASSERT_TRUE(Wait([&] { return client.received.ends_with("ha"); }));
  EXPECT_EQ(endpoint_state(0)->active.load(), 1);
  server().last().Send("lf");
  EXPECT_EQ(Next(client).body, "half");
}

TEST_F(AttemptsTest, TheBodyGoesOutWholeWithEachAttempt) {
  int count = 0;
  AddServers(2, [&](Wire& wire, const Message&) { wire.Send(Answer(++count < 3 ? 503 : 200, "")); });
  forward().retry = All(2);
  Publish();
  const std::string body(60 * 1024, 'b');
  EXPECT_EQ(Fetch("POST / HTTP/1.1\r\nHost: orders\r\nIdempotency-Key: 7\r\nTransfer-Encoding: chunked\r\n\r\n" + shardtest::Chunk(body) +
                  "0\r\nx-sum: 1\r\n\r\n").status(), 200);
  ASSERT_EQ(requests(), 3u);
  for (const Server* server : all) {
    for (const Message& request : server->requests) {
      EXPECT_EQ(request.body, body);
      ASSERT_EQ(request.trailers.size(), 1u);
      EXPECT_EQ(request.Get("idempotency-key"), "7");
    }
  }
}

TEST_F(AttemptsTest, ABodyThatOutgrewTheReplayBufferIsNotSentAgain) {
  AddServers(2, [](Wire& wire, const Message&) { wire.Send(Answer(503, "")); });
  forward().retry = All(2);
  Publish();
  const std::string body(65 * 1024, 'b');
  const std::string head = "PUT / HTTP/1.1\r\nHost: orders\r\nIdempotency-Key: 7\r\nContent-Length: ";
  EXPECT_EQ(Fetch(head + std::to_string(body.size()) + "\r\n\r\n" + body).status(), 503);
  EXPECT_EQ(requests(), 1u);
}

// ---------------------------------------------------------------- time

TEST_F(AttemptsTest, TheTimeoutOfTheRouteIs504) {
  AddServers(1);
  server().on_request = nullptr;
  forward().timeout = 3s;
  forward().retry = All(5);
  Publish();
  const Instant began = world.now();
  const Message answer = Fetch(kGet);
  EXPECT_NEAR(static_cast<double>((world.now() - began).count()) * 1e-9, 3.0, 0.1);
  EXPECT_EQ(answer.status(), 504);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "timeout");
  EXPECT_EQ(last_record().flags, "UT");
  EXPECT_TRUE(Wait([&] { return server().last().over(); })) << "the attempt is cancelled";
}

TEST_F(AttemptsTest, TheTimeoutOfTheRouteCutsAnAnswerThatHasBegun) {
  AddServers(1);
  server().on_request = [](Wire& wire, const Message&) { wire.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"); };
  forward().timeout = 3s;
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  ASSERT_TRUE(Wait([&] { return client.over(); }));
  EXPECT_EQ(client.error.code, ErrorCode::kReset);
  EXPECT_EQ(last_record().flags, "UT");
}

TEST_F(AttemptsTest, TheTimeoutOfATryLetsAnotherEndpointHaveAGo) {
  AddServers(1);
  server().on_request = nullptr;
  AddServer("orders-quick");
  forward().retry = All(2);
  forward().retry.per_try_timeout = 500ms;
  Publish();
  for (int i = 0; i < 3; ++i) {
    const Instant began = world.now();
    EXPECT_EQ(Fetch(kGet).status(), 200);
    EXPECT_LT(world.now() - began, 1s);
  }
  EXPECT_EQ(Fetch(kPost).status(), 200) << "chance: the quick one";
}

TEST_F(AttemptsTest, TriesThatAllTimeOutAre504) {
  AddServers(2);
  for (Server* server : all) server->on_request = nullptr;
  forward().retry = All(1);
  forward().retry.per_try_timeout = 500ms;
  Publish();
  const Message answer = Fetch(kGet);
  EXPECT_EQ(answer.status(), 504);
  EXPECT_EQ(last_record().attempts, 2u);
  EXPECT_EQ(last_record().flags, "URX,UT");
}

TEST_F(AttemptsTest, RetriesWaitLongerEachTime) {
  AddServers(1, [](Wire& wire, const Message&) { wire.Send(Answer(503, "")); });
  forward().retry = All(6);
  forward().retry.backoff_base = 100ms;
  forward().retry.backoff_max = 400ms;
  Publish();
  const Instant began = world.now();
  EXPECT_EQ(Fetch(kGet).status(), 503);
  // Full jitter: anything up to 100 + 200 + 4 * 400 ms, and hardly nothing.
  EXPECT_GT(world.now() - began, 100ms);
  EXPECT_LT(world.now() - began, 2s);
  EXPECT_EQ(requests(), 7u);
}

TEST_F(AttemptsTest, AClientThatGoesAwayWhileARetryWaitsEndsIt) {
  AddServers(1, [](Wire& wire, const Message&) { wire.Send(Answer(503, "")); });
  forward().retry = All(100);
  forward().retry.backoff_base = forward().retry.backoff_max = 100s;
  Publish();
  Client& client = Connect();
  client.Send(kGet);
  ASSERT_TRUE(Wait([&] { return requests() == 1 && caller.shard->stats().retries == 1; }));
  client.Abort();
  world.RunFor(200s);
  EXPECT_EQ(requests(), 1u);
  EXPECT_EQ(last_record().flags, "DC");
}

TEST_F(AttemptsTest, ASpentBudgetEndsRetries) {
  AddServers(1, [](Wire& wire, const Message&) { wire.Send(Answer(503, "no")); });
  forward().retry = All(1);
  Publish();
  while (retry_budget().TryTake(world.now())) {
  }
  const Message answer = Fetch(kGet);
  EXPECT_EQ(answer.body, "no");
  EXPECT_EQ(requests(), 1u);
  EXPECT_EQ(last_record().flags, "URX");
  EXPECT_EQ(caller.shard->stats().retries_refused_by_budget, 1u);
  world.RunFor(5s);  // ten a second come back whatever succeeds
  Fetch(kGet);
  EXPECT_EQ(requests(), 3u);
}

// ---------------------------------------------------------------- nobody there

TEST_F(AttemptsTest, AServiceWithoutEndpointsIs503WithAWordOfAdvice) {
  Publish();
  const Message answer = Fetch(kGet);
  EXPECT_EQ(answer.status(), 503);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "no-healthy-endpoint");
  EXPECT_THAT(answer.body, HasSubstr("no endpoint of orders can take the request"));
  EXPECT_EQ(last_record().flags, "UH");
  EXPECT_EQ(last_record().attempts, 0u);
}

TEST_F(AttemptsTest, EndpointsThatAreAllSetAsideAreTriedRatherThanNobody) {
  AddServers(2, Cut);
  Publish();
  Fetch(kGet);
  Fetch(kGet);
  EXPECT_EQ(endpoint_state(0)->standing(world.now()), Standing::kAside);
  EXPECT_EQ(endpoint_state(1)->standing(world.now()), Standing::kAside);
  EXPECT_EQ(Fetch(kGet).Get("x-outrigger-reason"), "upstream-reset");
  EXPECT_EQ(requests(), 3u);
}

TEST_F(AttemptsTest, PlaintextEndpointsOfAStrictMeshAreRefusedWithAWordOfAdvice) {
  AddServers(1);
  cluster.allow_plaintext = false;
  Publish();
  const Message answer = Fetch(kGet);
  EXPECT_EQ(answer.status(), 503);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "plaintext-not-allowed");
  EXPECT_EQ(requests(), 0u);
}

}  // namespace
}  // namespace outrigger::exchange
