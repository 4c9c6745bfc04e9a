// Clusters and endpoints as values, and a table of everything that is refused, with the field and the reason.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/discovery/testing.h"
#include "proxy/discovery/translate.h"

namespace outrigger::discovery {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using testing::kClusterText;
using testing::Parse;
using testing::Replaced;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

config::Cluster MustTranslate(const std::string& text) {
  auto cluster = Translate(Parse<Cluster>(text));
  EXPECT_TRUE(cluster.ok()) << cluster.status();
  return cluster.ok() ? *cluster : config::Cluster();
}

TEST(TranslateCluster, AMeshServiceKeepsEverythingItSays) {
  const config::Cluster cluster = MustTranslate(kClusterText);
  EXPECT_EQ(cluster.name, "outbound|80||orders.default");
  EXPECT_EQ(cluster.service, "orders");
  EXPECT_EQ(cluster.service_namespace, "default");
  EXPECT_EQ(cluster.service_port, 80);
  EXPECT_EQ(cluster.lb_policy, config::LbPolicy::kRoundRobin);
  EXPECT_EQ(cluster.protocol, config::UpstreamProtocol::kHttp2);
  EXPECT_EQ(cluster.connect_timeout, 2s);
  EXPECT_EQ(cluster.idle_timeout, 7s);
  EXPECT_TRUE(cluster.mesh);
  EXPECT_FALSE(cluster.allow_plaintext);
  EXPECT_EQ(cluster.sni, "80.orders.default.svc.outrigger.internal");
  EXPECT_THAT(cluster.accepted_ids, ElementsAre("spiffe://cluster.local/ns/default/sa/orders"));
  EXPECT_TRUE(cluster.discovered);
  EXPECT_EQ(cluster.endpoints_name, cluster.name);
  EXPECT_EQ(cluster.inbound_port, 0);
  EXPECT_EQ(cluster.retry_budget, config::RetryBudget());
}

TEST(TranslateCluster, PlaintextIsAllowedOnlyWhereItIsSaid) {
  const config::Cluster permissive = MustTranslate(std::string(kClusterText) +
                                                   "transport_socket_matches { name: 'plaintext' match {} "
                                                   "transport_socket { name: 'envoy.transport_sockets.raw_buffer' } }");
  EXPECT_TRUE(permissive.mesh);
  EXPECT_TRUE(permissive.allow_plaintext);
  const config::Cluster plain = MustTranslate("name: 'c' type: EDS lb_policy: RANDOM");
  EXPECT_FALSE(plain.mesh);
  EXPECT_TRUE(plain.allow_plaintext);
  EXPECT_EQ(plain.lb_policy, config::LbPolicy::kRandom);
  EXPECT_EQ(plain.connect_timeout, 5s) << "what xDS says when nothing is said";
}

TEST(TranslateCluster, AnInboundClusterHasItsEndpointsAndItsPort) {
  const config::Cluster cluster = MustTranslate(R"(
    name: "inbound|8080" type: STATIC lb_policy: LEAST_REQUEST
    load_assignment { endpoints { lb_endpoints { endpoint { address { socket_address { address: "127.0.0.1" port_value: 8080 } } } } } }
    metadata { filter_metadata { key: "outrigger.dev" value { fields { key: "port" value { number_value: 8080 } } } } })");
  EXPECT_FALSE(cluster.discovered);
  EXPECT_EQ(cluster.inbound_port, 8080);
  EXPECT_EQ(cluster.service_port, 0);
  ASSERT_EQ(cluster.inline_endpoints.endpoints.size(), 1u);
  EXPECT_EQ(cluster.inline_endpoints.endpoints[0].address_text, "127.0.0.1:8080");
}

TEST(TranslateCluster, EndpointsMayComeUnderAnotherName) {
  EXPECT_EQ(MustTranslate("name: 'c' type: EDS eds_cluster_config { service_name: 'other' }").endpoints_name, "other");
}

std::string WithBudget(const std::string& budget) {
  return Replaced(kClusterText, "fields { key: \"service\"",
                  "fields { key: \"retry_budget\" value { " + budget + " } }\n  fields { key: \"service\"");
}
std::string Number(const std::string& name, const std::string& value) {
  return "fields { key: '" + name + "' value { number_value: " + value + " } } ";
}

TEST(TranslateCluster, TheRetryBudgetIsRead) {
  const config::Cluster both = MustTranslate(WithBudget("struct_value { " + Number("ratio", "0.5") + Number("min_per_second", "3") + "}"));
  EXPECT_EQ(both.retry_budget, (config::RetryBudget{0.5, 3}));
  const config::Cluster one = MustTranslate(WithBudget("struct_value { " + Number("ratio", "0") + "}"));
  EXPECT_EQ(one.retry_budget, (config::RetryBudget{0, 10})) << "what is not said is the default";
}

struct Refused {
  std::string text;
  std::string where_and_why;
};

TEST(TranslateCluster, WhatIsNotUnderstoodIsRefusedByFieldAndReason) {
  const std::string tls = "transport_socket_matches[mesh].common_tls_context: ";
  const std::string san = "match_typed_subject_alt_names { san_type: URI matcher { exact: \"spiffe://cluster.local/ns/default/sa/orders\" } }";
  const Refused cases[] = {
      {std::string(kClusterText) + "lrs_server { self {} }", "field lrs_server is not supported"},
      {Replaced(kClusterText, "ROUND_ROBIN", "MAGLEV"), "lb_policy: MAGLEV is not supported"},
      {Replaced(kClusterText, "type: EDS", "type: STRICT_DNS"), "type: STRICT_DNS is not supported"},
      {Replaced(kClusterText, "seconds: 2", "seconds: -2"), "connect_timeout: a duration must be between zero and a year"},
      {Replaced(kClusterText, "seconds: 7", "seconds: -7"), "idle_timeout: a duration must be"},
      {Replaced(kClusterText, san, ""), tls + "match_typed_subject_alt_names is empty, and that would trust everybody"},
      {Replaced(kClusterText, "exact: \"spiffe", "prefix: \"spiffe"), tls + "match_typed_subject_alt_names: only exact URIs"},
      {Replaced(kClusterText, "san_type: URI", "san_type: DNS"), tls + "match_typed_subject_alt_names: only exact URIs"},
      {Replaced(kClusterText, "\"ROOTCA\"", "\"web-roots\""), tls + "validation_context_sds_secret_config must name the secret \"ROOTCA\""},
      {Replaced(kClusterText, "name: \"default\" }", "name: \"mine\" }"), tls + "tls_certificate_sds_secret_configs must name"},
      {Replaced(kClusterText, "tls_certificate_sds_secret_configs { name: \"default\" }", ""),
       tls + "tls_certificate_sds_secret_configs must"},
      {Replaced(kClusterText, "tls_minimum_protocol_version: TLSv1_3", "tls_maximum_protocol_version: TLSv1_2"), tls + "only TLS 1.3"},
      {Replaced(kClusterText, "tls_minimum_protocol_version: TLSv1_3", "cipher_suites: 'AES128-SHA'"),
       "common_tls_context.tls_params: field cipher_suites is not supported"},
      {Replaced(kClusterText, "default_validation_context {", "default_validation_context { trust_chain_verification: ACCEPT_UNTRUSTED"),
       "default_validation_context: field trust_chain_verification is not supported"},
      {Replaced(kClusterText, "sni:", "allow_renegotiation: true sni:"),
       "transport_socket_matches[mesh]: field allow_renegotiation is not supported"},
      {Replaced(kClusterText, "string_value: \"mesh\"", "string_value: \"istio\""),
       "transport_socket_matches[mesh]: only {tlsMode: mesh} and {}"},
      {"name: 'c' type: EDS transport_socket { name: 'envoy.transport_sockets.quic' }",
       "transport_socket: envoy.transport_sockets.quic is not supported"},
      {WithBudget("number_value: 1"), "metadata.outrigger.dev.retry_budget: must be {ratio, min_per_second}"},
      {WithBudget("struct_value { " + Number("ratio", "1.5") + "}"), "retry_budget.ratio: must be 0 to 1"},
      {WithBudget("struct_value { " + Number("ratio", "nan") + "}"), "retry_budget.ratio: must be 0 to 1"},
      {WithBudget("struct_value { " + Number("min_per_second", "-1") + "}"), "retry_budget.min_per_second: must be 0 to 1000000"},
      {WithBudget("struct_value { " + Number("burst", "1") + "}"), "retry_budget: burst is not known"},
      {"name: 'c' type: STATIC load_assignment { endpoints { lb_endpoints { endpoint { address { socket_address "
       "{ address: 'orders' port_value: 1 } } } } } }",
       "load_assignment: endpoints[0].lb_endpoints[0].endpoint.address: \"orders\" is not a numeric IP address"},
  };
  for (const Refused& refused : cases) {
    const auto cluster = Translate(Parse<Cluster>(refused.text));
    EXPECT_FALSE(cluster.ok()) << refused.where_and_why;
    EXPECT_THAT(cluster.status().message(), HasSubstr(refused.where_and_why));
  }
}

TEST(TranslateCluster, OptionsOfAnotherKindAreRefused) {
  auto cluster = Parse<Cluster>("name: 'c' type: EDS");
  (*cluster.mutable_typed_extension_protocol_options())["some.Options"].set_type_url("type.googleapis.com/some.Options");
  EXPECT_THAT(Translate(cluster).status().message(), HasSubstr("typed_extension_protocol_options: some.Options is not supported"));
}

TEST(TranslateCluster, AFieldThatTheSchemaDoesNotKnowIsRefusedByNumber) {
  Cluster cluster = Parse<Cluster>(kClusterText);
  cluster.GetReflection()->MutableUnknownFields(&cluster)->AddVarint(999, 1);
  EXPECT_THAT(Translate(cluster).status().message(), HasSubstr("field number 999 of Cluster is not known"));
}

// ---- endpoints

constexpr char kEndpointText[] = R"(
cluster_name: "outbound|80||orders.default"
endpoints {
  locality { region: "eu" zone: "a" }
  lb_endpoints {
    endpoint { address { socket_address { address: "10.0.0.2" port_value: 15006 } } }
    health_status: HEALTHY
    load_balancing_weight { value: 3 }
    metadata {
      filter_metadata { key: "envoy.transport_socket_match" value { fields { key: "tlsMode" value { string_value: "mesh" } } } }
      filter_metadata { key: "outrigger.dev" value {
        fields { key: "workload" value { string_value: "orders-1" } }
        fields { key: "namespace" value { string_value: "default" } }
        fields { key: "identity" value { string_value: "spiffe://cluster.local/ns/default/sa/orders" } }
        fields { key: "sni" value { string_value: "80.orders" } }
      } }
    }
  }
}
endpoints { lb_endpoints { endpoint { address { socket_address { address: "fd00::1" port_value: 80 } } } health_status: DRAINING } }
endpoints { lb_endpoints { endpoint { address { pipe { path: "/run/orders" } } } health_status: UNHEALTHY } }
)";

