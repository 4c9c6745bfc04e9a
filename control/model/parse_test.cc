#include "control/model/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace outrigger::control {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

std::string Text(const std::vector<Problem>& problems) {
  std::string out;
  for (const Problem& problem : problems) out += problem.ToString() + "\n";
  return out;
}

// The only object of `text`, which must be good.
ObjectPtr One(std::string_view text) {
  ParseResult result = ParseYaml(text, "mesh.yaml");
  EXPECT_EQ(Text(result.problems), "");
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(result.objects.size(), 1u);
  return result.objects.empty() ? std::make_shared<Object>() : result.objects[0];
}

template <typename T>
T SpecOf(std::string_view text) {
  ObjectPtr object = One(text);
  const T* spec = object->As<T>();
  EXPECT_NE(spec, nullptr);
  return spec == nullptr ? T() : *spec;
}

TEST(ParseTest, AMeshWithoutKubernetesIsReadAsTheInterfacesPageWritesIt) {
  ParseResult result = ParseYaml(R"(
    apiVersion: v1
    kind: Service
    metadata: {name: orders, namespace: default}
    spec:
      selector: {app: orders}
      ports: [{name: http, port: 80, targetPort: http, appProtocol: http}]
---
    apiVersion: outrigger.dev/v1
    kind: Workload
    metadata: {name: orders-1, namespace: default, labels: {app: orders}}
    spec:
      address: 127.0.0.1
      inboundPort: 21006           # where its sidecar takes inbound traffic; 15006 when left out
      serviceAccount: orders       # identity spiffe://TRUST-DOMAIN/ns/default/sa/orders; "default" when left out
      ports: {http: 8080}          # the application's own ports by name, on 127.0.0.1 (or --app) beside the sidecar
      listen: [{port: 9001, service: inventory, servicePort: 80}]   # optional local ports of the sidecar
)",
                                 "mesh.yaml");
  ASSERT_EQ(Text(result.problems), "");
  ASSERT_EQ(result.objects.size(), 2u);

  const Object& service = *result.objects[0];
  EXPECT_EQ(service.key, (ObjectKey{Kind::kService, "default", "orders"}));
  EXPECT_EQ(service.origin.ToString(), "mesh.yaml:2");
  ServicePort port;
  port.name = "http";
  port.port = 80;
  port.target_port_name = "http";
  port.app_protocol = AppProtocol::kHttp;
  EXPECT_EQ(*service.As<Service>(), (Service{{{"app", "orders"}}, {port}, false}));

  const Object& workload = *result.objects[1];
  EXPECT_EQ(workload.key.ToString(), "Workload default/orders-1");
  EXPECT_EQ(workload.origin.line, 9);
  EXPECT_THAT(workload.labels, ElementsAre(Pair("app", "orders")));
  const Workload& spec = *workload.As<Workload>();
  EXPECT_EQ(spec.address, "127.0.0.1");
  EXPECT_EQ(spec.inbound_port, 21006);
  EXPECT_EQ(spec.service_account, "orders");
  EXPECT_THAT(spec.ports, ElementsAre(Pair("http", 8080)));
  ASSERT_EQ(spec.listen.size(), 1u);
  EXPECT_EQ(spec.listen[0].port, 9001);
  EXPECT_EQ(spec.listen[0].service, "inventory");
  EXPECT_EQ(spec.listen[0].service_namespace, "default");
}

TEST(ParseTest, WhatIsLeftOutOfAWorkloadHasItsDefault) {
  Workload spec = SpecOf<Workload>("{apiVersion: outrigger.dev/v1, kind: Workload, metadata: {name: a}, spec: {address: '2001:DB8::1'}}");
  EXPECT_EQ(spec.address, "2001:db8::1") << "canonical";
  EXPECT_EQ(spec.inbound_port, 15006);
  EXPECT_EQ(spec.service_account, "default");
  EXPECT_EQ(spec.weight, 1u);
  EXPECT_THAT(spec.ports, IsEmpty());
}

