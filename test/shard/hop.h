// One worker's whole data path (a Shard) between clients and servers that a test drives by hand, on the simulated network, with
// configuration written as values: no control plane, no threads. With `Hop::kPair` there are two, outbound and inbound, and
// mutual TLS between them.
//
//   class MyTest : public HopTest {};
//   TEST_F(MyTest, Answers) {
//     Server& server = AddServer("orders-1");
//     Publish();
//     Client& client = Connect();
//     client.Send("GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
//     EXPECT_EQ(Next(client).status(), 200);
//   }
// At its end every test is checked for leaks: nothing may be active, open or armed once clients and servers are gone.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "proxy/observe/record.h"
#include "proxy/shard/shard.h"
#include "proxy/snapshot/snapshot.h"
#include "proxy/tls/testing.h"
#include "test/shard/peers.h"
#include "test/sim/world.h"

namespace outrigger::shardtest {

// An ExchangeRecord that keeps its text.
struct Record {
  int status = 0;
  std::string flags, reason, route, cluster, upstream;
  uint32_t attempts = 0;
  uint64_t request_bytes = 0, response_bytes = 0;
  bool mutual_tls = false;
  std::string source_identity;
};

class Recording final : public observe::Sink {
 public:
  void OnExchange(const observe::ExchangeRecord& record) override;
  std::vector<Record> records;
};

// A shard with its loop, compiler and records.
struct Proxy {
  sim::SimLoop* loop = nullptr;
  Recording sink;
  std::unique_ptr<snapshot::Compiler> compiler = snapshot::MakeCompiler();
  std::shared_ptr<const snapshot::Snapshot> snapshot;
  std::unique_ptr<shard::Shard> shard;
};

class HopTest : public ::testing::Test {
 protected:
  enum Shape { kOutbound, kPair };
  explicit HopTest(Shape shape = kOutbound, sim::Faults faults = sim::Faults::None());
  ~HopTest() override;
  void TearDown() override;

  // Change before Start (which Publish calls): listening shards keep their options.
  shard::Options options;
  // What is in force after Publish. Route table "outbound": every route forwards to cluster "orders" unless the test says otherwise.
  config::Cluster cluster;
  config::EndpointSet endpoints;
  config::Route route;               // the first route; its Forward is `forward()`
  std::vector<config::Route> more_routes;
  std::vector<config::Cluster> more_clusters;  // with inline endpoints
  config::Listener inbound;          // of a pair's callee
  config::Forward& forward() { return std::get<config::Forward>(route.action); }

  // An HTTP server on a machine of its own and an endpoint of "orders". Of a pair: the application beside the callee's sidecar.
  Server& AddServer(const std::string& name);
  Server& server() { return *servers_.front(); }
  void Publish();

  // A client connection to the outbound port.
  Client& Connect();
  Client& ConnectTo(const net::Address& address);
  // Waits for the next whole answer, 1xx included; status 0 when none came.
  Message Next(Client& client, bool head_only = false);
  Message Fetch(const std::string& request);  // on a connection of its own
  bool Wait(const std::function<bool()>& done, Duration within = 30s) { return world.RunUntil(done, within); }

  const std::vector<Record>& records() const { return caller.sink.records; }
  const Record& last_record() const { return caller.sink.records.back(); }
  std::shared_ptr<balance::EndpointState> endpoint_state(size_t index);
  guard::RetryBudget& retry_budget();

  const Shape shape;
  sim::World world;
  Proxy caller;   // the one with the outbound port
  Proxy callee;   // of a pair only
  sim::SimLoop* client_loop = nullptr;
  std::unique_ptr<tls::testing::TestMesh> authority;

 private:
  void Start();
  void StartCallee();
  void PublishCallee();

  net::Address inbound_address_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace outrigger::shardtest
