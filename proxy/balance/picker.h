// Which endpoint? Load balancing as a pure choice: the list, the loads in its states, `now` and chance in, an index out.
//
//  * least request: two random choices, the less loaded wins (Mitzenmacher 2001), loads are process-wide and weighted;
//  * round robin: static stride over weights (gRPC A58), one sequence a worker;
//  * random: by weight.
// Preference, best first: good standing and not yet tried by this request; set aside and not tried; tried. Draining endpoints only
// when there is no other; unhealthy ones never. A set-aside endpoint whose time is over takes the first request that meets it.
// EndpointList is immutable and thread-safe but for the states' atomics; Picker belongs to one worker.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "proxy/balance/endpoint_state.h"
#include "proxy/base/random.h"
#include "proxy/base/time.h"
#include "proxy/config/config.h"

namespace outrigger::balance {

struct ListedEndpoint {
  config::Endpoint config;
  std::shared_ptr<EndpointState> state;
};

class EndpointList {
 public:
  explicit EndpointList(std::vector<ListedEndpoint> endpoints);

  size_t size() const { return endpoints_.size(); }
  bool empty() const { return endpoints_.empty(); }
  const ListedEndpoint& operator[](size_t i) const { return endpoints_[i]; }
  // Indices that may be picked: the healthy ones, or the draining ones when none is healthy.
  std::span<const uint32_t> usable() const { return usable_; }
  bool equal_weights() const { return equal_weights_; }
  uint64_t total_weight() const { return cumulative_.empty() ? 0 : cumulative_.back(); }
  std::span<const uint64_t> cumulative_weights() const { return cumulative_; }  // over usable()
  uint32_t largest_weight() const { return largest_weight_; }

 private:
  std::vector<ListedEndpoint> endpoints_;
  std::vector<uint32_t> usable_;
  std::vector<uint64_t> cumulative_;
  uint32_t largest_weight_ = 1;
  bool equal_weights_ = true;
};

class Picker {
 public:
  // `tried`: indices into the list that earlier attempts of the same request used. nullopt: nobody to send to (UH).
  std::optional<uint32_t> Pick(config::LbPolicy policy, const EndpointList& list, std::span<const uint32_t> tried, Instant now,
                               Random& random);

 private:
  uint32_t Draw(config::LbPolicy policy, const EndpointList& list, Random& random);

  uint64_t sequence_ = 0;  // round robin
};

}  // namespace outrigger::balance