TEST(ParseTest, AWorkloadMayListenForServicesOfOtherNamespaces) {
  Workload spec = SpecOf<Workload>(R"(
apiVersion: outrigger.dev/v1
kind: Workload
metadata: {name: a, namespace: shop}
spec:
  address: 10.0.0.1
  weight: 3
  locality: {region: eu, zone: eu-1, subZone: rack-2}
  listen: [{port: 9001, service: pay.bank, servicePort: 8443}, {port: 9002, service: cart}]
)");
  EXPECT_EQ(spec.listen[0].service_namespace, "bank");
  EXPECT_EQ(spec.listen[0].service_port, 8443);
  EXPECT_EQ(spec.listen[1].service_namespace, "shop");
  EXPECT_EQ(spec.listen[1].service_port, 80) << "as a name without a port anywhere else";
  EXPECT_EQ(spec.locality, (Locality{"eu", "eu-1", "rack-2"}));
  EXPECT_EQ(spec.weight, 3u);
}

TEST(ParseTest, AServiceOfAClusterMayCarryFieldsThatMoveNoTraffic) {
  Service spec = SpecOf<Service>(R"(
apiVersion: v1
kind: Service
metadata:
  name: orders
  uid: 1234
  resourceVersion: "77"
  creationTimestamp: "2024-01-01T00:00:00Z"
  managedFields: [{manager: kubectl}]
  annotations: {a/b: c, empty: }
spec:
  type: NodePort
  clusterIP: 10.96.0.7
  clusterIPs: [10.96.0.7]
  ipFamilies: [IPv4]
  ipFamilyPolicy: SingleStack
  internalTrafficPolicy: Cluster
  sessionAffinity: None
  externalTrafficPolicy: Local
  selector: {app: orders}
  ports:
  - {name: http, port: 80, nodePort: 30080}
  - {name: dns, port: 80, protocol: UDP, targetPort: 53}
status: {loadBalancer: {}}
)");
  ASSERT_EQ(spec.ports.size(), 2u);
  EXPECT_EQ(spec.ports[0].target_port, 80) << "the port itself when left out";
  EXPECT_EQ(spec.ports[1].transport, TransportProtocol::kUdp);
}

TEST(ParseTest, APodSaysWhoItIsAndWhetherItHasASidecar) {
  Pod spec = SpecOf<Pod>(R"(
apiVersion: v1
kind: Pod
metadata: {name: orders-5d.x, namespace: shop, labels: {app: orders}, deletionTimestamp: null}
spec:
  serviceAccountName: orders
  nodeName: node-1
  restartPolicy: Always
  someFieldOfKubernetesToCome: {a: b}
  initContainers: [{name: init, image: x}, {name: outrigger-proxy, ports: [{containerPort: 15020, name: telemetry}]}]
  containers:
  - name: app
    image: app:1
    ports: [{name: http, containerPort: 8080}, {name: dns, containerPort: 53, protocol: UDP}, {containerPort: 9090}]
status:
  phase: Running
  podIP: 10.1.2.3
  conditions: [{type: Initialized, status: "True"}, {type: Ready, status: "False"}]
)");
  EXPECT_EQ(spec.service_account, "orders");
  EXPECT_TRUE(spec.injected);
  EXPECT_FALSE(spec.ready);
  EXPECT_EQ(spec.ip, "10.1.2.3");
  EXPECT_EQ(spec.ports, (std::vector<ContainerPort>{{"http", 8080}, {"", 9090}})) << "TCP ports of the application";
}

TEST(ParseTest, NullConditionsOfAnEndpointMeanReady) {
  EndpointSlice slice = SpecOf<EndpointSlice>(R"(
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: orders-abc, labels: {kubernetes.io/service-name: orders}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP, appProtocol: http}, {name: all, port: null}]
endpoints:
- addresses: [10.0.0.1, 10.0.0.2]
  targetRef: {kind: Pod, name: orders-1, namespace: shop, uid: x}
  zone: eu-1
- {addresses: [10.0.0.3], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [10.0.0.4], conditions: {ready: false}}
)");
  EXPECT_EQ(slice.service, "orders");
  ASSERT_EQ(slice.endpoints.size(), 3u);
  EXPECT_EQ(slice.endpoints[0], (SliceEndpoint{"10.0.0.1", true, true, false, "orders-1", "shop", "eu-1"}));
  EXPECT_EQ(slice.endpoints[1], (SliceEndpoint{"10.0.0.3", false, true, true, "", "", ""}));
  EXPECT_EQ(slice.endpoints[2], (SliceEndpoint{"10.0.0.4", false, false, false, "", "", ""}));
  EXPECT_EQ(slice.ports[1].port, std::nullopt);
}

