// A mesh from a text, for tests of compile and of what reads its resources. Header only.
#pragma once

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <vector>

#include "control/compile/compile.h"
#include "control/model/parse.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"

namespace outrigger::control::testing {

template <typename T>
T Unpack(const google::protobuf::Any& any) {
  T out;
  EXPECT_TRUE(any.UnpackTo(&out)) << any.type_url();
  return out;
}

template <typename T>
T Get(const ResourceMapPtr& map, const std::string& name) {
  auto found = map->find(name);
  if (found != map->end()) return Unpack<T>(*found->second);
  ADD_FAILURE() << "no resource " << name;
  return T();
}

// JSON on one line, for structs.
inline std::string Text(const google::protobuf::Message& message) {
  std::string out;
  EXPECT_TRUE(google::protobuf::util::MessageToJsonString(message, &out).ok());
  return nlohmann::json::parse(out).dump();  // in order of the keys
}

// orders (two workloads, one listening for inventory) and inventory (one workload in another namespace).
inline constexpr char kMesh[] = R"(
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec:
  selector: {app: orders}
  ports: [{name: http, port: 80, targetPort: http, appProtocol: http}]
---
apiVersion: outrigger.dev/v1
kind: Workload
metadata: {name: orders-1, namespace: shop, labels: {app: orders, version: v1}}
spec:
  address: 127.0.0.1
  inboundPort: 21006
  serviceAccount: orders
  ports: {http: 8080, admin: 9000}
  listen: [{port: 9001, service: inventory.stock}]
---
apiVersion: outrigger.dev/v1
kind: Workload
metadata: {name: orders-2, namespace: shop, labels: {app: orders}}
spec:
  address: 127.0.0.1
  inboundPort: 21007
  serviceAccount: orders-canary
  ports: {http: 8081}
  weight: 3
  locality: {region: eu, zone: a}
---
apiVersion: v1
kind: Service
metadata: {name: inventory, namespace: stock}
spec:
  selector: {app: inventory}
  ports: [{name: rpc, port: 9090, targetPort: 7070, appProtocol: grpc}, {name: http, port: 80, targetPort: 7071}]
---
apiVersion: outrigger.dev/v1
kind: Workload
metadata: {name: inventory-1, namespace: stock, labels: {app: inventory}}
spec: {address: 10.0.0.9}
)";

// A Workload at 127.0.0.1: more of its spec, and its labels.
inline std::string WorkloadYaml(const std::string& name, const std::string& spec = "", const std::string& labels = "") {
  return "{apiVersion: outrigger.dev/v1, kind: Workload, metadata: {name: " + name + ", labels: {" + labels +
         "}}, spec: {address: 127.0.0.1" + (spec.empty() ? "" : ", " + spec) + "}}\n";
}

inline const envoy::config::route::v3::VirtualHost& HostOf(const envoy::config::route::v3::RouteConfiguration& routes,
                                                           const std::string& name) {
  static const envoy::config::route::v3::VirtualHost kNone;
  for (const auto& host : routes.virtual_hosts()) {
    if (host.name() == name) return host;
  }
  ADD_FAILURE() << "no virtual host " << name;
  return kNone;
}

class MeshTest : public ::testing::Test {
 protected:
  // Compiles with the same Compiler each time. Every document must be good.
  void Load(const std::string& text) {
    ParseResult parsed = ParseYaml(text, "mesh.yaml");
    for (const Problem& problem : parsed.problems) ADD_FAILURE() << problem.ToString();
    auto next = std::make_shared<StoreSnapshot>();
    next->generation = snapshot == nullptr ? 1 : snapshot->generation + 1;
    for (const ObjectPtr& object : parsed.objects) next->objects[object->key] = object;
    snapshot = std::move(next);
    mesh = compiler->Compile(snapshot);
    EXPECT_EQ(mesh->generation(), snapshot->generation);
  }

  // "NAMESPACE/WORKLOAD"
  ResourceSet For(const std::string& proxy) const {
    size_t slash = proxy.find('/');
    auto set = mesh->For({proxy.substr(0, slash), proxy.substr(slash + 1)});
    if (set.ok()) return *set;
    ADD_FAILURE() << set.status();
    auto none = std::make_shared<const ResourceMap>();
    return {none, none, none, none};
  }

  // Without file and line, in their order.
  std::vector<std::string> Problems() const {
    std::vector<std::string> out;
    for (Problem problem : mesh->problems()) {
      std::string where = problem.file + ":" + std::to_string(problem.line) + ": ";
      std::string text = problem.ToString();
      EXPECT_EQ(text.substr(0, where.size()), where);
      out.push_back(text.substr(where.size()));
    }
    return out;
  }

  // "ADDRESS:PORT WORKLOAD mesh draining ZONE", whatever applies.
  std::vector<std::string> Endpoints(const std::string& cluster) const {
    std::vector<std::string> out;
    if (mesh->workloads().empty()) {
      ADD_FAILURE() << "nobody to ask as";
      return out;
    }
    auto set = mesh->For(mesh->workloads().begin()->first);
    auto assignment = Get<envoy::config::endpoint::v3::ClusterLoadAssignment>(set->endpoints, cluster);
    for (const auto& group : assignment.endpoints()) {
      for (const auto& endpoint : group.lb_endpoints()) {
        const auto& address = endpoint.endpoint().address().socket_address();
        std::string text = address.address() + ":" + std::to_string(address.port_value());
        const auto& metadata = endpoint.metadata().filter_metadata();
        auto ours = metadata.find("outrigger.dev");
        if (ours != metadata.end() && ours->second.fields().count("workload") > 0)
          text += " " + ours->second.fields().at("workload").string_value();
        if (metadata.count("envoy.transport_socket_match") > 0) text += " mesh";
        if (endpoint.health_status() == envoy::config::core::v3::DRAINING) text += " draining";
        if (!group.locality().zone().empty()) text += " " + group.locality().zone();
        out.push_back(text);
      }
    }
    return out;
  }

  std::unique_ptr<Compiler> compiler = std::make_unique<Compiler>(CompileOptions{});
  std::shared_ptr<const StoreSnapshot> snapshot;
  std::shared_ptr<const CompiledMesh> mesh;
};

}  // namespace outrigger::control::testing
