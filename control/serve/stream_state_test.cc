// Tells the protocol as a dialogue: requests and changes in, responses out.
#include "control/serve/stream_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace outrigger::control {
namespace {

using envoy::service::discovery::v3::DiscoveryRequest;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr Type kC = Type::kCluster, kE = Type::kEndpoint, kL = Type::kListener, kR = Type::kRoute;

ResourceMapPtr Map(std::initializer_list<std::pair<const std::string, std::string>> items) {
  auto map = std::make_shared<ResourceMap>();
  for (const auto& [name, value] : items) {
    auto any = std::make_shared<google::protobuf::Any>();
    any->set_type_url("t");
    any->set_value(name + "=" + value);
    map->emplace(name, any);
  }
  return map;
}

// One client and the server's state; every response is checked and answered by the test.
class StreamStateTest : public ::testing::Test {
 protected:
  void Set(uint64_t generation, ResourceSet set) {
    set_ = set;
    state_.SetResources(generation, set, now_);
  }
  static ResourceSet Base() {
    return {Map({{"a", "1"}, {"b", "1"}}), Map({{"a", "1"}, {"b", "1"}}), Map({{"in", "1"}, {"out", "1"}}), Map({{"r", "1"}})};
  }

  void Ask(Type type, std::vector<std::string> names, std::string nonce = "", std::string error = "") {
    DiscoveryRequest request;
    for (const std::string& name : names) request.add_resource_names(name);
    request.set_response_nonce(nonce);
    if (!error.empty()) request.mutable_error_detail()->set_message(error);
    names_[type] = names;
    state_.OnRequest(type, request, now_);
  }
  void Ack(const Push& push) { Ask(push.type, names_[push.type], push.nonce); }
  void Nack(const Push& push, const std::string& reason) { Ask(push.type, names_[push.type], push.nonce, reason); }

  // All responses that are due now, as "clusters: a=1 b=1".
  std::vector<std::string> Due() {
    std::vector<std::string> texts;
    last_.clear();
    Push push;
    while (state_.Next(&push)) {
      std::string text = std::string(TypeName(push.type)) + ":";
      for (const Resource& resource : push.resources) text += " " + resource->value();
      texts.push_back(text);
      last_.push_back(push);
    }
    return texts;
  }
  void AckAll() {
    for (const Push& push : std::vector<Push>(last_)) Ack(push);
  }
  // A client as ours: takes all clusters and listeners, and asks for what these name.
  void StartClient() {
    Ask(kC, {});
    ASSERT_THAT(Due(), ElementsAre("clusters: a=1 b=1"));
    AckAll();
    Ask(kE, {"a", "b"});
    ASSERT_THAT(Due(), ElementsAre("endpoints: a=1 b=1"));
    AckAll();
    Ask(kL, {});
    ASSERT_THAT(Due(), ElementsAre("listeners: in=1 out=1"));
    AckAll();
    Ask(kR, {"r"});
    ASSERT_THAT(Due(), ElementsAre("routes: r=1"));
    AckAll();
    ASSERT_THAT(Due(), IsEmpty());
    ASSERT_EQ(state_.generation_in_force(), 1u);
  }

