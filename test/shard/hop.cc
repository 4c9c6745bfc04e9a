#include "test/shard/hop.h"

#include <utility>

namespace outrigger::shardtest {
namespace {

constexpr uint16_t kOutboundPort = 15001;
constexpr uint16_t kInboundPort = 15006;
constexpr uint16_t kApp = 8080;
constexpr char kServerName[] = "80.orders.default.svc.outrigger.internal";

}  // namespace

void Recording::OnExchange(const observe::ExchangeRecord& record) {
  Record kept;
  char flags[64];
  kept.status = record.status;
  kept.flags = std::string(observe::FlagsText(record.flags, flags));
  kept.reason = std::string(record.reason);
  kept.route = std::string(record.route);
  kept.cluster = std::string(record.cluster);
  kept.upstream = std::string(record.upstream_address);
  kept.attempts = record.attempts;
  kept.request_bytes = record.request_bytes;
  kept.response_bytes = record.response_bytes;
  kept.mutual_tls = record.mutual_tls;
  kept.source_identity = std::string(record.source_identity);
  records.push_back(std::move(kept));
}

HopTest::HopTest(Shape shape_in, sim::Faults faults) : shape(shape_in), world(1, faults) {
  client_loop = &world.AddLoop("client");
  caller.loop = &world.AddLoop("caller");
  options.outbound = world.AddressOf(*caller.loop, kOutboundPort);
  cluster.name = "orders";
  cluster.service = "orders";
  cluster.service_namespace = "default";
  cluster.service_port = 80;
  cluster.endpoints_name = "orders";
  cluster.allow_plaintext = shape == kOutbound;
  cluster.mesh = shape == kPair;
  cluster.sni = kServerName;
  endpoints.cluster = "orders";
  route.name = "default/orders/0";
  config::Forward to_orders;
  to_orders.clusters.push_back({.cluster = "orders"});
  route.action = to_orders;
  if (shape == kPair) {
    authority = std::make_unique<tls::testing::TestMesh>("cluster.local", world.wall_now());
    callee.loop = &world.AddLoop("callee");
    inbound_address_ = world.AddressOf(*callee.loop, kInboundPort);
    inbound.name = "inbound";
    inbound.direction = config::Direction::kInbound;
  }
}

HopTest::~HopTest() = default;

Server& HopTest::AddServer(const std::string& name) {
  net::Loop* loop = callee.loop;
  net::Address address = net::Address::Loopback(kApp);
  config::Endpoint endpoint;
  if (shape == kOutbound) {
    loop = &world.AddLoop(name);
    address = world.AddressOf(*loop, kApp);
    endpoint.address = address;
  } else {
    endpoint.address = inbound_address_;
    endpoint.mesh = true;
    endpoint.identity = authority->Id("default", "orders");
  }
  endpoint.workload = name;
  endpoint.workload_namespace = "default";
  endpoints.endpoints.push_back(endpoint);
  servers_.push_back(std::make_unique<Server>(loop, address));
  return *servers_.back();
}

void HopTest::Start() {
  path::Self self;
  self.workload = "web-1";
  self.workload_namespace = "default";
  caller.shard = std::make_unique<shard::Shard>(caller.loop, options, self, &caller.sink);
  ASSERT_TRUE(caller.shard->Listen().ok());
  if (shape != kPair) return;
  caller.shard->SetTls(tls::testing::MustMakeContext(authority->Workload("default", "web")));
  StartCallee();
}

void HopTest::StartCallee() {
  path::Self self;
  self.workload = "orders-1";
  self.workload_namespace = "default";
  shard::Options inbound_options = options;
  inbound_options.outbound = {};
  inbound_options.inbound = inbound_address_;
  callee.shard = std::make_unique<shard::Shard>(callee.loop, inbound_options, self, &callee.sink);
  ASSERT_TRUE(callee.shard->Listen().ok());
  callee.shard->SetTls(tls::testing::MustMakeContext(authority->Workload("default", "orders")));
}

void HopTest::Publish() {
  if (caller.shard == nullptr) Start();
  config::RouteTable table;
  table.name = "outbound";
  config::VirtualHost host;
  host.name = "orders.default";
  host.domains = {"orders", "orders.default"};
  host.routes = {route};
  host.routes.insert(host.routes.end(), more_routes.begin(), more_routes.end());
  table.virtual_hosts.push_back(host);
  config::Listener listener;
  listener.name = "outbound";
  config::FilterChain chain;
  chain.name = "default";
  chain.route_table = "outbound";
  listener.chains.push_back(chain);

  ASSERT_EQ(caller.compiler->SetCluster(cluster), absl::OkStatus());
  ASSERT_EQ(caller.compiler->SetEndpoints(endpoints), absl::OkStatus());
  for (const config::Cluster& other : more_clusters) ASSERT_EQ(caller.compiler->SetCluster(other), absl::OkStatus());
  ASSERT_EQ(caller.compiler->SetRoutes(table), absl::OkStatus());
  ASSERT_EQ(caller.compiler->SetListener(listener), absl::OkStatus());
  caller.snapshot = caller.compiler->Build();
  caller.shard->Publish(caller.snapshot);
  if (shape == kPair) PublishCallee();
}

void HopTest::PublishCallee() {
  config::Cluster app;
  app.name = "inbound|8080";
  app.discovered = false;
  app.allow_plaintext = true;
  app.inbound_port = kApp;
  config::Endpoint endpoint;
  endpoint.address = net::Address::Loopback(kApp);
  app.inline_endpoints.endpoints.push_back(endpoint);
  config::Route to_app;
  to_app.name = "inbound";
  config::Forward forward_to_app;
  forward_to_app.clusters.push_back({.cluster = app.name});
  to_app.action = forward_to_app;
  config::VirtualHost any;
  any.name = "any";
  any.domains = {"*"};
  any.routes = {to_app};
  config::FilterChain secure;
  secure.name = "orders";
  secure.server_names = {kServerName};
  secure.tls = true;
  secure.terminate_tls = true;
  secure.inline_routes.virtual_hosts = {any};
  config::FilterChain plain = secure;
  plain.name = "plain";
  plain.server_names.clear();
  plain.tls = false;
  plain.terminate_tls = false;
  inbound.chains = {secure, plain};
  ASSERT_EQ(callee.compiler->SetCluster(app), absl::OkStatus());
  ASSERT_EQ(callee.compiler->SetListener(inbound), absl::OkStatus());
  callee.snapshot = callee.compiler->Build();
  callee.shard->Publish(callee.snapshot);
}

Client& HopTest::ConnectTo(const net::Address& address) {
  clients_.push_back(std::make_unique<Client>(client_loop, address));
  return *clients_.back();
}

Client& HopTest::Connect() { return ConnectTo(options.outbound); }

Message HopTest::Next(Client& client, bool head_only) {
  std::optional<Message> answer;
  Wait([&] {
    answer = client.Take(head_only);
    return answer.has_value() || client.over();
  });
  EXPECT_TRUE(answer.has_value()) << "no whole answer, only: " << client.received.substr(0, 2000) << " " << client.error.ToString();
  return answer.value_or(Message{});
}

Message HopTest::Fetch(const std::string& request) {
  Client& client = Connect();
  client.Send(request);
  return Next(client);
}

std::shared_ptr<balance::EndpointState> HopTest::endpoint_state(size_t index) {
  return (*caller.snapshot->FindCluster("orders")->endpoints)[index].state;
}

guard::RetryBudget& HopTest::retry_budget() { return caller.snapshot->FindCluster("orders")->state->retry_budget; }

void HopTest::TearDown() {
  clients_.clear();
  world.RunFor(100s);  // pooled connections are idle for a minute
  for (Proxy* proxy : {&caller, &callee}) {
    if (proxy->shard == nullptr) continue;
    EXPECT_EQ(proxy->shard->active_requests(), 0);
    EXPECT_EQ(proxy->shard->stats().connections_active, 0u);
  }
  if (const snapshot::Cluster* known = caller.snapshot == nullptr ? nullptr : caller.snapshot->FindCluster("orders")) {
    EXPECT_EQ(known->state->active_requests.load(), 0);
    for (size_t i = 0; known->warm() && i < known->endpoints->size(); ++i) EXPECT_EQ((*known->endpoints)[i].state->active.load(), 0);
  }
  caller.shard.reset();
  callee.shard.reset();
  servers_.clear();
  world.RunFor(5s);
  EXPECT_TRUE(world.problems().empty()) << world.problems().front();
  EXPECT_TRUE(world.Holdings().empty()) << world.Holdings().front();
  EXPECT_EQ(world.open_connections(), 0u);
}

}  // namespace outrigger::shardtest
