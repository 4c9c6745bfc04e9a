#include "gtest/gtest.h"
#include "proxy/snapshot/epoch.h"
#include "proxy/snapshot/snapshot.h"

namespace outrigger::snapshot {
namespace {

config::RouteTable RoutesTo(std::string name, std::string cluster) {
  config::Route route;
  route.name = cluster;
  route.action = config::Forward{{{std::move(cluster), 1, {}, {}}}};
  return {std::move(name), {{"all", {"*"}, {route}}}};
}

config::Cluster Discovered(std::string name) {
  config::Cluster cluster;
  cluster.name = name;
  cluster.endpoints_name = std::move(name);
  return cluster;
}

config::EndpointSet Endpoints(std::string cluster, std::vector<uint16_t> ports) {
  config::EndpointSet set{std::move(cluster), {}};
  for (const uint16_t port : ports) {
    config::Endpoint endpoint;
    endpoint.address = net::Address::Loopback(port);
    endpoint.address_text = endpoint.address.ToString();
    set.endpoints.push_back(endpoint);
  }
  return set;
}

config::Listener NamedRoutes(std::string name, std::string table) {
  config::Listener listener;
  listener.name = std::move(name);
  listener.chains.emplace_back();
  listener.chains[0].route_table = std::move(table);
  return listener;
}

TEST(Compiler, KeepsTheFormerRoutesUntilTheEndpointsOfTheNewOnesCame) {
  auto compiler = MakeCompiler();
  ASSERT_TRUE(compiler->SetCluster(Discovered("a")).ok());
  ASSERT_TRUE(compiler->SetEndpoints(Endpoints("a", {1})).ok());
  ASSERT_TRUE(compiler->SetRoutes(RoutesTo("t", "a")).ok());
  ASSERT_TRUE(compiler->SetListener(NamedRoutes("l", "t")).ok());
  EXPECT_EQ(compiler->Build()->routes.at("t")->config().virtual_hosts[0].routes[0].name, "a");

  ASSERT_TRUE(compiler->SetCluster(Discovered("b")).ok());
  ASSERT_TRUE(compiler->SetRoutes(RoutesTo("t", "b")).ok());
  EXPECT_EQ(compiler->Build()->routes.at("t")->config().virtual_hosts[0].routes[0].name, "a");
  EXPECT_EQ(compiler->Missing(), std::vector<std::string>{"endpoints b"});

  // An empty list counts as received: then the answer is 503 with a reason, not the old route.
  ASSERT_TRUE(compiler->SetEndpoints(Endpoints("b", {})).ok());
  const auto snapshot = compiler->Build();
  EXPECT_EQ(snapshot->listeners.at("l")->chains[0].routes->config().virtual_hosts[0].routes[0].name, "b");
  EXPECT_TRUE(compiler->Missing().empty());
}

TEST(Compiler, KeepsTheFormerListenerUntilTheRoutesOfTheNewOneCame) {
  auto compiler = MakeCompiler();
  ASSERT_TRUE(compiler->SetCluster(Discovered("a")).ok());
  ASSERT_TRUE(compiler->SetEndpoints(Endpoints("a", {1})).ok());
  ASSERT_TRUE(compiler->SetRoutes(RoutesTo("old", "a")).ok());
  ASSERT_TRUE(compiler->SetListener(NamedRoutes("l", "old")).ok());
  const auto before = compiler->Build();

  ASSERT_TRUE(compiler->SetListener(NamedRoutes("l", "new")).ok());
  compiler->RemoveRoutes("old");
  EXPECT_EQ(compiler->Build()->listeners.at("l"), before->listeners.at("l"));
  EXPECT_EQ(compiler->Missing(), std::vector<std::string>{"routes new"});

  ASSERT_TRUE(compiler->SetRoutes(RoutesTo("new", "a")).ok());
  EXPECT_EQ(compiler->Build()->listeners.at("l")->chains[0].routes->config().name, "new");
  EXPECT_TRUE(compiler->Missing().empty());
}

TEST(Compiler, SharesWhatDidNotChangeBetweenVersions) {
  auto compiler = MakeCompiler();
  for (const char* name : {"a", "b"}) {
    ASSERT_TRUE(compiler->SetCluster(Discovered(name)).ok());
    ASSERT_TRUE(compiler->SetEndpoints(Endpoints(name, {1, 2})).ok());
    ASSERT_TRUE(compiler->SetRoutes(RoutesTo(name, name)).ok());
    ASSERT_TRUE(compiler->SetListener(NamedRoutes(name, name)).ok());
  }
  const auto before = compiler->Build();
  EXPECT_EQ(compiler->Build(), before) << "nothing changed";
  ASSERT_TRUE(compiler->SetEndpoints(Endpoints("a", {1, 2})).ok());
  EXPECT_EQ(compiler->Build(), before) << "the same again is no change";
  ASSERT_TRUE(compiler->SetEndpoints(Endpoints("a", {1, 3})).ok());
  const auto after = compiler->Build();
  EXPECT_EQ(after->generation, before->generation + 1);
  EXPECT_EQ(after->clusters.at("b"), before->clusters.at("b"));
  EXPECT_EQ(after->routes.at("a"), before->routes.at("a"));
  EXPECT_EQ(after->listeners.at("a"), before->listeners.at("a"));
  EXPECT_NE(after->clusters.at("a"), before->clusters.at("a"));
}

TEST(Compiler, FindsTheLiveStateOfEndpointsAgain) {
  auto compiler = MakeCompiler();
  ASSERT_TRUE(compiler->SetCluster(Discovered("a")).ok());
  ASSERT_TRUE(compiler->SetEndpoints(Endpoints("a", {1, 2})).ok());
  const auto before = compiler->Build();
  ASSERT_TRUE(compiler->SetEndpoints(Endpoints("a", {2, 3})).ok());
  const auto after = compiler->Build();
  const auto& old_list = *before->FindCluster("a")->endpoints;
  const auto& new_list = *after->FindCluster("a")->endpoints;
  EXPECT_EQ(old_list[1].state, new_list[0].state) << "port 2";
  EXPECT_NE(old_list[0].state, new_list[1].state);
  EXPECT_EQ(before->FindCluster("a")->state, after->FindCluster("a")->state);
}

TEST(Compiler, RefusesABadTableAndKeepsTheGoodOne) {
  auto compiler = MakeCompiler();
  ASSERT_TRUE(compiler->SetRoutes(RoutesTo("t", "a")).ok());
  const auto good = compiler->Build();
  config::RouteTable bad = RoutesTo("t", "a");
  bad.virtual_hosts[0].routes[0].match.path = {config::PathMatch::Kind::kRegex, "["};
  EXPECT_FALSE(compiler->SetRoutes(bad).ok());
  EXPECT_EQ(compiler->Build(), good);
}

TEST(Compiler, ForgetsWhatWasRemoved) {
  auto compiler = MakeCompiler();
  ASSERT_TRUE(compiler->SetCluster(Discovered("a")).ok());
  ASSERT_TRUE(compiler->SetEndpoints(Endpoints("a", {1})).ok());
  compiler->RemoveCluster("a");
  EXPECT_EQ(compiler->Build()->FindCluster("a"), nullptr);
  ASSERT_TRUE(compiler->SetCluster(Discovered("a")).ok());
  EXPECT_FALSE(compiler->Build()->FindCluster("a")->warm()) << "its endpoints went with it";
}

TEST(Compiler, GivesAClusterItsRetryBudgetAndTakesItBack) {
  auto compiler = MakeCompiler();
  config::Cluster cluster = Discovered("a");
  cluster.retry_budget = {0, 0};
  ASSERT_TRUE(compiler->SetCluster(cluster).ok());
  const Instant now{std::chrono::hours(1)};
  guard::RetryBudget& budget = compiler->Build()->FindCluster("a")->state->retry_budget;
  EXPECT_FALSE(budget.TryTake(now)) << "none was declared";

  cluster.retry_budget = config::RetryBudget();
  ASSERT_TRUE(compiler->SetCluster(cluster).ok());
  ASSERT_EQ(&compiler->Build()->FindCluster("a")->state->retry_budget, &budget) << "it lives on";
  EXPECT_TRUE(budget.TryTake(now));
}

TEST(Listener, PrefersTheMoreSpecificChain) {
  Listener listener;
  const auto add = [&](std::string name, std::vector<std::string> names, std::optional<bool> tls, std::optional<uint16_t> port) {
    Chain chain;
    chain.config.name = std::move(name);
    chain.config.server_names = std::move(names);
    chain.config.tls = tls;
    chain.config.destination_port = port;
    listener.chains.push_back(chain);
  };
  add("any", {}, std::nullopt, std::nullopt);
  add("plain 80", {}, false, 80);
  add("named", {"a", "b"}, true, std::nullopt);
  EXPECT_EQ(listener.Find("b", true, 0)->config.name, "named");
  EXPECT_EQ(listener.Find("c", true, 80)->config.name, "any");
  EXPECT_EQ(listener.Find("", false, 80)->config.name, "plain 80");
  listener.chains.erase(listener.chains.begin());
  EXPECT_EQ(listener.Find("c", true, 80), nullptr);
}

TEST(Epoch, HoldsTheSnapshotUntilTheLastHandleGoes) {
  auto snapshot = std::make_shared<const Snapshot>();
  const std::weak_ptr<const Snapshot> watched = snapshot;
  Epoch current(std::move(snapshot));
  Epoch pinned = current;
  current = Epoch();
  EXPECT_FALSE(watched.expired());
  pinned = Epoch();
  EXPECT_TRUE(watched.expired());
}

}  // namespace
}  // namespace outrigger::snapshot
