#include "proxy/sidecar/sidecar.h"

#include <algorithm>
#include <utility>

namespace outrigger::sidecar {
namespace {

constexpr Duration kDrainTick = std::chrono::milliseconds(100);

}  // namespace

std::string_view StateName(State state) {
  switch (state) {
    case State::kInitializing: return "INITIALIZING";
    case State::kLive: return "LIVE";
    case State::kDraining: return "DRAINING";
  }
  return "UNKNOWN";
}

Sidecar::Sidecar(net::Loop* loop, discovery::LinkOptions options, std::vector<ShardHandle> shards)
    : loop_(loop), shards_(std::move(shards)), started_(loop->now()), log_(options.log), in_force_(shards_.size()),
      link_(loop, std::move(options), this) {}

Sidecar::~Sidecar() { *alive_ = false; }

Outcome Sidecar::Start() { return link_.Start(); }

State Sidecar::state() const {
  if (draining_) return State::kDraining;
  return waiting_for().empty() ? State::kLive : State::kInitializing;
}

std::string Sidecar::MissingRoutes() const {
  for (const std::string& name : link_.Missing()) {
    if (name.starts_with("routes ")) return name;
  }
  return {};
}

std::string Sidecar::waiting_for() const {
  const bool alone = !link_.controlled();  // then there is no certificate, ever
  if (!alone && identity_ == nullptr) return "no certificate yet";
  if (!alone && identity_->not_after() <= loop_->wall_now()) return "the certificate has expired and the control plane is away";
  if (snapshot_ == nullptr || snapshot_->listeners.empty()) return "no configuration yet";
  // Configuration that was whole once stays in force while a newer one is warming.
  const bool configured = std::all_of(in_force_.begin(), in_force_.end(), [](const InForce& shard) { return shard.configured; });
  if (!configured) {
    const std::string routes = MissingRoutes();
    return routes.empty() ? "the workers have not taken over the configuration yet" : "waiting for " + routes;
  }
  const bool identified = std::all_of(in_force_.begin(), in_force_.end(), [](const InForce& shard) { return shard.identity; });
  return alone || identified ? "" : "the workers have not taken over the certificate yet";
}

uint64_t Sidecar::generation_in_force() const {
  uint64_t least = snapshot_ == nullptr ? 0 : snapshot_->generation;
  for (const InForce& shard : in_force_) least = std::min(least, shard.generation);
  return least;
}

void Sidecar::PostAll(const std::function<void(shard::Shard*)>& message) {
  for (const ShardHandle& handle : shards_) {
    handle.mailbox->Post([message, shard = handle.shard] { message(shard); });
  }
}

void Sidecar::PostAllThen(const std::function<void(shard::Shard*)>& message, const std::function<void(InForce*)>& then) {
  const std::shared_ptr<net::Mailbox> home = loop_->mailbox();
  for (size_t i = 0; i < shards_.size(); ++i) {
    shards_[i].mailbox->Post([=, this, alive = alive_, shard = shards_[i].shard] {
      message(shard);
      home->Post([=, this] {
        if (*alive) then(&in_force_[i]);
      });
    });
  }
}

void Sidecar::OnSnapshot(std::shared_ptr<const snapshot::Snapshot> snapshot) {
  snapshot_ = std::move(snapshot);
  const bool whole = !snapshot_->listeners.empty() && MissingRoutes().empty();
  const auto publish = [this, alive = alive_, home = loop_->mailbox(), snapshot = snapshot_](shard::Shard* shard) {
    shard->Publish(snapshot);
    home->Post([=, this, unbound = shard->unbound()] {
      if (*alive) TellUnbound(unbound);
    });
  };
  PostAllThen(publish,
              [whole, generation = snapshot_->generation](InForce* shard) {
                shard->configured = shard->configured || whole;
                shard->generation = generation;
              });
}

// Once for each port, not once for each worker and snapshot.
void Sidecar::TellUnbound(const std::map<std::string, std::string>& unbound) {
  for (const auto& [name, why] : unbound) {
    if (unbound_told_.contains(name)) continue;
    log_(LogLevel::kWarning, "a declared port cannot be served; trying again", {{"listener", name}, {"why", why}});
  }
  unbound_told_ = unbound;
}

void Sidecar::OnIdentity(std::shared_ptr<const tls::Context> context) {
  identity_ = std::move(context);
  PostAllThen([context = identity_](shard::Shard* shard) { shard->SetTls(context); }, [](InForce* shard) { shard->identity = true; });
}

void Sidecar::Gather(std::function<void(std::vector<ShardReport>)> done) {
  struct Collection {
    std::vector<ShardReport> reports;
    size_t left;
    std::function<void(std::vector<ShardReport>)> done;
  };
  auto collection = std::make_shared<Collection>();
  collection->reports.resize(shards_.size());
  collection->left = shards_.size();
  collection->done = std::move(done);
  const std::shared_ptr<net::Mailbox> home = loop_->mailbox();
  for (size_t i = 0; i < shards_.size(); ++i) {
    const ShardHandle& handle = shards_[i];
    handle.mailbox->Post([=, alive = alive_, shard = handle.shard, metrics = handle.metrics] {
      auto report = std::make_shared<ShardReport>();
      report->stats = shard->stats();
      if (metrics != nullptr) report->samples = metrics->Collect();
      home->Post([=] {
        if (!*alive) return;
        collection->reports[i] = std::move(*report);
        if (--collection->left == 0) collection->done(std::move(collection->reports));
      });
    });
  }
}

void Sidecar::Drain(Duration grace, Duration limit, std::function<void(bool)> done) {
  const bool again = std::exchange(draining_, true);
  drain_started_ = loop_->now();
  drain_grace_ = grace;
  drain_limit_ = limit;
  drain_done_ = std::move(done);
  if (!again) PostAll([](shard::Shard* shard) { shard->Drain(/*close_idle=*/false); });
  loop_->Arm(&drain_timer_, kDrainTick);
}

void Sidecar::OnDrainTick() {
  if (drain_done_ == nullptr) return;
  const Duration passed = loop_->now() - drain_started_;
  if (passed >= drain_limit_) {
    std::exchange(drain_done_, nullptr)(true);
    return;
  }
  if (passed >= drain_grace_ && !std::exchange(idle_closed_, true)) {
    PostAll([](shard::Shard* shard) { shard->Drain(/*close_idle=*/true); });
  }
  Gather([this](const std::vector<ShardReport>& reports) {
    uint64_t connections = 0;
    int64_t requests = 0;
    for (const ShardReport& report : reports) {
      connections += report.stats.connections_active;
      requests += report.stats.requests_active;
    }
    if (drain_done_ == nullptr) return;
    if (idle_closed_ && requests == 0 && connections == 0) {
      std::exchange(drain_done_, nullptr)(false);
      return;
    }
    // Connections that the application beside us made meanwhile.
    if (idle_closed_ && requests == 0) PostAll([](shard::Shard* shard) { shard->Drain(/*close_idle=*/true); });
    loop_->Arm(&drain_timer_, kDrainTick);
  });
}

}  // namespace outrigger::sidecar
