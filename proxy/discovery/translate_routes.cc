#include <algorithm>
#include <cctype>
#include <sstream>

#include "proxy/discovery/fields.h"
#include "proxy/discovery/translate.h"

namespace outrigger::discovery {
namespace {

namespace core = envoy::config::core::v3;
namespace route_v3 = envoy::config::route::v3;
namespace matcher = envoy::type::matcher::v3;

std::string LowerName(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

absl::StatusOr<config::StringMatch> ToStringMatch(const matcher::StringMatcher& in, const std::string& where) {
  using Kind = config::StringMatch::Kind;
  OUTRIGGER_RETURN_IF_ERROR(OnlyFields(in, where, {"exact", "prefix", "suffix", "safe_regex", "contains", "ignore_case"}));
  config::StringMatch out;
  out.ignore_case = in.ignore_case();
  switch (in.match_pattern_case()) {
    case matcher::StringMatcher::kExact: out.kind = Kind::kExact, out.value = in.exact(); break;
    case matcher::StringMatcher::kPrefix: out.kind = Kind::kPrefix, out.value = in.prefix(); break;
    case matcher::StringMatcher::kSuffix: out.kind = Kind::kSuffix, out.value = in.suffix(); break;
    case matcher::StringMatcher::kContains: out.kind = Kind::kContains, out.value = in.contains(); break;
    case matcher::StringMatcher::kSafeRegex:
      out.kind = Kind::kRegex, out.value = in.safe_regex().regex(), out.ignore_case = false;
      break;
    default: return Invalid(where, "a string match says nothing to match");
  }
  return out;
}

absl::StatusOr<config::HeaderMatch> ToHeaderMatch(const route_v3::HeaderMatcher& in, const std::string& where) {
  using Kind = config::StringMatch::Kind;
  OUTRIGGER_RETURN_IF_ERROR(OnlyFields(in, where,
                                       {"name", "exact_match", "present_match", "prefix_match", "suffix_match",
                                        "safe_regex_match", "contains_match", "string_match", "invert_match"}));
  config::HeaderMatch out;
  out.name = LowerName(in.name());
  if (!IsToken(out.name.starts_with(':') ? out.name.substr(1) : out.name)) return Invalid(where, "name is not a header name");
  out.invert = in.invert_match();
  switch (in.header_match_specifier_case()) {
    case route_v3::HeaderMatcher::kStringMatch: {
      auto match = ToStringMatch(in.string_match(), where + ".string_match");
      if (!match.ok()) return match.status();
      out.match = *std::move(match);
      break;
    }
    case route_v3::HeaderMatcher::kExactMatch: out.match = {Kind::kExact, in.exact_match()}; break;
    case route_v3::HeaderMatcher::kPrefixMatch: out.match = {Kind::kPrefix, in.prefix_match()}; break;
    case route_v3::HeaderMatcher::kSuffixMatch: out.match = {Kind::kSuffix, in.suffix_match()}; break;
    case route_v3::HeaderMatcher::kContainsMatch: out.match = {Kind::kContains, in.contains_match()}; break;
    case route_v3::HeaderMatcher::kSafeRegexMatch: out.match = {Kind::kRegex, in.safe_regex_match().regex()}; break;
    case route_v3::HeaderMatcher::kPresentMatch:
      if (!in.present_match()) out.invert = !out.invert;
      break;
    default: break;  // no condition: the header must be present
  }
  return out;
}

absl::Status ReadMatch(const route_v3::RouteMatch& in, const std::string& where, config::RouteMatch* out) {
  using Kind = config::PathMatch::Kind;
  OUTRIGGER_RETURN_IF_ERROR(OnlyFields(
      in, where,
      {"prefix", "path", "safe_regex", "path_separated_prefix", "case_sensitive", "headers", "query_parameters"}));
  out->path.ignore_case = in.has_case_sensitive() && !in.case_sensitive().value();
  switch (in.path_specifier_case()) {
    case route_v3::RouteMatch::kPrefix: out->path.kind = Kind::kPrefix, out->path.value = in.prefix(); break;
    case route_v3::RouteMatch::kPath: out->path.kind = Kind::kExact, out->path.value = in.path(); break;
    case route_v3::RouteMatch::kSafeRegex: out->path.kind = Kind::kRegex, out->path.value = in.safe_regex().regex(); break;
    case route_v3::RouteMatch::kPathSeparatedPrefix:
      out->path.kind = Kind::kPathPrefix, out->path.value = in.path_separated_prefix();
      break;
    default: return Invalid(where, "says no path to match");
  }
  for (int i = 0; i < in.headers_size(); ++i) {
    auto match = ToHeaderMatch(in.headers(i), absl::StrCat(where, ".headers[", i, "]"));
    if (!match.ok()) return match.status();
    out->headers.push_back(*std::move(match));
  }
  for (int i = 0; i < in.query_parameters_size(); ++i) {
    const route_v3::QueryParameterMatcher& query = in.query_parameters(i);
    const std::string at = absl::StrCat(where, ".query_parameters[", i, "]");
    config::QueryMatch match;
    match.name = query.name();
    if (query.has_string_match()) {
      auto text = ToStringMatch(query.string_match(), at);
      if (!text.ok()) return text.status();
      match.match = *std::move(text);
    } else if (query.query_parameter_match_specifier_case() == route_v3::QueryParameterMatcher::kPresentMatch && !query.present_match()) {
      return Invalid(at, "present_match: false is not supported by this proxy");
    }
    out->query.push_back(std::move(match));
  }
  return absl::OkStatus();
}

// Headers that frame messages or name hops cannot be edited: that would let configuration smuggle requests.
absl::Status CheckEditable(const std::string& name, const std::string& where) {
  static constexpr const char* kFixed[] = {
      "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade"};
  if (!IsToken(name)) return Invalid(where, absl::StrCat("\"", name, "\" is not a header name"));
  for (const char* fixed : kFixed) {
    if (LowerName(name) == fixed) return Invalid(where, absl::StrCat("header ", name, " cannot be edited"));
  }
  return absl::OkStatus();
}

template <typename Options, typename Names>
absl::Status ReadEdits(const Options& to_add, const Names& to_remove, const std::string& where, std::vector<config::HeaderEdit>* out) {
  using Op = config::HeaderEdit::Op;
  for (const std::string& name : to_remove) {
    OUTRIGGER_RETURN_IF_ERROR(CheckEditable(name, where));
    out->push_back({Op::kRemove, name, ""});
  }
  for (const core::HeaderValueOption& option : to_add) {
    OUTRIGGER_RETURN_IF_ERROR(OnlyFields(option, where, {"header", "append", "append_action", "keep_empty_value"}));
    OUTRIGGER_RETURN_IF_ERROR(CheckEditable(option.header().key(), where));
    const std::string& value = option.header().raw_value().empty() ? option.header().value() : option.header().raw_value();
    if (!IsFieldValue(value)) return Invalid(where, absl::StrCat("the value of ", option.header().key(), " has a line break or NUL"));
    if (value.find('%') != std::string::npos) return Invalid(where, "formatters (%...%) in header values are not supported by this proxy");
    Op op = Op::kAdd;
    if (option.has_append()) {
      op = option.append().value() ? Op::kAdd : Op::kSet;
    } else if (option.append_action() == core::HeaderValueOption::ADD_IF_ABSENT) {
      op = Op::kAddIfAbsent;
    } else if (option.append_action() == core::HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD) {
      op = Op::kSet;
    } else if (option.append_action() == core::HeaderValueOption::OVERWRITE_IF_EXISTS) {
      op = Op::kSetIfPresent;
    }
    out->push_back({op, option.header().key(), value});
  }
  return absl::OkStatus();
}

absl::Status ReadRetry(const route_v3::RetryPolicy& in, const std::string& where, config::RetryPolicy* out) {
  // How hosts are chosen again is this proxy's own: it always prefers those not tried.
  OUTRIGGER_RETURN_IF_ERROR(OnlyFields(in, where, {"retry_on", "num_retries", "per_try_timeout", "retriable_status_codes", "retry_back_off",
                                                   "retry_host_predicate", "host_selection_retry_max_attempts"}));
  out->max_retries = in.has_num_retries() ? in.num_retries().value() : 1;
  if (out->max_retries > 100) return Invalid(where, "num_retries is above 100");
  std::stringstream words(in.retry_on());
  std::string word;
  bool status_codes = false;
  while (std::getline(words, word, ',')) {
    word.erase(0, word.find_first_not_of(' '));
    word.erase(word.find_last_not_of(' ') + 1);
    if (word == "5xx") out->on_5xx = out->on_reset = out->on_connect_failure = out->on_refused = true;
    else if (word == "gateway-error") out->on_gateway_error = true;
    else if (word == "reset") out->on_reset = true;
    else if (word == "connect-failure") out->on_connect_failure = true;
    else if (word == "refused-stream" || word == "reset-before-request") out->on_refused = true;
    else if (word == "retriable-4xx") out->on_status.push_back(409);
    else if (word == "retriable-status-codes") status_codes = true;
    else if (word == "unavailable" || word == "cancelled" || word == "deadline-exceeded" || word == "internal" ||
             word == "resource-exhausted")
      continue;  // gRPC statuses: not looked at yet, and never retried without
    else if (!word.empty()) return Invalid(where, absl::StrCat("retry_on: \"", word, "\" is not known to this proxy"));
  }
  if (status_codes) {
    for (const uint32_t status : in.retriable_status_codes()) out->on_status.push_back(static_cast<int>(status));
  }
  if (in.has_per_try_timeout()) {
    auto duration = ToDuration(in.per_try_timeout(), where + ".per_try_timeout");
    if (!duration.ok()) return duration.status();
    out->per_try_timeout = *duration;
  }
  if (in.has_retry_back_off()) {
    auto base = ToDuration(in.retry_back_off().base_interval(), where + ".retry_back_off.base_interval");
    if (!base.ok()) return base.status();
    if (*base <= Duration::zero()) return Invalid(where, "retry_back_off.base_interval must be positive");
    out->backoff_base = *base;
    out->backoff_max = *base * 10;
    if (in.retry_back_off().has_max_interval()) {
      auto most = ToDuration(in.retry_back_off().max_interval(), where + ".retry_back_off.max_interval");
      if (!most.ok()) return most.status();
      if (*most < *base) return Invalid(where, "retry_back_off.max_interval is below base_interval");
      out->backoff_max = *most;
    }
  }
  return absl::OkStatus();
}

absl::Status ReadForward(const route_v3::RouteAction& in, const std::string& where, config::Forward* out) {
  OUTRIGGER_RETURN_IF_ERROR(
      OnlyFields(in, where,
                 {"cluster", "weighted_clusters", "prefix_rewrite", "regex_rewrite", "host_rewrite_literal", "timeout",
                  "retry_policy", "idle_timeout", "cluster_not_found_response_code", "max_stream_duration"}));
  if (in.cluster_specifier_case() == route_v3::RouteAction::kCluster) {
    out->clusters.push_back({in.cluster(), 1, {}, {}});
  } else if (in.cluster_specifier_case() == route_v3::RouteAction::kWeightedClusters) {
    for (int i = 0; i < in.weighted_clusters().clusters_size(); ++i) {
      const auto& weighted = in.weighted_clusters().clusters(i);
      const std::string at = absl::StrCat(where, ".weighted_clusters[", i, "]");
      OUTRIGGER_RETURN_IF_ERROR(OnlyFields(weighted, at, {"name", "weight", "request_headers_to_add", "request_headers_to_remove",
                                                          "response_headers_to_add", "response_headers_to_remove"}));
      config::WeightedCluster cluster{weighted.name(), weighted.has_weight() ? weighted.weight().value() : 0, {}, {}};
      OUTRIGGER_RETURN_IF_ERROR(ReadEdits(weighted.request_headers_to_add(), weighted.request_headers_to_remove(), at,
                                          &cluster.request_edits));
      OUTRIGGER_RETURN_IF_ERROR(ReadEdits(weighted.response_headers_to_add(), weighted.response_headers_to_remove(), at,
                                          &cluster.response_edits));
      out->clusters.push_back(std::move(cluster));
    }
  } else {
    return Invalid(where, "names no cluster (cluster_header is not supported by this proxy)");
  }
  auto timeout = in.has_timeout() ? ToDuration(in.timeout(), where + ".timeout") : absl::StatusOr<Duration>(std::chrono::seconds(15));
  if (!timeout.ok()) return timeout.status();
  out->timeout = *timeout;
  if (in.has_idle_timeout()) {
    auto idle = ToDuration(in.idle_timeout(), where + ".idle_timeout");
    if (!idle.ok()) return idle.status();
    out->idle_timeout = *idle;
  }
  out->host_rewrite = in.host_rewrite_literal();
  out->prefix_rewrite = in.prefix_rewrite();
  out->has_prefix_rewrite = !in.prefix_rewrite().empty();
  if (in.has_regex_rewrite()) {
    if (out->has_prefix_rewrite) return Invalid(where, "prefix_rewrite and regex_rewrite exclude each other");
    out->regex_rewrite_pattern = in.regex_rewrite().pattern().regex();
    out->regex_rewrite_substitution = in.regex_rewrite().substitution();
  }
  if (!IsFieldValue(out->host_rewrite + out->prefix_rewrite + out->regex_rewrite_substitution)) {
    return Invalid(where, "a rewrite has a line break or NUL");
  }
  if (in.has_retry_policy()) return ReadRetry(in.retry_policy(), where + ".retry_policy", &out->retry);
  return absl::OkStatus();
}

absl::Status ReadRedirect(const route_v3::RedirectAction& in, const std::string& where, config::Redirect* out) {
  static constexpr int kStatus[] = {301, 302, 303, 307, 308};
  OUTRIGGER_RETURN_IF_ERROR(OnlyFields(in, where, {"host_redirect", "path_redirect", "prefix_rewrite", "response_code", "https_redirect",
                                                   "scheme_redirect", "strip_query", "port_redirect"}));
  if (in.response_code() < 0 || in.response_code() > 4) return Invalid(where, "response_code is not a redirect");
  if (in.port_redirect() > 65535) return Invalid(where, "port_redirect is above 65535");
  out->status = kStatus[in.response_code()];
  out->host = in.host_redirect();
  out->scheme = in.https_redirect() ? "https" : in.scheme_redirect();
  out->path = in.path_redirect();
  out->has_prefix = in.path_rewrite_specifier_case() == route_v3::RedirectAction::kPrefixRewrite;
  out->prefix = in.prefix_rewrite();
  out->port = static_cast<uint16_t>(in.port_redirect());
  out->strip_query = in.strip_query();
  if (!IsFieldValue(out->host + out->scheme + out->path + out->prefix)) return Invalid(where, "has a line break or NUL");
  return absl::OkStatus();
}

absl::StatusOr<config::Route> ToRoute(const route_v3::Route& in, const std::string& where) {
  OUTRIGGER_RETURN_IF_ERROR(OnlyFields(in, where, {"name", "match", "route", "redirect", "direct_response", "metadata", "decorator",
                                                   "request_headers_to_add", "request_headers_to_remove", "response_headers_to_add",
                                                   "response_headers_to_remove", "stat_prefix"}));
  config::Route out;
  out.name = in.name();
  OUTRIGGER_RETURN_IF_ERROR(ReadMatch(in.match(), where + ".match", &out.match));
  if (in.has_route()) {
    config::Forward forward;
    OUTRIGGER_RETURN_IF_ERROR(ReadForward(in.route(), where + ".route", &forward));
    out.action = std::move(forward);
  } else if (in.has_redirect()) {
    config::Redirect redirect;
    OUTRIGGER_RETURN_IF_ERROR(ReadRedirect(in.redirect(), where + ".redirect", &redirect));
    out.action = std::move(redirect);
  } else if (in.has_direct_response()) {
    OUTRIGGER_RETURN_IF_ERROR(OnlyFields(in.direct_response(), where + ".direct_response", {"status", "body"}));
    if (in.direct_response().status() < 200 || in.direct_response().status() > 599)
      return Invalid(where + ".direct_response", "status must be 200 to 599");
    const core::DataSource& body = in.direct_response().body();
    if (in.direct_response().has_body() && body.specifier_case() != core::DataSource::kInlineString &&
        body.specifier_case() != core::DataSource::kInlineBytes) {
      return Invalid(where + ".direct_response", "only inline bodies are supported by this proxy");
    }
    out.action = config::DirectResponse{static_cast<int>(in.direct_response().status()), body.inline_string() + body.inline_bytes()};
  } else {
    return Invalid(where, "has no action");
  }
  OUTRIGGER_RETURN_IF_ERROR(ReadEdits(in.request_headers_to_add(), in.request_headers_to_remove(), where, &out.request_edits));
  OUTRIGGER_RETURN_IF_ERROR(ReadEdits(in.response_headers_to_add(), in.response_headers_to_remove(), where, &out.response_edits));
  return out;
}

}  // namespace

absl::StatusOr<config::RouteTable> Translate(const route_v3::RouteConfiguration& in) {
  OUTRIGGER_RETURN_IF_ERROR(OnlyFields(
      in, "", {"name", "virtual_hosts", "validate_clusters", "metadata", "max_direct_response_body_size_bytes"}));
  config::RouteTable out;
  out.name = in.name();
  for (int h = 0; h < in.virtual_hosts_size(); ++h) {
    const route_v3::VirtualHost& host = in.virtual_hosts(h);
    const std::string where = absl::StrCat("virtual_hosts[", host.name().empty() ? std::to_string(h) : host.name(), "]");
    OUTRIGGER_RETURN_IF_ERROR(OnlyFields(host, where, {"name", "domains", "routes", "metadata"}));
    config::VirtualHost made;
    made.name = host.name();
    if (host.domains().empty()) return Invalid(where, "has no domains");
    made.domains.assign(host.domains().begin(), host.domains().end());
    for (int r = 0; r < host.routes_size(); ++r) {
      auto route = ToRoute(host.routes(r), absl::StrCat(where, ".routes[", r, "]"));
      if (!route.ok()) return route.status();
      made.routes.push_back(*std::move(route));
    }
    out.virtual_hosts.push_back(std::move(made));
  }
  return out;
}

}  // namespace outrigger::discovery
