// The whole control plane with proxies that are only a client, in the simulation: join, stream, change, refuse, restart.
#include "control/plane/control_plane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/plane/fake_proxy.h"
#include "proxy/admin/http_client.h"
#include "test/sim/machine.h"
#include "test/sim/world.h"

namespace outrigger::control {
namespace {

using testing::FakeProxy;
using ::testing::_;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;

constexpr char kMesh[] = R"(apiVersion: v1
kind: Service
metadata: {name: orders, namespace: default}
spec:
  selector: {app: orders}
  ports: [{name: http, port: 80, targetPort: http, appProtocol: http}]
---
apiVersion: outrigger.dev/v1
kind: Workload
metadata: {name: orders-1, namespace: default, labels: {app: orders}}
spec: {address: 10.0.0.2, serviceAccount: orders, ports: {http: 8080}}
---
apiVersion: outrigger.dev/v1
kind: Workload
metadata: {name: web-1, namespace: default, labels: {app: web}}
spec: {address: 10.0.0.3, serviceAccount: web, ports: {http: 8080}}
)";

std::string OrdersReplica(const std::string& name, const std::string& address) {
  return "apiVersion: outrigger.dev/v1\nkind: Workload\nmetadata: {name: " + name +
         ", namespace: default, labels: {app: orders}}\nspec: {address: " + address + ", serviceAccount: orders, ports: {http: 8080}}\n";
}

class ControlPlaneTest : public ::testing::Test {
 protected:
  ControlPlaneTest() {
    EXPECT_TRUE(disk().MakeFolder("/config", 0755, world_.wall_now()).ok());
    Save("mesh.yaml", kMesh);
    process_.Start();
  }
  ~ControlPlaneTest() override { EXPECT_THAT(world_.problems(), IsEmpty()); }

  sim::Disk& disk() { return machine_.disk(); }
  void Save(const std::string& name, std::string_view text) {
    ASSERT_TRUE(disk().Replace("/config/" + name, text, 0644, world_.wall_now()).ok());
  }
  ControlPlane& plane() { return *process_.program<std::unique_ptr<ControlPlane>>()->get(); }
  bool running() { return process_.program<std::unique_ptr<ControlPlane>>()->get() != nullptr; }
  std::string Token(const std::string& workload) { return *plane().CreateToken(workload); }

  std::unique_ptr<FakeProxy> Proxy(const std::string& workload, uint16_t port = 15010) {
    return std::make_unique<FakeProxy>(&proxies_, machine_.address(port).ToString(), workload);
  }
  // Joined, streaming, and running what is in force.
  std::unique_ptr<FakeProxy> Running(const std::string& workload) {
    auto proxy = Proxy(workload);
    proxy->Join(Token(workload));
    EXPECT_TRUE(world_.RunUntil([&] { return proxy->identity_status.ok(); }, 5s)) << proxy->identity_status.ToString();
    proxy->Stream();
    EXPECT_TRUE(world_.RunUntil([&] { return InForce(workload) == plane().store().snapshot()->generation; }, 5s));
    return proxy;
  }
  uint64_t InForce(const std::string& workload) {
    for (const ProxyStatus& status : plane().ads().Status()) {
      if (status.id.ToString() == workload && status.connected) return status.generation;
    }
    return 0;
  }

  admin::HttpReply Http(http::Method method, const std::string& path, const std::string& body = "", bool with_token = true,
                        Duration within = 30s) {
    admin::HttpRequest request{method, path, "localhost", {}, body};
    if (with_token) request.headers.emplace_back("authorization", "Bearer " + plane().admin_token());
    std::optional<Result<admin::HttpReply>> reply;
    auto exchange = admin::StartHttp(&process_.loop(), net::Address::Loopback(15014), request, within,
                                     [&](Result<admin::HttpReply> result) { reply = std::move(result); });
    EXPECT_TRUE(world_.RunUntil([&] { return reply.has_value(); }, within + 1s));
    EXPECT_TRUE(reply->ok()) << reply->error().ToString();
    return reply->ok() ? **reply : admin::HttpReply();
  }
  Json GetJson(const std::string& path) { return Json::parse(Http(http::Method::kGet, path).body, nullptr, false); }

