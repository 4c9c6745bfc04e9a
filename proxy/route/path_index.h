// Which routes of a virtual host can match a path, without looking at the others: exact paths by hash, prefixes by a radix trie walked
// once along the path, the rest (regular expressions, any case) as a list. Candidates come as ascending lists of route numbers, so
// that "the first route that matches wins" is the smallest number over all lists. Immutable once built.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "proxy/base/views.h"
#include "proxy/config/config.h"

namespace outrigger::route {

class PathIndex {
 public:
  PathIndex() : nodes_(1) {}
  void Add(const config::PathMatch& match, uint32_t route);

  // Calls fn(std::span<const uint32_t>) for every list of candidates.
  template <typename Fn>
  void ForEachList(std::string_view path, Fn&& fn) const {
    if (!others_.empty()) fn(std::span<const uint32_t>(others_));
    if (const auto it = exact_.find(ToAbsl(path)); it != exact_.end()) fn(std::span<const uint32_t>(it->second));
    uint32_t node = 0;
    size_t at = 0;
    while (true) {
      const Node& here = nodes_[node];
      if (!here.prefixes.empty()) fn(std::span<const uint32_t>(here.prefixes));
      if (!here.path_prefixes.empty() && (at == path.size() || path[at] == '/' || at == 0)) {
        fn(std::span<const uint32_t>(here.path_prefixes));
      }
      const Edge* edge = at < path.size() ? here.Find(path[at]) : nullptr;
      if (edge == nullptr || path.substr(at, edge->label.size()) != edge->label) return;
      at += edge->label.size();
      node = edge->node;
    }
  }

 private:
  struct Edge {
    std::string label;  // not empty; edges of a node differ in their first byte
    uint32_t node = 0;
  };
  struct Node {
    std::vector<Edge> edges;  // sorted by first byte
    std::vector<uint32_t> prefixes;
    std::vector<uint32_t> path_prefixes;
    const Edge* Find(char first) const;
  };
  uint32_t NodeFor(std::string_view prefix);

  absl::flat_hash_map<std::string, std::vector<uint32_t>> exact_;
  std::vector<Node> nodes_;
  std::vector<uint32_t> others_;
};

}  // namespace outrigger::route