  StreamState state_;
  ResourceSet set_;
  std::map<Type, std::vector<std::string>> names_;
  std::vector<Push> last_;
  Instant now_{};
};

TEST_F(StreamStateTest, ARequestBeforeThereAreResourcesIsAnsweredByTheFirstOnes) {
  Ask(kC, {});
  EXPECT_THAT(Due(), IsEmpty());
  Set(1, Base());
  EXPECT_THAT(Due(), ElementsAre("clusters: a=1 b=1"));
}

TEST_F(StreamStateTest, AResponseCarriesTheGenerationAsVersionAndItsOwnNonce) {
  Set(17, Base());
  Ask(kC, {});
  Ask(kL, {});
  Due();
  ASSERT_THAT(last_, SizeIs(2));
  EXPECT_EQ(last_[0].version, "17");
  EXPECT_NE(last_[0].nonce, last_[1].nonce);
}

TEST_F(StreamStateTest, AnEmptySetOfAWholeTypeIsAnsweredAndOfANamedTypeIsNot) {
  Set(1, {Map({}), Map({}), Map({}), Map({})});
  Ask(kC, {});
  EXPECT_THAT(Due(), ElementsAre("clusters:"));
  Ask(kE, {"nobody"});
  EXPECT_THAT(Due(), IsEmpty());
}

TEST_F(StreamStateTest, AnAcknowledgementIsNotAnswered) {
  Set(1, Base());
  StartClient();
  EXPECT_EQ(state_.Status(kC).accepted_version, 1u);
  EXPECT_FALSE(state_.Status(kC).pending);
}

TEST_F(StreamStateTest, NothingIsSentForAGenerationThatChangesNothingForThisClientAndItCountsAsInForce) {
  Set(1, Base());
  StartClient();
  Set(2, Base());
  EXPECT_THAT(Due(), IsEmpty());
  EXPECT_EQ(state_.generation_in_force(), 2u);
}

TEST_F(StreamStateTest, OnlyChangedEndpointsAreSent) {
  Set(1, Base());
  StartClient();
  ResourceSet next = Base();
  next.endpoints = Map({{"a", "1"}, {"b", "2"}});
  Set(2, next);
  EXPECT_THAT(Due(), ElementsAre("endpoints: b=2"));
  EXPECT_EQ(state_.generation_in_force(), 1u);
  AckAll();
  EXPECT_EQ(state_.generation_in_force(), 2u);
}

TEST_F(StreamStateTest, AStaleNonceIsIgnored) {
  Set(1, Base());
  Ask(kC, {});
  Due();
  Ask(kC, {"x"}, "no such nonce");
  EXPECT_THAT(Due(), IsEmpty());
  EXPECT_TRUE(state_.Status(kC).pending) << "the response is still to be answered";
}

TEST_F(StreamStateTest, WhileAResponseIsUnansweredChangesAreCollected) {
  Set(1, Base());
  StartClient();
  for (uint64_t generation = 2; generation <= 5; ++generation) {
    ResourceSet next = Base();
    next.endpoints = Map({{"a", std::to_string(generation)}, {"b", "1"}});
    Set(generation, next);
  }
  EXPECT_THAT(Due(), ElementsAre("endpoints: a=2"));
  AckAll();
  EXPECT_THAT(Due(), ElementsAre("endpoints: a=5"));
  AckAll();
  EXPECT_THAT(Due(), IsEmpty());
  EXPECT_EQ(state_.generation_in_force(), 5u);
}

TEST_F(StreamStateTest, ClustersAndTheirEndpointsGoBeforeTheRoutesThatUseThem) {
  Set(1, Base());
  StartClient();
  ResourceSet next = Base();
  next.clusters = Map({{"a", "1"}, {"b", "1"}, {"c", "1"}});
  next.endpoints = Map({{"a", "1"}, {"b", "1"}, {"c", "1"}});
  next.routes = Map({{"r", "to-c"}});
  Set(2, next);
  EXPECT_THAT(Due(), ElementsAre("clusters: a=1 b=1 c=1"));
  AckAll();
  EXPECT_THAT(Due(), IsEmpty()) << "the client has not asked for c's endpoints";
  ASSERT_TRUE(state_.wake_at().has_value());
  Ask(kE, {"a", "b", "c"}, "3-is-not-needed-here");
  EXPECT_THAT(Due(), IsEmpty()) << "a stale request";
  DiscoveryRequest request;
  for (const char* name : {"a", "b", "c"}) request.add_resource_names(name);
  request.set_response_nonce("2");  // of the first endpoints response
  state_.OnRequest(kE, request, now_);
  EXPECT_THAT(Due(), ElementsAre("endpoints: c=1", "routes: r=to-c"));
  EXPECT_FALSE(state_.wake_at().has_value());
}

TEST_F(StreamStateTest, AClientThatNeverAsksForEndpointsGetsItsRoutesAfterAWhile) {
  Set(1, Base());
  StartClient();
  ResourceSet next = Base();
  next.clusters = Map({{"a", "1"}, {"b", "1"}, {"c", "1"}});
  next.endpoints = Map({{"a", "1"}, {"b", "1"}, {"c", "1"}});
  next.routes = Map({{"r", "to-c"}});
  Set(2, next);
  Due();
  AckAll();
  ASSERT_THAT(Due(), IsEmpty());
  now_ = *state_.wake_at();
  state_.OnTime(now_);
  EXPECT_THAT(Due(), ElementsAre("routes: r=to-c"));
  AckAll();
  EXPECT_EQ(state_.generation_in_force(), 1u) << "without c's endpoints it is not in force";
}

TEST_F(StreamStateTest, NothingGoesOutBehindClustersThatAreUnanswered) {
  Set(1, Base());
  StartClient();
  Set(2, {Map({{"a", "2"}, {"b", "1"}}), Map({{"a", "2"}, {"b", "1"}}), Map({{"in", "2"}, {"out", "1"}}), Map({{"r", "2"}})});
  EXPECT_THAT(Due(), ElementsAre("clusters: a=2 b=1"));
  AckAll();
  EXPECT_THAT(Due(), ElementsAre("endpoints: a=2", "listeners: in=2 out=1", "routes: r=2"));
}

TEST_F(StreamStateTest, AClusterThatIsGoneStaysUntilTheRoutesWithoutItAreAccepted) {
  Set(1, Base());
  StartClient();
  Set(2, {Map({{"b", "1"}}), Map({{"b", "1"}}), Map({{"in", "1"}, {"out", "1"}}), Map({{"r", "without-a"}})});
  EXPECT_THAT(Due(), ElementsAre("routes: r=without-a"));
  EXPECT_EQ(state_.generation_in_force(), 1u);
  AckAll();
  EXPECT_THAT(Due(), ElementsAre("clusters: b=1"));
  AckAll();
  Ask(kE, {"b"}, "2");
  EXPECT_THAT(Due(), IsEmpty());
  EXPECT_EQ(state_.generation_in_force(), 2u);
}

TEST_F(StreamStateTest, AClusterStaysForAClientThatRefusesTheRoutesWithoutIt) {
  Set(1, Base());
  StartClient();
  Set(2, {Map({{"b", "1"}}), Map({{"b", "1"}}), Map({{"in", "1"}, {"out", "1"}}), Map({{"r", "bad"}})});
  Due();
  Nack(last_.at(0), "no");
  EXPECT_THAT(Due(), IsEmpty());
  Set(3, {Map({{"b", "1"}, {"c", "1"}}), Map({{"b", "1"}, {"c", "1"}}), Map({{"in", "1"}, {"out", "1"}}), Map({{"r", "bad"}})});
  EXPECT_THAT(Due(), ElementsAre("clusters: a=1 b=1 c=1"));
}

TEST_F(StreamStateTest, AClusterThatNoRouteUsedGoesAtOnce) {
  Set(1, Base());
  StartClient();
  ResourceSet next = Base();
  next.clusters = Map({{"b", "1"}});
  next.endpoints = Map({{"b", "1"}});
  Set(2, next);
  EXPECT_THAT(Due(), ElementsAre("clusters: b=1"));
}

TEST_F(StreamStateTest, ARefusedResponseIsRememberedAndNotRepeated) {
  Set(1, Base());
  StartClient();
  ResourceSet next = Base();
  next.routes = Map({{"r", "bad"}});
  Set(2, next);
  Due();
  Nack(last_.at(0), "r: what is this?");
  EXPECT_THAT(Due(), IsEmpty());
  const TypeStatus status = state_.Status(kR);
  EXPECT_TRUE(status.refused);
  EXPECT_EQ(status.reason, "r: what is this?");
  EXPECT_EQ(status.sent_version, 2u);
  EXPECT_EQ(status.accepted_version, 1u);
  EXPECT_EQ(status.refusals, 1u);
  EXPECT_EQ(state_.generation_in_force(), 1u);
  Set(3, next);
  EXPECT_THAT(Due(), IsEmpty()) << "the same bytes are not offered again";
  next.routes = Map({{"r", "good"}});
  Set(4, next);
  EXPECT_THAT(Due(), ElementsAre("routes: r=good"));
  AckAll();
  EXPECT_FALSE(state_.Status(kR).refused);
  EXPECT_EQ(state_.Status(kR).reason, "");
  EXPECT_EQ(state_.generation_in_force(), 4u);
}

TEST_F(StreamStateTest, ARefusedResourceGoesIntoTheNextResponseSoThatItsAcknowledgementCoversAll) {
  Set(1, Base());
  StartClient();
  ResourceSet next = Base();
  next.endpoints = Map({{"a", "bad"}, {"b", "1"}});
  Set(2, next);
  ASSERT_THAT(Due(), ElementsAre("endpoints: a=bad"));
  Nack(last_.at(0), "no");
  next.endpoints = Map({{"a", "bad"}, {"b", "2"}});
  Set(3, next);
  EXPECT_THAT(Due(), ElementsAre("endpoints: a=bad b=2"));
}

TEST_F(StreamStateTest, ALongReasonIsCut) {
  Set(1, Base());
  Ask(kC, {});
  Due();
  Nack(last_.at(0), std::string(100'000, 'x'));
  EXPECT_THAT(state_.Status(kC).reason, SizeIs(4096));
}

TEST_F(StreamStateTest, NewNamesAreAnsweredEvenIfNothingChangedAndOnlyThey) {
  Set(1, Base());
  Ask(kE, {"a"});
  EXPECT_THAT(Due(), ElementsAre("endpoints: a=1"));
  AckAll();
  Ask(kE, {"a", "b"}, "1");
  EXPECT_THAT(Due(), ElementsAre("endpoints: b=1"));
  AckAll();
  Ask(kE, {"a"}, "2");
  EXPECT_THAT(Due(), IsEmpty());
  Ask(kE, {"a", "b"}, "2");
  EXPECT_THAT(Due(), ElementsAre("endpoints: b=1")) << "it may have dropped b meanwhile";
}

TEST_F(StreamStateTest, NamesAddedBeforeTheFirstResponseWasSeenAreAnsweredAfterIt) {
  Set(1, Base());
  Ask(kE, {"a"});
  EXPECT_THAT(Due(), ElementsAre("endpoints: a=1"));
  Ask(kE, {"a", "b"});
  EXPECT_THAT(Due(), IsEmpty()) << "one unanswered response at a time";
  Ask(kE, {"a", "b"}, "1");
  EXPECT_THAT(Due(), ElementsAre("endpoints: b=1"));
}

TEST_F(StreamStateTest, AnEmptyNonceOnceMoreIsANewSubscription) {
  Set(1, Base());
  StartClient();
  Ask(kC, {});
  EXPECT_THAT(Due(), ElementsAre("clusters: a=1 b=1"));
}

TEST_F(StreamStateTest, AStarIsAWildcardAndAnEmptyListAfterNamesIsNot) {
  Set(1, Base());
  Ask(kC, {"*"});
  EXPECT_THAT(Due(), ElementsAre("clusters: a=1 b=1"));
  AckAll();
  Ask(kC, {"a"}, "1");
  EXPECT_THAT(Due(), ElementsAre("clusters: a=1"));
  AckAll();
  Ask(kC, {}, "2");
  EXPECT_THAT(Due(), IsEmpty());
  ResourceSet next = Base();
  next.clusters = Map({{"a", "2"}, {"b", "2"}});
  Set(2, next);
  EXPECT_THAT(Due(), IsEmpty()) << "it is subscribed to nothing";
}

TEST_F(StreamStateTest, ANamedClientGetsWhatItNamedAndIsToldWhenItIsGone) {
  // As gRPC's xDS clients do: listener, route, cluster, endpoints by name.
  Set(1, Base());
  Ask(kL, {"out"});
  EXPECT_THAT(Due(), ElementsAre("listeners: out=1"));
  AckAll();
  Ask(kR, {"r"});
  Due();
  AckAll();
  Ask(kC, {"a"});
  EXPECT_THAT(Due(), ElementsAre("clusters: a=1"));
  AckAll();
  Ask(kE, {"a"});
  EXPECT_THAT(Due(), ElementsAre("endpoints: a=1"));
  AckAll();
  EXPECT_EQ(state_.generation_in_force(), 1u);
  ResourceSet next = Base();
  next.clusters = Map({{"b", "1"}});
  next.endpoints = Map({{"b", "1"}});
  Set(2, next);
  EXPECT_THAT(Due(), ElementsAre("clusters:"));
}

TEST_F(StreamStateTest, ANamedResourceThatDoesNotExistIsAnsweredForWholeTypesByItsAbsence) {
  Set(1, Base());
  Ask(kL, {"nobody"});
  EXPECT_THAT(Due(), ElementsAre("listeners:"));
}

TEST_F(StreamStateTest, AChangedClusterBringsItsEndpointsAgainBecauseClientsWaitForThem) {
  Set(1, Base());
  StartClient();
  ResourceSet next = Base();
  next.clusters = Map({{"a", "2"}, {"b", "1"}});
  Set(2, next);
  EXPECT_THAT(Due(), ElementsAre("clusters: a=2 b=1"));
  AckAll();
  EXPECT_THAT(Due(), ElementsAre("endpoints: a=1"));
}

TEST_F(StreamStateTest, AfterClustersARepeatedEndpointRequestIsAnsweredOnce) {
  Set(1, Base());
  StartClient();
  ResourceSet next = Base();
  next.clusters = Map({{"a", "2"}, {"b", "1"}});
  Set(2, next);
  Due();
  Ask(kE, {"a", "b"}, "2");
  EXPECT_THAT(Due(), ElementsAre("endpoints: a=1 b=1"));
  const Push endpoints = last_.at(0);
  Ack(endpoints);
  EXPECT_THAT(Due(), IsEmpty());
  Ack(endpoints);
  EXPECT_THAT(Due(), IsEmpty()) << "a client that repeats itself does not start a loop";
}

TEST_F(StreamStateTest, AResourceThatReturnsUnchangedIsSentAgain) {
  Set(1, Base());
  StartClient();
  ResourceSet without = Base();
  without.clusters = Map({{"b", "1"}});
  without.endpoints = Map({{"b", "1"}});
  Set(2, without);
  Due();
  AckAll();
  Ask(kE, {"b"}, "2");
  Set(3, Base());
  EXPECT_THAT(Due(), ElementsAre("clusters: a=1 b=1"));
  AckAll();
  Ask(kE, {"a", "b"}, "2");
  EXPECT_THAT(Due(), ElementsAre("endpoints: a=1"));
  AckAll();
  EXPECT_EQ(state_.generation_in_force(), 3u);
}

TEST_F(StreamStateTest, ItIsNotInForceBeforeRoutesOfTheListenersWereAskedFor) {
  Set(1, Base());
  Ask(kC, {});
  Due();
  AckAll();
  Ask(kE, {"a", "b"});
  Due();
  AckAll();
  Ask(kL, {});
  Due();
  AckAll();
  EXPECT_EQ(state_.generation_in_force(), 0u);
  Ask(kR, {"r"});
  Due();
  AckAll();
  EXPECT_EQ(state_.generation_in_force(), 1u);
}

TEST(TypeFromUrl, KnowsTheFourTypesAndNoOthers) {
  for (Type type : kAllTypes) EXPECT_EQ(TypeFromUrl(TypeUrl(type)), type);
  EXPECT_FALSE(TypeFromUrl("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret").has_value());
  EXPECT_FALSE(TypeFromUrl("").has_value());
}

}  // namespace
}  // namespace outrigger::control
