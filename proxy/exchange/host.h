// What one worker gives every exchange and session on it. One per shard; one thread.
#pragma once

#include <memory>
#include <vector>

#include "proxy/balance/picker.h"
#include "proxy/codec/codec.h"
#include "proxy/net/loop.h"
#include "proxy/observe/record.h"
#include "proxy/pool/pool.h"
#include "proxy/snapshot/epoch.h"

namespace outrigger::exchange {

struct Settings {
  size_t high_water_bytes = 64 * 1024;    // queued towards one side above it: stop reading the other
  size_t replay_bytes = 64 * 1024;        // request body kept for a retry
  Duration head_timeout = std::chrono::seconds(10);       // first byte of a head -> whole head: 408
  Duration handshake_timeout = std::chrono::seconds(10);
  Duration idle_timeout = std::chrono::hours(1);          // client connections between requests
  uint32_t stale_retries = 3;             // pooled connections closed under one request
  codec::Limits limits;
};

// Things that must outlive the call they end in: destroyed at the end of the turn.
class Graveyard final : public net::TurnTask {
 public:
  explicit Graveyard(net::Loop* loop) : loop_(loop) {}
  template <typename T>
  void Bury(std::unique_ptr<T> dead) {
    dead_.push_back(std::shared_ptr<void>(std::move(dead)));
    loop_->AtTurnEnd(this);
  }
  void OnTurnEnd() override {
    std::vector<std::shared_ptr<void>> dead;
    dead.swap(dead_);
  }

 private:
  net::Loop* const loop_;
  std::vector<std::shared_ptr<void>> dead_;
};

struct Host {
  Host(net::Loop* loop_in, pool::Pool* pool_in, observe::Sink* sink_in, Settings settings_in)
      : loop(loop_in), pool(pool_in), sink(sink_in), settings(settings_in), graveyard(loop_in),
        epoch(std::make_shared<const snapshot::Snapshot>()) {}

  net::Loop* const loop;
  pool::Pool* const pool;
  observe::Sink* const sink;
  const Settings settings;
  Graveyard graveyard;
  snapshot::Epoch epoch;                  // what new requests pin; never empty
  std::vector<balance::Picker> pickers;   // by ClusterState::index
  bool draining = false;
  // Plain counts for metrics.
  uint64_t retries = 0;
  uint64_t stale_retries = 0;
  uint64_t retries_refused_by_budget = 0;
  int64_t active_requests = 0;

  balance::Picker& PickerOf(uint32_t cluster_index) {
    if (cluster_index >= pickers.size()) pickers.resize(cluster_index + 1);
    return pickers[cluster_index];
  }
};

}  // namespace outrigger::exchange