TEST(ParseTest, NamespacesAndServiceAccountsAreAcceptedForTheirMetadata) {
  EXPECT_EQ(One("{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {a: b}}, spec: {finalizers: [k]}}")->key.ToString(),
            "Namespace shop");
  EXPECT_EQ(One("{apiVersion: v1, kind: ServiceAccount, metadata: {name: orders, namespace: shop}, secrets: []}")->key.ToString(),
            "ServiceAccount shop/orders");
}

TEST(ParseTest, AnHttpRouteIsReadWhole) {
  Route route = SpecOf<Route>(R"(
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: split, namespace: shop}
spec:
  parentRefs:
  - {group: "", kind: Service, name: orders, port: 80}
  - {group: core, kind: Service, name: cart, namespace: other, sectionName: http}
  - {name: my-gateway}
  hostnames: [orders.example.com]
  rules:
  - name: first
    matches:
    - path: {type: Exact, value: /a}
      method: POST
      headers: [{name: X-Canary, value: "yes"}, {type: RegularExpression, name: v, value: "[0-9]+"}]
      queryParams: [{name: Q, value: a}]
    - path: {value: /b/}
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: X-A, value: b}], add: [{name: x-c, value: ""}], remove: [X-D]}
    - type: URLRewrite
      urlRewrite: {hostname: new.example, path: {type: ReplaceFullPath, replaceFullPath: /new}}
    backendRefs: [{name: orders, port: 80, weight: 90}, {name: orders-v2, port: 80, weight: 10}]
    timeouts: {request: 1m30s, backendRequest: 500ms}
    retry: {attempts: 2, codes: [503, 500, 503], backoff: 100ms}
  - filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]
)");
  EXPECT_EQ(route.parents, (std::vector<ParentRef>{{"shop", "orders", 80, ""}, {"other", "cart", std::nullopt, "http"}}));
  ASSERT_EQ(route.rules.size(), 2u);
  const RouteRule& rule = route.rules[0];
  ASSERT_EQ(rule.matches.size(), 2u);
  EXPECT_EQ(rule.matches[0].path, (PathMatch{PathMatch::Type::kExact, "/a"}));
  EXPECT_EQ(rule.matches[0].method, "POST");
  EXPECT_EQ(rule.matches[0].headers, (std::vector<ValueMatch>{{"x-canary", false, "yes"}, {"v", true, "[0-9]+"}}));
  EXPECT_EQ(rule.matches[0].query, (std::vector<ValueMatch>{{"Q", false, "a"}})) << "query parameters keep their case";
  EXPECT_EQ(rule.request_headers, (HeaderModifier{{{"x-a", "b"}}, {{"x-c", ""}}, {"x-d"}}));
  EXPECT_EQ(rule.rewrite->hostname, "new.example");
  EXPECT_EQ(rule.backends[1].weight, 10u);
  EXPECT_EQ(rule.backends[1].namespace_, "shop");
  EXPECT_EQ(rule.request_timeout, Duration(90s));
  EXPECT_EQ(rule.backend_timeout, Duration(500ms));
  EXPECT_EQ(rule.retry->codes, (std::vector<int>{500, 503}));
  EXPECT_EQ(route.rules[1].redirect->status, 301);
  EXPECT_EQ(route.rules[1].matches.size(), 1u) << "everything, by default";
}

TEST(ParseTest, TheMethodsOfAGrpcRouteArePaths) {
  Route route = SpecOf<Route>(R"(
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: r}
spec:
  parentRefs: [{group: "", kind: Service, name: orders}]
  rules:
  - matches:
    - method: {service: shop.v1.Orders, method: Get}
    - method: {service: shop.v1.Orders}
    - method: {method: Get}
    - method: {type: RegularExpression, service: "shop\\..*", method: "Get|List"}
    - headers: [{name: A, value: b}]
    backendRefs: [{name: orders, port: 80}]
)");
  EXPECT_TRUE(route.grpc);
  std::vector<PathMatch> paths;
  for (const RouteMatch& match : route.rules[0].matches) paths.push_back(match.path);
  EXPECT_EQ(paths, (std::vector<PathMatch>{{PathMatch::Type::kExact, "/shop.v1.Orders/Get"},
                                           {PathMatch::Type::kPrefix, "/shop.v1.Orders"},
                                           {PathMatch::Type::kRegex, "/[^/]+/Get"},
                                           {PathMatch::Type::kRegex, "/(?:shop\\..*)/(?:Get|List)"},
                                           {PathMatch::Type::kPrefix, "/"}}));
}

