// A sidecar as an actor: proxy/sidecar with its workers, as outrigger-proxy wires them, without the process around them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/sidecar/sidecar.h"
#include "test/scenario/environment.h"

namespace outrigger::scenario {

struct SidecarOptions {
  std::string control;   // HOST:PORT
  std::string workload;  // NAMESPACE/NAME
  std::string data_dir;
  std::string token;     // empty: there is a kept identity
  net::Address outbound;
  net::Address inbound;
  int workers = 1;
};

class SidecarActor final {
 public:
  SidecarActor(Actor& actor, const SidecarOptions& options);
  ~SidecarActor();

  const std::string& trouble() const { return trouble_; }  // why it did not start; empty: it did
  sidecar::Sidecar& sidecar() { return *sidecar_; }
  // Ready as /ready says it, and the control plane is heard.
  bool current() const { return trouble_.empty() && sidecar_->ready() && sidecar_->link().status().connected; }
  std::string Describe() const;  // why it is not

 private:
  std::vector<std::unique_ptr<ActorWorker>> workers_;
  std::unique_ptr<sidecar::Sidecar> sidecar_;  // goes before its workers
  std::string trouble_;
};

}  // namespace outrigger::scenario
