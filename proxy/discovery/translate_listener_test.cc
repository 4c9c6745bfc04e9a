// Listeners as values, and a table of everything that is refused, with the field and the reason.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/discovery/testing.h"
#include "proxy/discovery/translate.h"

namespace outrigger::discovery {
namespace {

using envoy::config::listener::v3::Listener;
using testing::kOutboundText;
using testing::Parse;
using testing::Replaced;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kInboundText[] = R"(
name: "inbound"
address { socket_address { address: "0.0.0.0" port_value: 15006 } }
metadata { filter_metadata { key: "outrigger.dev" value {
  fields { key: "direction" value { string_value: "inbound" } }
  fields { key: "mtls" value { string_value: "permissive" } }
  fields { key: "access_log" value { string_value: "all" } }
} } }
filter_chains {
  name: "8080"
  filter_chain_match { transport_protocol: "tls" server_names: "80.orders.default.svc.outrigger.internal" }
  metadata { filter_metadata { key: "outrigger.dev" value { fields { key: "services" value { list_value {
    values { string_value: "orders.default:80" } values { string_value: "other.default:81" } } } } } } }
  transport_socket { name: "envoy.transport_sockets.tls" typed_config {
    [type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext] {
      require_client_certificate { value: true }
      common_tls_context {
        tls_params { tls_minimum_protocol_version: TLSv1_3 }
        tls_certificate_sds_secret_configs { name: "default" }
        combined_validation_context { default_validation_context {} validation_context_sds_secret_config { name: "ROOTCA" } }
      }
    }
  } }
  filters { name: "http" typed_config {
    [type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager] {
      stat_prefix: "inbound"
      route_config { name: "inbound|8080" virtual_hosts { name: "inbound" domains: "*"
        routes { match { prefix: "/" } route { cluster: "inbound|8080" timeout {} } } } }
      http_filters { name: "router" typed_config { [type.googleapis.com/envoy.extensions.filters.http.router.v3.Router] {} } }
    }
  } }
}
filter_chains {
  filter_chain_match { transport_protocol: "raw_buffer" destination_port { value: 8080 } }
  filters { name: "http" typed_config {
    [type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager] {
      route_config { virtual_hosts { name: "inbound" domains: "*" routes { match { prefix: "/" } route { cluster: "inbound|8080" } } } }
    }
  } }
}
)";

config::Listener MustTranslate(const std::string& text) {
  auto listener = Translate(Parse<Listener>(text));
  EXPECT_TRUE(listener.ok()) << listener.status();
  return listener.ok() ? *listener : config::Listener();
}

TEST(TranslateListener, OutboundNamesItsRoutes) {
  const config::Listener listener = MustTranslate(kOutboundText);
  EXPECT_EQ(listener.name, "outbound");
  EXPECT_EQ(listener.direction, config::Direction::kOutbound);
  EXPECT_EQ(listener.address.ToString(), "127.0.0.1:15001");
  EXPECT_EQ(listener.access_log, config::AccessLog::kErrors);
  ASSERT_EQ(listener.chains.size(), 1u);
  EXPECT_EQ(listener.chains[0].route_table, "outbound");
  EXPECT_FALSE(listener.chains[0].terminate_tls);
}

TEST(TranslateListener, InboundHasAChainForEachWayIn) {
  const config::Listener listener = MustTranslate(kInboundText);
  EXPECT_EQ(listener.direction, config::Direction::kInbound);
  EXPECT_TRUE(listener.permissive);
  EXPECT_EQ(listener.access_log, config::AccessLog::kAll);
  ASSERT_EQ(listener.chains.size(), 2u);
  const config::FilterChain& tls = listener.chains[0];
  EXPECT_EQ(tls.name, "8080");
  EXPECT_EQ(tls.tls, true);
  EXPECT_TRUE(tls.terminate_tls);
  EXPECT_THAT(tls.server_names, ElementsAre("80.orders.default.svc.outrigger.internal"));
  EXPECT_EQ(tls.service, "orders");
  EXPECT_EQ(tls.service_namespace, "default");
  EXPECT_EQ(tls.service_port, 80);
  ASSERT_EQ(tls.inline_routes.virtual_hosts.size(), 1u);
  const config::FilterChain& plain = listener.chains[1];
  EXPECT_EQ(plain.tls, false);
  EXPECT_FALSE(plain.terminate_tls);
  EXPECT_EQ(plain.destination_port, 8080);
}

TEST(TranslateListener, StrictUnlessItSaysPermissive) {
  EXPECT_FALSE(MustTranslate(Replaced(kInboundText, "\"permissive\"", "\"strict\"")).permissive);
  EXPECT_FALSE(MustTranslate(Replaced(kInboundText, "\"permissive\"", "\"anything\"")).permissive);
}

TEST(TranslateListener, AnOptionalFilterThatIsUnknownIsLeftOut) {
  const std::string text = Replaced(kOutboundText, "http_filters {", "http_filters { name: 'lua' is_optional: true } http_filters {");
  EXPECT_EQ(MustTranslate(text).chains.size(), 1u);
}

TEST(TranslateListener, WhatIsNotUnderstoodIsRefusedByFieldAndReason) {
  struct Refused {
    std::string text;
    std::string where_and_why;
  };
  const std::string chain = "filter_chains[8080]";
  const Refused cases[] = {
      {std::string(kOutboundText) + "default_filter_chain {}", "field default_filter_chain is not supported"},
      {Replaced(kOutboundText, "\"127.0.0.1\"", "\"localhost\""), "address: \"localhost\" is not a numeric IP address"},
      {Replaced(kInboundText, "\"all\"", "\"some\""), "metadata.outrigger.dev.access_log: some is none of all, errors, none"},
      {Replaced(kInboundText, "transport_protocol: \"tls\"", "transport_protocol: \"quic\""),
       chain + ": transport_protocol \"quic\" is unknown"},
      {Replaced(kInboundText, "transport_protocol: \"tls\"", "prefix_ranges { address_prefix: '10.0.0.0' }"),
       chain + ".filter_chain_match: field prefix_ranges is not supported"},
      {Replaced(kInboundText, "value: 8080", "value: 80800"), "filter_chains[1]: destination_port is above 65535"},
      {Replaced(kInboundText, "value: true", "value: false"), chain + ": require_client_certificate must be true"},
      {Replaced(kInboundText, "require_client_certificate", "require_sni"), "field require_sni is not supported"},
      {Replaced(kInboundText, "default_validation_context {}",
                "default_validation_context { match_typed_subject_alt_names { san_type: URI matcher { exact: 'spiffe://a/b' } } }"),
       chain + ": a list of accepted callers is not supported"},
      {Replaced(kInboundText, "\"ROOTCA\"", "\"others\""), chain + ".common_tls_context: validation_context_sds_secret_config must name"},
      {Replaced(kInboundText, "combined_validation_context { default_validation_context {} "
                              "validation_context_sds_secret_config { name: \"ROOTCA\" } }", ""),
       chain + ".common_tls_context: says nothing about verifying the peer"},
      {Replaced(kInboundText, "name: \"default\"", "name: \"mine\""),
       "tls_certificate_sds_secret_configs must name the secret \"default\""},
      {Replaced(kOutboundText, "filters { name: \"http\"", "filters { name: 'tcp' } filters { name: \"http\""),
       "filter_chains[0]: filters must be exactly one HttpConnectionManager"},
      {Replaced(kOutboundText, "stat_prefix: \"outbound\"", "via: 'x'"),
       "filter_chains[0].http_connection_manager: field via is not supported"},
      {Replaced(kOutboundText, "http_filters {", "http_filters { name: 'lua' } http_filters {"), "http_filters: lua is not supported"},
      {Replaced(kOutboundText, "route_config_name: \"outbound\"", ""), "filter_chains[0]: rds.route_config_name is empty"},
      {Replaced(kOutboundText, "rds { route_config_name: \"outbound\" config_source { ads {} resource_api_version: V3 } }", ""),
       "filter_chains[0]: has neither rds nor route_config"},
      {Replaced(kInboundText, "domains: \"*\"", ""), chain + ".route_config: virtual_hosts[inbound]: has no domains"},
      {Replaced(kOutboundText, "filter_chains {", "filter_chains { transport_socket { name: 'envoy.transport_sockets.quic' }"),
       "filter_chains[0]: transport_socket envoy.transport_sockets.quic is not supported"},
      {Replaced(kOutboundText, "filter_chains {", "filter_chains { transport_socket_connect_timeout { seconds: 1 }"),
       "filter_chains[0]: field transport_socket_connect_timeout is not supported"},
  };
  for (const Refused& refused : cases) {
    const auto listener = Translate(Parse<Listener>(refused.text));
    EXPECT_FALSE(listener.ok()) << refused.where_and_why;
    EXPECT_THAT(listener.status().message(), HasSubstr(refused.where_and_why));
  }
}

}  // namespace
}  // namespace outrigger::discovery
