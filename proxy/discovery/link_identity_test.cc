// How a proxy gets its certificate and keeps it: joining with a token, renewing, and what it says when it cannot.
#include <algorithm>

#include "proxy/discovery/link_testing.h"

namespace outrigger::discovery {
namespace {

using testing::ControlLinkTest;
using ::testing::AllOf;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Lt;
using ::testing::Not;

class LinkIdentityTest : public ControlLinkTest {};

TEST_F(LinkIdentityTest, TheTokenBuysACertificateAndTheCertificateTheConfiguration) {
  Begin();
  ASSERT_EQ(state_.issues.size(), 1u);
  EXPECT_EQ(state_.issues[0].authorization, "Bearer s3cret");
  EXPECT_EQ(state_.issues[0].peer, "") << "nobody yet";
  ASSERT_EQ(proxy().identities.size(), 1u);
  EXPECT_EQ(proxy().identities[0]->own_id(), "spiffe://cluster.local/ns/default/sa/web");
  EXPECT_TRUE(proxy().link->status().connected);
  EXPECT_EQ(proxy().link->status().connects, 2u) << "once with the token, once as itself";
  EXPECT_THAT(proxy().link->Missing(), IsEmpty());
  EXPECT_TRUE(proxy().link->configured());
}

TEST_F(LinkIdentityTest, TheKeyNeverLeavesAndNoSecretIsLogged) {
  Begin();
  const std::string pem = PemOf("key.pem");
  const std::string body = pem.substr(pem.find('\n') + 1, 40);
  EXPECT_THAT(state_.issues[0].csr, Not(HasSubstr(body)));
  EXPECT_THAT(log_, AllOf(Not(HasSubstr(body)), Not(HasSubstr("s3cret")), HasSubstr("certificate issued")));
}

TEST_F(LinkIdentityTest, AServerOfAnotherRootNeverHearsTheSecret) {
  Declare({"orders"});
  control_process_.Start();
  token_ = JoinToken{"s3cret", std::string(32, 'x')};
  proxy_process_.Start();
  world_.RunFor(30s);
  EXPECT_THAT(state_.issues, IsEmpty());
  EXPECT_FALSE(proxy().link->status().connected);
  EXPECT_NE(proxy().link->status().last_error, "");
}

TEST_F(LinkIdentityTest, AWorkloadThatPosesAsTheControlPlaneNeverHearsTheSecret) {
  state_.serves_as = tls::WorkloadId("cluster.local", "default", "orders");
  Declare({"orders"});
  control_process_.Start();
  token_ = state_.token();
  proxy_process_.Start();
  world_.RunFor(30s);
  EXPECT_THAT(state_.issues, IsEmpty());
  EXPECT_THAT(proxy().link->status().last_error, HasSubstr("not the control plane but spiffe://cluster.local/ns/default/sa/orders"));
}

TEST_F(LinkIdentityTest, ARefusedTokenIsTriedAgainWithBackoffAndTheReasonIsShown) {
  state_.verdict = {rpc::Code::kUnauthenticated, "the join token has expired"};
  Declare({"orders"});
  control_process_.Start();
  token_ = state_.token();
  proxy_process_.Start();
  world_.RunFor(60s);
  EXPECT_THAT(state_.issues.size(), AllOf(Ge(6u), Lt(60u)));
  EXPECT_THAT(proxy().link->status().last_error, HasSubstr("the join token has expired"));
  EXPECT_THAT(log_, HasSubstr("no certificate was issued; trying again"));
  state_.verdict = {};
  EXPECT_TRUE(world_.RunUntil([&] { return InForce("orders"); }, 15s));
}

TEST_F(LinkIdentityTest, WithoutTokenAndWithoutCertificateItDoesNotStart) {
  proxy_process_.Start();
  EXPECT_EQ(proxy().link, nullptr);
  EXPECT_EQ(proxy().start_error.code, ErrorCode::kInvalid);
  EXPECT_THAT(proxy().start_error.detail, HasSubstr("no usable certificate is kept in /data and no --token-file was given: make a token "
                                                    "with `outrigger token create --workload default/web-1`"));
}

TEST_F(LinkIdentityTest, ADamagedCertificateIsNamedWhenThereIsNoToken) {
  Begin();
  proxy_process_.Stop();
  ASSERT_TRUE(proxy_machine_.disk().Replace("/data/leaf.pem", "torn", 0600, world_.wall_now()).ok());
  token_.reset();
  proxy_process_.Start();
  EXPECT_EQ(proxy().link, nullptr);
  EXPECT_THAT(proxy().start_error.detail, HasSubstr("(/data/leaf.pem is damaged: "));
}

TEST_F(LinkIdentityTest, TheCertificateIsRenewedAtTwoThirdsByItselfAndWithTheSameKey) {
  state_.lifetime = 1h;
  Begin();
  const Instant begun = world_.now();
  const std::string key = PemOf("key.pem");
  token_.reset();
  ASSERT_TRUE(world_.RunUntil([&] { return state_.issues.size() == 2; }, 1h));
  // Up to a twentieth of the life is jitter.
  EXPECT_LE(world_.now() - begun, state_.lifetime * 2 / 3 + 1s);
  EXPECT_GE(world_.now() - begun, state_.lifetime * 2 / 3 - state_.lifetime / 20 - 1s);
  EXPECT_EQ(state_.issues[1].authorization, "") << "the certificate is proof enough";
  EXPECT_EQ(state_.issues[1].peer, "spiffe://cluster.local/ns/default/sa/web");
  ASSERT_TRUE(world_.RunUntil([&] { return proxy().identities.size() == 2; }, 1s));
  EXPECT_GT(proxy().identities[1]->not_after(), proxy().identities[0]->not_after());
  EXPECT_EQ(PemOf("key.pem"), key);
  EXPECT_TRUE(proxy().link->status().connected) << "on the connection that there was";
  world_.RunFor(10h);
  EXPECT_GT(state_.issues.size(), 10u);
  EXPECT_GT(proxy().link->status().not_after, world_.wall_now());
}

TEST_F(LinkIdentityTest, ARenewalThatFailsIsTriedManyTimesBeforeTheEnd) {
  state_.lifetime = 1h;
  Begin();
  state_.verdict = {rpc::Code::kUnavailable, "busy"};
  ASSERT_TRUE(world_.RunUntil([&] { return state_.issues.size() == 6; }, 1h));
  EXPECT_GT(proxy().link->status().not_after, world_.wall_now());
  EXPECT_TRUE(proxy().link->status().connected);
  state_.verdict = {};
  ASSERT_TRUE(world_.RunUntil([&] { return proxy().identities.size() == 2; }, 10min));
}

TEST_F(LinkIdentityTest, ARenewalUnderWayWhenTheStreamEndsIsMadeAgain) {
  state_.lifetime = 1h;
  Begin();
  state_.answers_issues = false;
  ASSERT_TRUE(world_.RunUntil([&] { return state_.issues.size() == 2; }, 1h));
  control().EndStreams({rpc::Code::kUnavailable, "the control plane is shutting down"});
  state_.answers_issues = true;
  ASSERT_TRUE(world_.RunUntil([&] { return proxy().identities.size() == 2; }, 1min)) << log_;
}

}  // namespace
}  // namespace outrigger::discovery
