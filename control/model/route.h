// gateway.networking.k8s.io HTTPRoute and GRPCRoute attached to Services (GAMMA). A GRPCRoute's methods become path matches,
// so both kinds are one type here.
#pragma once

#include <variant>

#include "control/model/common.h"

namespace outrigger::control {

struct ParentRef {  // to a Service; parents of other kinds are left out
  std::string namespace_, name;
  std::optional<uint16_t> port;  // only that port of the service
  std::string section_name;      // only the port of that name
  bool operator==(const ParentRef&) const = default;
};

struct PathMatch {
  enum class Type : uint8_t { kExact, kPrefix, kRegex };  // kPrefix: by path elements
  Type type = Type::kPrefix;
  std::string value = "/";
  bool operator==(const PathMatch&) const = default;
};

struct ValueMatch {  // of a header (name in lower case) or query parameter
  std::string name;
  bool regex = false;
  std::string value;
  bool operator==(const ValueMatch&) const = default;
};

struct RouteMatch {
  PathMatch path;
  std::string method;  // empty: any
  std::vector<ValueMatch> headers;
  std::vector<ValueMatch> query;
  // GRPCRoute: how many characters of service and method are fixed, for precedence; 0 for HTTPRoute.
  uint32_t grpc_service_chars = 0, grpc_method_chars = 0;
  bool operator==(const RouteMatch&) const = default;
};

struct HeaderValue {
  std::string name, value;
  bool operator==(const HeaderValue&) const = default;
};

struct HeaderModifier {
  std::vector<HeaderValue> set, add;
  std::vector<std::string> remove;
  bool operator==(const HeaderModifier&) const = default;
};

struct PathModifier {
  bool prefix = false;  // ReplacePrefixMatch, else ReplaceFullPath
  std::string value;
  bool operator==(const PathModifier&) const = default;
};

struct RequestRedirect {
  std::string scheme, hostname;
  std::optional<PathModifier> path;
  uint16_t port = 0;  // 0: not given
  int status = 302;
  bool operator==(const RequestRedirect&) const = default;
};

struct UrlRewrite {
  std::string hostname;
  std::optional<PathModifier> path;
  bool operator==(const UrlRewrite&) const = default;
};

struct BackendRef {
  std::string namespace_, name;  // a Service
  uint16_t port = 0;
  uint32_t weight = 1;
  int line = 0;  // where it was written; not part of its meaning
  bool operator==(const BackendRef& o) const {
    return namespace_ == o.namespace_ && name == o.name && port == o.port && weight == o.weight;
  }
};

struct RouteRetry {
  std::optional<uint32_t> attempts;  // retries after the first try
  std::vector<int> codes;
  std::optional<Duration> backoff;
  bool operator==(const RouteRetry&) const = default;
};

struct RouteRule {
  std::string name;
  std::vector<RouteMatch> matches;  // at least one
  HeaderModifier request_headers, response_headers;
  std::optional<RequestRedirect> redirect;  // then there are no backends
  std::optional<UrlRewrite> rewrite;
  std::vector<BackendRef> backends;  // none and no redirect: every request is answered 500
  std::optional<Duration> request_timeout, backend_timeout;  // zero: no limit
  std::optional<RouteRetry> retry;
  bool operator==(const RouteRule&) const = default;
};

struct Route {
  bool grpc = false;  // GRPCRoute
  std::vector<ParentRef> parents;  // at least one
  std::vector<RouteRule> rules;
  bool operator==(const Route&) const = default;
};

// gateway.networking.k8s.io ReferenceGrant: routes of other namespaces may name Services of this one as backends.
struct ReferenceGrant {
  struct From {
    std::string kind;  // "HTTPRoute" or "GRPCRoute"; grants to other kinds are left out
    std::string namespace_;
    bool operator==(const From&) const = default;
  };
  std::vector<From> from;
  bool all_services = false;          // a `to` without a name
  std::vector<std::string> services;  // names
  bool operator==(const ReferenceGrant&) const = default;
};

}  // namespace outrigger::control
