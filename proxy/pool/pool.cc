#include "proxy/pool/pool.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "proxy/pool/endpoint_pool.h"

namespace outrigger::pool {

class Pool::Impl final : public net::TurnTask {
 public:
  Impl(net::Loop* loop, Options options, ContextSource tls) {
    shared_.loop = loop;
    shared_.options = options;
    shared_.tls = std::move(tls);
    shared_.bury = [this](std::unique_ptr<ClientSession> session) {
      graveyard_.push_back(std::move(session));
      shared_.loop->AtTurnEnd(this);
    };
    shared_.fail_later = [this](StreamImpl* stream, Error error) {
      stream->pending_error = std::move(error);
      failed_.PushBack(stream);
      shared_.loop->AtTurnEnd(this);
    };
    shared_.emptied = [this](const balance::EndpointState* state) {
      emptied_.push_back(state);
      shared_.loop->AtTurnEnd(this);
    };
  }

  EndpointPool& Find(const balance::ListedEndpoint& endpoint, const config::Cluster& cluster) {
    EndpointPool*& pool = by_state_[endpoint.state.get()];
    if (pool == nullptr) {
      pools_.push_back(std::make_unique<EndpointPool>(&shared_));
      pool = pools_.back().get();
    }
    pool->SetTarget(endpoint, cluster);
    return *pool;
  }

  void OnTurnEnd() override {
    while (!failed_.empty()) {
      StreamImpl* stream = failed_.PopFront();
      const Error error = std::move(stream->pending_error);
      stream->FailUnstarted(error);
    }
    graveyard_.clear();
    for (const balance::EndpointState* state : std::exchange(emptied_, {})) Drop(state);
  }

  // A pool without connections is a few hundred bytes of nothing, and keeps the state of an endpoint that may be gone: they come and go
  // for years.
  void Drop(const balance::EndpointState* state) {
    const auto it = by_state_.find(state);
    if (it == by_state_.end() || !it->second->empty()) return;  // somebody has called it since
    const EndpointPool* const dead = it->second;
    by_state_.erase(it);
    std::erase_if(pools_, [dead](const auto& pool) { return pool.get() == dead; });
  }

  Shared shared_;
  std::vector<std::unique_ptr<EndpointPool>> pools_;  // in the order made: what walks over all pools walks here
  absl::flat_hash_map<const balance::EndpointState*, EndpointPool*> by_state_;  // for look-ups only
  std::vector<std::unique_ptr<ClientSession>> graveyard_;
  IntrusiveList<StreamImpl> failed_;
  std::vector<const balance::EndpointState*> emptied_;  // this turn
};

Pool::Pool(net::Loop* loop, Options options, std::function<std::shared_ptr<const tls::Context>()> tls)
    : impl_(std::make_unique<Impl>(loop, options, std::move(tls))) {}
Pool::~Pool() = default;

std::unique_ptr<Stream> Pool::Start(const balance::ListedEndpoint& endpoint, const config::Cluster& cluster,
                                    const http::RequestHead& head, bool end, Stream::Handler* handler) {
  auto stream = std::make_unique<StreamImpl>(&head, end, handler);
  impl_->Find(endpoint, cluster).Start(cluster, stream.get());
  return stream;
}

void Pool::RetireOld() {
  const std::shared_ptr<const tls::Context> current = impl_->shared_.tls();
  for (const auto& pool : impl_->pools_) pool->RetireOlderThan(current.get());
}

const Counters& Pool::counters() const { return impl_->shared_.counters; }

size_t Pool::open_connections() const {
  size_t sum = 0;
  for (const auto& pool : impl_->pools_) sum += pool->size();
  return sum;
}

std::vector<Pool::EndpointCount> Pool::Snapshot() const {
  std::vector<EndpointCount> counts;
  for (const auto& pool : impl_->pools_) counts.push_back(pool->Count());
  std::sort(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.address < b.address; });
  return counts;
}

}  // namespace outrigger::pool