  Error start_error_;
  std::string log_;  // outlives the processes of the world, which write to it to the end
  sim::World world_{7};
  sim::Machine& machine_ = world_.AddMachine("control");
  sim::Process& process_ = machine_.AddProcess("control", [this](sim::Process& process) -> std::shared_ptr<void> {
    ControlPlaneOptions options;
    options.config_dir = "/config";
    options.data_dir = "/data";
    options.xds = *net::Address::Parse(":15010");
    options.xds_plaintext = net::Address::Loopback(15011);
    options.version = "0.1.0";
    options.log = [this](LogLevel, std::string_view message, const LogFields& fields) {
      log_ += std::string(message);
      for (const auto& [name, value] : fields) log_ += " " + std::string(name) + "=" + value;
      log_ += "\n";
    };
    auto plane = ControlPlane::Start(&process.loop(), options);
    if (!plane.ok()) start_error_ = plane.error();
    return std::make_shared<std::unique_ptr<ControlPlane>>(plane.ok() ? std::move(*plane) : nullptr);
  });
  sim::SimLoop& proxies_ = world_.AddLoop("proxies");
};

// ---------------------------------------------------------------- joining

TEST_F(ControlPlaneTest, AProxyJoinsWithItsTokenAndRunsItsConfiguration) {
  auto proxy = Running("default/web-1");
  EXPECT_EQ(proxy->context_->own_id(), "spiffe://cluster.local/ns/default/sa/web");
  EXPECT_THAT(proxy->resources[Type::kCluster], Contains(Key("outbound|80||orders.default")));
  EXPECT_THAT(proxy->resources[Type::kEndpoint], ElementsAre(Key("outbound|80||orders.default")));
  EXPECT_THAT(proxy->resources[Type::kListener], ElementsAre(Key("inbound"), Key("outbound")));
  EXPECT_THAT(proxy->resources[Type::kRoute], ElementsAre(Key("outbound")));
}

TEST_F(ControlPlaneTest, AStreamWithoutACertificateIsUnauthenticated) {
  auto proxy = Proxy("default/web-1");
  auto root = plane().trust().authority().root();
  tls::Credentials anonymous;
  anonymous.roots = {root};
  anonymous.trust_domain = "cluster.local";
  proxy->context_ = *tls::MakeContext(anonymous);
  proxy->Stream();
  ASSERT_TRUE(world_.RunUntil([&] { return proxy->stream_status.code == rpc::Code::kUnauthenticated; }, 5s))
      << proxy->stream_status.ToString() << proxy->down.ToString();
}

TEST_F(ControlPlaneTest, ACertificateOfAnotherServiceAccountGetsNobodyElsesConfiguration) {
  auto web = Running("default/web-1");
  auto thief = Proxy("default/orders-1");
  thief->context_ = web->context_;
  thief->Stream();
  ASSERT_TRUE(world_.RunUntil([&] { return thief->stream_status.code == rpc::Code::kPermissionDenied; }, 5s));
  EXPECT_THAT(thief->responses, IsEmpty());
  thief->Renew();
  ASSERT_TRUE(world_.RunUntil([&] { return thief->identity_status.code == rpc::Code::kPermissionDenied; }, 5s));
}

TEST_F(ControlPlaneTest, AProxyThatExpectsAnotherRootDoesNotEvenSendItsSecret) {
  auto proxy = Proxy("default/web-1");
  const std::string token = Token("default/web-1");
  proxy->Join(token.substr(0, token.find('.') + 1) + std::string(64, 'a'));
  ASSERT_TRUE(world_.RunUntil([&] { return !proxy->down.ok(); }, 10s));
  EXPECT_EQ(proxy->down.code, ErrorCode::kTls);
  EXPECT_THAT(log_, Not(HasSubstr("certificate issued")));
}

TEST_F(ControlPlaneTest, ALeafRenewsItself) {
  auto proxy = Running("default/web-1");
  const auto first = proxy->context_;
  world_.RunFor(16h);
  proxy->Renew();
  ASSERT_TRUE(world_.RunUntil([&] { return proxy->identity_status.ok(); }, 5s));
  EXPECT_EQ(proxy->context_->own_id(), first->own_id());
  EXPECT_GT(proxy->context_->not_after(), first->not_after() + 15h);
}

TEST_F(ControlPlaneTest, AWorkloadThatIsNotDeclaredGetsAStreamOnceItIs) {
  auto proxy = Proxy("default/orders-2");
  proxy->Join(Token("default/orders-2"));
  ASSERT_TRUE(world_.RunUntil([&] { return proxy->identity_status.code == rpc::Code::kNotFound; }, 5s));
  Save("orders-2.yaml", OrdersReplica("orders-2", "10.0.0.4"));
  world_.RunFor(1s);
  proxy->Join(Token("default/orders-2"));
  ASSERT_TRUE(world_.RunUntil([&] { return proxy->identity_status.ok(); }, 5s));
}

TEST_F(ControlPlaneTest, ThePlaintextPortServesConfigurationAndNoCertificates) {
  auto client = std::make_unique<FakeProxy>(&process_.loop(), "127.0.0.1:15011", "default/web-1");
  client->Stream();
  ASSERT_TRUE(world_.RunUntil([&] { return client->resources[Type::kRoute].size() == 1; }, 5s));
  rpc::ServerOptions none;
  EXPECT_EQ(plane().plaintext_address()->port(), 15011);
}

// ---------------------------------------------------------------- change

TEST_F(ControlPlaneTest, ASavedFileIsInForceInEveryProxyWithin200Milliseconds) {
  auto web = Running("default/web-1");
  auto orders = Running("default/orders-1");
  const uint64_t before = plane().store().snapshot()->generation;
  Save("orders-2.yaml", OrdersReplica("orders-2", "10.0.0.4"));
  const Instant saved = world_.now();
  ASSERT_TRUE(world_.RunUntil([&] { return InForce("default/web-1") > before && InForce("default/orders-1") > before; }, 1s));
  EXPECT_LE(Milliseconds(world_.now() - saved), 200);
  EXPECT_THAT(web->resources[Type::kEndpoint]["outbound|80||orders.default"], HasSubstr("10.0.0.4"));
}

TEST_F(ControlPlaneTest, OnlyTheEndpointsOfTheChangedServiceTravel) {
  auto web = Running("default/web-1");
  web->responses.clear();
  Save("orders-2.yaml", OrdersReplica("orders-2", "10.0.0.4"));
  world_.RunFor(1s);
  EXPECT_THAT(web->responses, ElementsAre(Pair(Type::kEndpoint, _))) << "the cluster trusts the same identity as before";
}

TEST_F(ControlPlaneTest, AReplicaOfAnotherServiceAccountBringsTheClusterThatTrustsItFirst) {
  auto web = Running("default/web-1");
  web->responses.clear();
  std::string replica = OrdersReplica("orders-2", "10.0.0.4");
  replica.replace(replica.find("serviceAccount: orders"), 22, "serviceAccount: canary");
  Save("orders-2.yaml", replica);
  world_.RunFor(1s);
  EXPECT_THAT(web->responses, ElementsAre(Pair(Type::kCluster, _), Pair(Type::kEndpoint, _)));
  EXPECT_THAT(web->resources[Type::kCluster]["outbound|80||orders.default"], HasSubstr("spiffe://cluster.local/ns/default/sa/canary"));
}

TEST_F(ControlPlaneTest, ANewServiceArrivesAsClustersEndpointsRoutes) {
  auto web = Running("default/web-1");
  web->responses.clear();
  Save("stock.yaml", R"(apiVersion: v1
kind: Service
metadata: {name: stock, namespace: default}
spec: {selector: {app: stock}, ports: [{port: 80, targetPort: 8080}]}
)");
  world_.RunFor(1s);
  std::vector<Type> order;
  for (const auto& [type, version] : web->responses) order.push_back(type);
  EXPECT_THAT(order, ElementsAre(Type::kCluster, Type::kEndpoint, Type::kRoute));
  EXPECT_THAT(web->resources[Type::kRoute]["outbound"], HasSubstr("stock.default"));
}

TEST_F(ControlPlaneTest, ABrokenFileIsReportedAndChangesNothing) {
  auto web = Running("default/web-1");
  web->responses.clear();
  Save("mesh.yaml", std::string(kMesh).replace(std::string(kMesh).find("port: 80"), 8, "port: ab"));
  world_.RunFor(1s);
  EXPECT_THAT(web->responses, IsEmpty());
  const Json status = GetJson("/status");
  ASSERT_EQ(status["rejected"].size(), 1u) << status.dump();
  EXPECT_EQ(status["rejected"][0]["file"], "/config/mesh.yaml");
  EXPECT_THAT(status["rejected"][0]["field"].get<std::string>(), HasSubstr("port"));
  EXPECT_GT(status["rejected"][0]["line"].get<int>(), 0);
  EXPECT_EQ(status["rejected"][0]["previous_in_force"], true);
  EXPECT_EQ(status["objects"]["Service"], 1);
}

TEST_F(ControlPlaneTest, AWorkloadThatIsWithdrawnLosesItsStream) {
  auto orders = Running("default/orders-1");
  const std::string mesh = kMesh;
  const size_t begin = mesh.find("---\n"), end = mesh.find("---\n", begin + 1);
  Save("mesh.yaml", mesh.substr(0, begin) + mesh.substr(end));
  ASSERT_TRUE(world_.RunUntil([&] { return orders->stream_status.code == rpc::Code::kNotFound; }, 5s));
}

// ---------------------------------------------------------------- admin

TEST_F(ControlPlaneTest, WritesNeedTheAdminTokenAndReadsDoNot) {
  EXPECT_EQ(Http(http::Method::kPost, "/objects", OrdersReplica("orders-2", "10.0.0.4"), false).status, 401);
  EXPECT_EQ(Http(http::Method::kPost, "/tokens", "{\"workload\": \"default/web-1\"}", false).status, 401);
  EXPECT_EQ(Http(http::Method::kDelete, "/objects/workload/default/web-1", "", false).status, 401);
  EXPECT_EQ(Http(http::Method::kGet, "/objects", "", false).status, 200);
  EXPECT_EQ(Http(http::Method::kGet, "/status", "", false).status, 200);
  EXPECT_EQ(Http(http::Method::kGet, "/ready", "", false).body, "ready\n");
  EXPECT_EQ(*process_.loop().files().Mode("/data/admin.token"), 0600u);
}

TEST_F(ControlPlaneTest, ApplyWithWaitAnswersWhenEveryProxyRunsIt) {
  auto web = Running("default/web-1");
  const auto reply = Http(http::Method::kPost, "/objects?wait=10s", OrdersReplica("orders-2", "10.0.0.4"));
  ASSERT_EQ(reply.status, 200) << reply.body;
  const Json answer = Json::parse(reply.body);
  EXPECT_EQ(answer["in_force"], true);
  EXPECT_EQ(answer["proxies"], 1);
  EXPECT_THAT(answer["behind"], IsEmpty());
  EXPECT_EQ(answer["objects"][0]["action"], "created");
  EXPECT_EQ(InForce("default/web-1"), answer["generation"].get<uint64_t>());
  EXPECT_THAT(web->resources[Type::kEndpoint]["outbound|80||orders.default"], HasSubstr("10.0.0.4"));
}

TEST_F(ControlPlaneTest, ApplyWithWaitNamesTheProxiesThatDoNotFollow) {
  auto web = Running("default/web-1");
  auto orders = Running("default/orders-1");
  web->refuse[Type::kEndpoint] = "orders.default: too many replicas";
  const Instant start = world_.now();
  const Json answer = Json::parse(Http(http::Method::kPost, "/objects?wait=3s", OrdersReplica("orders-2", "10.0.0.4")).body);
  EXPECT_GE(world_.now() - start, 3s);
  EXPECT_EQ(answer["in_force"], false);
  EXPECT_EQ(answer["proxies"], 2);
  ASSERT_EQ(answer["behind"].size(), 1u);
  EXPECT_EQ(answer["behind"][0]["workload"], "default/web-1");
  EXPECT_EQ(answer["behind"][0]["reason"], "endpoints: orders.default: too many replicas");
  const Json status = GetJson("/status");
  for (const Json& proxy : status["proxies"]) {
    EXPECT_EQ(proxy["state"], proxy["workload"] == "default/web-1" ? "REFUSED" : "READY");
  }
}

TEST_F(ControlPlaneTest, AProxyThatLeavesIsWaitedForNoLonger) {
  auto web = Running("default/web-1");
  web->Hang();
  world_.After(1s, [&] { web->Disconnect(); });
  const Json answer = Json::parse(Http(http::Method::kPost, "/objects?wait=20s", OrdersReplica("orders-2", "10.0.0.4")).body);
  EXPECT_EQ(answer["in_force"], true);
  EXPECT_EQ(answer["proxies"], 0);
  EXPECT_GE(answer["waited_ms"], 900);
  EXPECT_LE(answer["waited_ms"], 3000);
}

TEST_F(ControlPlaneTest, ABadApplyIsRefusedWholeWithEveryProblem) {
  const auto reply = Http(http::Method::kPost, "/objects", OrdersReplica("orders-2", "10.0.0.4") + "---\n" +
                                                               OrdersReplica("orders-3", "not-an-address"));
  EXPECT_EQ(reply.status, 400);
  const Json answer = Json::parse(reply.body);
  ASSERT_EQ(answer["problems"].size(), 1u);
  EXPECT_EQ(answer["problems"][0]["name"], "orders-3");
  EXPECT_EQ(GetJson("/status")["objects"]["Workload"], 2);
}

TEST_F(ControlPlaneTest, AnObjectOfAnotherFileIsNotTakenOverNorDeleted) {
  const auto apply = Http(http::Method::kPost, "/objects", OrdersReplica("orders-1", "10.0.0.9"));
  EXPECT_EQ(apply.status, 409);
  EXPECT_THAT(apply.body, HasSubstr("mesh.yaml"));
  const auto erase = Http(http::Method::kDelete, "/objects/workload/default/orders-1");
  EXPECT_EQ(erase.status, 409);
  EXPECT_THAT(erase.body, HasSubstr("mesh.yaml"));
}

TEST_F(ControlPlaneTest, WhatWasAppliedCanBeReadAndDeleted) {
  ASSERT_EQ(Http(http::Method::kPost, "/objects", OrdersReplica("orders-2", "10.0.0.4")).status, 200);
  EXPECT_THAT(Http(http::Method::kGet, "/objects/workloads/default/orders-2?format=yaml").body, HasSubstr("address: 10.0.0.4"));
  EXPECT_EQ(GetJson("/objects/workload/default/orders-2")["object"]["spec"]["address"], "10.0.0.4");
  EXPECT_EQ(GetJson("/objects/workload")["items"].size(), 3u);
  EXPECT_EQ(Http(http::Method::kDelete, "/objects/workload/default/orders-2").status, 200);
  EXPECT_EQ(Http(http::Method::kGet, "/objects/workload/default/orders-2").status, 404);
  EXPECT_EQ(Http(http::Method::kDelete, "/objects/workload/default/orders-2").status, 404);
  EXPECT_EQ(Http(http::Method::kGet, "/objects/nonsense").status, 404);
}

TEST_F(ControlPlaneTest, ADryRunChangesNothing) {
  const auto reply = Http(http::Method::kPost, "/objects?dry_run=true", OrdersReplica("orders-2", "10.0.0.4"));
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(GetJson("/status")["objects"]["Workload"], 2);
}

TEST_F(ControlPlaneTest, ATokenFromTheAdminWorks) {
  const Json token = Json::parse(Http(http::Method::kPost, "/tokens", "{\"workload\": \"default/web-1\", \"lifetime\": \"1h\"}").body);
  EXPECT_EQ(token["declared"], true);
  auto proxy = Proxy("default/web-1");
  proxy->Join(token["token"].get<std::string>());
  EXPECT_TRUE(world_.RunUntil([&] { return proxy->identity_status.ok(); }, 5s));
  for (const char* bad : {"", "[]", "{\"workload\": 1}", "{\"workload\": \"web\"}",
                          "{\"workload\": \"default/web-1\", \"lifetime\": \"1x\"}"}) {
    EXPECT_EQ(Http(http::Method::kPost, "/tokens", bad).status, 400) << bad;
  }
}

TEST_F(ControlPlaneTest, AProxysConfigurationIsShownAsJson) {
  const Json config = GetJson("/proxies/default/web-1/config");
  EXPECT_EQ(config["workload"], "default/web-1");
  EXPECT_EQ(config["endpoints"][0]["cluster_name"], "outbound|80||orders.default");
  EXPECT_EQ(Http(http::Method::kGet, "/proxies/default/nobody/config").status, 404);
}

TEST_F(ControlPlaneTest, MetricsCountProxiesPushesAndRefusals) {
  auto web = Running("default/web-1");
  web->refuse[Type::kEndpoint] = "no";
  Save("orders-2.yaml", OrdersReplica("orders-2", "10.0.0.4"));
  world_.RunFor(1s);
  const std::string text = Http(http::Method::kGet, "/metrics").body;
  EXPECT_THAT(text, HasSubstr("\noutrigger_control_connected_proxies 1\n"));
  EXPECT_THAT(text, HasSubstr("\noutrigger_control_proxies_in_force 0\n"));
  EXPECT_THAT(text, HasSubstr("\noutrigger_control_objects{kind=\"Workload\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("\noutrigger_control_nacks_total{type=\"endpoints\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\noutrigger_control_certificates_issued_total 1\n"));
}

// ---------------------------------------------------------------- ends and restarts

TEST_F(ControlPlaneTest, ARestartKeepsRootTokensAndAdminToken) {
  auto web = Running("default/web-1");
  const std::string token = Token("default/orders-1");
  const std::string admin_token = plane().admin_token();
  process_.Restart();
  ASSERT_TRUE(running()) << start_error_.detail;
  EXPECT_EQ(plane().admin_token(), admin_token);
  web->Stream();
  EXPECT_TRUE(world_.RunUntil([&] { return InForce("default/web-1") > 0; }, 10s)) << "the old leaf is good";
  auto orders = Proxy("default/orders-1");
  orders->Join(token);
  EXPECT_TRUE(world_.RunUntil([&] { return orders->identity_status.ok(); }, 5s)) << "the old token is good";
}

TEST_F(ControlPlaneTest, DrainingEndsStreamsPolitelyAndIsSoonOver) {
  auto web = Running("default/web-1");
  plane().Drain();
  ASSERT_TRUE(world_.RunUntil([&] { return web->stream_status.code == rpc::Code::kUnavailable; }, 2s)) << web->stream_status.ToString();
  web->Disconnect();
  EXPECT_TRUE(world_.RunUntil([&] { return plane().drained(); }, 3s));
}

TEST_F(ControlPlaneTest, WhatCannotStartSaysWhy) {
  const auto fails = [this](const std::function<void(ControlPlaneOptions*)>& change) {
    ControlPlaneOptions options;
    options.config_dir = "/config";
    options.data_dir = "/other";
    options.xds = net::Address::Loopback(16010);
    options.admin = net::Address::Loopback(16014);
    change(&options);
    auto plane = ControlPlane::Start(&process_.loop(), options);
    return plane.ok() ? std::string("it started") : plane.error().detail;
  };
  EXPECT_THAT(fails([](auto* o) { o->config_dir = "/nowhere"; }), HasSubstr("/nowhere"));
  EXPECT_FALSE(process_.loop().files().List("/other").ok()) << "a mistyped folder must not leave a signing root behind";
  EXPECT_THAT(fails([](auto* o) { o->admin = net::Address::Loopback(15014); }), HasSubstr("15014"));
  EXPECT_THAT(fails([](auto* o) { o->xds = *net::Address::Parse(":15010"); }), HasSubstr("15010"));
  EXPECT_THAT(fails([](auto* o) { o->admin = *net::Address::Parse(":16014"); }), HasSubstr("not loopback"));
  EXPECT_THAT(fails([](auto* o) { o->xds_plaintext = *net::Address::Parse(":16011"); }), HasSubstr("not loopback"));
  EXPECT_THAT(fails([](auto* o) { o->trust_domain = "Not A Domain"; }), HasSubstr("trust domain"));
  EXPECT_THAT(fails([](auto* o) { o->certificate_lifetime = 1s; }), HasSubstr("5s"));
  EXPECT_EQ(fails([](auto*) {}), "it started");
}

TEST_F(ControlPlaneTest, AnEmptyFolderIsAMeshToo) {
  disk().RemoveTree("/config");
  ASSERT_TRUE(disk().MakeFolder("/config", 0755, world_.wall_now()).ok());
  disk().RemoveTree("/data");
  process_.Restart();
  ASSERT_TRUE(running()) << start_error_.detail;
  EXPECT_EQ(Http(http::Method::kGet, "/status").status, 200);
}

}  // namespace
}  // namespace outrigger::control
