// One ADS stream as the proxy sees it: what is asked for, acknowledged, refused, kept and removed, and that routes wait for endpoints.
#include "proxy/discovery/ads_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "proxy/discovery/testing.h"

namespace outrigger::discovery {
namespace {

using testing::Assignment;
using testing::EdsCluster;
using testing::OutboundListener;
using testing::RoutesTo;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Pair;

class AdsStateTest : public ::testing::Test {
 protected:
  using Request = AdsState::Request;
  using Response = AdsState::Response;

  template <typename... Resources>
  Response Respond(Type type, const std::string& version, const Resources&... resources) {
    Response response;
    response.set_type_url(std::string(TypeUrl(type)));
    response.set_version_info(version);
    response.set_nonce("n" + std::to_string(++nonces_));
    (response.add_resources()->PackFrom(resources), ...);
    return response;
  }
  template <typename... Resources>
  std::vector<Request> Receive(Type type, const std::string& version, const Resources&... resources) {
    return ads_.OnResponse(Respond(type, version, resources...));
  }
  // orders, its endpoint, the listener and its routes: all in force.
  void ReceiveAll() {
    Receive(Type::kCluster, "1", EdsCluster("orders"));
    Receive(Type::kEndpoint, "1", Assignment("orders", {"10.0.0.2:15006"}));
    Receive(Type::kListener, "1", OutboundListener());
    Receive(Type::kRoute, "1", RoutesTo({"orders"}));
  }
  static std::vector<std::string> Names(const Request& request) {
    return {request.resource_names().begin(), request.resource_names().end()};
  }
  std::vector<std::string> HostsInForce() {
    std::vector<std::string> hosts;
    const auto snapshot = compiler_->Build();
    const auto table = snapshot->routes.find("outbound");
    if (table == snapshot->routes.end()) return hosts;
    for (const auto& host : table->second->config().virtual_hosts) hosts.push_back(host.name);
    return hosts;
  }

  static envoy::config::core::v3::Node Node() {
    envoy::config::core::v3::Node node;
    node.set_id("default/web-1");
    return node;
  }
  std::unique_ptr<snapshot::Compiler> compiler_ = snapshot::MakeCompiler();
  AdsState ads_{compiler_.get(), Node()};
  int nonces_ = 0;
};

TEST_F(AdsStateTest, AStreamBeginsWithAllClustersAndAllListenersAndSaysWhoAsksOnce) {
  const auto requests = ads_.OnStream();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].type_url(), TypeUrl(Type::kCluster));
  EXPECT_EQ(requests[0].node().id(), "default/web-1");
  EXPECT_THAT(Names(requests[0]), IsEmpty()) << "all of them";
  EXPECT_EQ(requests[0].version_info(), "");
  EXPECT_EQ(requests[1].type_url(), TypeUrl(Type::kListener));
  EXPECT_FALSE(requests[1].has_node());
}

TEST_F(AdsStateTest, AcceptedClustersAreAcknowledgedAndTheirEndpointsAskedFor) {
  const auto requests = Receive(Type::kCluster, "7", EdsCluster("orders"), EdsCluster("stock"));
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].type_url(), TypeUrl(Type::kCluster));
  EXPECT_EQ(requests[0].version_info(), "7");
  EXPECT_EQ(requests[0].response_nonce(), "n1");
  EXPECT_FALSE(requests[0].has_error_detail());
  EXPECT_EQ(requests[1].type_url(), TypeUrl(Type::kEndpoint));
  EXPECT_THAT(Names(requests[1]), ElementsAre("outbound|80||orders.default", "outbound|80||stock.default"));
  EXPECT_EQ(ads_.status(Type::kCluster).resources, 2u);
}

TEST_F(AdsStateTest, AListenersRoutesAreAskedForByName) {
  const auto requests = Receive(Type::kListener, "1", OutboundListener());
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[1].type_url(), TypeUrl(Type::kRoute));
  EXPECT_THAT(Names(requests[1]), ElementsAre("outbound"));
}

