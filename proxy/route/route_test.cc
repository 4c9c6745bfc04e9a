#include "proxy/route/route.h"

#include <map>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace outrigger::route {
namespace {

using config::HeaderEdit;
using config::PathMatch;
using config::StringMatch;

config::Route MakeRoute(std::string name, PathMatch::Kind kind, std::string path) {
  config::Route route;
  route.name = std::move(name);
  route.match.path = {kind, std::move(path)};
  route.action = config::Forward{{{"cluster", 1, {}, {}}}};
  return route;
}

std::shared_ptr<const Table> MustCompile(std::vector<config::Route> routes, std::vector<std::string> domains = {"*"}) {
  config::RouteTable table;
  table.virtual_hosts.push_back({"host", std::move(domains), std::move(routes)});
  auto compiled = Compile(std::move(table));
  EXPECT_TRUE(compiled.ok()) << compiled.status();
  return *compiled;
}

http::RequestHead Head(std::string_view authority, std::string_view path) {
  http::RequestHead head;
  head.authority = authority;
  head.path = path;
  return head;
}

std::string Found(const Table& table, const http::RequestHead& head) {
  const Table::Match match = table.Find(head);
  if (match.virtual_host == nullptr) return "no host";
  return match.route == nullptr ? "no route" : match.route->name;
}

TEST(Route, ChoosesTheHostByExactNameThenSuffixThenPrefixThenAny) {
  config::RouteTable table;
  for (const char* domain : {"*", "api.*", "*.example.com", "*.b.example.com", "a.example.com"}) {
    table.virtual_hosts.push_back({domain, {domain}, {MakeRoute(domain, PathMatch::Kind::kPrefix, "/")}});
  }
  auto compiled = Compile(table);
  ASSERT_TRUE(compiled.ok());
  EXPECT_EQ(Found(**compiled, Head("a.example.com", "/")), "a.example.com");
  EXPECT_EQ(Found(**compiled, Head("A.Example.COM", "/")), "a.example.com");
  EXPECT_EQ(Found(**compiled, Head("x.example.com", "/")), "*.example.com");
  EXPECT_EQ(Found(**compiled, Head("x.b.example.com", "/")), "*.b.example.com");
  EXPECT_EQ(Found(**compiled, Head("api.test", "/")), "api.*");
  EXPECT_EQ(Found(**compiled, Head("other", "/")), "*");
  EXPECT_EQ(Found(**compiled, Head(std::string(5000, 'x'), "/")), "*");
}

TEST(Route, TakesTheDefaultPortForNoneButNoOther) {
  const auto table = MustCompile({MakeRoute("r", PathMatch::Kind::kPrefix, "/")}, {"orders", "stock:8080"});
  EXPECT_EQ(Found(*table, Head("orders:80", "/")), "r");
  EXPECT_EQ(Found(*table, Head("orders:81", "/")), "no host");
  EXPECT_EQ(Found(*table, Head("stock:8080", "/")), "r");
  EXPECT_EQ(Found(*table, Head("stock", "/")), "no host");
}

TEST(Route, MatchesPathPrefixesByElementAndPrefixesByCharacter) {
  const auto table = MustCompile({MakeRoute("element", PathMatch::Kind::kPathPrefix, "/shop/"),
                                  MakeRoute("character", PathMatch::Kind::kPrefix, "/sh"),
                                  MakeRoute("exact", PathMatch::Kind::kExact, "/a")});
  EXPECT_EQ(Found(*table, Head("h", "/shop")), "element");
  EXPECT_EQ(Found(*table, Head("h", "/shop/x?y=1")), "element");
  EXPECT_EQ(Found(*table, Head("h", "/shopping")), "character");
  EXPECT_EQ(Found(*table, Head("h", "/a?b")), "exact");
  EXPECT_EQ(Found(*table, Head("h", "/a/")), "no route");
}

TEST(Route, TakesTheFirstThatMatchesWhateverItsKind) {
  auto with_header = MakeRoute("header", PathMatch::Kind::kExact, "/a");
  with_header.match.headers.push_back({"x-version", {StringMatch::Kind::kExact, "2"}, false});
  const auto table = MustCompile({with_header, MakeRoute("regex", PathMatch::Kind::kRegex, "/[ab]"),
                                  MakeRoute("exact", PathMatch::Kind::kExact, "/a"),
                                  MakeRoute("prefix", PathMatch::Kind::kPrefix, "/")});
  EXPECT_EQ(Found(*table, Head("h", "/a")), "regex");
  EXPECT_EQ(Found(*table, Head("h", "/c")), "prefix");
  http::RequestHead head = Head("h", "/a");
  head.headers.Add("X-Version", "2");
  EXPECT_EQ(Found(*table, head), "header");
}

TEST(Route, MatchesMethodsHeadersAndQueryParameters) {
  auto route = MakeRoute("r", PathMatch::Kind::kPrefix, "/");
  route.match.headers.push_back({":method", {StringMatch::Kind::kExact, "POST"}, false});
  route.match.headers.push_back({"x-a", {StringMatch::Kind::kRegex, "v[0-9]+,w"}, false});
  route.match.headers.push_back({"x-b", {StringMatch::Kind::kPresent, ""}, true});
  route.match.query.push_back({"q", {StringMatch::Kind::kExact, "a b"}});
  const auto table = MustCompile({route});
  http::RequestHead head = Head("h", "/?z=1&q=a%20b&q=c");
  head.method = http::Method::kPost;
  head.method_text = "POST";
  head.headers.Add("x-a", "v12");
  head.headers.Add("X-A", "w");
  EXPECT_EQ(Found(*table, head), "r");
  head.headers.Add("x-b", "there");
  EXPECT_EQ(Found(*table, head), "no route") << "x-b must be absent";
  head.headers.Remove("x-b");
  head.path = "/?q=c&q=a%20b";
  EXPECT_EQ(Found(*table, head), "no route") << "the first of several parameters counts";
}

TEST(Route, RefusesBadTablesWithTheField) {
  const auto error = [](std::vector<config::Route> routes, std::vector<std::string> domains) {
    config::RouteTable table;
    table.virtual_hosts.push_back({"host", std::move(domains), std::move(routes)});
    return std::string(Compile(std::move(table)).status().message());
  };
  EXPECT_NE(error({MakeRoute("r", PathMatch::Kind::kRegex, "(")}, {"*"}).find("virtual_hosts[host].routes[0] (r)"), std::string::npos);
  EXPECT_NE(error({}, {"a", "A"}).find("appears twice"), std::string::npos);
  auto weightless = MakeRoute("r", PathMatch::Kind::kPrefix, "/");
  weightless.action = config::Forward{{{"a", 0, {}, {}}}};
  EXPECT_NE(error({weightless}, {"*"}).find("add up to zero"), std::string::npos);
}

// The index against a plain scan: thousands of random tables of prefixes that share their beginnings.
TEST(Route, FindsWhatAScanInOrderWouldFind) {
  Random random(42);
  for (int round = 0; round < 300; ++round) {
    std::vector<config::Route> routes;
    const uint64_t count = 1 + random.Below(30);
    const auto path = [&] {
      std::string text = "/";
      const uint64_t length = random.Below(6);
      for (uint64_t i = 0; i < length; ++i) text += "ab/"[random.Below(3)];
      return text;
    };
    for (uint64_t i = 0; i < count; ++i) {
      const auto kind = static_cast<PathMatch::Kind>(random.Below(3));
      routes.push_back(MakeRoute(std::to_string(i), kind, path()));
    }
    const auto table = MustCompile(routes);
    for (int probe = 0; probe < 50; ++probe) {
      const std::string target = path();
      std::string expected = "no route";
      for (const config::Route& route : routes) {
        std::string value = route.match.path.value;
        bool matches = false;
        if (route.match.path.kind == PathMatch::Kind::kExact) matches = target == value;
        if (route.match.path.kind == PathMatch::Kind::kPrefix) matches = target.starts_with(value);
        if (route.match.path.kind == PathMatch::Kind::kPathPrefix) {
          while (value.ends_with('/')) value.pop_back();
          matches = target.starts_with(value) && (target.size() == value.size() || target[value.size()] == '/');
        }
        if (!matches) continue;
        expected = route.name;
        break;
      }
      ASSERT_EQ(Found(*table, Head("h", target)), expected) << "round " << round << " path " << target;
    }
  }
}

TEST(PickCluster, FollowsTheWeights) {
  config::Forward forward;
  forward.clusters = {{"stable", 90, {}, {}}, {"none", 0, {}, {}}, {"canary", 10, {}, {}}};
  Random random(1);
  std::map<std::string, int> counts;
  for (int i = 0; i < 20000; ++i) ++counts[PickCluster(forward, random).cluster];
  EXPECT_NEAR(counts["canary"], 2000, 200);
  EXPECT_EQ(counts["none"], 0);
}

struct RewriteCase {
  PathMatch::Kind kind;
  const char *matched, *replacement, *path, *expected;
};

// The head of a request to `path` after the rewrite of its route.
http::RequestHead Rewritten(config::Route route, config::Forward forward, std::string_view path) {
  forward.clusters = {{.cluster = "c"}};
  route.action = forward;
  const auto table = MustCompile({route});
  http::RequestHead head = Head("h", path);
  const Table::Match match = table->Find(head);
  EXPECT_NE(match.route, nullptr) << path;
  if (match.route != nullptr) Rewrite(match, std::get<config::Forward>(match.route->action), &head);
  return head;
}

TEST(Rewrite, ReplacesWhatThePathMatchMatched) {
  const RewriteCase cases[] = {
      {PathMatch::Kind::kPathPrefix, "/foo", "/bar", "/foo/x?q=1", "/bar/x?q=1"},
      {PathMatch::Kind::kPathPrefix, "/foo/", "/bar", "/foo/x", "/bar/x"},
      {PathMatch::Kind::kPathPrefix, "/foo", "/", "/foo/x", "/x"},
      {PathMatch::Kind::kPathPrefix, "/foo", "/", "/foo", "/"},
      {PathMatch::Kind::kPathPrefix, "/", "/v2", "/x", "/v2/x"},
      {PathMatch::Kind::kPrefix, "/fo", "/ba", "/foo", "/bao"},
      {PathMatch::Kind::kExact, "/foo", "/bar", "/foo?x", "/bar?x"},
  };
  for (const RewriteCase& c : cases) {
    config::Forward forward;
    forward.prefix_rewrite = c.replacement;
    forward.has_prefix_rewrite = true;
    EXPECT_EQ(Rewritten(MakeRoute("r", c.kind, c.matched), forward, c.path).path, c.expected) << c.matched << " " << c.path;
  }
}

TEST(Rewrite, SubstitutesByRegularExpressionAndSetsTheHost) {
  config::Forward forward;
  forward.regex_rewrite_pattern = "^/v([0-9]+)/";
  forward.regex_rewrite_substitution = "/version/\\1/";
  forward.host_rewrite = "other";
  const http::RequestHead head = Rewritten(MakeRoute("r", PathMatch::Kind::kPrefix, "/"), forward, "/v12/x?y");
  EXPECT_EQ(head.path, "/version/12/x?y");
  EXPECT_EQ(head.authority, "other");
}

TEST(Rewrite, RefusesWhatCannotBeSubstituted) {
  config::Forward forward;
  forward.clusters = {{.cluster = "c"}};
  forward.regex_rewrite_pattern = "^/v([0-9]+)/";
  forward.regex_rewrite_substitution = "/\\2/";
  config::Route route = MakeRoute("r", PathMatch::Kind::kPrefix, "/");
  route.action = forward;
  config::RouteTable table;
  table.virtual_hosts.push_back({"h", {"*"}, {route}});
  EXPECT_THAT(std::string(Compile(table).status().message()), ::testing::HasSubstr("regex_rewrite: bad substitution"));
}

TEST(RedirectLocation, KeepsWhatIsNotChanged) {
  const config::Route route = MakeRoute("r", PathMatch::Kind::kPathPrefix, "/old");
  const http::RequestHead head = Head("shop:8080", "/old/x?q=1");
  config::Redirect redirect;
  EXPECT_EQ(RedirectLocation(route, redirect, head, "http"), "http://shop:8080/old/x?q=1");
  redirect.scheme = "https";
  EXPECT_EQ(RedirectLocation(route, redirect, head, "http"), "https://shop/old/x?q=1");
  redirect.port = 443;
  redirect.has_prefix = true;
  redirect.prefix = "/new";
  redirect.host = "example.com";
  EXPECT_EQ(RedirectLocation(route, redirect, head, "http"), "https://example.com/new/x?q=1");
  redirect.port = 8443;
  redirect.strip_query = true;
  EXPECT_EQ(RedirectLocation(route, redirect, head, "http"), "https://example.com:8443/new/x");
}

TEST(Edit, AppliesInOrder) {
  http::HeaderMap headers;
  headers.Add("a", "1");
  Edit({{HeaderEdit::Op::kAdd, "A", "2"}, {HeaderEdit::Op::kSetIfPresent, "b", "x"}, {HeaderEdit::Op::kAddIfAbsent, "c", "y"},
        {HeaderEdit::Op::kSet, "c", "z"}, {HeaderEdit::Op::kRemove, "a", ""}},
       &headers);
  ASSERT_EQ(headers.size(), 1u);
  EXPECT_EQ(headers.Get("C"), "z");
}

}  // namespace
}  // namespace outrigger::route
