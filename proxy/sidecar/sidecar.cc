#include "proxy/sidecar/sidecar.h"

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
    : loop_(loop), shards_(std::move(shards)), started_(loop->now()), log_(options.log), link_(loop, std::move(options), this) {}

Sidecar::~Sidecar() { *alive_ = false; }

Outcome Sidecar::Start() { return link_.Start(); }

State Sidecar::state() const {
  if (draining_) return State::kDraining;
  return waiting_for().empty() ? State::kLive : State::kInitializing;
}

std::string Sidecar::waiting_for() const {
  if (identity_ == nullptr) return "no certificate yet";
  if (identity_->not_after() <= loop_->wall_now()) return "the certificate has expired and the control plane is away";
  if (snapshot_ == nullptr || snapshot_->listeners.empty()) return "no configuration yet";
  const std::vector<std::string> missing = link_.Missing();
  // Configuration that was whole once stays in force while a newer one is warming.
  for (const std::string& name : missing) {
    if (name.starts_with("routes ")) return "waiting for " + name;
  }
  return {};
}

void Sidecar::PostAll(const std::function<void(shard::Shard*)>& message) {
  for (const ShardHandle& handle : shards_) {
    handle.mailbox->Post([message, shard = handle.shard] { message(shard); });
  }
}

void Sidecar::OnSnapshot(std::shared_ptr<const snapshot::Snapshot> snapshot) {
  snapshot_ = std::move(snapshot);
  PostAll([snapshot = snapshot_](shard::Shard* shard) { shard->Publish(snapshot); });
}

void Sidecar::OnIdentity(std::shared_ptr<const tls::Context> context) {
  identity_ = std::move(context);
  PostAll([context = identity_](shard::Shard* shard) { shard->SetTls(context); });
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
    for (const ShardReport& report : reports)
      connections += report.stats.connections_active + static_cast<uint64_t>(report.stats.requests_active);
    if (connections == 0 && idle_closed_) {
      if (drain_done_ != nullptr) std::exchange(drain_done_, nullptr)(false);
      return;
    }
    if (drain_done_ != nullptr) loop_->Arm(&drain_timer_, kDrainTick);
  });
}

}  // namespace outrigger::sidecar