TEST(ParseTest, ATrafficPolicySaysOnlyWhatItSays) {
  TrafficPolicy policy = SpecOf<TrafficPolicy>(R"(
apiVersion: outrigger.dev/v1
kind: TrafficPolicy
metadata: {name: orders}
spec:
  targetRefs: [{group: "", kind: Service, name: orders}, {kind: Service, name: cart, sectionName: http}]
  loadBalancing: {algorithm: roundRobin}
  retry:
    attempts: 3
    on: [reset, connect-failure]
    statusCodes: [503, 429]
    perTryTimeout: 250ms
    backoff: {base: 10ms, max: 1s}
    budget: {ratio: 0.1, minPerSecond: 5}
  timeout: {request: 0s, connect: 2s, idle: 1h}
)");
  EXPECT_EQ(policy.targets, (std::vector<TargetRef>{{"orders", "", 0}, {"cart", "http", 0}}));
  EXPECT_EQ(policy.settings.load_balancing, LoadBalancing::kRoundRobin);
  const RetrySettings& retry = *policy.settings.retry;
  EXPECT_EQ(retry.attempts, 3u);
  EXPECT_THAT(*retry.on, ElementsAre("reset", "connect-failure"));
  EXPECT_THAT(retry.status_codes, ElementsAre(429, 503));
  EXPECT_EQ(retry.per_try_timeout, Duration(250ms));
  EXPECT_EQ(retry.backoff_max, Duration(1s));
  EXPECT_EQ(*retry.budget, (RetryBudget{0.1, 5}));
  EXPECT_EQ(policy.settings.timeout.request, Duration()) << "declared: none";
  EXPECT_EQ(policy.settings.timeout.idle, Duration(1h));

  TrafficPolicy empty = SpecOf<TrafficPolicy>(
      "{apiVersion: outrigger.dev/v1, kind: TrafficPolicy, metadata: {name: a}, spec: {targetRefs: [{kind: Service, name: a}]}}");
  EXPECT_EQ(empty.settings, TrafficSettings());
}

TEST(ParseTest, AMeshPolicyHasNoNamespace) {
  ObjectPtr object = One(R"({"apiVersion": "outrigger.dev/v1", "kind": "MeshPolicy", "metadata": {"name": "mesh"},
    "spec": {"trustDomain": "example.org", "mtls": "permissive", "accessLog": {"requests": "errors"},
             "defaults": {"timeout": {"connect": "500ms"}}}})");
  EXPECT_EQ(object->key.ToString(), "MeshPolicy mesh");
  const MeshPolicy& policy = *object->As<MeshPolicy>();
  EXPECT_EQ(policy.trust_domain, "example.org");
  EXPECT_EQ(policy.mtls, MtlsMode::kPermissive);
  EXPECT_EQ(policy.access_log, AccessLog::kErrors);
  EXPECT_EQ(policy.defaults.timeout.connect, Duration(500ms));
}

TEST(ParseTest, AReferenceGrantKeepsWhatConcernsRoutesToServices) {
  ReferenceGrant grant = SpecOf<ReferenceGrant>(R"(
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: g, namespace: bank}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}, {group: x, kind: Other, namespace: shop}]
  to: [{group: "", kind: Service, name: pay}, {group: "", kind: Secret}]
)");
  EXPECT_EQ(grant, (ReferenceGrant{{{"HTTPRoute", "shop"}}, false, {"pay"}}));
}

