// The ADS server: one StreamState per stream, fed with requests and with each new CompiledMesh, and what is known of every proxy.
// A stream belongs to one workload: its node id, which over TLS must be the workload of the caller's certificate.
// One thread; must outlive the rpc::Server that it accepts calls of.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/compile/compile.h"
#include "control/log/log.h"
#include "control/serve/stream_state.h"
#include "proxy/net/loop.h"
#include "proxy/rpc/rpc.h"

namespace outrigger::control {

inline constexpr std::string_view kAdsPath = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

struct ProxyStatus {
  ProxyId id;
  bool connected = false;
  std::string remote;     // ip:port
  std::string user_agent; // as the node names its program and version: "outrigger-proxy 0.1.0"
  std::string identity;   // SPIFFE id of its certificate; empty on the plaintext port
  WallTime connected_since{};
  WallTime last_seen{};   // last request of its stream
  std::optional<WallTime> certificate_expires;  // of the certificate that it connected with
  uint64_t generation = 0;  // wholly accepted, 0: none
  std::array<TypeStatus, kTypes> types;
};

// Counts since the start, for /metrics.
struct AdsCounts {
  std::array<uint64_t, kTypes> pushes{};
  std::array<uint64_t, kTypes> refusals{};
  uint64_t streams = 0;
  uint64_t refused_streams = 0;
  // From a new generation to its acceptance by a proxy: cumulative, by the bounds below, and all.
  static constexpr std::array<double, 9> kBounds = {0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5};
  std::array<uint64_t, kBounds.size()> push_duration{};
  uint64_t push_duration_count = 0;
  double push_duration_sum_s = 0;
};

class AdsService {
 public:
  AdsService(net::Loop* loop, std::string identifier, Log log);
  ~AdsService();

  // A handler for a StreamAggregatedResources call.
  std::unique_ptr<rpc::ServerCall::Handler> Accept(rpc::ServerCall* call);
  // What is in force from now on: every stream is brought up to date; streams of workloads that are not declared any
  // more, or whose identity changed, are ended.
  void SetMesh(std::shared_ptr<const CompiledMesh> mesh);
  const std::shared_ptr<const CompiledMesh>& mesh() const { return mesh_; }

  // Every proxy that is connected or was while its workload is declared; by id.
  std::vector<ProxyStatus> Status() const;
  size_t connected() const;
  const AdsCounts& counts() const { return counts_; }

  // Called, in a turn of its own, after a proxy connected, left or accepted a generation.
  void SetProgressListener(std::function<void()> listener) { progress_ = std::move(listener); }
  // Ends all streams with UNAVAILABLE, so that the proxies look for another control plane; new ones are refused.
  void Drain();

 private:
  class Stream;
  class ProgressTask;

  void Unregister(Stream* stream);
  rpc::Status Authorise(const rpc::ServerCall& call, const ProxyId& id) const;
  void NoteProgress();
  void NoteAcceptance(uint64_t generation, Instant since);

  net::Loop* const loop_;
  const std::string identifier_;
  const Log log_;
  std::shared_ptr<const CompiledMesh> mesh_;
  Instant mesh_since_{};
  std::map<uint64_t, Stream*> streams_;  // by number, oldest first; the rpc::Server owns them
  std::map<ProxyId, ProxyStatus> left_;  // last known of those that are gone
  std::function<void()> progress_;
  std::unique_ptr<ProgressTask> progress_task_;
  AdsCounts counts_;
  uint64_t next_stream_ = 1;
  bool draining_ = false;
};

}  // namespace outrigger::control
