// One whole proxy without threads or sockets of its own: the main actor (link to the control plane, snapshots, identity, drain) and its
// shards, joined by mailboxes. In production each shard has a thread; in the simulation all of them share one.
//
//   ControlLink --snapshot, identity--> Sidecar --mailbox--> Shard (1..N)
//   admin, telemetry --ask--> Sidecar --mailbox--> Shard --mailbox--> answer
//
// Sidecar belongs to the main loop; ShardHandle::Post is the only way to a shard.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/discovery/control_link.h"
#include "proxy/net/loop.h"
#include "proxy/observe/metrics.h"
#include "proxy/shard/shard.h"

namespace outrigger::sidecar {

// A shard and the loop it lives on. The shard must outlive the sidecar's last message to it.
struct ShardHandle {
  std::shared_ptr<net::Mailbox> mailbox;
  shard::Shard* shard = nullptr;
  observe::WorkerMetrics* metrics = nullptr;
};

struct ShardReport {
  shard::Stats stats;
  observe::Samples samples;
};

enum class State : uint8_t { kInitializing, kLive, kDraining };
std::string_view StateName(State state);  // "INITIALIZING", "LIVE", "DRAINING", as Envoy's /ready says them

class Sidecar final : private discovery::ControlLink::Handler {
 public:
  Sidecar(net::Loop* loop, discovery::LinkOptions options, std::vector<ShardHandle> shards);
  ~Sidecar() override;

  // kInvalid or kIo with a sentence for the user.
  Outcome Start();

  // kLive once every shard has said that it has the certificate and a configuration with all its routes in force.
  State state() const;
  // Why not live: "no certificate yet", "waiting for endpoints outbound|80||orders.default". Empty when live.
  std::string waiting_for() const;
  // Readiness taken away by hand (/healthcheck/fail).
  void set_healthy(bool healthy) { healthy_ = healthy; }
  bool ready() const { return healthy_ && state() == State::kLive; }

  // New connections are still served, connections are told to close with their next response. After `grace` the idle ones are
  // closed; `done` comes when nothing is under way any more, or after `limit` (then true: cut). Asked again, the times start
  // anew and only the last `done` comes.
  void Drain(Duration grace, Duration limit, std::function<void(bool cut)> done);

  // Asks every shard; the answer comes in a later turn.
  void Gather(std::function<void(std::vector<ShardReport>)> done);

  const discovery::ControlLink& link() const { return link_; }
  discovery::ControlLink& link() { return link_; }
  // The newest one; the shards take it over in turns of their own.
  const std::shared_ptr<const snapshot::Snapshot>& snapshot() const { return snapshot_; }
  // The oldest generation that some shard still starts requests with; 0: one has none yet.
  uint64_t generation_in_force() const;
  size_t shard_count() const { return shards_.size(); }
  Instant started() const { return started_; }

 private:
  void OnSnapshot(std::shared_ptr<const snapshot::Snapshot> snapshot) override;
  void OnIdentity(std::shared_ptr<const tls::Context> context) override;
  void OnDrainTick();
  void TellUnbound(const std::map<std::string, std::string>& unbound);
  void PostAll(const std::function<void(shard::Shard*)>& message);

  // What a shard has told that it runs.
  struct InForce {
    bool identity = false;
    bool configured = false;  // once: with listeners, and no route table missing
    uint64_t generation = 0;
  };
  // As PostAll; when the shard has run it, `then` is called here with what is known of that shard.
  void PostAllThen(const std::function<void(shard::Shard*)>& message, const std::function<void(InForce*)>& then);
  std::string MissingRoutes() const;  // the first of them; empty: none

  net::Loop* const loop_;
  const std::vector<ShardHandle> shards_;
  const Instant started_;
  Log log_;
  std::shared_ptr<const snapshot::Snapshot> snapshot_;
  std::shared_ptr<const tls::Context> identity_;
  std::vector<InForce> in_force_;  // by shard
  std::map<std::string, std::string> unbound_told_;  // ports that could not be bound, as logged last
  bool healthy_ = true;
  bool draining_ = false;
  bool idle_closed_ = false;
  Instant drain_started_{};
  Duration drain_grace_{};
  Duration drain_limit_{};
  std::function<void(bool)> drain_done_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers that come too late find it false
  discovery::ControlLink link_;
  CallbackTimer<Sidecar, &Sidecar::OnDrainTick> drain_timer_{this};
};

}  // namespace outrigger::sidecar
