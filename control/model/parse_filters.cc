#include "control/model/parse_filters.h"

#include <algorithm>

namespace outrigger::control {
namespace {

bool IsTokenChar(char c) {  // RFC 9110 section 5.6.2
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// Of a header that a filter changes: the proxy owns some.
std::optional<std::string> EditableHeader(Document* document, const Value& value) {
  constexpr std::string_view kOwned[] = {"host", "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
                                         "upgrade", "content-length"};
  std::optional<std::string> name = HeaderName(document, value);
  if (!name) return std::nullopt;
  if (std::find(std::begin(kOwned), std::end(kOwned), *name) != std::end(kOwned) || name->starts_with("x-outrigger-")) {
    document->Report(value, Cat("header ", Quoted(*name), " belongs to the proxy and cannot be changed by a route",
                                *name == "host" ? "; use URLRewrite.hostname" : ""));
    return std::nullopt;
  }
  return name;
}

std::vector<HeaderValue> ReadHeaderValues(Document* document, const Value& list) {
  std::vector<HeaderValue> out;
  document->Each(list, 64, [&](const Value& item) {
    Fields fields(document, item);
    HeaderValue header;
    if (auto name = fields.Require("name")) header.name = EditableHeader(document, *name).value_or("");
    if (auto value = fields.Require("value")) {
      header.value = document->String(*value).value_or("");
      bool bad = std::any_of(header.value.begin(), header.value.end(),
                             [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; });
      if (header.value.find('%') != std::string::npos) document->Report(*value, Cat("'%' in a header value is ", kNotYet));
      if (bad || header.value.size() > 4096) document->Report(*value, "is not a header value: at most 4096 characters, no line breaks");
    }
    fields.Done();
    out.push_back(std::move(header));
  });
  return out;
}

HeaderModifier ReadHeaderModifier(Document* document, const Value& value) {
  HeaderModifier modifier;
  Fields fields(document, value);
  if (auto set = fields.Get("set")) modifier.set = ReadHeaderValues(document, *set);
  if (auto add = fields.Get("add")) modifier.add = ReadHeaderValues(document, *add);
  if (auto remove = fields.Get("remove")) {
    document->Each(*remove, 64, [&](const Value& item) {
      if (std::optional<std::string> name = EditableHeader(document, item)) modifier.remove.push_back(*name);
    });
  }
  fields.Done();
  std::set<std::string> names;
  auto once = [&](const std::string& name) {
    if (!name.empty() && !names.insert(name).second) document->Report(value, Cat("header ", Quoted(name), " is changed twice"));
  };
  for (const HeaderValue& header : modifier.set) once(header.name);
  for (const HeaderValue& header : modifier.add) once(header.name);
  for (const std::string& name : modifier.remove) once(name);
  return modifier;
}

std::optional<PathModifier> ReadPathModifier(Document* document, const Value& value, const RouteRule& rule) {
  PathModifier modifier;
  Fields fields(document, value);
  std::optional<Value> type = fields.Require("type");
  if (type) modifier.prefix = document->OneOf(*type, {"ReplaceFullPath", "ReplacePrefixMatch"}) == 1u;
  std::string_view used = modifier.prefix ? "replacePrefixMatch" : "replaceFullPath";
  if (auto text = fields.Require(used)) {
    modifier.value = document->String(*text).value_or("");
    // An empty prefix is fine: it takes the prefix away.
    if (!(modifier.prefix && modifier.value.empty())) CheckPath(document, *text, modifier.value);
  }
  fields.Refuse(modifier.prefix ? "replaceFullPath" : "replacePrefixMatch", "does not go with this type");
  bool prefixes = std::all_of(rule.matches.begin(), rule.matches.end(),
                              [](const RouteMatch& m) { return m.path.type == PathMatch::Type::kPrefix; });
  if (modifier.prefix && !prefixes) document->Report(value, "ReplacePrefixMatch needs every match of the rule to be a PathPrefix");
  fields.Done();
  return modifier;
}

void ReadRedirect(Document* document, const Value& value, RouteRule* rule) {
  RequestRedirect redirect;
  Fields fields(document, value);
  if (auto scheme = fields.Get("scheme")) {
    std::optional<size_t> index = document->OneOf(*scheme, {"http", "https"});
    if (index) redirect.scheme = *index == 0 ? "http" : "https";
  }
  if (auto host = fields.Get("hostname")) redirect.hostname = document->Subdomain(*host).value_or("");
  if (auto path = fields.Get("path")) redirect.path = ReadPathModifier(document, *path, *rule);
  if (auto port = fields.Get("port")) redirect.port = document->Port(*port).value_or(0);
  if (auto status = fields.Get("statusCode")) {
    constexpr int kCodes[] = {301, 302, 303, 307, 308};
    std::optional<size_t> index = document->OneOf(*status, {"301", "302", "303", "307", "308"});
    if (index) redirect.status = kCodes[*index];
  }
  fields.Done();
  rule->redirect = std::move(redirect);
}

void ReadRewrite(Document* document, const Value& value, RouteRule* rule) {
  UrlRewrite rewrite;
  Fields fields(document, value);
  if (auto host = fields.Get("hostname")) rewrite.hostname = document->Subdomain(*host).value_or("");
  if (auto path = fields.Get("path")) rewrite.path = ReadPathModifier(document, *path, *rule);
  fields.Done();
  rule->rewrite = std::move(rewrite);
}

}  // namespace

std::optional<std::string> HeaderName(Document* document, const Value& value) {
  std::optional<std::string> name = document->String(value);
  if (!name) return std::nullopt;
  if (name->empty() || name->size() > 256 || !std::all_of(name->begin(), name->end(), IsTokenChar)) {
    document->Report(value, Cat(Quoted(*name), " is not a header name"));
    return std::nullopt;
  }
  return Lower(*name);
}

bool CheckPath(Document* document, const Value& value, const std::string& path) {
  std::string why;
  if (path.empty() || path[0] != '/') {
    why = "must begin with '/'";
  } else if (path.size() > 1024) {
    why = "must have at most 1024 characters";
  }
  for (std::string_view bad : {"//", "/./", "/../", "%2f", "%2F", "#", "?"}) {
    if (path.find(bad) != std::string::npos) why = Cat("must not hold \"", bad, "\"");
  }
  if (path.ends_with("/..") || path.ends_with("/.")) why = "must not end in \"/.\" or \"/..\"";
  for (char c : path) {
    if (c <= 0x20 || c == 0x7f || static_cast<unsigned char>(c) >= 0x80) why = "may hold only printable ASCII; write others as %XX";
  }
  if (!why.empty()) document->Report(value, Cat("path ", Quoted(path), " ", why));
  return why.empty();
}

void ReadFilter(Document* document, const Value& value, bool grpc, std::set<std::string>* seen, RouteRule* rule) {
  Fields fields(document, value);
  std::optional<Value> type = fields.Require("type");
  std::string word = type ? document->String(*type).value_or("") : "";
  if (word.empty()) {
    fields.Ignore({"requestHeaderModifier", "responseHeaderModifier", "requestRedirect", "urlRewrite"});
    return fields.Done();
  }
  if (!seen->insert(word).second) document->Report(*type, Cat("the rule has a filter ", word, " already"));
  if (word == "RequestHeaderModifier") {
    if (auto v = fields.Require("requestHeaderModifier")) rule->request_headers = ReadHeaderModifier(document, *v);
  } else if (word == "ResponseHeaderModifier") {
    if (auto v = fields.Require("responseHeaderModifier")) rule->response_headers = ReadHeaderModifier(document, *v);
  } else if (word == "RequestRedirect" && !grpc) {
    if (auto v = fields.Require("requestRedirect")) ReadRedirect(document, *v, rule);
  } else if (word == "URLRewrite" && !grpc) {
    if (auto v = fields.Require("urlRewrite")) ReadRewrite(document, *v, rule);
  } else if (word == "RequestMirror" || word == "CORS" || word == "ExternalAuth" || word == "ExtensionRef") {
    document->Report(*type, Cat("filter ", word, " is ", kNotYet));
    fields.Ignore({"requestMirror", "cors", "externalAuth", "extensionRef"});
  } else {
    document->Report(*type, Cat("unknown filter ", Quoted(word), "; known are RequestHeaderModifier, ResponseHeaderModifier",
                                grpc ? "" : ", RequestRedirect, URLRewrite"));
  }
  fields.Done();
}

}  // namespace outrigger::control
