// A sidecar as an actor: the link to the control plane on its main loop, one shard on a worker's loop, joined by mailboxes, as
// outrigger-proxy wires them, without the process around them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "proxy/discovery/control_link.h"
#include "proxy/observe/record.h"
#include "proxy/shard/shard.h"
#include "test/scenario/environment.h"

namespace outrigger::scenario {

struct SidecarOptions {
  std::string control;   // HOST:PORT
  std::string workload;  // NAMESPACE/NAME
  std::string data_dir;
  std::string token;     // empty: there is a kept identity
  net::Address outbound;
  net::Address inbound;
};

class Sidecar final : private discovery::ControlLink::Handler {
 public:
  Sidecar(Actor& actor, const SidecarOptions& options);
  ~Sidecar() override;

  // Configuration and identity are in force, and nothing is waited for.
  bool ready() const { return published_ && identified_ && link_->Missing().empty(); }
  const std::string& trouble() const { return trouble_; }  // why it did not start; empty: it did
  shard::Shard& shard() { return *shard_; }
  const discovery::ControlLink& link() const { return *link_; }
  // Finished exchanges by the reason of a local reply or failure; empty for what went well.
  const std::map<std::string, uint64_t>& exchanges_by_reason() const { return sink_.by_reason; }
  void Drain();

 private:
  struct CountingSink final : observe::Sink {
    void OnExchange(const observe::ExchangeRecord& record) override;
    std::map<std::string, uint64_t> by_reason;
  };

  void OnSnapshot(std::shared_ptr<const snapshot::Snapshot> snapshot) override;
  void OnIdentity(std::shared_ptr<const tls::Context> context) override;
  void PostToShard(std::function<void(shard::Shard&)> call);

  net::Loop& worker_loop_;
  CountingSink sink_;
  std::shared_ptr<shard::Shard> shard_;
  std::unique_ptr<discovery::ControlLink> link_;
  std::string trouble_;
  bool published_ = false;
  bool identified_ = false;
};

}  // namespace outrigger::scenario
