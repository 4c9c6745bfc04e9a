#include "proxy/route/path_index.h"

#include <algorithm>

namespace outrigger::route {

const PathIndex::Edge* PathIndex::Node::Find(char first) const {
  const auto it = std::lower_bound(edges.begin(), edges.end(), first, [](const Edge& e, char c) { return e.label[0] < c; });
  return it != edges.end() && it->label[0] == first ? &*it : nullptr;
}

// Nodes are named by number and looked up again after every change: adding one moves them.
uint32_t PathIndex::NodeFor(std::string_view prefix) {
  uint32_t node = 0;
  while (!prefix.empty()) {
    auto& edges = nodes_[node].edges;
    const auto it = std::lower_bound(edges.begin(), edges.end(), prefix[0], [](const Edge& e, char c) { return e.label[0] < c; });
    if (it == edges.end() || it->label[0] != prefix[0]) {
      const auto made = static_cast<uint32_t>(nodes_.size());
      edges.insert(it, Edge{std::string(prefix), made});
      nodes_.emplace_back();
      return made;
    }
    const std::string label = it->label;
    const size_t common =
        static_cast<size_t>(std::mismatch(label.begin(), label.end(), prefix.begin(), prefix.end()).first - label.begin());
    if (common < label.size()) {
      // Split the edge where the two part.
      const auto middle = static_cast<uint32_t>(nodes_.size());
      const uint32_t below = it->node;
      it->label = label.substr(0, common);
      it->node = middle;
      nodes_.emplace_back();
      nodes_[middle].edges.push_back(Edge{label.substr(common), below});
      node = middle;
    } else {
      node = it->node;
    }
    prefix.remove_prefix(common);
  }
  return node;
}

void PathIndex::Add(const config::PathMatch& match, uint32_t route) {
  using Kind = config::PathMatch::Kind;
  if (match.kind == Kind::kRegex || match.ignore_case) {
    others_.push_back(route);
  } else if (match.kind == Kind::kExact) {
    exact_[match.value].push_back(route);
  } else if (match.kind == Kind::kPrefix) {
    nodes_[NodeFor(match.value)].prefixes.push_back(route);
  } else {
    std::string_view value = match.value;
    while (value.ends_with('/')) value.remove_suffix(1);
    nodes_[NodeFor(value)].path_prefixes.push_back(route);
  }
}

}  // namespace outrigger::route
