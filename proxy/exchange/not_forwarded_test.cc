// Replies of a callee's sidecar that it made itself, before its application could see the request.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/shard/hop.h"

namespace outrigger::exchange {
namespace {

using shardtest::Message;

constexpr char kPost[] = "POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 2\r\n\r\nhi";

class NotForwardedTest : public shardtest::HopTest {
 protected:
  NotForwardedTest() : HopTest(kPair) {
    AddServer("orders-1");
    cluster.idle_timeout = 5s;
    forward().retry.max_retries = 2;
    forward().retry.on_refused = true;
    forward().retry.backoff_base = 100ms;
    forward().retry.backoff_max = 100ms;
  }
  // What the callee's sidecar serves, as if it had not heard yet that "orders" is its own.
  void CalleeServes(const std::string& server_name) {
    for (config::FilterChain& chain : inbound.chains) {
      if (!chain.server_names.empty()) chain.server_names = {server_name};
    }
    ASSERT_EQ(callee.compiler->SetListener(inbound), absl::OkStatus());
    callee.shard->Publish(callee.compiler->Build());
  }
};

TEST_F(NotForwardedTest, AMisdirectedRequestIsTriedAgainWhateverItsMethod) {
  Publish();
  const std::string ours = inbound.chains.front().server_names.front();
  CalleeServes("80.other.default.svc.outrigger.internal");
  shardtest::Client& client = Connect();
  client.Send(kPost);
  ASSERT_TRUE(Wait([&] { return endpoint_state(0)->failures.load() == 1; }));  // and it is set aside
  CalleeServes(ours);
  EXPECT_EQ(Next(client).status(), 200);
  EXPECT_EQ(last_record().attempts, 2u);
  EXPECT_EQ(server().requests.size(), 1u);
}

TEST_F(NotForwardedTest, WhenAllAttemptsAreMisdirectedTheCallerSeesTheReplyAndItsReceipt) {
  Publish();
  CalleeServes("80.other.default.svc.outrigger.internal");
  const Message answer = Fetch(kPost);
  EXPECT_EQ(answer.status(), 421);
  EXPECT_EQ(answer.Get("x-outrigger-reason"), "misdirected");
  EXPECT_EQ(answer.Get("x-outrigger-receipt"), "not-forwarded");
  EXPECT_EQ(last_record().attempts, 3u);
  EXPECT_TRUE(server().requests.empty());
}

TEST_F(NotForwardedTest, AnApplicationCannotSayItForItsSidecar) {
  server().on_request = [](shardtest::Wire& wire, const Message&) {
    wire.Send("HTTP/1.1 421 Misdirected Request\r\nx-outrigger-receipt: not-forwarded\r\nContent-Length: 0\r\n\r\n");
  };
  Publish();
  const Message answer = Fetch(kPost);
  EXPECT_EQ(answer.status(), 421);
  EXPECT_FALSE(answer.Has("x-outrigger-receipt"));
  EXPECT_EQ(last_record().attempts, 1u);
  EXPECT_EQ(server().requests.size(), 1u);
}

}  // namespace
}  // namespace outrigger::exchange