TEST_F(AdsStateTest, ARefusalNamesEachResourceAndTheGoodOnesAreTaken) {
  Receive(Type::kCluster, "1", EdsCluster("orders"));
  auto bad = EdsCluster("stock");
  bad.set_lb_policy(envoy::config::cluster::v3::Cluster::MAGLEV);
  auto worse = EdsCluster("bills");
  worse.clear_transport_socket_matches();
  worse.mutable_transport_socket()->set_name("envoy.transport_sockets.quic");
  const auto requests = Receive(Type::kCluster, "2", EdsCluster("orders"), bad, EdsCluster("ships"), worse);
  EXPECT_EQ(requests[0].version_info(), "1") << "the version that is in force whole";
  EXPECT_EQ(requests[0].response_nonce(), "n2");
  EXPECT_EQ(requests[0].error_detail().code(), 3) << "INVALID_ARGUMENT";
  EXPECT_EQ(requests[0].error_detail().message(),
            "outbound|80||stock.default: lb_policy: MAGLEV is not supported by this proxy\n"
            "outbound|80||bills.default: transport_socket: envoy.transport_sockets.quic is not supported by this proxy");
  EXPECT_THAT(Names(requests[1]), ElementsAre("outbound|80||orders.default", "outbound|80||ships.default"));
  EXPECT_EQ(ads_.status(Type::kCluster).rejected, 1u);
  EXPECT_THAT(ads_.status(Type::kCluster).last_error, HasSubstr("MAGLEV"));

  Receive(Type::kCluster, "3", EdsCluster("orders"));
  EXPECT_EQ(ads_.status(Type::kCluster).version, "3");
  EXPECT_EQ(ads_.status(Type::kCluster).last_error, "");
}

TEST_F(AdsStateTest, ARefusedClusterKeepsItsLastGoodVersion) {
  Receive(Type::kCluster, "1", EdsCluster("orders"));
  auto bad = EdsCluster("orders");
  bad.mutable_connect_timeout()->set_seconds(0);
  const auto requests = Receive(Type::kCluster, "2", bad);
  EXPECT_THAT(requests[0].error_detail().message(), HasSubstr("connect_timeout must be positive"));
  const auto* cluster = compiler_->Build()->FindCluster("outbound|80||orders.default");
  ASSERT_NE(cluster, nullptr);
  EXPECT_EQ(cluster->config.connect_timeout, 2s);
}

TEST_F(AdsStateTest, OfTwoWithOneNameTheFirstHolds) {
  auto second = EdsCluster("orders");
  second.mutable_connect_timeout()->set_seconds(9);
  const auto requests = Receive(Type::kCluster, "1", EdsCluster("orders"), second);
  EXPECT_EQ(requests[0].error_detail().message(), "outbound|80||orders.default: appears twice in one response");
  EXPECT_EQ(compiler_->Build()->FindCluster("outbound|80||orders.default")->config.connect_timeout, 2s);
}

TEST_F(AdsStateTest, WhatCannotBeReadRemovesNothing) {
  ReceiveAll();
  Response response = Respond(Type::kCluster, "2");
  response.add_resources()->set_type_url(std::string(TypeUrl(Type::kCluster)));
  response.mutable_resources(0)->set_value("\xff\xff");
  const auto requests = ads_.OnResponse(response);
  EXPECT_EQ(requests[0].error_detail().message(), "resource 0: is not a well-formed Cluster");
  EXPECT_NE(compiler_->Build()->FindCluster("outbound|80||orders.default"), nullptr);
}

TEST_F(AdsStateTest, AResourceOfAnotherTypeIsRefused) {
  const auto requests = Receive(Type::kCluster, "1", OutboundListener());
  EXPECT_THAT(requests[0].error_detail().message(), HasSubstr("resource 0: is of type type.googleapis.com/envoy.config.listener"));
}

TEST_F(AdsStateTest, AResponseOfAnUnknownTypeIsNotAnswered) {
  Response response;
  response.set_type_url("type.googleapis.com/envoy.service.runtime.v3.Runtime");
  EXPECT_THAT(ads_.OnResponse(response), IsEmpty());
}

TEST_F(AdsStateTest, EndpointsThatNobodyAskedForAreNeitherTakenNorRefused) {
  Receive(Type::kCluster, "1", EdsCluster("orders"));
  const auto requests = Receive(Type::kEndpoint, "1", Assignment("strange", {"10.0.0.9:80"}), Assignment("orders", {"10.0.0.2:15006"}));
  EXPECT_FALSE(requests[0].has_error_detail());
  EXPECT_EQ(ads_.status(Type::kEndpoint).resources, 1u);
  EXPECT_THAT(ads_.TakeAccepted().at(Type::kEndpoint), ElementsAre(Key("outbound|80||orders.default")));
}

// ---- warming and order

