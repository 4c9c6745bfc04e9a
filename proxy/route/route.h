// Which route? A compiled config::RouteTable: hosts by hash and suffix, paths by a trie that keeps the order of the routes,
// predicates at the leaves, regular expressions last (RE2, linear time). Matching allocates nothing and does not scan.
// Host matching follows envoy.config.route.v3.VirtualHost.domains: exact, then longest "*.suffix", then longest "prefix.*",
// then "*"; case-insensitive. A host with a port that no domain names is tried without it only when the port is the default (80).
// Immutable and thread-safe once made.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "proxy/base/random.h"
#include "proxy/config/config.h"
#include "proxy/http/message.h"

namespace re2 {
class RE2;
}

namespace outrigger::route {

class Table {
 public:
  virtual ~Table() = default;

  struct Match {
    const config::VirtualHost* virtual_host = nullptr;  // null: no such host
    const config::Route* route = nullptr;               // null: host found, no route matched
    uint32_t route_index = 0;                           // dense over the whole table: for per-route state
    const re2::RE2* rewrite = nullptr;                  // compiled regex_rewrite_pattern; null: none
  };
  // `head` as received (before edits). Views and pointers live as long as the table.
  virtual Match Find(const http::RequestHead& head) const = 0;
  virtual const config::RouteTable& config() const = 0;
};

// Fails with the field path and the reason (bad regular expression, duplicate domain, empty or overflowing weights).
absl::StatusOr<std::shared_ptr<const Table>> Compile(config::RouteTable table);

// One of the weighted clusters by chance.
const config::WeightedCluster& PickCluster(const config::Forward& forward, Random& random);

// Applies prefix_rewrite / regex_rewrite / host_rewrite of the matched route, whose action is `forward`, to the head (RFC 3986 path,
// query kept).
void Rewrite(const Table::Match& match, const config::Forward& forward, http::RequestHead* head);

// Applies edits in order. Host and hop-by-hop names are refused at configuration time, not here.
void Edit(const std::vector<config::HeaderEdit>& edits, http::HeaderMap* headers);

// The Location of a redirect. `scheme`: of the request as the client sees it.
std::string RedirectLocation(const config::Route& route, const config::Redirect& redirect, const http::RequestHead& head,
                             std::string_view scheme);

}  // namespace outrigger::route
