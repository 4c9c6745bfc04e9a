#include "proxy/route/route.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/views.h"
#include "proxy/route/matchers.h"
#include "proxy/route/path_index.h"

namespace outrigger::route {
namespace {

struct CompiledRoute {
  std::unique_ptr<RE2> path_regex;
  std::unique_ptr<RE2> rewrite;
  std::vector<HeaderMatcher> headers;
  std::vector<QueryMatcher> query;
  uint32_t index = 0;  // over the whole table
};

struct CompiledHost {
  const config::VirtualHost* config = nullptr;
  std::vector<CompiledRoute> routes;
  PathIndex paths;
};

std::string_view PathOf(std::string_view target) { return target.substr(0, target.find_first_of("?#")); }
std::string_view QueryOf(std::string_view target) {
  const size_t at = target.find('?');
  return at == std::string_view::npos ? std::string_view() : target.substr(at + 1);
}

// Paths that the trie cannot decide: the whole path as a regular expression, or any case.
bool OtherPathMatches(const config::PathMatch& match, const RE2* regex, std::string_view path) {
  using Kind = config::PathMatch::Kind;
  if (match.kind == Kind::kRegex) return RE2::FullMatch(re2::StringPiece(path.data(), path.size()), *regex);
  if (match.kind == Kind::kExact) return http::EqualsIgnoreCase(path, match.value);
  std::string_view value = match.value;
  if (match.kind == Kind::kPathPrefix) {
    while (value.ends_with('/')) value.remove_suffix(1);
  }
  if (path.size() < value.size() || !http::EqualsIgnoreCase(path.substr(0, value.size()), value)) return false;
  return match.kind == Kind::kPrefix || path.size() == value.size() || path[value.size()] == '/';
}

class CompiledTable final : public Table {
 public:
  explicit CompiledTable(config::RouteTable config) : config_(std::move(config)) {}
  absl::Status Compile();
  Match Find(const http::RequestHead& head) const override;
  const config::RouteTable& config() const override { return config_; }

 private:
  absl::Status CompileHost(const config::VirtualHost& host);
  absl::Status AddDomain(const std::string& domain, uint32_t host);
  const CompiledHost* FindHost(std::string_view authority) const;
  const CompiledHost* LookUp(std::string_view lower) const;
  bool Matches(const CompiledHost& host, uint32_t route, const http::RequestHead& head, std::string_view path) const;

