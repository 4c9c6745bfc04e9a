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

// What lives on a worker's thread, in the order of its making.
struct WorkerParts {
  WorkerParts(net::Loop* loop, const shard::Options& options, const path::Self& self) : shard(loop, options, self, &metrics) {}
  observe::WorkerMetrics metrics;
  shard::Shard shard;
};

}  // namespace

SidecarActor::SidecarActor(Actor& actor, const SidecarOptions& options) {
  shard::Options shard_options;
  shard_options.outbound = options.outbound;
  shard_options.inbound = options.inbound;
  shard_options.share_ports = options.workers > 1;
  const path::Self self = SelfOf(options.workload);
  std::vector<sidecar::ShardHandle> handles;
  for (int i = 0; i < options.workers; ++i) {
    sidecar::ShardHandle handle;
    const auto factory = [&](net::Loop& loop) -> Result<std::shared_ptr<void>> {
      auto parts = std::make_shared<WorkerParts>(&loop, shard_options, self);
      if (Outcome listening = parts->shard.Listen(); !listening.ok()) return listening.error();
      handle.shard = &parts->shard;
      handle.metrics = &parts->metrics;
      return std::shared_ptr<void>(std::move(parts));
    };
    Result<std::unique_ptr<ActorWorker>> worker = actor.AddWorker("worker-" + std::to_string(i), factory);
    if (!worker.ok()) {
      trouble_ = worker.error().ToString();
      return;
    }
    handle.mailbox = (*worker)->mailbox();
    handles.push_back(handle);
    workers_.push_back(std::move(*worker));
  }

  discovery::LinkOptions link;
  link.control = options.control;
  link.workload = options.workload;
  link.data_dir = options.data_dir;
  link.version = "test";
  if (!options.token.empty()) {
    Result<discovery::JoinToken> token = discovery::ParseJoinToken(options.token);
    if (!token.ok()) trouble_ = token.error().ToString();
    else link.token = *token;
  }
  sidecar_ = std::make_unique<sidecar::Sidecar>(&actor.loop(), std::move(link), std::move(handles));
  if (Outcome started = sidecar_->Start(); !started.ok()) trouble_ = started.error().ToString();
}

SidecarActor::~SidecarActor() = default;

std::string SidecarActor::Describe() const {
  if (!trouble_.empty()) return trouble_;
  std::string text = sidecar_->waiting_for();
  const discovery::LinkStatus& status = sidecar_->link().status();
  if (!status.connected) text += (text.empty() ? "" : "; ") + ("the control plane is away: " + status.last_error);
  return text;
}

}  // namespace outrigger::scenario
