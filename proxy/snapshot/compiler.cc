#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/snapshot/snapshot.h"

namespace outrigger::snapshot {
namespace {

// Ten seconds of the floor can be saved up, and never less than a hundred retries: a replica's death takes that many at once.
guard::RetryBudget::Settings BudgetOf(const config::RetryBudget& budget) {
  const bool none = budget.ratio == 0 && budget.min_per_second == 0;
  return {budget.ratio, budget.min_per_second, none ? 0 : std::max(100.0, budget.min_per_second * 10)};
}

// Finds the live state of clusters and endpoints again by name. Entries of endpoints that nothing holds any more are dropped now and
// then; cluster entries stay (their index names metrics).
class LiveStates {
 public:
  std::shared_ptr<ClusterState> ClusterOf(const std::string& name) {
    std::shared_ptr<ClusterState>& state = clusters_[name];
    if (state == nullptr) {
      state = std::make_shared<ClusterState>();
      state->index = static_cast<uint32_t>(clusters_.size());  // from 1: 0 is "none"
    }
    return state;
  }
  std::shared_ptr<balance::EndpointState> EndpointOf(const std::string& cluster, const config::Endpoint& endpoint) {
    std::weak_ptr<balance::EndpointState>& known =
        endpoints_[{cluster, endpoint.address_text, endpoint.workload_namespace + "/" + endpoint.workload}];
    std::shared_ptr<balance::EndpointState> state = known.lock();
    if (state == nullptr) known = state = std::make_shared<balance::EndpointState>();
    return state;
  }
  void Sweep() {
    std::erase_if(endpoints_, [](const auto& entry) { return entry.second.expired(); });
  }

 private:
  std::map<std::string, std::shared_ptr<ClusterState>> clusters_;
  std::map<std::tuple<std::string, std::string, std::string>, std::weak_ptr<balance::EndpointState>> endpoints_;
};

// Every chain has its routes.
bool Whole(const Listener& listener) {
  return std::all_of(listener.chains.begin(), listener.chains.end(), [](const Chain& chain) { return chain.routes != nullptr; });
}

class CompilerImpl final : public Compiler {
 public:
  absl::Status SetListener(config::Listener listener) override;
  absl::Status SetRoutes(config::RouteTable routes) override;
  absl::Status SetCluster(config::Cluster cluster) override;
  absl::Status SetEndpoints(config::EndpointSet endpoints) override;
  void RemoveListener(const std::string& name) override { dirty_ |= listeners_.erase(name) > 0; }
  void RemoveRoutes(const std::string& name) override { dirty_ |= routes_.erase(name) > 0; }
  void RemoveCluster(const std::string& name) override;
  std::shared_ptr<const Snapshot> Build() override;
  std::vector<std::string> Missing() const override;

 private:
  struct ListenerEntry {
    config::Listener config;
    std::vector<std::shared_ptr<const route::Table>> inline_tables;  // by chain; null where the table is named
    std::shared_ptr<const Listener> built;
  };
  struct TableEntry {
    std::shared_ptr<const route::Table> wanted;
    std::shared_ptr<const route::Table> in_force;
  };
  struct ClusterEntry {
    config::Cluster config;
    std::shared_ptr<const Cluster> built;
  };

  std::shared_ptr<const balance::EndpointList> MakeList(const std::string& cluster, const config::EndpointSet& set);
  void Rebuild(const std::string& name, ClusterEntry* entry);
  bool Warm(const route::Table& table) const;
  std::shared_ptr<const route::Table> TableInForce(const std::string& name) const;
  std::shared_ptr<const Listener> BuildListener(ListenerEntry* entry) const;