TEST(TranslateEndpoints, EachKeepsItsAddressIdentityPlaceAndHealth) {
  const auto set = Translate(Parse<ClusterLoadAssignment>(kEndpointText));
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->cluster, "outbound|80||orders.default");
  ASSERT_EQ(set->endpoints.size(), 3u);
  const config::Endpoint& mesh = set->endpoints[0];
  EXPECT_EQ(mesh.address_text, "10.0.0.2:15006");
  EXPECT_TRUE(mesh.mesh);
  EXPECT_EQ(mesh.workload, "orders-1");
  EXPECT_EQ(mesh.workload_namespace, "default");
  EXPECT_EQ(mesh.identity, "spiffe://cluster.local/ns/default/sa/orders");
  EXPECT_EQ(mesh.sni, "80.orders");
  EXPECT_EQ(mesh.weight, 3u);
  EXPECT_EQ(mesh.locality, "eu/a/");
  EXPECT_EQ(mesh.health, config::Health::kHealthy);
  EXPECT_FALSE(set->endpoints[1].mesh);
  EXPECT_EQ(set->endpoints[1].address_text, "[fd00::1]:80");
  EXPECT_EQ(set->endpoints[1].health, config::Health::kDraining);
  EXPECT_EQ(set->endpoints[2].health, config::Health::kUnhealthy);
}

