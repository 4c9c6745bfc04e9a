#include "proxy/snapshot/snapshot.h"

#include <algorithm>

#include "proxy/base/views.h"

namespace outrigger::snapshot {

const Cluster* Snapshot::FindCluster(std::string_view name) const {
  const auto it = clusters.find(ToAbsl(name));
  return it == clusters.end() ? nullptr : it->second.get();
}

const Chain* Listener::Find(std::string_view server_name, bool tls, uint16_t destination_port) const {
  const Chain* best = nullptr;
  int best_rank = -1;
  for (const Chain& chain : chains) {
    const config::FilterChain& match = chain.config;
    if (match.tls.has_value() && *match.tls != tls) continue;
    if (match.destination_port.has_value() && *match.destination_port != destination_port) continue;
    if (!match.server_names.empty() &&
        std::find(match.server_names.begin(), match.server_names.end(), server_name) == match.server_names.end()) {
      continue;
    }
    const int rank = (match.server_names.empty() ? 0 : 4) + (match.tls.has_value() ? 2 : 0) + (match.destination_port.has_value() ? 1 : 0);
    if (rank <= best_rank) continue;
    best = &chain;
    best_rank = rank;
  }
  return best;
}

}  // namespace outrigger::snapshot
