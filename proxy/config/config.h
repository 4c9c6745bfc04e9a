// What the proxy has been told to do, as plain values: protobuf stops at discovery/, which fills these, and snapshot/ turns
// them into something quick to ask. Values compare and copy; no behaviour, no IO. Thread-safe once built (immutable).
// The words are xDS's own (envoy.config.*.v3), cut down to what this proxy does; docs/xds-mapping.md has the names.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "proxy/base/time.h"
#include "proxy/net/address.h"

namespace outrigger::config {

// ---------------------------------------------------------------- routes

struct StringMatch {
  enum class Kind : uint8_t { kExact, kPrefix, kSuffix, kContains, kRegex, kPresent };
  Kind kind = Kind::kPresent;
  std::string value{};
  bool ignore_case = false;
  bool operator==(const StringMatch&) const = default;
};

struct HeaderMatch {
  std::string name{};  // lower case; ":method", ":authority", ":path" name the parts of the head
  StringMatch match{};
  bool invert = false;
  bool operator==(const HeaderMatch&) const = default;
};

struct QueryMatch {
  std::string name{};
  StringMatch match{};
  bool operator==(const QueryMatch&) const = default;
};

struct PathMatch {
  // kPrefix: by characters. kPathPrefix: by path elements ("/a" matches "/a" and "/a/b", not "/ab"). kRegex: the whole path (RE2).
  // None of them looks at the query.
  enum class Kind : uint8_t { kPrefix, kPathPrefix, kExact, kRegex };
  Kind kind = Kind::kPrefix;
  std::string value = "/";
  bool ignore_case = false;
  bool operator==(const PathMatch&) const = default;
};

struct RouteMatch {
  PathMatch path{};
  std::vector<HeaderMatch> headers{};  // all must match
  std::vector<QueryMatch> query{};     // all must match
  bool operator==(const RouteMatch&) const = default;
};

struct HeaderEdit {
  enum class Op : uint8_t { kAdd, kSet, kSetIfPresent, kAddIfAbsent, kRemove };
  Op op = Op::kSet;
  std::string name{};
  std::string value{};
  bool operator==(const HeaderEdit&) const = default;
};

struct RetryPolicy {
  uint32_t max_retries = 0;
  // Conditions, as in x-envoy-retry-on. Whether a retry is *safe* is not asked here: guard/retry.h decides that.
  bool on_connect_failure = false;
  bool on_refused = false;          // REFUSED_STREAM, GOAWAY, and "not forwarded" of an authenticated callee's sidecar
  bool on_reset = false;            // reset or closed before response headers
  bool on_gateway_error = false;    // 502, 503, 504
  bool on_5xx = false;
  std::vector<int> on_status{};
  Duration per_try_timeout{};       // zero: none
  Duration backoff_base = std::chrono::milliseconds(25);
  Duration backoff_max = std::chrono::milliseconds(250);
  bool operator==(const RetryPolicy&) const = default;
};

struct WeightedCluster {
  std::string cluster{};
  uint32_t weight = 1;
  std::vector<HeaderEdit> request_edits{};
  std::vector<HeaderEdit> response_edits{};
  bool operator==(const WeightedCluster&) const = default;
};

struct Forward {
  std::vector<WeightedCluster> clusters{};  // at least one; total weight > 0
  Duration timeout{};                     // whole request with retries; zero: none
  Duration idle_timeout{};                // of a request: no byte in either direction for so long; zero: none
  RetryPolicy retry{};
  std::string host_rewrite{};               // empty: none
  std::string prefix_rewrite{};             // replaces what the path match matched; empty: none (use has_prefix_rewrite)
  bool has_prefix_rewrite = false;
  std::string regex_rewrite_pattern{};      // RE2; empty: none
  std::string regex_rewrite_substitution{};
  bool operator==(const Forward&) const = default;
};

struct Redirect {
  int status = 301;
  std::string scheme{}, host{}, path{}, prefix{};  // empty: as in the request
  bool has_prefix = false;                 // `prefix` replaces what the path match matched
  uint16_t port = 0;                       // 0: as in the request
  bool strip_query = false;
  bool operator==(const Redirect&) const = default;
};

struct DirectResponse {
  int status = 500;
  std::string body{};
  bool operator==(const DirectResponse&) const = default;
};

struct Route {
  std::string name{};  // "default/orders/0"; for logs, metrics and explain
  RouteMatch match{};
  std::variant<Forward, Redirect, DirectResponse> action{};
  std::vector<HeaderEdit> request_edits{};
  std::vector<HeaderEdit> response_edits{};
  bool operator==(const Route&) const = default;
};

struct VirtualHost {
  std::string name{};
  std::vector<std::string> domains{};  // exact, "*.suffix", "prefix.*", "*"; lower case; with or without :port
  std::vector<Route> routes{};         // the first that matches wins
  bool operator==(const VirtualHost&) const = default;
};

struct RouteTable {
  std::string name{};
  std::vector<VirtualHost> virtual_hosts{};
  bool operator==(const RouteTable&) const = default;
};

// ---------------------------------------------------------------- clusters and endpoints

enum class LbPolicy : uint8_t { kLeastRequest, kRoundRobin, kRandom };
enum class UpstreamProtocol : uint8_t { kHttp1, kHttp2 };
enum class Health : uint8_t { kHealthy, kDraining, kUnhealthy };

struct Endpoint {
  net::Address address{};
  std::string address_text{};      // the same as text, made once: logs name it for every request
  bool mesh = false;             // called by mTLS; else plaintext, if the cluster allows that
  std::string workload{};          // name; with workload_namespace, for metrics and logs
  std::string workload_namespace{};
  std::string identity{};          // the SPIFFE id that the peer must prove; empty: the cluster's list
  std::string sni{};               // empty: the cluster's
  uint32_t weight = 1;
  Health health = Health::kHealthy;
  std::string locality{};          // "region/zone/sub-zone"
  bool operator==(const Endpoint&) const = default;
};

struct EndpointSet {
  std::string cluster{};
  std::vector<Endpoint> endpoints{};
  bool operator==(const EndpointSet&) const = default;
};

// How many retries a service may be sent, by all routes to it (guard/retry_budget.h). Both zero: none.
struct RetryBudget {
  double ratio = 0.2;          // retries per success
  double min_per_second = 10;  // allowed whatever succeeds
  bool operator==(const RetryBudget&) const = default;
};

struct Cluster {
  std::string name{};
  std::string service{}, service_namespace{};  // for metrics and logs
  uint16_t service_port = 0;
  LbPolicy lb_policy = LbPolicy::kLeastRequest;
  UpstreamProtocol protocol = UpstreamProtocol::kHttp1;
  Duration connect_timeout = std::chrono::seconds(1);
  Duration idle_timeout = std::chrono::seconds(60);  // pooled connections
  RetryBudget retry_budget{};
  bool allow_plaintext = false;
  bool mesh = false;                       // has a TLS context for mesh endpoints
  std::string sni{};
  std::vector<std::string> accepted_ids{};   // SPIFFE ids
  bool discovered = true;                  // endpoints come by EDS under `endpoints_name`; else from `inline_endpoints`
  std::string endpoints_name{};
  EndpointSet inline_endpoints{};
  uint16_t inbound_port = 0;               // of an inbound|P cluster: the application's port; else 0
  bool operator==(const Cluster&) const = default;
};

// ---------------------------------------------------------------- listeners

enum class Direction : uint8_t { kOutbound, kInbound };
// Which requests get a line in the access log: 5xx and response flags, every one, none.
enum class AccessLog : uint8_t { kErrors, kAll, kNone };

struct FilterChain {
  std::string name{};
  // Match; an empty member matches everything. The most specific chain wins in the order: server name, transport, port.
  std::vector<std::string> server_names{};
  std::optional<bool> tls{};                 // transport_protocol tls or raw_buffer
  std::optional<uint16_t> destination_port{};
  // What happens. With `terminate_tls` the peer must show a certificate of the trust domain.
  bool terminate_tls = false;
  std::string route_table{};                 // by RDS; empty: `inline_routes`
  RouteTable inline_routes{};
  // For metrics, inbound only.
  std::string service{}, service_namespace{};
  uint16_t service_port = 0;
  bool operator==(const FilterChain&) const = default;
};

struct Listener {
  std::string name{};
  Direction direction = Direction::kOutbound;
  net::Address address{};   // a hint for `outbound` and `inbound`: the flags decide; binding for `listen|PORT`
  bool permissive = false;  // inbound: plaintext is accepted
  AccessLog access_log = AccessLog::kErrors;
  std::vector<FilterChain> chains{};
  bool operator==(const Listener&) const = default;
};

// Everything one proxy runs, by name. What discovery/ holds and snapshot/ compiles.
struct Resources {
  std::map<std::string, Listener> listeners{};
  std::map<std::string, RouteTable> routes{};
  std::map<std::string, Cluster> clusters{};
  std::map<std::string, EndpointSet> endpoints{};  // an entry that was never received is absent: its cluster is not warm
};

}  // namespace outrigger::config