TEST_F(AdsStateTest, ARouteWaitsForTheEndpointsOfEachOfItsClusters) {
  ReceiveAll();
  ASSERT_THAT(HostsInForce(), ElementsAre("orders"));
  Receive(Type::kCluster, "2", EdsCluster("orders"), EdsCluster("stock"));
  Receive(Type::kRoute, "2", RoutesTo({"orders", "stock"}));
  EXPECT_THAT(HostsInForce(), ElementsAre("orders")) << "stock has no endpoints yet";
  EXPECT_THAT(ads_.MissingEndpoints(), ElementsAre("outbound|80||stock.default"));
  Receive(Type::kEndpoint, "2", Assignment("stock", {"10.0.0.3:15006"}));
  EXPECT_THAT(HostsInForce(), ElementsAre("orders", "stock"));
  EXPECT_THAT(ads_.MissingEndpoints(), IsEmpty());
}

TEST_F(AdsStateTest, InWhateverOrderTheyComeTheEndIsTheSame) {
  enum { kClusters, kListeners, kRoutes, kEndpoints };
  const Response responses[] = {
      Respond(Type::kCluster, "1", EdsCluster("orders")),
      Respond(Type::kListener, "1", OutboundListener()),
      Respond(Type::kRoute, "1", RoutesTo({"orders"})),
      Respond(Type::kEndpoint, "1", Assignment("orders", {"10.0.0.2:15006"})),
  };
  std::vector<int> order = {0, 1, 2, 3};
  int played = 0;
  do {
    const auto place = [&](int what) { return std::find(order.begin(), order.end(), what) - order.begin(); };
    if (place(kClusters) > place(kEndpoints) || place(kListeners) > place(kRoutes)) continue;  // sent when they are asked for
    auto compiler = snapshot::MakeCompiler();
    AdsState ads(compiler.get(), Node());
    for (const int next : order) {
      ads.OnResponse(responses[next]);
      const auto snapshot = compiler->Build();
      const auto* cluster = snapshot->FindCluster("outbound|80||orders.default");
      if (place(kClusters) < place(kRoutes) && snapshot->routes.contains("outbound")) {
        EXPECT_TRUE(cluster->warm()) << "a route in force points to a cluster that still waits";
      }
    }
    EXPECT_TRUE(compiler->Build()->routes.contains("outbound"));
    EXPECT_THAT(compiler->Missing(), IsEmpty());
    ++played;
  } while (std::next_permutation(order.begin(), order.end()));
  EXPECT_EQ(played, 6);
}

TEST_F(AdsStateTest, AnEmptyAssignmentCountsAsReceived) {
  Receive(Type::kCluster, "1", EdsCluster("orders"));
  Receive(Type::kListener, "1", OutboundListener());
  Receive(Type::kRoute, "1", RoutesTo({"orders"}));
  Receive(Type::kEndpoint, "1", Assignment("orders", {}));
  EXPECT_THAT(HostsInForce(), ElementsAre("orders"));
}

TEST_F(AdsStateTest, EndpointsThatDoNotComeMayBeTakenForNone) {
  Receive(Type::kCluster, "1", EdsCluster("orders"));
  Receive(Type::kListener, "1", OutboundListener());
  Receive(Type::kRoute, "1", RoutesTo({"orders"}));
  EXPECT_THAT(HostsInForce(), IsEmpty());
  ads_.TreatAsEmpty(ads_.MissingEndpoints());
  EXPECT_THAT(HostsInForce(), ElementsAre("orders"));
  EXPECT_THAT(ads_.MissingEndpoints(), IsEmpty()) << "told once";
}

TEST_F(AdsStateTest, WhatACompleteResponseLacksIsGoneAndItsNamesAreNoLongerAskedFor) {
  ReceiveAll();
  const auto requests = Receive(Type::kCluster, "2", EdsCluster("stock"));
  EXPECT_EQ(compiler_->Build()->FindCluster("outbound|80||orders.default"), nullptr);
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_THAT(Names(requests[1]), ElementsAre("outbound|80||stock.default"));
  Receive(Type::kListener, "2");
  EXPECT_TRUE(compiler_->Build()->listeners.empty());
  EXPECT_TRUE(compiler_->Build()->routes.empty());
}

TEST_F(AdsStateTest, OfEndpointsAndRoutesAResponseMayHoldAPart) {
  Receive(Type::kCluster, "1", EdsCluster("orders"), EdsCluster("stock"));
  Receive(Type::kEndpoint, "1", Assignment("orders", {"10.0.0.2:15006"}), Assignment("stock", {"10.0.0.3:15006"}));
  Receive(Type::kEndpoint, "2", Assignment("stock", {"10.0.0.4:15006"}));
  EXPECT_EQ(ads_.status(Type::kEndpoint).resources, 2u);
  EXPECT_TRUE(compiler_->Build()->FindCluster("outbound|80||orders.default")->warm());
}