  struct Affix {
    std::string text;
    uint32_t host;
  };
  const config::RouteTable config_;
  std::vector<CompiledHost> hosts_;
  absl::flat_hash_map<std::string, uint32_t> exact_;
  std::vector<Affix> suffixes_;  // ".example.com", longest first
  std::vector<Affix> prefixes_;  // "example.", longest first
  int default_host_ = -1;
  uint32_t next_index_ = 0;
};

absl::Status CompiledTable::AddDomain(const std::string& domain, uint32_t host) {
  const std::string lower = absl::AsciiStrToLower(domain);
  const auto duplicate = [&] { return absl::InvalidArgumentError(absl::StrCat("domain \"", domain, "\" appears twice")); };
  if (lower.empty()) return absl::InvalidArgumentError("domains: an empty domain matches nothing");
  if (lower == "*") {
    if (default_host_ >= 0) return duplicate();
    default_host_ = static_cast<int>(host);
    return absl::OkStatus();
  }
  std::vector<Affix>* affixes = lower.front() == '*' ? &suffixes_ : lower.back() == '*' ? &prefixes_ : nullptr;
  if (affixes == nullptr) {
    return exact_.emplace(lower, host).second ? absl::OkStatus() : duplicate();
  }
  const std::string text = lower.front() == '*' ? lower.substr(1) : lower.substr(0, lower.size() - 1);
  for (const Affix& affix : *affixes) {
    if (affix.text == text) return duplicate();
  }
  affixes->push_back({text, host});
  return absl::OkStatus();
}

absl::Status CompiledTable::CompileHost(const config::VirtualHost& host) {
  CompiledHost compiled;
  compiled.config = &host;
  for (size_t i = 0; i < host.routes.size(); ++i) {
    const config::Route& route = host.routes[i];
    const auto where = [&] { return absl::StrCat("virtual_hosts[", host.name, "].routes[", i, "] (", route.name, "): "); };
    CompiledRoute out;
    out.index = next_index_++;
    if (route.match.path.kind == config::PathMatch::Kind::kRegex) {
      auto regex = CompileRegex(route.match.path.value, route.match.path.ignore_case);
      if (!regex.ok()) return absl::InvalidArgumentError(absl::StrCat(where(), regex.status().message()));
      out.path_regex = *std::move(regex);
    }
    for (const config::HeaderMatch& match : route.match.headers) {
      if (match.name.empty()) return absl::InvalidArgumentError(absl::StrCat(where(), "a header match without a name"));
      auto matcher = HeaderMatcher::Make(match);
      if (!matcher.ok()) return absl::InvalidArgumentError(absl::StrCat(where(), "header ", match.name, ": ", matcher.status().message()));
      out.headers.push_back(*std::move(matcher));
    }
    for (const config::QueryMatch& match : route.match.query) {
      auto matcher = QueryMatcher::Make(match);
      if (!matcher.ok()) return absl::InvalidArgumentError(absl::StrCat(where(), "query ", match.name, ": ", matcher.status().message()));
      out.query.push_back(*std::move(matcher));
    }
    if (const auto* forward = std::get_if<config::Forward>(&route.action)) {
      uint64_t total = 0;
      for (const config::WeightedCluster& cluster : forward->clusters) total += cluster.weight;
      if (total == 0) return absl::InvalidArgumentError(absl::StrCat(where(), "the weights of its clusters add up to zero"));
      if (total > 0xffffffffull) return absl::InvalidArgumentError(absl::StrCat(where(), "the weights of its clusters overflow"));
      if (!forward->regex_rewrite_pattern.empty()) {
        auto regex = CompileRegex(forward->regex_rewrite_pattern, false);
        if (!regex.ok()) return absl::InvalidArgumentError(absl::StrCat(where(), "regex_rewrite: ", regex.status().message()));
        std::string wrong;
        if (!(*regex)->CheckRewriteString(forward->regex_rewrite_substitution, &wrong)) {
          return absl::InvalidArgumentError(absl::StrCat(where(), "regex_rewrite: bad substitution: ", wrong));
        }
        out.rewrite = *std::move(regex);
      }
    }
    compiled.paths.Add(route.match.path, static_cast<uint32_t>(i));
    compiled.routes.push_back(std::move(out));
  }
  hosts_.push_back(std::move(compiled));
  return absl::OkStatus();
}

absl::Status CompiledTable::Compile() {
  for (const config::VirtualHost& host : config_.virtual_hosts) {
    if (absl::Status status = CompileHost(host); !status.ok()) return status;
    for (const std::string& domain : host.domains) {
      if (absl::Status status = AddDomain(domain, static_cast<uint32_t>(hosts_.size() - 1)); !status.ok()) {
        return absl::InvalidArgumentError(absl::StrCat("virtual_hosts[", host.name, "]: ", status.message()));
      }
    }
  }
  const auto longer = [](const Affix& a, const Affix& b) { return a.text.size() > b.text.size(); };
  std::stable_sort(suffixes_.begin(), suffixes_.end(), longer);
  std::stable_sort(prefixes_.begin(), prefixes_.end(), longer);
  return absl::OkStatus();
}

const CompiledHost* CompiledTable::LookUp(std::string_view host) const {
  if (const auto it = exact_.find(ToAbsl(host)); it != exact_.end()) return &hosts_[it->second];
  for (const Affix& suffix : suffixes_) {
    if (host.size() > suffix.text.size() && host.ends_with(suffix.text)) return &hosts_[suffix.host];
  }
  for (const Affix& prefix : prefixes_) {
    if (host.size() > prefix.text.size() && host.starts_with(prefix.text)) return &hosts_[prefix.host];
  }
  return nullptr;
}

const CompiledHost* CompiledTable::FindHost(std::string_view authority) const {
  if (hosts_.size() == 1 && default_host_ == 0 && exact_.empty() && suffixes_.empty() && prefixes_.empty()) return &hosts_[0];
  // Host names are at most 255 bytes; what is longer is none that anybody declared.
  char lower[272];
  const CompiledHost* found = nullptr;
  if (authority.size() <= sizeof lower) {
    std::transform(authority.begin(), authority.end(), lower, [](char c) { return absl::ascii_tolower(static_cast<unsigned char>(c)); });
    std::string_view host(lower, authority.size());
    found = LookUp(host);
    if (found == nullptr && host.ends_with(":80")) found = LookUp(host.substr(0, host.size() - 3));
  }
  if (found == nullptr && default_host_ >= 0) found = &hosts_[static_cast<size_t>(default_host_)];
  return found;
}

bool CompiledTable::Matches(const CompiledHost& host, uint32_t route, const http::RequestHead& head, std::string_view path) const {
  const CompiledRoute& compiled = host.routes[route];
  const config::PathMatch& match = host.config->routes[route].match.path;
  if ((compiled.path_regex != nullptr || match.ignore_case) && !OtherPathMatches(match, compiled.path_regex.get(), path)) return false;
  for (const HeaderMatcher& matcher : compiled.headers) {
    if (!matcher.Matches(head)) return false;
  }
  for (const QueryMatcher& matcher : compiled.query) {
    if (!matcher.Matches(QueryOf(head.path))) return false;
  }
  return true;
}

Table::Match CompiledTable::Find(const http::RequestHead& head) const {
  const CompiledHost* host = FindHost(head.authority);
  if (host == nullptr) return {};
  const std::string_view path = PathOf(head.path);
  auto best = static_cast<uint32_t>(host->routes.size());
  host->paths.ForEachList(path, [&](std::span<const uint32_t> candidates) {
    for (const uint32_t route : candidates) {
      if (route >= best) return;
      if (!Matches(*host, route, head, path)) continue;
      best = route;
      return;
    }
  });
  if (best == host->routes.size()) return {host->config, nullptr, 0, nullptr};
  return {host->config, &host->config->routes[best], host->routes[best].index, host->routes[best].rewrite.get()};
}

// What the path match of a route has matched of `path`, in bytes: the part that a prefix rewrite replaces.
size_t MatchedLength(const config::PathMatch& match, std::string_view path) {
  if (match.kind == config::PathMatch::Kind::kExact || match.kind == config::PathMatch::Kind::kRegex) return path.size();
  std::string_view value = match.value;
  if (match.kind == config::PathMatch::Kind::kPathPrefix) {
    while (value.ends_with('/')) value.remove_suffix(1);
  }
  return std::min(value.size(), path.size());
}

std::string ReplacePrefix(const config::PathMatch& match, std::string_view path, std::string_view replacement) {
  std::string_view rest = path.substr(MatchedLength(match, path));
  std::string out(replacement);
  if (out.ends_with('/') && rest.starts_with('/')) rest.remove_prefix(1);
  out += rest;
  if (out.empty() || out[0] != '/') out.insert(0, 1, '/');
  return out;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Table>> Compile(config::RouteTable table) {
  auto compiled = std::make_shared<CompiledTable>(std::move(table));
  if (absl::Status status = compiled->Compile(); !status.ok()) return status;
  return compiled;
}

const config::WeightedCluster& PickCluster(const config::Forward& forward, Random& random) {
  if (forward.clusters.size() == 1) return forward.clusters[0];
  uint64_t total = 0;
  for (const config::WeightedCluster& cluster : forward.clusters) total += cluster.weight;
  uint64_t point = random.Below(total);
  for (const config::WeightedCluster& cluster : forward.clusters) {
    if (point < cluster.weight) return cluster;
    point -= cluster.weight;
  }
  return forward.clusters.back();
}

void Rewrite(const Table::Match& match, const config::Forward& forward, http::RequestHead* head) {
  if (!forward.host_rewrite.empty()) head->authority = head->headers.Store(forward.host_rewrite);
  const std::string_view path = PathOf(head->path);
  const std::string_view rest = head->path.substr(path.size());
  std::string rewritten;
  if (forward.has_prefix_rewrite) {
    rewritten = ReplacePrefix(match.route->match.path, path, forward.prefix_rewrite);
  } else if (match.rewrite != nullptr) {
    rewritten = std::string(path);
    RE2::GlobalReplace(&rewritten, *match.rewrite, forward.regex_rewrite_substitution);
    if (rewritten.empty() || rewritten[0] != '/') rewritten.insert(0, 1, '/');
  } else {
    return;
  }
  rewritten += rest;
  head->path = head->headers.Store(rewritten);
}

void Edit(const std::vector<config::HeaderEdit>& edits, http::HeaderMap* headers) {
  using Op = config::HeaderEdit::Op;
  for (const config::HeaderEdit& edit : edits) {
    switch (edit.op) {
      case Op::kAdd: headers->Add(edit.name, edit.value); break;
      case Op::kSet: headers->Set(edit.name, edit.value); break;
      case Op::kSetIfPresent:
        if (headers->Get(edit.name).has_value()) headers->Set(edit.name, edit.value);
        break;
      case Op::kAddIfAbsent:
        if (!headers->Get(edit.name).has_value()) headers->Add(edit.name, edit.value);
        break;
      case Op::kRemove: headers->Remove(edit.name); break;
    }
  }
}

std::string RedirectLocation(const config::Route& route, const config::Redirect& redirect, const http::RequestHead& head,
                             std::string_view scheme) {
  const std::string_view new_scheme = redirect.scheme.empty() ? scheme : std::string_view(redirect.scheme);
  std::string_view host = head.authority;
  std::string_view old_port;
  if (const size_t colon = host.rfind(':'); colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos) {
    old_port = host.substr(colon + 1);
    host = host.substr(0, colon);
  }
  std::string out = std::string(new_scheme) + "://";
  out += redirect.host.empty() ? host : std::string_view(redirect.host);
  // A port that is the scheme's own is left out; a changed scheme drops the old port (Gateway API, HTTPRequestRedirectFilter).
  const bool own = (new_scheme == "http" && redirect.port == 80) || (new_scheme == "https" && redirect.port == 443);
  if (redirect.port != 0) {
    if (!own) out += ":" + std::to_string(redirect.port);
  } else if (!old_port.empty() && redirect.scheme.empty()) {
    out += ":" + std::string(old_port);
  }
  const std::string_view path = PathOf(head.path);
  if (!redirect.path.empty()) {
    out += redirect.path;
  } else if (redirect.has_prefix) {
    out += ReplacePrefix(route.match.path, path, redirect.prefix);
  } else {
    out += path;
  }
  if (!redirect.strip_query) out += head.path.substr(path.size());
  return out;
}

}  // namespace outrigger::route
