// Virtual hosts: one per service port.
#include <algorithm>

#include <re2/re2.h>

#include "control/compile/build.h"

namespace outrigger::control {
namespace {

namespace route = envoy::config::route::v3;
namespace core = envoy::config::core::v3;

std::string Joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += Cat(out.empty() ? "" : ",", word);
  return out;
}

void SetRegex(const std::string& regex, envoy::type::matcher::v3::RegexMatcher* out) { out->set_regex(regex); }

void SetPath(const PathMatch& path, route::RouteMatch* out) {
  std::string value = path.value;
  switch (path.type) {
    case PathMatch::Type::kExact: out->set_path(value); return;
    case PathMatch::Type::kRegex: SetRegex(value, out->mutable_safe_regex()); return;
    case PathMatch::Type::kPrefix: break;
  }
  while (value.size() > 1 && value.ends_with('/')) value.pop_back();  // "/abc/" means the same as "/abc" (Gateway API)
  if (value == "/") {
    out->set_prefix("/");
  } else {
    out->set_path_separated_prefix(value);
  }
}

void SetMatch(const RouteMatch& match, route::RouteMatch* out) {
  SetPath(match.path, out);
  if (!match.method.empty()) {
    route::HeaderMatcher* method = out->add_headers();
    method->set_name(":method");
    method->mutable_string_match()->set_exact(match.method);
  }
  for (const ValueMatch& header : match.headers) {
    route::HeaderMatcher* matcher = out->add_headers();
    matcher->set_name(header.name);
    if (header.regex) {
      SetRegex(header.value, matcher->mutable_string_match()->mutable_safe_regex());
    } else {
      matcher->mutable_string_match()->set_exact(header.value);
    }
  }
  for (const ValueMatch& query : match.query) {
    route::QueryParameterMatcher* matcher = out->add_query_parameters();
    matcher->set_name(query.name);
    if (query.regex) {
      SetRegex(query.value, matcher->mutable_string_match()->mutable_safe_regex());
    } else {
      matcher->mutable_string_match()->set_exact(query.value);
    }
  }
}

// What a route's retries are made of, after HTTPRoute's own stanza.
struct Retry {
  uint32_t attempts = 0;
  std::vector<std::string> on;
  std::vector<int> codes;
  std::optional<Duration> per_try, base, max;
};

Retry RetryFor(const Settings& settings, const RouteRule* rule) {
  Retry retry{settings.retry_attempts, settings.retry_on,     settings.retry_codes,
              settings.per_try_timeout, settings.backoff_base, settings.backoff_max};
  if (rule != nullptr && rule->retry) {
    if (rule->retry->attempts) retry.attempts = *rule->retry->attempts;
    if (!rule->retry->codes.empty()) {
      // Connection errors are retried whenever the stanza is present (GEP-1731); the codes replace all other answers.
      retry.on = {"connect-failure", "refused-stream", "reset"};
      retry.codes = rule->retry->codes;
    }
    if (rule->retry->backoff) {  // a minimum
      retry.base = rule->retry->backoff;
      if (!retry.max || *retry.max < *retry.base) retry.max = *retry.base * 10;
    }
  }
  if (rule != nullptr && rule->backend_timeout) retry.per_try = rule->backend_timeout;
  if (!retry.codes.empty() && std::find(retry.on.begin(), retry.on.end(), "retriable-status-codes") == retry.on.end()) {
    retry.on.push_back("retriable-status-codes");
  }
  return retry;
}

void SetRetry(const Settings& settings, const RouteRule* rule, route::RouteAction* out) {
  Retry retry = RetryFor(settings, rule);
  bool per_try = retry.per_try && *retry.per_try != Duration();
  if (retry.attempts == 0 && !per_try) return;
  route::RetryPolicy* policy = out->mutable_retry_policy();
  policy->mutable_num_retries()->set_value(retry.attempts);
  if (per_try) *policy->mutable_per_try_timeout() = ToProto(*retry.per_try);
  if (retry.attempts == 0) return;
  policy->set_retry_on(Joined(retry.on));
  for (int code : retry.codes) policy->add_retriable_status_codes(static_cast<uint32_t>(code));
  if (retry.base || retry.max) {
    Duration base = retry.base.value_or(std::min<Duration>(std::chrono::milliseconds(25), retry.max.value_or(Duration::max())));
    *policy->mutable_retry_back_off()->mutable_base_interval() = ToProto(base);
    if (retry.max) *policy->mutable_retry_back_off()->mutable_max_interval() = ToProto(*retry.max);
  }
}

void SetForward(const Settings& settings, const RouteRule* rule, route::RouteAction* out) {
  *out->mutable_timeout() = ToProto(rule != nullptr && rule->request_timeout ? *rule->request_timeout : settings.request_timeout);
  if (settings.idle_timeout) *out->mutable_idle_timeout() = ToProto(*settings.idle_timeout);
  SetRetry(settings, rule, out);
}

void AddHeaders(const std::vector<HeaderValue>& headers, core::HeaderValueOption::HeaderAppendAction action,
                google::protobuf::RepeatedPtrField<core::HeaderValueOption>* out) {
  for (const HeaderValue& header : headers) {
    core::HeaderValueOption* option = out->Add();
    option->mutable_header()->set_key(header.name);
    option->mutable_header()->set_value(header.value);
    option->set_append_action(action);
    option->set_keep_empty_value(true);
  }
}

void SetHeaders(const RouteRule& rule, route::Route* out) {
  AddHeaders(rule.request_headers.set, core::HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD, out->mutable_request_headers_to_add());
  AddHeaders(rule.request_headers.add, core::HeaderValueOption::APPEND_IF_EXISTS_OR_ADD, out->mutable_request_headers_to_add());
  for (const std::string& name : rule.request_headers.remove) out->add_request_headers_to_remove(name);
  AddHeaders(rule.response_headers.set, core::HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD, out->mutable_response_headers_to_add());
  AddHeaders(rule.response_headers.add, core::HeaderValueOption::APPEND_IF_EXISTS_OR_ADD, out->mutable_response_headers_to_add());
  for (const std::string& name : rule.response_headers.remove) out->add_response_headers_to_remove(name);
}

// What replaces the prefix `match` so that path elements stay whole: Gateway API counts elements, xDS characters. With `regex`
// set a prefix cannot say it.
struct PrefixChange {
  std::string prefix;
  std::string regex, substitution;
};

PrefixChange ReplacePrefix(const PathMatch& match, std::string replacement) {
  std::string matched = match.value;
  while (matched.size() > 1 && matched.ends_with('/')) matched.pop_back();
  while (!replacement.empty() && replacement.ends_with('/')) replacement.pop_back();
  if (matched == "/") return {replacement + "/", "", ""};
  if (!replacement.empty()) return {replacement, "", ""};
  // "/a" away from "/a/b" leaves "/b", and from "/a" leaves "/".
  return {"", Cat("^", RE2::QuoteMeta(matched), "/*"), "/"};
}

void SetRegexRewrite(const std::string& regex, std::string_view text, envoy::type::matcher::v3::RegexMatchAndSubstitute* out) {
  SetRegex(regex, out->mutable_pattern());
  std::string substitution;
  for (char c : text) substitution += c == '\\' ? "\\\\" : std::string(1, c);
  out->set_substitution(substitution);
}

void SetRewrite(const UrlRewrite& rewrite, const RouteMatch& match, route::RouteAction* out) {
  if (!rewrite.hostname.empty()) out->set_host_rewrite_literal(rewrite.hostname);
  if (!rewrite.path) return;
  if (!rewrite.path->prefix) return SetRegexRewrite("^/.*$", rewrite.path->value, out->mutable_regex_rewrite());
  PrefixChange change = ReplacePrefix(match.path, rewrite.path->value);
  if (change.regex.empty()) {
    out->set_prefix_rewrite(change.prefix);
  } else {
    SetRegexRewrite(change.regex, change.substitution, out->mutable_regex_rewrite());
  }
}

void SetRedirect(const RequestRedirect& redirect, const RouteMatch& match, route::RedirectAction* out) {
  if (!redirect.scheme.empty()) out->set_scheme_redirect(redirect.scheme);
  if (!redirect.hostname.empty()) out->set_host_redirect(redirect.hostname);
  if (redirect.port != 0) out->set_port_redirect(redirect.port);
  switch (redirect.status) {
    case 301: out->set_response_code(route::RedirectAction::MOVED_PERMANENTLY); break;
    case 303: out->set_response_code(route::RedirectAction::SEE_OTHER); break;
    case 307: out->set_response_code(route::RedirectAction::TEMPORARY_REDIRECT); break;
    case 308: out->set_response_code(route::RedirectAction::PERMANENT_REDIRECT); break;
    default: out->set_response_code(route::RedirectAction::FOUND);
  }
  if (!redirect.path) return;
  if (!redirect.path->prefix) {
    out->set_path_redirect(redirect.path->value);
    return;
  }
  PrefixChange change = ReplacePrefix(match.path, redirect.path->value);
  out->set_prefix_rewrite(change.regex.empty() ? change.prefix : "/");
}

// A redirect from below "/a" to below "/" has no single route: the prefix would leave "//b" of "/a/b", and proxies do not know
// regular expressions in redirects. Two do it: "/a" itself, and what begins with "/a/".
bool NeedsTwoRoutes(const AttachedMatch& attached) {
  const auto& redirect = attached.rule->rule->redirect;
  return redirect && redirect->path && redirect->path->prefix && !ReplacePrefix(attached.match->path, redirect->path->value).regex.empty();
}

void SetBackends(const AttachedRule& rule, route::Route* out) {
  if (rule.backends.empty() || (rule.backends.size() == 1 && rule.backends[0].cluster.empty())) {
    out->mutable_direct_response()->set_status(500);
    return;
  }
  if (rule.backends.size() == 1) {
    out->mutable_route()->set_cluster(rule.backends[0].cluster);
    return;
  }
  for (const AttachedBackend& backend : rule.backends) {
    auto* cluster = out->mutable_route()->mutable_weighted_clusters()->add_clusters();
    cluster->set_name(backend.cluster.empty() ? std::string(kBlackhole) : backend.cluster);
    cluster->mutable_weight()->set_value(backend.weight);
  }
}

void AddRoute(const MeshPort& port, const AttachedMatch& attached, route::Route* out) {
  const AttachedRule& rule = *attached.rule;
  out->set_name(Cat(rule.object->key.namespace_, "/", rule.object->key.name, "/", rule.index));
  SetMatch(*attached.match, out->mutable_match());
  SetHeaders(*rule.rule, out);
  if (rule.rule->redirect) return SetRedirect(*rule.rule->redirect, *attached.match, out->mutable_redirect());
  SetBackends(rule, out);
  if (!out->has_route()) return;
  if (rule.rule->rewrite) SetRewrite(*rule.rule->rewrite, *attached.match, out->mutable_route());
  SetForward(port.settings, rule.rule, out->mutable_route());
}

void AddRoutes(const MeshPort& port, const AttachedMatch& attached, route::VirtualHost* out) {
  AddRoute(port, attached, out->add_routes());
  if (!NeedsTwoRoutes(attached)) return;
  route::Route* itself = out->mutable_routes(out->routes_size() - 1);
  route::Route below = *itself;
  const std::string matched = itself->match().path_separated_prefix();
  itself->mutable_match()->set_path(matched);
  itself->mutable_redirect()->set_path_redirect("/");
  below.mutable_match()->set_prefix(matched + "/");
  *out->add_routes() = std::move(below);
}

void AddDomains(const Mesh& mesh, const MeshPort& port, const std::string& viewer, route::VirtualHost* out) {
  const ServiceName& s = port.service;
  std::vector<std::string> names = {Cat(s.name, ".", s.namespace_), Cat(s.name, ".", s.namespace_, ".svc"),
                                    Cat(s.name, ".", s.namespace_, ".svc.", mesh.trust_domain)};
  if (viewer == s.namespace_) names.push_back(s.name);
  for (const std::string& name : names) {
    // A bare name means port 80, or the only port there is.
    if (port.port == 80 || port.only_port) out->add_domains(name);
    out->add_domains(Cat(name, ":", port.port));
  }
}

// The routes that hold for callers in `viewer`: their own namespace's, else the producer's.
const AttachedRoutes* RoutesFor(const MeshPort& port, const std::string& viewer) {
  auto found = port.routes.find(viewer);
  if (found == port.routes.end()) found = port.routes.find(port.service.namespace_);
  return found == port.routes.end() ? nullptr : &found->second;
}

}  // namespace

route::VirtualHost BuildVirtualHost(const Mesh& mesh, const MeshPort& port, const std::string& viewer, bool any_domain) {
  route::VirtualHost out;
  out.set_name(ServiceLabel(port.service, port.port));
  if (any_domain) {
    out.add_domains("*");
  } else {
    AddDomains(mesh, port, viewer, &out);
  }
  if (const AttachedRoutes* routes = RoutesFor(port, viewer)) {
    for (const AttachedMatch& match : routes->matches) AddRoutes(port, match, &out);
    return out;
  }
  route::Route* only = out.add_routes();
  only->set_name("default");
  only->mutable_match()->set_prefix("/");
  only->mutable_route()->set_cluster(OutboundCluster(port.service, port.port));
  SetForward(port.settings, nullptr, only->mutable_route());
  return out;
}

}  // namespace outrigger::control
