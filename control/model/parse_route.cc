// gateway.networking.k8s.io HTTPRoute, GRPCRoute (attached to Services) and ReferenceGrant. The rules that Gateway API states in words or
// in CEL are checked here: outside of a cluster nobody else does.
#include <re2/re2.h>

#include <algorithm>
#include <set>

#include "control/model/parse_filters.h"
#include "control/model/reader.h"

namespace outrigger::control {
namespace {

constexpr Duration kLongest = std::chrono::hours(24);

bool CheckRegex(Document* document, const Value& value, const std::string& regex) {
  if (regex.empty() || regex.size() > 1024) {
    document->Report(value, "must have 1 to 1024 characters");
    return false;
  }
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(1 << 20);
  RE2 compiled(regex, options);
  if (compiled.ok()) return true;
  document->Report(value, Cat("not a regular expression (RE2): ", compiled.error()));
  return false;
}

PathMatch ReadPath(Document* document, const Value& value) {
  PathMatch path;
  Fields fields(document, value);
  if (auto type = fields.Get("type")) {
    path.type = static_cast<PathMatch::Type>(document->OneOf(*type, {"Exact", "PathPrefix", "RegularExpression"}).value_or(1));
  }
  if (auto text = fields.Get("value")) {
    path.value = document->String(*text).value_or("/");
    path.type == PathMatch::Type::kRegex ? CheckRegex(document, *text, path.value) : CheckPath(document, *text, path.value);
  }
  fields.Done();
  return path;
}

// Headers and query parameters; of several with one name the first counts (as Gateway API says), so a second is a mistake.
std::vector<ValueMatch> ReadValueMatches(Document* document, const Value& list, bool header) {
  std::vector<ValueMatch> out;
  std::set<std::string> names;
  document->Each(list, 16, [&](const Value& item) {
    Fields fields(document, item);
    ValueMatch match;
    if (auto type = fields.Get("type")) match.regex = document->OneOf(*type, {"Exact", "RegularExpression"}) == 1u;
    if (auto name = fields.Require("name")) {
      match.name = (header ? HeaderName(document, *name) : document->String(*name)).value_or("");
      if (!header && match.name.empty()) document->Report(*name, "must not be empty");
      if (!match.name.empty() && !names.insert(match.name).second) {
        document->Report(*name, Cat(Quoted(match.name), " stands here twice"));
      }
    }
    if (auto text = fields.Require("value")) {
      match.value = document->String(*text).value_or("");
      if (match.regex) CheckRegex(document, *text, match.value);
    }
    fields.Done();
    out.push_back(std::move(match));
  });
  return out;
}

RouteMatch ReadHttpMatch(Document* document, const Value& value) {
  RouteMatch match;
  Fields fields(document, value);
  if (auto path = fields.Get("path")) match.path = ReadPath(document, *path);
  if (auto headers = fields.Get("headers")) match.headers = ReadValueMatches(document, *headers, /*header=*/true);
  if (auto query = fields.Get("queryParams")) match.query = ReadValueMatches(document, *query, /*header=*/false);
  if (auto method = fields.Get("method")) {
    constexpr std::string_view kMethods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    match.method = document->String(*method).value_or("");
    if (std::find(std::begin(kMethods), std::end(kMethods), match.method) == std::end(kMethods)) {
      document->Report(*method, Cat(Quoted(match.method), " is not a method; write it in capitals"));
    }
  }
  fields.Done();
  return match;
}

std::string EscapeRegex(std::string_view text) { return RE2::QuoteMeta(re2::StringPiece(text.data(), text.size())); }

bool CheckGrpcWord(Document* document, const Value& value, const std::string& word, bool service) {
  for (char c : word) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (!letter && !(service && c == '.')) {
      document->Report(value, Cat(Quoted(word), " is not a gRPC ", service ? "service" : "method", " name"));
      return false;
    }
  }
  return true;
}

// service and method of a GRPCMethodMatch, as the path "/SERVICE/METHOD".
void ReadGrpcMethod(Document* document, const Value& value, RouteMatch* match) {
  Fields fields(document, value);
  bool regex = false;
  std::string service, method;
  if (auto type = fields.Get("type")) regex = document->OneOf(*type, {"Exact", "RegularExpression"}) == 1u;
  auto read = [&](std::string_view name, std::string* out, bool is_service) {
    std::optional<Value> word = fields.Get(name);
    if (!word) return;
    *out = document->String(*word).value_or("");
    regex ? CheckRegex(document, *word, *out) : CheckGrpcWord(document, *word, *out, is_service);
  };
  read("service", &service, true);
  read("method", &method, false);
  fields.Done();
  if (service.empty() && method.empty()) document->Report(value, "must name a service or a method");
  match->grpc_service_chars = static_cast<uint32_t>(service.size());
  match->grpc_method_chars = static_cast<uint32_t>(method.size());
  if (!regex && !service.empty() && !method.empty()) {
    match->path = {PathMatch::Type::kExact, Cat("/", service, "/", method)};
  } else if (!regex && !service.empty()) {
    match->path = {PathMatch::Type::kPrefix, Cat("/", service)};
  } else {
    auto part = [&](const std::string& word) { return word.empty() ? "[^/]+" : regex ? Cat("(?:", word, ")") : EscapeRegex(word); };
    match->path = {PathMatch::Type::kRegex, Cat("/", part(service), "/", part(method))};
  }
}

RouteMatch ReadGrpcMatch(Document* document, const Value& value) {
  RouteMatch match;
  Fields fields(document, value);
  if (auto method = fields.Get("method")) ReadGrpcMethod(document, *method, &match);
  if (auto headers = fields.Get("headers")) match.headers = ReadValueMatches(document, *headers, /*header=*/true);
  fields.Done();
  return match;
}

BackendRef ReadBackend(Document* document, const Value& value, const std::string& namespace_) {
  BackendRef backend;
  backend.namespace_ = namespace_;
  backend.line = value.line();
  Fields fields(document, value);
  if (auto group = fields.Get("group")) document->OneOf(*group, {"", "core"});
  if (auto kind = fields.Get("kind")) document->OneOf(*kind, {"Service"});
  if (auto name = fields.Require("name")) backend.name = document->Label(*name).value_or("");
  if (auto ns = fields.Get("namespace")) backend.namespace_ = document->Label(*ns).value_or("");
  if (auto port = fields.Require("port")) backend.port = document->Port(*port).value_or(0);
  if (auto weight = fields.Get("weight")) backend.weight = static_cast<uint32_t>(document->Integer(*weight, 0, 1'000'000).value_or(0));
  if (auto filters = fields.Get("filters"); filters && !filters->node->items.empty()) {
    document->Report(*filters, Cat("filters of a single backend are ", kNotYet));
  }
  fields.Done();
  return backend;
}

void ReadTimeouts(Document* document, const Value& value, RouteRule* rule) {
  Fields fields(document, value);
  if (auto time = fields.Get("request")) rule->request_timeout = document->Time(*time, Duration(), kLongest);
  if (auto time = fields.Get("backendRequest")) rule->backend_timeout = document->Time(*time, Duration(), kLongest);
  fields.Done();
  if (rule->request_timeout && rule->backend_timeout && *rule->request_timeout != Duration() &&
      *rule->backend_timeout > *rule->request_timeout) {
    document->Report(value.line(), Cat(value.path, ".backendRequest"), "must not be longer than request");
  }
}

void ReadRetry(Document* document, const Value& value, RouteRule* rule) {
  RouteRetry retry;
  Fields fields(document, value);
  if (auto codes = fields.Get("codes")) {
    document->Each(*codes, 100, [&](const Value& item) {
      if (auto code = document->Integer(item, 400, 599)) retry.codes.push_back(static_cast<int>(*code));
    });
    std::sort(retry.codes.begin(), retry.codes.end());
    retry.codes.erase(std::unique(retry.codes.begin(), retry.codes.end()), retry.codes.end());
  }
  if (auto attempts = fields.Get("attempts")) {
    if (auto number = document->Integer(*attempts, 0, 10)) retry.attempts = static_cast<uint32_t>(*number);
  }
  if (auto backoff = fields.Get("backoff")) retry.backoff = document->Time(*backoff, std::chrono::milliseconds(1), std::chrono::minutes(5));
  fields.Done();
  rule->retry = std::move(retry);
}

void ReadMatches(Document* document, Fields& fields, bool grpc, RouteRule* rule) {
  if (auto matches = fields.Get("matches")) {
    document->Each(*matches, 64, [&](const Value& item) {
      rule->matches.push_back(grpc ? ReadGrpcMatch(document, item) : ReadHttpMatch(document, item));
    });
  }
  if (rule->matches.empty()) rule->matches.emplace_back();  // the default: PathPrefix "/"
}

RouteRule ReadRule(Document* document, const Value& value, bool grpc, const std::string& namespace_) {
  RouteRule rule;
  Fields fields(document, value);
  if (auto name = fields.Get("name")) rule.name = document->Subdomain(*name).value_or("");
  ReadMatches(document, fields, grpc, &rule);
  if (auto filters = fields.Get("filters")) {
    std::set<std::string> seen;
    document->Each(*filters, 16, [&](const Value& item) { ReadFilter(document, item, grpc, &seen, &rule); });
    if (rule.redirect && rule.rewrite) document->Report(*filters, "RequestRedirect and URLRewrite do not go together");
  }
  if (auto backends = fields.Get("backendRefs")) {
    document->Each(*backends, 16, [&](const Value& item) { rule.backends.push_back(ReadBackend(document, item, namespace_)); });
    if (rule.redirect && !rule.backends.empty()) document->Report(*backends, "a rule with RequestRedirect has no backends");
  }
  if (!grpc) {
    if (auto timeouts = fields.Get("timeouts")) ReadTimeouts(document, *timeouts, &rule);
    if (auto retry = fields.Get("retry")) ReadRetry(document, *retry, &rule);
  }
  fields.NotYet({"sessionPersistence"});
  fields.Done();
  return rule;
}

// nullopt for a parent that is not a Service: that is a gateway's business, not the mesh's.
std::optional<ParentRef> ReadParent(Document* document, const Value& value, const std::string& namespace_) {
  ParentRef parent;
  parent.namespace_ = namespace_;
  Fields fields(document, value);
  std::string group = "gateway.networking.k8s.io", kind = "Gateway";
  if (auto text = fields.Get("group")) group = document->String(*text).value_or("");
  if (auto text = fields.Get("kind")) kind = document->String(*text).value_or("");
  if (auto name = fields.Require("name")) parent.name = document->Subdomain(*name).value_or("");
  if (auto ns = fields.Get("namespace")) parent.namespace_ = document->Label(*ns).value_or("");
  if (auto section = fields.Get("sectionName")) parent.section_name = document->Subdomain(*section).value_or("");
  if (auto port = fields.Get("port")) parent.port = document->Port(*port);
  fields.Done();
  if (kind == "Service" && group == "gateway.networking.k8s.io") {
    // The default group is the gateways', so this names a kind that does not exist: surely a Service was meant.
    document->Report(value.line(), Cat(value.path, ".group"), "must be \"\" for a Service (left out it means gateway.networking.k8s.io)");
    return std::nullopt;
  }
  if (kind != "Service" || (!group.empty() && group != "core")) return std::nullopt;
  return parent;
}

void ReadParents(Document* document, Fields& spec, const std::string& namespace_, Route* route) {
  std::optional<Value> parents = spec.Require("parentRefs");
  if (!parents) return;
  bool read = document->Each(*parents, 32, [&](const Value& item) {
    std::optional<ParentRef> parent = ReadParent(document, item, namespace_);
    if (!parent) return;
    if (std::find(route->parents.begin(), route->parents.end(), *parent) != route->parents.end()) {
      document->Report(item, "this parent stands here twice");
    }
    route->parents.push_back(std::move(*parent));
  });
  if (read && document->ok() && route->parents.empty()) {
    document->Report(
        *parents,
        "no parent is a Service, so the route does nothing in the mesh; write {group: \"\", kind: Service, name: ...}");
  }
}

Spec ParseRoute(Fields& root, const std::string& namespace_, bool grpc) {
  Route route;
  route.grpc = grpc;
  Document* document = root.document();
  root.Ignore({"status"});
  std::optional<Value> value = root.Require("spec");
  if (!value) return route;
  Fields spec(document, *value);
  ReadParents(document, spec, namespace_, &route);
  // Hostnames mean nothing for a Service parent (GAMMA): its own names count.
  spec.Ignore({"hostnames"});
  spec.NotYet({"useDefaultGateways"});
  size_t matches = 0;
  if (auto rules = spec.Get("rules")) {
    document->Each(*rules, 16, [&](const Value& item) {
      route.rules.push_back(ReadRule(document, item, grpc, namespace_));
      matches += route.rules.back().matches.size();
    });
    if (matches > 128) document->Report(*rules, Cat("has ", matches, " matches in all, at most 128 are allowed"));
  }
  if (route.rules.empty()) {  // as the API's default: one rule that matches everything
    route.rules.emplace_back();
    route.rules.back().matches.emplace_back();
  }
  spec.Done();
  return route;
}

}  // namespace