TEST(TranslateEndpoints, NoneIsAnAnswerToo) {
  const auto set = Translate(Parse<ClusterLoadAssignment>("cluster_name: 'c'"));
  ASSERT_TRUE(set.ok());
  EXPECT_THAT(set->endpoints, IsEmpty());
}

TEST(TranslateEndpoints, WhatCannotBeCalledIsRefusedByFieldAndReason) {
  const std::string first = "endpoints[0].lb_endpoints[0]";
  const Refused cases[] = {
      {Replaced(kEndpointText, "\"10.0.0.2\"", "\"orders.example\""), first + ".endpoint.address: \"orders.example\" is not a numeric IP"},
      {Replaced(kEndpointText, "15006", "70000"), first + ".endpoint.address: port_value is above 65535"},
      {Replaced(kEndpointText, "port_value: 15006", "named_port: \"http\""), first + ".endpoint.address: named_port is not supported"},
      {Replaced(kEndpointText, "port_value: 15006", "port_value: 15006 protocol: UDP"), first + ".endpoint.address: only TCP"},
      {Replaced(kEndpointText, "\"/run/orders\"", "\"\""), "endpoints[2].lb_endpoints[0].endpoint.address: pipe.path is empty"},
      {Replaced(kEndpointText, "value: 3", "value: 0"), first + ": load_balancing_weight must be at least 1"},
      {Replaced(kEndpointText, "locality {", "priority: 1 locality {"), "endpoints[0]: field priority is not supported"},
      {Replaced(kEndpointText, "endpoint { address { socket_address { address: \"10.0.0.2\" port_value: 15006 } } }",
                "endpoint_name: \"e\""),
       first + ": field endpoint_name is not supported"},
  };
  for (const Refused& refused : cases) {
    const auto set = Translate(Parse<ClusterLoadAssignment>(refused.text));
    EXPECT_FALSE(set.ok()) << refused.where_and_why;
    EXPECT_THAT(set.status().message(), HasSubstr(refused.where_and_why));
  }
}

}  // namespace
}  // namespace outrigger::discovery
