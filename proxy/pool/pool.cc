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
    // A pool without connections is a few hundred bytes of nothing: endpoints come and go for years.
    if (std::exchange(prune_, false)) {
      absl::erase_if(by_state_, [](const auto& entry) { return entry.second->empty(); });
      std::erase_if(pools_, [](const auto& pool) { return pool->empty(); });
    }
  }

  Shared shared_;
  std::vector<std::unique_ptr<EndpointPool>> pools_;  // in the order made: what walks over all pools walks here
  absl::flat_hash_map<const balance::EndpointState*, EndpointPool*> by_state_;  // for look-ups only
  std::vector<std::unique_ptr<ClientSession>> graveyard_;
  IntrusiveList<StreamImpl> failed_;
  bool prune_ = false;
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

void Pool::RetireUnless(const std::function<bool(const balance::EndpointState*)>& keep) {
  for (const auto& pool : impl_->pools_) {
    if (!keep(pool->state())) pool->RetireAll();
  }
  impl_->prune_ = true;
  impl_->shared_.loop->AtTurnEnd(impl_.get());
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