Spec ParseHttpRoute(Fields& root, const std::string& namespace_) { return ParseRoute(root, namespace_, /*grpc=*/false); }
Spec ParseGrpcRoute(Fields& root, const std::string& namespace_) { return ParseRoute(root, namespace_, /*grpc=*/true); }

Spec ParseReferenceGrant(Fields& root) {
  ReferenceGrant grant;
  Document* document = root.document();
  root.Ignore({"status"});
  std::optional<Value> value = root.Require("spec");
  if (!value) return grant;
  Fields spec(document, *value);
  if (auto from = spec.Require("from")) {
    document->Each(*from, 16, [&](const Value& item) {
      Fields fields(document, item);
      ReferenceGrant::From entry;
      if (auto group = fields.Require("group")) document->String(*group);
      if (auto kind = fields.Require("kind")) entry.kind = document->String(*kind).value_or("");
      if (auto ns = fields.Require("namespace")) entry.namespace_ = document->Label(*ns).value_or("");
      fields.Done();
      if (entry.kind == "HTTPRoute" || entry.kind == "GRPCRoute") grant.from.push_back(std::move(entry));
    });
  }
  if (auto to = spec.Require("to")) {
    document->Each(*to, 16, [&](const Value& item) {
      Fields fields(document, item);
      std::string kind, name;
      if (auto group = fields.Require("group")) document->String(*group);
      if (auto text = fields.Require("kind")) kind = document->String(*text).value_or("");
      std::optional<Value> named = fields.Get("name");
      if (named) name = document->Subdomain(*named).value_or("");
      fields.Done();
      if (kind != "Service") return;
      if (named) {
        grant.services.push_back(std::move(name));
      } else {
        grant.all_services = true;
      }
    });
  }
  spec.Done();
  return grant;
}

}  // namespace outrigger::control
