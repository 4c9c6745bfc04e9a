// Who is behind a service: Pods, EndpointSlices, Workloads, and what clashes.
#include "control/compile/compile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/compile/testing.h"

namespace outrigger::control {
namespace {

using envoy::config::listener::v3::Listener;
using testing::Get;
using testing::MeshTest;
using testing::WorkloadYaml;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using CompileEndpointsTest = MeshTest;

std::string PodYaml(const std::string& name, const std::string& ip, bool injected, const std::string& status = "",
                    const std::string& meta = "") {
  return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", labels: {app: a}" + meta +
         "}\nspec:\n  serviceAccountName: sa-" + name +
         "\n  containers: [{name: app, ports: [{name: http, containerPort: 8080}]}" +
         (injected ? ", {name: outrigger-proxy}" : "") + "]\nstatus: {podIP: " + ip + ", phase: Running" + status +
         "}\n---\n";
}
constexpr char kServiceA[] =
    "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {selector: {app: a}, ports: [{name: http, port: 80, "
    "targetPort: http}]}}\n---\n";

TEST_F(CompileEndpointsTest, PodsAreEndpointsInjectedOnesByMtls) {
  Load(kServiceA + PodYaml("p1", "10.1.0.1", true) + PodYaml("p2", "10.1.0.2", false) +
       PodYaml("p3", "10.1.0.3", true, ", conditions: [{type: Ready, status: \"False\"}]") +
       PodYaml("p4", "10.1.0.4", true, "", ", deletionTimestamp: \"2024-01-01T00:00:00Z\""));
  EXPECT_THAT(Endpoints("outbound|80||a.default"),
              ElementsAre("10.1.0.1:15006 p1 mesh", "10.1.0.2:8080 p2", "10.1.0.4:15006 p4 mesh draining"));
  EXPECT_TRUE(mesh->For({"default", "p1"}).ok());
  EXPECT_FALSE(mesh->For({"default", "p2"}).ok()) << "no sidecar";
  Listener unready = Get<Listener>(For("default/p3").listeners, "inbound");
  EXPECT_THAT(unready.filter_chains(0).filter_chain_match().server_names(), ::testing::Contains("80.a.default.svc.outrigger.internal"))
      << "it serves, but nobody is sent there";
}

TEST_F(CompileEndpointsTest, SlicesSayWhichPodsThereAre) {
  Load(std::string(kServiceA) + PodYaml("p1", "10.1.0.1", true) + PodYaml("p2", "10.1.0.2", true) + R"(
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a-1, labels: {kubernetes.io/service-name: a}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: [10.1.0.1], targetRef: {kind: Pod, name: p1, namespace: default}, zone: eu-1}
- {addresses: [10.9.9.9]}
- {addresses: [10.9.9.8], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [10.9.9.7], conditions: {ready: false}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a-2, labels: {kubernetes.io/service-name: a}}
addressType: IPv4
ports: [{name: http, port: 8080}, {name: other, port: 1}]
endpoints: [{addresses: [10.9.9.9]}]
)");
  EXPECT_THAT(Endpoints("outbound|80||a.default"),
              ElementsAre("10.9.9.8:8080 draining", "10.9.9.9:8080", "10.1.0.1:15006 p1 mesh eu-1"))
      << "p2 is in no slice, and an address counts once";
}

TEST_F(CompileEndpointsTest, WorkloadsCountBesideSlices) {
  Load(std::string(kServiceA) + WorkloadYaml("vm-1", "ports: {http: 80}, inboundPort: 20001", "app: a") + R"(
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a-1, labels: {kubernetes.io/service-name: a}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.9.9.9]}]
)");
  EXPECT_THAT(Endpoints("outbound|80||a.default"), ElementsAre("10.9.9.9:8080", "127.0.0.1:20001 vm-1 mesh"));
}

TEST_F(CompileEndpointsTest, ANamedPortThatAWorkloadLacksIsReportedAndNoEndpoint) {
  Load(std::string(kServiceA) + WorkloadYaml("w", "ports: {web: 80}", "app: a"));
  EXPECT_THAT(Endpoints("outbound|80||a.default"), IsEmpty());
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("Service default/a: spec.ports[0].targetPort: Workload default/w (mesh.yaml:3) has no port "
                                                "named \"http\"")));
}

TEST_F(CompileEndpointsTest, ClashesAreReported) {
  Load(WorkloadYaml("a", "inboundPort: 20001, listen: [{port: 9001, service: s}]") + "---\n" +
       WorkloadYaml("b", "inboundPort: 20001") + "---\n" +
       WorkloadYaml("c", "inboundPort: 20002, listen: [{port: 9001, service: s}]") + "---\n" +
       "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 80}]}}\n---\n" +
       PodYaml("a", "10.0.0.1", true));
  EXPECT_THAT(
      Problems(),
      ElementsAre(
          HasSubstr(
              "Workload default/b: spec.inboundPort: 127.0.0.1:20001 is the inbound address of Workload default/a too"),
          HasSubstr("Workload default/c: spec.listen: port 9001 of 127.0.0.1 is taken by Workload default/a"),
          HasSubstr("Pod default/a: metadata.name: a Workload has the same name")));
}

}  // namespace
}  // namespace outrigger::control
