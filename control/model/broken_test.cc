// Everything that can be wrong with a file, and what the operator reads about it: line, field, reason. One row, one mistake.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/model/parse.h"

namespace outrigger::control {
namespace {

struct Row {
  const char* name;
  std::string yaml;
  int line;
  const char* field;
  const char* reason;  // a part of it
};

std::ostream& operator<<(std::ostream& out, const Row& row) { return out << row.name; }

class BrokenTest : public ::testing::TestWithParam<Row> {};

TEST_P(BrokenTest, IsRefusedWithLineFieldAndReason) {
  ParseResult result = ParseYaml(GetParam().yaml, "f.yaml");
  EXPECT_TRUE(result.objects.empty());
  std::string all;
  bool found = false;
  for (const Problem& problem : result.problems) {
    all += problem.ToString() + "\n";
    found = found || (problem.line == GetParam().line && problem.field == GetParam().field &&
                      problem.reason.find(GetParam().reason) != std::string::npos);
  }
  EXPECT_TRUE(found) << "wanted f.yaml:" << GetParam().line << ": " << GetParam().field << ": " << GetParam().reason << "\ngot\n" << all;
  EXPECT_EQ(result.problems.size(), 1u) << "one mistake, one line\n" << all;
}

// Each begins with three lines.
std::string Service(const std::string& spec) { return "apiVersion: v1\nkind: Service\nmetadata: {name: orders}\nspec:\n" + spec; }
std::string Workload(const std::string& spec) {
  return "apiVersion: outrigger.dev/v1\nkind: Workload\nmetadata: {name: orders-1}\nspec:\n  address: 127.0.0.1\n" + spec;
}
std::string Policy(const std::string& spec) {
  return "apiVersion: outrigger.dev/v1\nkind: TrafficPolicy\nmetadata: {name: p}\nspec:\n  targetRefs: [{kind: "
         "Service, name: orders}]\n" +
         spec;
}
std::string Mesh(const std::string& spec) { return "apiVersion: outrigger.dev/v1\nkind: MeshPolicy\nmetadata: {name: m}\nspec:\n" + spec; }
std::string Rule(const std::string& rule) {
  return "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n"
         "  parentRefs: [{group: \"\", kind: Service, name: orders}]\n  rules:\n  - backendRefs: [{name: orders, port: 80}]\n" +
         rule;
}
std::string Filter(const std::string& filter) { return Rule("    filters: [" + filter + "]\n"); }
std::string Grpc(const std::string& match) {
  return "apiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {name: r}\nspec:\n"
         "  parentRefs: [{group: \"\", kind: Service, name: orders}]\n  rules:\n  - matches: [" +
         match + "]\n";
}
std::string Slice(const std::string& rest) {
  return "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s}\n" + rest;
}

const char kNotYetText[] = "not supported yet by this version";

INSTANTIATE_TEST_SUITE_P(
    Documents, BrokenTest,
    ::testing::Values(
        Row{"quote not closed", "apiVersion: v1\nkind: 'Service\n", 2, "", "a quote is not closed"},
        Row{"double quote not closed", "apiVersion: v1\nkind: \"Serv", 2, "", "a quote is not closed"},
        Row{"brace not closed", "apiVersion: v1\nkind: Service\nmetadata: {name: a\n", 3, "", "not valid YAML"},
        Row{"bracket not closed", "apiVersion: v1\nkind: [Serv", 2, "", "not valid YAML"},
        Row{"tab", "apiVersion: v1\nkind: Service\nmetadata:\n\tname: a\n", 4, "", "not valid YAML"},
        Row{"list", "- a\n- b\n", 1, "", "must be a map, not a list"},
        Row{"text", "hello\n", 1, "", "must be a map, not a text"},
        Row{"no api version", "kind: Service\nmetadata: {name: a}\n", 1, "apiVersion", "is required"},
        Row{"no kind", "apiVersion: v1\nmetadata: {name: a}\n", 1, "kind", "is required"},
        Row{"kind misspelt", "apiVersion: v1\nkind: Serivce\n", 2, "kind", "did you mean Service?"},
        Row{"kind in lower case", "apiVersion: v1\nkind: service\n", 2, "kind", "did you mean Service?"},
        Row{"kind of others", "apiVersion: apps/v1\nkind: Deployment\n", 2, "kind",
            "is not a kind that Outrigger reads"},
        Row{"kind to come", "apiVersion: outrigger.dev/v1\nkind: FaultPolicy\n", 2, "kind", kNotYetText},
        Row{"TCPRoute", "apiVersion: gateway.networking.k8s.io/v1alpha2\nkind: TCPRoute\n", 2, "kind", kNotYetText},
        Row{"version", "apiVersion: outrigger.dev/v2\nkind: Workload\n", 1, "apiVersion",
            "is read as outrigger.dev/v1, not \"outrigger.dev/v2\""},
        Row{"group", "kind: Workload\napiVersion: v1\n", 2, "apiVersion", "is read as outrigger.dev/v1"},
        Row{"unknown top field", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\nspce: {}\n", 4, "spce",
            "did you mean \"spec\"?"},
        Row{"no metadata", "apiVersion: v1\nkind: Namespace\n", 1, "metadata", "is required"},
        Row{"no name", "apiVersion: v1\nkind: Namespace\nmetadata:\n  labels: {a: b}\n", 4, "metadata.name",
            "is required"},
        Row{"name of a number", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: 7\n", 4, "metadata.name",
            "put it in quotes: \"7\""},
        Row{"name with capitals", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: Shop\n", 4, "metadata.name",
            "may hold only a-z, 0-9 and '-'"},
        Row{"name too long", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + std::string(64, 'a') + "\n", 4,
            "metadata.name", "1 to 63"},
        Row{"name with a dash", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a-\n", 4, "metadata.name",
            "end with a letter or digit"},
        Row{"namespace", "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: a\n  namespace: a.b\n", 5,
            "metadata.namespace", "may hold only"},
        Row{"namespace of a MeshPolicy",
            "apiVersion: outrigger.dev/v1\nkind: MeshPolicy\nmetadata:\n  name: a\n  namespace: b\nspec: {}\n", 5,
            "metadata.namespace", "belongs to no namespace"},
        Row{"label of a number", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels:\n    version: 1.0\n",
            6, "metadata.labels.version", "put it in quotes: \"1.0\""},
        Row{"labels as a list", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels: [a]\n", 5,
            "metadata.labels", "must be a map of texts"},
        Row{"unknown metadata", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  lables: {}\n", 5,
            "metadata.lables", "did you mean \"labels\"?"},
        Row{"a field twice", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  name: b\n", 5, "",
            "\"name\" stands here twice"},
        Row{"second document", "# first\n---\n\n---\napiVersion: v1\nkind: Pot\n", 6, "kind", "did you mean Pod?"}));

INSTANTIATE_TEST_SUITE_P(
    Services, BrokenTest,
    ::testing::Values(
        Row{"no spec", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n", 1, "spec", "is required"},
        Row{"port 0", Service("  ports:\n  - port: 0\n"), 6, "spec.ports[0].port", "from 1 to 65535, not 0"},
        Row{"port too high", Service("  ports: [{port: 65536}]\n"), 5, "spec.ports[0].port", "not 65536"},
        Row{"port beyond numbers", Service("  ports: [{port: 99999999999999999999}]\n"), 5, "spec.ports[0].port",
            "from 1 to 65535"},
        Row{"port in quotes", Service("  ports: [{port: \"80\"}]\n"), 5, "spec.ports[0].port", "remove the quotes"},
        Row{"port as fraction", Service("  ports: [{port: 80.5}]\n"), 5, "spec.ports[0].port", "whole number"},
        Row{"port missing", Service("  ports: [{name: http}]\n"), 5, "spec.ports[0].port", "is required"},
        Row{"ports as a map", Service("  ports: {http: 80}\n"), 5, "spec.ports", "must be a list, not a map"},
        Row{"ports misspelt", Service("  port: [{port: 80}]\n"), 5, "spec.port", "did you mean \"ports\"?"},
        Row{"target in quotes", Service("  ports: [{port: 80, targetPort: \"8080\"}]\n"), 5, "spec.ports[0].targetPort",
            "is not a port name"},
        Row{"target misspelt", Service("  ports: [{port: 80, target_port: 8080}]\n"), 5, "spec.ports[0].target_port",
            "did you mean \"targetPort\"?"},
        Row{"two ports without names", Service("  ports:\n  - {port: 80, name: a}\n  - {port: 81}\n"), 7,
            "spec.ports[1].name", "is required when"},
        Row{"a port's name twice", Service("  ports: [{port: 80, name: a}, {port: 81, name: a}]\n"), 5,
            "spec.ports[1].name", "earlier port"},
        Row{"a port twice", Service("  ports: [{port: 80, name: a}, {port: 80, name: b}]\n"), 5, "spec.ports[1].port",
            "80 is declared by an earlier"},
        Row{"protocol", Service("  ports: [{port: 80, protocol: tcp}]\n"), 5, "spec.ports[0].protocol",
            "TCP, UDP or SCTP"},
        Row{"app protocol to come", Service("  ports: [{port: 80, appProtocol: kafka}]\n"), 5,
            "spec.ports[0].appProtocol", kNotYetText},
        Row{"app protocol unknown", Service("  ports: [{port: 80, appProtocol: htp}]\n"), 5,
            "spec.ports[0].appProtocol", "must be http, kubernetes.io/h2c or grpc"},
        Row{"external name", Service("  type: ExternalName\n"), 5, "spec.type", kNotYetText},
        Row{"type", Service("  type: Cluster\n"), 5, "spec.type", "ClusterIP, NodePort, LoadBalancer or ExternalName"},
        Row{"session affinity", Service("  sessionAffinity: ClientIP\n"), 5, "spec.sessionAffinity", kNotYetText},
        Row{"internal traffic policy", Service("  internalTrafficPolicy: Local\n"), 5, "spec.internalTrafficPolicy",
            kNotYetText},
        Row{"traffic distribution", Service("  trafficDistribution: PreferClose\n"), 5, "spec.trafficDistribution",
            kNotYetText},
        Row{"selector of a bool", Service("  selector: {blue: true}\n"), 5, "spec.selector.blue",
            "put it in quotes: \"true\""},
        Row{"not ready", Service("  publishNotReadyAddresses: 1\n"), 5, "spec.publishNotReadyAddresses",
            "must be true or false, not 1"},
        Row{"pod without containers", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  nodeName: x\n", 5,
            "spec.containers", "is required"},
        Row{"pod account misspelt",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers: []\n  serviceAcountName: x\n", 6,
            "spec.serviceAcountName", "did you mean \"serviceAccountName\"?"},
        Row{"pod port",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - ports: [{containerPort: -1}]\n",
            6, "spec.containers[0].ports[0].containerPort", "from 1 to 65535, not -1"},
        Row{"slice without type", Slice("endpoints: []\n"), 1, "addressType", "is required"},
        Row{"slice of names", Slice("addressType: FQDN\nendpoints: []\n"), 4, "addressType", kNotYetText},
        Row{"slice address", Slice("addressType: IPv4\nendpoints:\n- addresses: [10.0.0.999]\n"), 6,
            "endpoints[0].addresses[0]", "numeric IPv4 or IPv6"},
        Row{"slice without address", Slice("addressType: IPv4\nendpoints:\n- addresses: []\n"), 6,
            "endpoints[0].addresses", "at least one"}));

INSTANTIATE_TEST_SUITE_P(
    Workloads, BrokenTest,
    ::testing::Values(
        Row{"no address", "apiVersion: outrigger.dev/v1\nkind: Workload\nmetadata: {name: a}\nspec:\n  weight: 1\n", 5,
            "spec.address", "is required"},
        Row{"address of a name",
            "apiVersion: outrigger.dev/v1\nkind: Workload\nmetadata: {name: a}\nspec:\n  address: localhost\n", 5,
            "spec.address", "numeric IPv4 or IPv6 address, not \"localhost\""},
        Row{"address with a port",
            "apiVersion: outrigger.dev/v1\nkind: Workload\nmetadata: {name: a}\nspec:\n  address: 10.0.0.1:80\n", 5,
            "spec.address", "numeric"},
        Row{"any address",
            "apiVersion: outrigger.dev/v1\nkind: Workload\nmetadata: {name: a}\nspec:\n  address: 0.0.0.0\n", 5,
            "spec.address", "can connect to"},
        Row{"inbound port", Workload("  inboundPort: 70000\n"), 6, "spec.inboundPort", "not 70000"},
        Row{"inbound port misspelt", Workload("  inbound_port: 7000\n"), 6, "spec.inbound_port",
            "did you mean \"inboundPort\"?"},
        Row{"port name", Workload("  ports: {HTTP: 80}\n"), 6, "spec.ports.HTTP", "is not a port name"},
        Row{"port name of digits", Workload("  ports: {80: 80}\n"), 6, "spec.ports.80", "at least one letter"},
        Row{"port name too long", Workload("  ports: {sixteen-letters-: 80}\n"), 6, "spec.ports.sixteen-letters-",
            "at most 15"},
        Row{"ports as a list", Workload("  ports: [8080]\n"), 6, "spec.ports", "{http: 8080}"},
        Row{"weight 0", Workload("  weight: 0\n"), 6, "spec.weight", "from 1 to 1000000, not 0"},
        Row{"listen without service", Workload("  listen: [{port: 9001}]\n"), 6, "spec.listen[0].service",
            "is required"},
        Row{"listen twice", Workload("  listen:\n  - {port: 9001, service: a}\n  - {port: 9001, service: b}\n"), 8,
            "spec.listen[1].port", "earlier entry"},
        Row{"listen on the inbound port", Workload("  listen: [{port: 15006, service: a}]\n"), 6, "spec.listen",
            "the inboundPort already"},
        Row{"listen for a long name", Workload("  listen: [{port: 9001, service: a.b.svc}]\n"), 6,
            "spec.listen[0].service", "NAME or NAME.NAMESPACE"},
        Row{"locality", Workload("  locality: eu/a\n"), 6, "spec.locality", "must be a map, not a text"},
        Row{"labels in spec", Workload("  labels: {app: a}\n"), 6, "spec.labels", "unknown field"}));

INSTANTIATE_TEST_SUITE_P(
    Policies, BrokenTest,
    ::testing::Values(
        Row{"no targets",
            "apiVersion: outrigger.dev/v1\nkind: TrafficPolicy\nmetadata: {name: p}\nspec:\n  timeout: {}\n", 5,
            "spec.targetRefs", "is required"},
        Row{"empty targets",
            "apiVersion: outrigger.dev/v1\nkind: TrafficPolicy\nmetadata: {name: p}\nspec:\n  targetRefs: []\n", 5,
            "spec.targetRefs", "at least one Service"},
        Row{"target of another kind",
            "apiVersion: outrigger.dev/v1\nkind: TrafficPolicy\nmetadata: {name: p}\nspec:\n  targetRefs: [{kind: Pod, "
            "name: a}]\n",
            5, "spec.targetRefs[0].kind", "must be Service, not \"Pod\""},
        Row{"target elsewhere",
            "apiVersion: outrigger.dev/v1\nkind: TrafficPolicy\nmetadata: {name: p}\nspec:\n  targetRefs: [{kind: "
            "Service, name: a, namespace: b}]\n",
            5, "spec.targetRefs[0].namespace", "its own namespace"},
        Row{"target twice",
            "apiVersion: outrigger.dev/v1\nkind: TrafficPolicy\nmetadata: {name: p}\nspec:\n  targetRefs: [{kind: "
            "Service, name: a}, {kind: Service, name: a}]\n",
            5, "spec.targetRefs[1]", "stands here twice"},
        Row{"algorithm", Policy("  loadBalancing: {algorithm: LEAST_REQUEST}\n"), 6, "spec.loadBalancing.algorithm",
            "leastRequest, roundRobin or random"},
        Row{"hashing to come", Policy("  loadBalancing:\n    algorithm: random\n    consistentHash: {}\n"), 8,
            "spec.loadBalancing.consistentHash", kNotYetText},
        Row{"circuit breaker to come", Policy("  circuitBreaker: {maxRequests: 1}\n"), 6, "spec.circuitBreaker",
            kNotYetText},
        Row{"outlier detection to come", Policy("  outlierDetection: {}\n"), 6, "spec.outlierDetection", kNotYetText},
        Row{"rate limit to come", Policy("  rateLimit: {}\n"), 6, "spec.rateLimit", kNotYetText},
        Row{"health check to come", Policy("  healthCheck: {}\n"), 6, "spec.healthCheck", kNotYetText},
        Row{"hedging to come", Policy("  hedging: {}\n"), 6, "spec.hedging", kNotYetText},
        Row{"admission to come", Policy("  admission: {}\n"), 6, "spec.admission", kNotYetText},
        Row{"attempts", Policy("  retry: {attempts: 11}\n"), 6, "spec.retry.attempts", "from 0 to 10, not 11"},
        Row{"condition", Policy("  retry:\n    on:\n    - reset\n    - conect-failure\n"), 9, "spec.retry.on[1]",
            "did you mean \"connect-failure\"?"},
        Row{"condition twice", Policy("  retry: {on: [reset, reset]}\n"), 6, "spec.retry.on[1]", "stands here twice"},
        Row{"condition without codes", Policy("  retry: {on: [retriable-status-codes]}\n"), 6, "spec.retry.statusCodes",
            "is required by the condition"},
        Row{"status code", Policy("  retry: {statusCodes: [200]}\n"), 6, "spec.retry.statusCodes[0]",
            "from 400 to 599, not 200"},
        Row{"duration without unit", Policy("  retry: {perTryTimeout: 10}\n"), 6, "spec.retry.perTryTimeout",
            "must be a duration like"},
        Row{"duration of microseconds", Policy("  retry: {perTryTimeout: 10us}\n"), 6, "spec.retry.perTryTimeout",
            "must be a duration like"},
        Row{"duration with six digits", Policy("  timeout: {request: 100000ms}\n"), 6, "spec.timeout.request",
            "must be a duration like"},
        Row{"duration of five parts", Policy("  timeout: {request: 1h1m1s1ms1ms}\n"), 6, "spec.timeout.request",
            "must be a duration like"},
        Row{"duration negative", Policy("  timeout: {request: -1s}\n"), 6, "spec.timeout.request",
            "must be a duration like"},
        Row{"duration fraction", Policy("  timeout: {request: 1.5s}\n"), 6, "spec.timeout.request",
            "must be a duration like"},
        Row{"connect timeout 0", Policy("  timeout: {connect: 0s}\n"), 6, "spec.timeout.connect",
            "from 1ms to 5m, not \"0s\""},
        Row{"backoff", Policy("  retry: {backoff: {base: 1s, max: 10ms}}\n"), 6, "spec.retry.backoff.max",
            "less than base"},
        Row{"budget", Policy("  retry: {budget: {ratio: 1.5}}\n"), 6, "spec.retry.budget.ratio",
            "from 0 to 1, not 1.5"},
        Row{"budget field", Policy("  retry: {budget: {percent: 20}}\n"), 6, "spec.retry.budget.percent",
            "unknown field"},
        Row{"mtls", Mesh("  mtls: disabled\n"), 5, "spec.mtls", "strict or permissive, not \"disabled\""},
        Row{"trust domain", Mesh("  trustDomain: \"a/b\"\n"), 5, "spec.trustDomain", "is not a name"},
        Row{"tracing to come", Mesh("  tracing: {}\n"), 5, "spec.tracing", kNotYetText},
        Row{"access log", Mesh("  accessLog: {requests: some}\n"), 5, "spec.accessLog.requests", "all, errors or none"},
        Row{"default to come", Mesh("  defaults: {circuitBreaker: {}}\n"), 5, "spec.defaults.circuitBreaker",
            kNotYetText}));

INSTANTIATE_TEST_SUITE_P(
    Routes, BrokenTest,
    ::testing::Values(
        Row{"no parents",
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n  rules: []\n", 5,
            "spec.parentRefs", "is required"},
        Row{"gateway only",
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n  parentRefs: "
            "[{name: gw}]\n",
            5, "spec.parentRefs", "no parent is a Service"},
        Row{"group left out",
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n  parentRefs: "
            "[{kind: Service, name: a}]\n",
            5, "spec.parentRefs[0].group", "must be \"\" for a Service"},
        Row{"parent twice",
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n"
            "  parentRefs: [{group: \"\", kind: Service, name: a}, {group: core, kind: Service, name: a}]\n",
            5, "spec.parentRefs[1]", "stands here twice"},
        Row{"path type", Rule("    matches: [{path: {type: Prefix, value: /a}}]\n"), 8,
            "spec.rules[0].matches[0].path.type", "Exact, PathPrefix or RegularExpression"},
        Row{"path without slash", Rule("    matches: [{path: {value: a}}]\n"), 8, "spec.rules[0].matches[0].path.value",
            "must begin with '/'"},
        Row{"path with two slashes", Rule("    matches: [{path: {value: /a//b}}]\n"), 8,
            "spec.rules[0].matches[0].path.value", "must not hold \"//\""},
        Row{"path with dots", Rule("    matches: [{path: {value: /a/..}}]\n"), 8, "spec.rules[0].matches[0].path.value",
            "must not end"},
        Row{"path with query", Rule("    matches: [{path: {value: \"/a?b\"}}]\n"), 8,
            "spec.rules[0].matches[0].path.value", "must not hold \"?\""},
        Row{"path with space", Rule("    matches: [{path: {value: \"/a b\"}}]\n"), 8,
            "spec.rules[0].matches[0].path.value", "printable ASCII"},
        Row{"path regex", Rule("    matches: [{path: {type: RegularExpression, value: \"/(\"}}]\n"), 8,
            "spec.rules[0].matches[0].path.value", "not a regular expression"},
        Row{"path regex with lookahead", Rule("    matches: [{path: {type: RegularExpression, value: \"/(?!a)\"}}]\n"),
            8, "spec.rules[0].matches[0].path.value", "not a regular expression"},
        Row{"method", Rule("    matches: [{method: get}]\n"), 8, "spec.rules[0].matches[0].method",
            "write it in capitals"},
        Row{"header name", Rule("    matches: [{headers: [{name: \"a b\", value: c}]}]\n"), 8,
            "spec.rules[0].matches[0].headers[0].name", "is not a header name"},
        Row{"header twice", Rule("    matches: [{headers: [{name: a, value: b}, {name: A, value: c}]}]\n"), 8,
            "spec.rules[0].matches[0].headers[1].name", "stands here twice"},
        Row{"header value of a number", Rule("    matches: [{headers: [{name: a, value: 1}]}]\n"), 8,
            "spec.rules[0].matches[0].headers[0].value", "put it in quotes: \"1\""},
        Row{"match misspelt", Rule("    matchs: []\n"), 8, "spec.rules[0].matchs", "did you mean \"matches\"?"},
        Row{"filter unknown", Filter("{type: HeaderModifier}"), 8, "spec.rules[0].filters[0].type",
            "unknown filter \"HeaderModifier\""},
        Row{"mirror to come", Filter("{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 80}}}"), 8,
            "spec.rules[0].filters[0].type", kNotYetText},
        Row{"filter without its part", Filter("{type: URLRewrite}"), 8, "spec.rules[0].filters[0].urlRewrite",
            "is required"},
        Row{"a hostname that is none", Filter("{type: URLRewrite, urlRewrite: {hostname: \"a b.example\"}}"), 8,
            "spec.rules[0].filters[0].urlRewrite.hostname", "it may hold only a-z, 0-9 and '-' in each part between dots"},
        Row{"filter of another part", Filter("{type: URLRewrite, urlRewrite: {hostname: a}, requestRedirect: {}}"), 8,
            "spec.rules[0].filters[0].requestRedirect", "unknown field"},
        Row{"header owned by the proxy",
            Filter("{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: Host, value: a}]}}"), 8,
            "spec.rules[0].filters[0].requestHeaderModifier.set[0].name", "use URLRewrite.hostname"},
        Row{"smuggling header",
            Filter("{type: RequestHeaderModifier, requestHeaderModifier: {remove: [Transfer-Encoding]}}"), 8,
            "spec.rules[0].filters[0].requestHeaderModifier.remove[0]", "belongs to the proxy"},
        Row{"header value with a line break",
            Filter("{type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: a, value: \"b\\nc: d\"}]}}"),
            8, "spec.rules[0].filters[0].responseHeaderModifier.add[0].value", "no line breaks"},
        Row{"header value with a percent sign",
            Filter("{type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: a, value: \"50%\"}]}}"), 8,
            "spec.rules[0].filters[0].responseHeaderModifier.add[0].value", kNotYetText},
        Row{"header changed twice",
            Filter("{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}], remove: [A]}}"),
            8, "spec.rules[0].filters[0].requestHeaderModifier", "\"a\" is changed twice"},
        Row{"redirect with backends", Filter("{type: RequestRedirect, requestRedirect: {scheme: https}}"), 7,
            "spec.rules[0].backendRefs", "has no backends"},
        Row{"rewrite of a prefix that is none",
            Rule("    matches: [{path: {type: Exact, value: /a}}]\n    filters:\n    - type: URLRewrite\n      "
                 "urlRewrite:\n"
                 "        path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}\n"),
            12, "spec.rules[0].filters[0].urlRewrite.path", "needs every match of the rule to be a PathPrefix"},
        Row{"rewrite of two kinds",
            Filter("{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /a, "
                   "replacePrefixMatch: /b}}}"),
            8, "spec.rules[0].filters[0].urlRewrite.path.replacePrefixMatch", "does not go with this type"},
        Row{"backend without port", Rule("  - backendRefs: [{name: a}]\n"), 8, "spec.rules[1].backendRefs[0].port",
            "is required"},
        Row{"backend of another kind", Rule("  - backendRefs: [{name: a, port: 80, kind: Pod}]\n"), 8,
            "spec.rules[1].backendRefs[0].kind", "must be Service"},
        Row{"backend weight", Rule("  - backendRefs: [{name: a, port: 80, weight: -1}]\n"), 8,
            "spec.rules[1].backendRefs[0].weight", "from 0 to 1000000, not -1"},
        Row{"backend filters to come", Rule("  - backendRefs: [{name: a, port: 80, filters: [{type: URLRewrite}]}]\n"),
            8, "spec.rules[1].backendRefs[0].filters", kNotYetText},
        Row{"timeouts", Rule("    timeouts: {request: 1s, backendRequest: 2s}\n"), 8,
            "spec.rules[0].timeouts.backendRequest", "must not be longer than request"},
        Row{"retry code", Rule("    retry: {codes: [302]}\n"), 8, "spec.rules[0].retry.codes[0]", "from 400 to 599"},
        Row{"session persistence to come", Rule("    sessionPersistence: {type: Cookie}\n"), 8,
            "spec.rules[0].sessionPersistence", kNotYetText},
        Row{"gRPC service", Grpc("{method: {service: shop/Orders}}"), 7, "spec.rules[0].matches[0].method.service",
            "is not a gRPC service name"},
        Row{"gRPC method of nothing", Grpc("{method: {type: Exact}}"), 7, "spec.rules[0].matches[0].method",
            "a service or a method"},
        Row{"gRPC path", Grpc("{path: {value: /a}}"), 7, "spec.rules[0].matches[0].path", "unknown field"}));

TEST(BrokenManyTest, SeveralMistakesOfOneDocumentAreReportedTogetherInOrder) {
  ParseResult result = ParseYaml(Service("  slector: {a: b}\n  ports:\n  - {port: 0}\n  - {prt: 1}\n"), "f.yaml");
  std::vector<std::string> fields;
  for (const Problem& problem : result.problems) {
    fields.push_back(problem.field);
    EXPECT_EQ(problem.key, (ObjectKey{Kind::kService, "default", "orders"}));
  }
  EXPECT_THAT(fields, ::testing::ElementsAre("spec.slector", "spec.ports[0].port", "spec.ports[0].name",
                                             "spec.ports[1].port", "spec.ports[1].prt", "spec.ports[1].name"));
}

}  // namespace
}  // namespace outrigger::control