  LiveStates states_;
  std::map<std::string, ListenerEntry> listeners_;
  std::map<std::string, TableEntry> routes_;
  std::map<std::string, ClusterEntry> clusters_;
  std::map<std::string, config::EndpointSet> endpoints_;  // by EDS name
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<Snapshot>();
  bool dirty_ = false;
};

absl::Status CompilerImpl::SetListener(config::Listener listener) {
  ListenerEntry entry;
  for (const config::FilterChain& chain : listener.chains) {
    if (!chain.route_table.empty()) {
      entry.inline_tables.push_back(nullptr);
      continue;
    }
    auto table = route::Compile(chain.inline_routes);
    if (!table.ok())
      return absl::InvalidArgumentError(
          absl::StrCat("filter_chains[", chain.name, "].route_config.", table.status().message()));
    entry.inline_tables.push_back(*std::move(table));
  }
  entry.config = std::move(listener);
  ListenerEntry& place = listeners_[entry.config.name];
  entry.built = std::move(place.built);
  place = std::move(entry);
  dirty_ = true;
  return absl::OkStatus();
}

absl::Status CompilerImpl::SetRoutes(config::RouteTable routes) {
  TableEntry& entry = routes_[routes.name];
  if (entry.wanted != nullptr && entry.wanted->config() == routes) return absl::OkStatus();
  const std::string name = routes.name;
  auto table = route::Compile(std::move(routes));
  if (!table.ok()) {
    if (entry.wanted == nullptr) routes_.erase(name);
    return table.status();
  }
  entry.wanted = *std::move(table);
  dirty_ = true;
  return absl::OkStatus();
}

absl::Status CompilerImpl::SetCluster(config::Cluster cluster) {
  if (cluster.connect_timeout <= Duration::zero()) return absl::InvalidArgumentError("connect_timeout must be positive");
  ClusterEntry& entry = clusters_[cluster.name];
  if (entry.built != nullptr && entry.config == cluster) return absl::OkStatus();
  entry.config = std::move(cluster);
  Rebuild(entry.config.name, &entry);
  return absl::OkStatus();
}

absl::Status CompilerImpl::SetEndpoints(config::EndpointSet endpoints) {
  const std::string name = endpoints.cluster;
  const auto known = endpoints_.find(name);
  if (known != endpoints_.end() && known->second == endpoints) return absl::OkStatus();
  endpoints_[name] = std::move(endpoints);
  for (auto& [cluster, entry] : clusters_) {
    if (entry.config.discovered && entry.config.endpoints_name == name) Rebuild(cluster, &entry);
  }
  return absl::OkStatus();
}

void CompilerImpl::RemoveCluster(const std::string& name) {
  const auto it = clusters_.find(name);
  if (it == clusters_.end()) return;
  const std::string endpoints_name = it->second.config.endpoints_name;
  clusters_.erase(it);
  const bool shared = std::any_of(clusters_.begin(), clusters_.end(),
                                  [&](const auto& other) { return other.second.config.endpoints_name == endpoints_name; });
  if (!shared) endpoints_.erase(endpoints_name);
  dirty_ = true;
}

std::shared_ptr<const balance::EndpointList> CompilerImpl::MakeList(const std::string& cluster, const config::EndpointSet& set) {
  std::vector<balance::ListedEndpoint> list;
  list.reserve(set.endpoints.size());
  for (const config::Endpoint& endpoint : set.endpoints) {
    balance::ListedEndpoint listed{endpoint, nullptr};
    if (listed.config.address_text.empty()) listed.config.address_text = endpoint.address.ToString();
    listed.state = states_.EndpointOf(cluster, listed.config);
    list.push_back(std::move(listed));
  }
  return std::make_shared<const balance::EndpointList>(std::move(list));
}

void CompilerImpl::Rebuild(const std::string& name, ClusterEntry* entry) {
  auto cluster = std::make_shared<Cluster>();
  cluster->config = entry->config;
  cluster->state = states_.ClusterOf(name);
  cluster->state->retry_budget.Configure(BudgetOf(entry->config.retry_budget));
  if (!entry->config.discovered) {
    cluster->endpoints = MakeList(name, entry->config.inline_endpoints);
  } else if (const auto it = endpoints_.find(entry->config.endpoints_name); it != endpoints_.end()) {
    cluster->endpoints = MakeList(name, it->second);
  }
  cluster->config.inline_endpoints = {};
  entry->built = std::move(cluster);
  dirty_ = true;
}

// A table may come into force when the endpoints of all its clusters were received once. A cluster that nobody declared does not
// hold it up: that is an answer of its own (NC).
bool CompilerImpl::Warm(const route::Table& table) const {
  for (const config::VirtualHost& host : table.config().virtual_hosts) {
    for (const config::Route& route : host.routes) {
      const auto* forward = std::get_if<config::Forward>(&route.action);
      if (forward == nullptr) continue;
      for (const config::WeightedCluster& weighted : forward->clusters) {
        const auto it = clusters_.find(weighted.cluster);
        if (it != clusters_.end() && !it->second.built->warm()) return false;
      }
    }
  }
  return true;
}

std::shared_ptr<const route::Table> CompilerImpl::TableInForce(const std::string& name) const {
  const auto it = routes_.find(name);
  return it == routes_.end() ? nullptr : it->second.in_force;
}

std::shared_ptr<const Listener> CompilerImpl::BuildListener(ListenerEntry* entry) const {
  auto listener = std::make_shared<Listener>();
  listener->config = entry->config;
  for (size_t i = 0; i < entry->config.chains.size(); ++i) {
    Chain chain;
    chain.config = entry->config.chains[i];
    chain.routes = entry->inline_tables[i] != nullptr ? entry->inline_tables[i] : TableInForce(chain.config.route_table);
    chain.config.inline_routes = {};
    listener->chains.push_back(std::move(chain));
  }
  listener->config.chains.clear();
  if (!Whole(*listener) && entry->built != nullptr && Whole(*entry->built)) return entry->built;  // warming
  if (entry->built != nullptr && entry->built->chains.size() == listener->chains.size()) {
    const bool same = entry->built->config == listener->config &&
                      std::equal(listener->chains.begin(), listener->chains.end(), entry->built->chains.begin(),
                                 [](const Chain& a, const Chain& b) { return a.config == b.config && a.routes == b.routes; });
    if (same) return entry->built;
  }
  entry->built = listener;
  return listener;
}

std::shared_ptr<const Snapshot> CompilerImpl::Build() {
  if (!dirty_) return snapshot_;
  dirty_ = false;
  auto next = std::make_shared<Snapshot>();
  next->generation = snapshot_->generation + 1;
  for (auto& [name, entry] : clusters_) next->clusters.emplace(name, entry.built);
  for (auto& [name, entry] : routes_) {
    if (entry.in_force != entry.wanted && Warm(*entry.wanted)) entry.in_force = entry.wanted;
    if (entry.in_force != nullptr) next->routes.emplace(name, entry.in_force);
  }
  for (auto& [name, entry] : listeners_) next->listeners.emplace(name, BuildListener(&entry));
  snapshot_ = std::move(next);
  states_.Sweep();
  return snapshot_;
}

std::vector<std::string> CompilerImpl::Missing() const {
  std::set<std::string> missing;
  for (const auto& [name, entry] : listeners_) {
    for (const config::FilterChain& chain : entry.config.chains) {
      if (!chain.route_table.empty() && TableInForce(chain.route_table) == nullptr) missing.insert("routes " + chain.route_table);
    }
  }
  for (const auto& [name, entry] : clusters_) {
    if (!entry.built->warm()) missing.insert("endpoints " + entry.config.endpoints_name);
  }
  return {missing.begin(), missing.end()};
}

}  // namespace

std::unique_ptr<Compiler> MakeCompiler() { return std::make_unique<CompilerImpl>(); }

}  // namespace outrigger::snapshot