// ---- a new stream

TEST_F(AdsStateTest, ANewStreamForgetsNoncesAndKeepsVersionsAndNames) {
  ReceiveAll();
  const auto requests = ads_.OnStream();
  ASSERT_EQ(requests.size(), 4u);
  const Type order[] = {Type::kCluster, Type::kEndpoint, Type::kListener, Type::kRoute};
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(requests[i].type_url(), TypeUrl(order[i]));
    EXPECT_EQ(requests[i].response_nonce(), "");
    EXPECT_EQ(requests[i].version_info(), "1");
    EXPECT_EQ(requests[i].has_node(), i == 0);
  }
  EXPECT_THAT(Names(requests[1]), ElementsAre("outbound|80||orders.default"));
  EXPECT_THAT(Names(requests[3]), ElementsAre("outbound"));
}

TEST_F(AdsStateTest, WhatIsRestoredIsInForceAndHasNoVersion) {
  ads_.Restore(Respond(Type::kCluster, "9", EdsCluster("orders")));
  ads_.Restore(Respond(Type::kEndpoint, "9", Assignment("orders", {"10.0.0.2:15006"})));
  ads_.Restore(Respond(Type::kListener, "9", OutboundListener()));
  ads_.Restore(Respond(Type::kRoute, "9", RoutesTo({"orders"})));
  EXPECT_THAT(HostsInForce(), ElementsAre("orders"));
  EXPECT_THAT(ads_.TakeAccepted(), IsEmpty()) << "it is on disk already";
  const auto requests = ads_.OnStream();
  ASSERT_EQ(requests.size(), 4u) << "it asks for the names that it knows at once";
  for (const Request& request : requests) EXPECT_EQ(request.version_info(), "");
}

// ---- what is kept, and the application's address

TEST_F(AdsStateTest, WhatWasAcceptedIsHandedOutOnceForKeepingAndWhatIsGoneAsEmpty) {
  ReceiveAll();
  auto bad = OutboundListener();
  bad.mutable_address()->mutable_socket_address()->set_address("nowhere");
  EXPECT_EQ(ads_.TakeAccepted().size(), 4u);
  EXPECT_THAT(ads_.TakeAccepted(), IsEmpty());
  Receive(Type::kListener, "2", bad);
  EXPECT_THAT(ads_.TakeAccepted(), IsEmpty()) << "what was refused is not kept";
  Receive(Type::kCluster, "2");
  const auto gone = ads_.TakeAccepted();
  EXPECT_THAT(gone, ElementsAre(Pair(Type::kCluster, ElementsAre(Pair("outbound|80||orders.default", ""))),
                                Pair(Type::kEndpoint, ElementsAre(Pair("outbound|80||orders.default", "")))));
}

envoy::config::cluster::v3::Cluster InboundCluster(const std::string& port) {
  return testing::Parse<envoy::config::cluster::v3::Cluster>(
      "name: 'inbound|" + port + "' type: STATIC load_assignment { endpoints { lb_endpoints { endpoint { address { socket_address { "
      "address: '127.0.0.1' port_value: " + port + " } } } } } } metadata { filter_metadata { key: 'outrigger.dev' value { "
      "fields { key: 'port' value { number_value: " + port + " } } } } }");
}

TEST_F(AdsStateTest, TheApplicationMayListenElsewhere) {
  AdsState ads(compiler_.get(), Node(), *net::Address::Parse("10.9.9.9:3000"));
  const auto address = [&](const std::string& name) {
    return (*compiler_->Build()->FindCluster(name)->endpoints)[0].config.address_text;
  };
  ads.OnResponse(Respond(Type::kCluster, "1", InboundCluster("8080")));
  EXPECT_EQ(address("inbound|8080"), "10.9.9.9:3000") << "the only port: host and port";
  ads.OnResponse(Respond(Type::kCluster, "2", InboundCluster("8080"), InboundCluster("9000")));
  EXPECT_EQ(address("inbound|8080"), "10.9.9.9:8080") << "of several: the host";
  EXPECT_EQ(address("inbound|9000"), "10.9.9.9:9000");
}

}  // namespace
}  // namespace outrigger::discovery