TEST(ParseTest, AListIsUnpackedAndItsItemsStandForThemselves) {
  ParseResult result = ParseYaml(R"(apiVersion: v1
kind: List
metadata: {resourceVersion: ""}
items:
- apiVersion: v1
  kind: Namespace
  metadata: {name: a}
- apiVersion: v1
  kind: Namespace
  metadata: {name: B}
)",
                                 "list.yaml");
  ASSERT_EQ(result.objects.size(), 1u);
  EXPECT_EQ(result.objects[0]->origin.ToString(), "list.yaml:5");
  EXPECT_EQ(result.objects[0]->yaml, "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"a\"}}\n");
  ASSERT_EQ(result.problems.size(), 1u);
  EXPECT_EQ(result.problems[0].line, 10);
}

TEST(ParseTest, ABadDocumentLeavesItsNeighboursAlone) {
  ParseResult result = ParseYaml(
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\nkind: [broken\n---\napiVersion: v1\nkind: "
      "Namespace\nmetadata: {name: b}\n"
      "---\napiVersion: v1\nkind: Service\nmetadata: {name: c}\nspec: {prots: []}\n",
      "f.yaml");
  ASSERT_EQ(result.objects.size(), 2u);
  EXPECT_EQ(result.objects[1]->key.name, "b");
  ASSERT_EQ(result.problems.size(), 2u);
  EXPECT_FALSE(result.problems[0].key.has_value());
  EXPECT_GE(result.problems[0].line, 5);
  EXPECT_EQ(result.problems[1].ToString(), "f.yaml:14: Service default/c: spec.prots: unknown field; did you mean \"ports\"?");
  EXPECT_FALSE(result.complete) << "nobody knows what the broken document was meant to be";
}

TEST(ParseTest, AnObjectDeclaredTwiceInOneFileIsRefusedTheSecondTime) {
  ParseResult result = ParseYaml(
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n", "f.yaml");
  EXPECT_EQ(result.objects.size(), 1u);
  EXPECT_EQ(Text(result.problems),
            "f.yaml:5: Namespace a: metadata.name: Namespace a is declared twice in this file, first in line 1\n");
}

TEST(ParseTest, KindsOfOthersDoNotMakeAFileIncomplete) {
  EXPECT_TRUE(ParseYaml("{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}", "f").complete);
  EXPECT_TRUE(ParseYaml("{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: a}}", "f").complete);
  EXPECT_FALSE(ParseYaml("{apiVersion: v1, kind: Srevice, metadata: {name: a}}", "f").complete);
  EXPECT_FALSE(ParseYaml("{apiVersion: v1, kind: Service, metadata: {name: A_b}}", "f").complete);
  EXPECT_TRUE(ParseYaml("{apiVersion: v1, kind: Service, metadata: {name: a}}", "f").complete) << "its key is known";
}

TEST(ParseTest, LayoutCommentsAndPlaceDoNotChangeTheMeaning) {
  ObjectPtr a = One("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n");
  ObjectPtr b = One("# moved\n\nkind: Service\napiVersion: v1\nmetadata:\n  name: a\nspec:\n  ports:\n  - port: 80\n");
  EXPECT_TRUE(a->SameMeaning(*b));
  ObjectPtr c = One("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 81}]}\n");
  EXPECT_FALSE(a->SameMeaning(*c));
}

TEST(ParseTest, ObjectsAreShownAsJsonAsTheyWereWritten) {
  ObjectPtr object =
      One("apiVersion: v1\nkind: Namespace\nmetadata: {name: a, annotations: {q: \"1\", t: 'a\"\\b', n: }, generation: "
          "7}\n");
  EXPECT_EQ(*ObjectJson(*object),
            "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"a\",\"annotations\":{\"q\":\"1\",\"t\":\"a\\\"\\\\b\","
            "\"n\":null},\"generation\":7}}");
}

TEST(ParseTest, KindsAreFoundByTheNamesThatPeopleType) {
  for (std::string_view name : {"Service", "service", "services", "svc"}) EXPECT_EQ(KindFromName(name), Kind::kService) << name;
  EXPECT_EQ(KindFromName("httproutes"), Kind::kHttpRoute);
  EXPECT_EQ(KindFromName("TRAFFICPOLICY"), Kind::kTrafficPolicy);
  EXPECT_EQ(KindFromName("trafficpolicies"), Kind::kTrafficPolicy);
  EXPECT_EQ(KindFromName(""), std::nullopt);
  EXPECT_EQ(KindFromName("deployment"), std::nullopt);
}

}  // namespace
}  // namespace outrigger::control
