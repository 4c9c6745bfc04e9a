// Route tables as values, and a table of everything that is refused, with the field and the reason.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/discovery/testing.h"
#include "proxy/discovery/translate.h"

namespace outrigger::discovery {
namespace {

using envoy::config::route::v3::RouteConfiguration;
using testing::Parse;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Edit = config::HeaderEdit;

// A table with one host and one route.
std::string Table(const std::string& route) {
  return "name: 'outbound' virtual_hosts { name: 'orders' domains: 'orders' routes { name: 'default/r/0' " + route + " } }";
}
// The route's match, with everything to one cluster.
std::string Match(const std::string& match) { return Table("match { " + match + " } route { cluster: 'c' }"); }
std::string Action(const std::string& action) { return Table("match { prefix: '/' } " + action); }
std::string Forward(const std::string& more) { return Action("route { cluster: 'c' " + more + " }"); }

config::Route MustTranslate(const std::string& text) {
  auto table = Translate(Parse<RouteConfiguration>(text));
  EXPECT_TRUE(table.ok()) << table.status() << "\n" << text;
  return table.ok() ? table->virtual_hosts.at(0).routes.at(0) : config::Route();
}
config::Forward MustForward(const std::string& more) { return std::get<config::Forward>(MustTranslate(Forward(more)).action); }

TEST(TranslateRoutes, ATableKeepsItsHostsAndTheirOrder) {
  const auto table = Translate(Parse<RouteConfiguration>(
      "name: 'outbound' virtual_hosts { name: 'a' domains: 'a' domains: 'a:80' "
      "routes { name: 'x' match { path: '/x' } route { cluster: 'c' } } "
      "routes { name: 'y' match { prefix: '/' } route { cluster: 'd' } } } virtual_hosts { name: 'b' domains: '*' }"));
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->name, "outbound");
  ASSERT_EQ(table->virtual_hosts.size(), 2u);
  EXPECT_THAT(table->virtual_hosts[0].domains, ElementsAre("a", "a:80"));
  EXPECT_EQ(table->virtual_hosts[0].routes[0].name, "x");
  EXPECT_EQ(table->virtual_hosts[0].routes[1].name, "y");
  EXPECT_TRUE(table->virtual_hosts[1].routes.empty());
}

TEST(TranslateRoutes, PathsOfEveryKind) {
  using Kind = config::PathMatch::Kind;
  EXPECT_EQ(MustTranslate(Match("prefix: '/a'")).match.path, (config::PathMatch{Kind::kPrefix, "/a", false}));
  EXPECT_EQ(MustTranslate(Match("path: '/a'")).match.path, (config::PathMatch{Kind::kExact, "/a", false}));
  EXPECT_EQ(MustTranslate(Match("path_separated_prefix: '/a'")).match.path, (config::PathMatch{Kind::kPathPrefix, "/a", false}));
  EXPECT_EQ(MustTranslate(Match("safe_regex { regex: '/a.*' }")).match.path, (config::PathMatch{Kind::kRegex, "/a.*", false}));
  EXPECT_TRUE(MustTranslate(Match("prefix: '/a' case_sensitive { value: false }")).match.path.ignore_case);
}

TEST(TranslateRoutes, HeadersAndQueryOfEveryKind) {
  using Kind = config::StringMatch::Kind;
  const config::RouteMatch match = MustTranslate(Match(R"(prefix: "/"
    headers { name: ":method" string_match { exact: "GET" } }
    headers { name: "X-Canary" string_match { prefix: "y" ignore_case: true } }
    headers { name: "x-none" present_match: false }
    headers { name: "x-any" }
    headers { name: "x-old" exact_match: "v" invert_match: true }
    headers { name: "x-r" safe_regex_match { regex: "a+" } }
    query_parameters { name: "q" string_match { suffix: "z" } }
    query_parameters { name: "p" present_match: true })")).match;
  ASSERT_EQ(match.headers.size(), 6u);
  EXPECT_EQ(match.headers[0], (config::HeaderMatch{":method", {Kind::kExact, "GET", false}, false}));
  EXPECT_EQ(match.headers[1], (config::HeaderMatch{"x-canary", {Kind::kPrefix, "y", true}, false})) << "names in lower case";
  EXPECT_EQ(match.headers[2], (config::HeaderMatch{"x-none", {}, true})) << "must not be there";
  EXPECT_EQ(match.headers[3], (config::HeaderMatch{"x-any", {}, false}));
  EXPECT_EQ(match.headers[4], (config::HeaderMatch{"x-old", {Kind::kExact, "v", false}, true}));
  EXPECT_EQ(match.headers[5], (config::HeaderMatch{"x-r", {Kind::kRegex, "a+", false}, false}));
  ASSERT_EQ(match.query.size(), 2u);
  EXPECT_EQ(match.query[0], (config::QueryMatch{"q", {Kind::kSuffix, "z", false}}));
  EXPECT_EQ(match.query[1], (config::QueryMatch{"p", {}}));
}

TEST(TranslateRoutes, WeightsTimeoutsAndRewrites) {
  const config::Forward forward = std::get<config::Forward>(
      MustTranslate(Action("route { weighted_clusters { clusters { name: 'a' weight { value: 90 } request_headers_to_remove: 'x-a' } "
                           "clusters { name: 'b' weight { value: 10 } } } timeout { seconds: 3 } idle_timeout { nanos: 5000000 } "
                           "prefix_rewrite: '/v2' host_rewrite_literal: 'other' }"))
          .action);
  ASSERT_EQ(forward.clusters.size(), 2u);
  EXPECT_EQ(forward.clusters[0], (config::WeightedCluster{"a", 90, {{Edit::Op::kRemove, "x-a", ""}}, {}}));
  EXPECT_EQ(forward.clusters[1], (config::WeightedCluster{"b", 10, {}, {}}));
  EXPECT_EQ(forward.timeout, 3s);
  EXPECT_EQ(forward.idle_timeout, 5ms);
  EXPECT_TRUE(forward.has_prefix_rewrite);
  EXPECT_EQ(forward.prefix_rewrite, "/v2");
  EXPECT_EQ(forward.host_rewrite, "other");
  EXPECT_EQ(MustForward("").timeout, 15s) << "what xDS says when nothing is said";
  EXPECT_EQ(MustForward("timeout {}").timeout, 0s) << "none";
  EXPECT_EQ(MustForward("regex_rewrite { pattern { regex: '^/a/*' } substitution: '/' }").regex_rewrite_pattern, "^/a/*");
}

TEST(TranslateRoutes, RetriesByTheWordsOfXds) {
  const config::RetryPolicy retry =
      MustForward("retry_policy { retry_on: 'connect-failure, refused-stream,reset,gateway-error,retriable-status-codes' "
                  "num_retries { value: 4 } "
                  "retriable_status_codes: 409 per_try_timeout { seconds: 1 } "
                  "retry_back_off { base_interval { nanos: 10000000 } max_interval { seconds: 1 } } }")
          .retry;
  EXPECT_EQ(retry.max_retries, 4u);
  EXPECT_TRUE(retry.on_connect_failure && retry.on_refused && retry.on_reset && retry.on_gateway_error);
  EXPECT_FALSE(retry.on_5xx);
  EXPECT_THAT(retry.on_status, ElementsAre(409));
  EXPECT_EQ(retry.per_try_timeout, 1s);
  EXPECT_EQ(retry.backoff_base, 10ms);
  EXPECT_EQ(retry.backoff_max, 1s);

  const config::RetryPolicy few = MustForward("retry_policy { retry_on: '5xx' retriable_status_codes: 409 retry_back_off { base_interval "
                                              "{ seconds: 1 } } }").retry;
  EXPECT_EQ(few.max_retries, 1u) << "what xDS says when nothing is said";
  EXPECT_TRUE(few.on_5xx && few.on_reset && few.on_connect_failure && few.on_refused);
  EXPECT_TRUE(few.on_status.empty()) << "codes count only with their word";
  EXPECT_EQ(few.backoff_max, 10s) << "ten times the base";
}

TEST(TranslateRoutes, RedirectsAndDirectResponses) {
  const auto redirect = std::get<config::Redirect>(
      MustTranslate(Action("redirect { scheme_redirect: 'https' host_redirect: 'h' port_redirect: 8443 prefix_rewrite: '/b' "
                           "response_code: TEMPORARY_REDIRECT strip_query: true }")).action);
  EXPECT_EQ(redirect.status, 307);
  EXPECT_EQ(redirect.scheme, "https");
  EXPECT_EQ(redirect.host, "h");
  EXPECT_EQ(redirect.port, 8443);
  EXPECT_TRUE(redirect.has_prefix);
  EXPECT_EQ(redirect.prefix, "/b");
  EXPECT_TRUE(redirect.strip_query);
  const auto direct = std::get<config::DirectResponse>(
      MustTranslate(Action("direct_response { status: 503 body { inline_string: 'closed' } }")).action);
  EXPECT_EQ(direct, (config::DirectResponse{503, "closed"}));
}

TEST(TranslateRoutes, HeaderEditsRemovalsFirst) {
  const config::Route route = MustTranslate(Action(R"(route { cluster: "c" }
    request_headers_to_add { header { key: "x-a" value: "1" } append_action: OVERWRITE_IF_EXISTS_OR_ADD }
    request_headers_to_add { header { key: "x-b" value: "2" } }
    request_headers_to_add { header { key: "x-c" value: "3" } append_action: ADD_IF_ABSENT }
    request_headers_to_remove: "x-d"
    response_headers_to_add { header { key: "x-e" value: "5" } append { value: false } }
    response_headers_to_add { header { key: "x-f" value: "6" } append_action: OVERWRITE_IF_EXISTS })"));
  EXPECT_THAT(route.request_edits, ElementsAre(Edit{Edit::Op::kRemove, "x-d", ""}, Edit{Edit::Op::kSet, "x-a", "1"},
                                               Edit{Edit::Op::kAdd, "x-b", "2"}, Edit{Edit::Op::kAddIfAbsent, "x-c", "3"}));
  EXPECT_THAT(route.response_edits, ElementsAre(Edit{Edit::Op::kSet, "x-e", "5"}, Edit{Edit::Op::kSetIfPresent, "x-f", "6"}));
}

TEST(TranslateRoutes, WhatIsNotUnderstoodIsRefusedByFieldAndReason) {
  struct Refused {
    std::string text;
    std::string where_and_why;
  };
  const std::string at = "virtual_hosts[orders].routes[0]";
  const Refused cases[] = {
      {"name: 'r' internal_only_headers: 'x'", "field internal_only_headers is not supported"},
      {"name: 'r' virtual_hosts { name: 'h' }", "virtual_hosts[h]: has no domains"},
      {"name: 'r' virtual_hosts { domains: 'd' require_tls: ALL }", "virtual_hosts[0]: field require_tls is not supported"},
      {Table("match { prefix: '/' }"), at + ": has no action"},
      {Table("match { prefix: '/' } non_forwarding_action {}"), at + ": field non_forwarding_action is not supported"},
      {Match(""), at + ".match: says no path to match"},
      {Match("prefix: '/' grpc {}"), at + ".match: field grpc is not supported"},
      {Match("prefix: '/' headers { name: 'a b' exact_match: 'x' }"), at + ".match.headers[0]: name is not a header name"},
      {Match("prefix: '/' headers { name: 'a' range_match { start: 1 end: 2 } }"),
       at + ".match.headers[0]: field range_match is not supported"},
      {Match("prefix: '/' headers { name: 'a' string_match {} }"), at + ".match.headers[0].string_match: a string match says nothing"},
      {Match("prefix: '/' query_parameters { name: 'q' present_match: false }"), at + ".match.query_parameters[0]: present_match: false"},
      {Action("route { cluster_header: 'x' }"), "field cluster_header is not supported"},
      {Action("route {}"), at + ".route: names no cluster"},
      {Action("route { weighted_clusters { clusters { name: 'a' cluster_header: 'b' } } }"),
       at + ".route.weighted_clusters[0]: field cluster_header is not supported"},
      {Forward("request_mirror_policies { cluster: 'm' }"), at + ".route: field request_mirror_policies is not supported"},
      {Forward("timeout { seconds: -1 }"), at + ".route.timeout: a duration must be between zero and a year"},
      {Forward("idle_timeout { seconds: 99999999999 }"), at + ".route.idle_timeout: a duration must be between zero and a year"},
      {Forward("prefix_rewrite: '/a' regex_rewrite { pattern { regex: 'a' } }"), at + ".route: prefix_rewrite and regex_rewrite exclude"},
      {Forward("host_rewrite_literal: 'a\\r\\nx-admin: 1'"), at + ".route: a rewrite has a line break or NUL"},
      {Forward("prefix_rewrite: '/a HTTP/1.1\\n'"), at + ".route: a rewrite has a line break or NUL"},
      {Forward("retry_policy { retry_on: 'whenever' }"), at + ".route.retry_policy: retry_on: \"whenever\" is not known"},
      {Forward("retry_policy { num_retries { value: 101 } }"), at + ".route.retry_policy: num_retries is above 100"},
      {Forward("retry_policy { retriable_headers { name: 'x' } }"), at + ".route.retry_policy: field retriable_headers is not supported"},
      {Forward("retry_policy { per_try_timeout { nanos: -1 } }"), at + ".route.retry_policy.per_try_timeout: a duration"},
      {Forward("retry_policy { retry_back_off { base_interval {} } }"), "retry_back_off.base_interval must be positive"},
      {Forward("retry_policy { retry_back_off { base_interval { seconds: 2 } max_interval { seconds: 1 } } }"),
       "retry_back_off.max_interval is below base_interval"},
      {Action("redirect { regex_rewrite { pattern { regex: 'a' } } }"), at + ".redirect: field regex_rewrite is not supported"},
      {Action("redirect { port_redirect: 65536 }"), at + ".redirect: port_redirect is above 65535"},
      {Action("redirect { host_redirect: 'a\\nb' }"), at + ".redirect: has a line break or NUL"},
      {Action("direct_response { status: 99 }"), at + ".direct_response: status must be 200 to 599"},
      {Action("direct_response { status: 200 body { filename: '/etc/passwd' } }"), at + ".direct_response: only inline bodies"},
      {Action("route { cluster: 'c' } request_headers_to_remove: 'Host'"), at + ": header Host cannot be edited"},
      {Action("route { cluster: 'c' } request_headers_to_add { header { key: 'transfer-encoding' value: 'x' } }"), "cannot be edited"},
      {Action("route { cluster: 'c' } response_headers_to_add { header { key: 'content-length' value: '1' } }"), "cannot be edited"},
      {Action("route { cluster: 'c' } request_headers_to_add { header { key: 'x y' value: '1' } }"), "\"x y\" is not a header name"},
      {Action("route { cluster: 'c' } request_headers_to_add { header { key: 'x' value: '1\\r\\ny: 2' } }"),
       "the value of x has a line break"},
      {Action("route { cluster: 'c' } request_headers_to_add { header { key: 'x' value: '%REQ(y)%' } }"), "formatters (%...%)"},
  };
  for (const Refused& refused : cases) {
    const auto table = Translate(Parse<RouteConfiguration>(refused.text));
    EXPECT_FALSE(table.ok()) << refused.where_and_why;
    EXPECT_THAT(table.status().message(), HasSubstr(refused.where_and_why));
  }
}

}  // namespace
}  // namespace outrigger::discovery
