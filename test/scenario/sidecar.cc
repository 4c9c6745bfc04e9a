#include "test/scenario/sidecar.h"

#include <utility>

namespace outrigger::scenario {
namespace {

path::Self SelfOf(const std::string& workload) {
  const size_t slash = workload.find('/');
  path::Self self;
  self.workload_namespace = workload.substr(0, slash);
  self.workload = workload.substr(slash + 1);
  return self;
}

}  // namespace

void Sidecar::CountingSink::OnExchange(const observe::ExchangeRecord& record) {
  ++by_reason[std::string(record.reason)];
}

Sidecar::Sidecar(Actor& actor, const SidecarOptions& options) : worker_loop_(actor.AddLoop()) {
  shard::Options shard_options;
  shard_options.outbound = options.outbound;
  shard_options.inbound = options.inbound;
  shard_ = std::make_shared<shard::Shard>(&worker_loop_, shard_options, SelfOf(options.workload), &sink_);

  discovery::LinkOptions link_options;
  link_options.control = options.control;
  link_options.workload = options.workload;
  link_options.data_dir = options.data_dir;
  if (!options.token.empty()) {
    Result<discovery::JoinToken> token = discovery::ParseJoinToken(options.token);
    if (!token.ok()) trouble_ = token.error().ToString();
    else link_options.token = *token;
  }
  link_ = std::make_unique<discovery::ControlLink>(&actor.loop(), std::move(link_options),
                                                   static_cast<discovery::ControlLink::Handler*>(this));
  if (Outcome listening = shard_->Listen(); !listening.ok()) trouble_ = listening.error().ToString();
  if (Outcome started = link_->Start(); !started.ok()) trouble_ = started.error().ToString();
}

Sidecar::~Sidecar() = default;

// Whatever is still under way to the worker finds it gone.
void Sidecar::PostToShard(std::function<void(shard::Shard&)> call) {
  worker_loop_.mailbox()->Post([weak = std::weak_ptr<shard::Shard>(shard_), call = std::move(call)] {
    if (const auto shard = weak.lock()) call(*shard);
  });
}

void Sidecar::OnSnapshot(std::shared_ptr<const snapshot::Snapshot> snapshot) {
  published_ = true;
  PostToShard([snapshot = std::move(snapshot)](shard::Shard& shard) { shard.Publish(snapshot); });
}

void Sidecar::OnIdentity(std::shared_ptr<const tls::Context> context) {
  identified_ = true;
  PostToShard([context = std::move(context)](shard::Shard& shard) { shard.SetTls(context); });
}

void Sidecar::Drain() {
  PostToShard([](shard::Shard& shard) { shard.Drain(/*close_idle=*/true); });
}

}  // namespace outrigger::scenario
