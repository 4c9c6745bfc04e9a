#include "proxy/balance/picker.h"

#include <algorithm>

namespace outrigger::balance {
namespace {

bool Contains(std::span<const uint32_t> set, uint32_t value) { return std::find(set.begin(), set.end(), value) != set.end(); }

// Requests in flight per unit of weight, one more counted for the request to come.
bool LessLoaded(const ListedEndpoint& a, const ListedEndpoint& b) {
  const auto load_a = static_cast<uint64_t>(std::max<int64_t>(0, a.state->active.load()) + 1);
  const auto load_b = static_cast<uint64_t>(std::max<int64_t>(0, b.state->active.load()) + 1);
  return load_a * b.config.weight < load_b * a.config.weight;
}

}  // namespace

EndpointList::EndpointList(std::vector<ListedEndpoint> endpoints) : endpoints_(std::move(endpoints)) {
  for (const config::Health wanted : {config::Health::kHealthy, config::Health::kDraining}) {
    for (uint32_t i = 0; i < endpoints_.size(); ++i) {
      if (endpoints_[i].config.health == wanted && endpoints_[i].config.weight > 0) usable_.push_back(i);
    }
    if (!usable_.empty()) break;
  }
  uint64_t sum = 0;
  cumulative_.reserve(usable_.size());
  for (const uint32_t i : usable_) {
    const uint32_t weight = endpoints_[i].config.weight;
    if (weight != endpoints_[usable_.front()].config.weight) equal_weights_ = false;
    largest_weight_ = std::max(largest_weight_, weight);
    cumulative_.push_back(sum += weight);
  }
}

uint32_t Picker::Draw(config::LbPolicy policy, const EndpointList& list, Random& random) {
  const std::span<const uint32_t> usable = list.usable();
  const size_t n = usable.size();
  switch (policy) {
    case config::LbPolicy::kLeastRequest: {
      const uint32_t first = usable[random.Below(n)];
      const uint32_t second = usable[random.Below(n)];
      return LessLoaded(list[second], list[first]) ? second : first;
    }
    case config::LbPolicy::kRandom: {
      if (list.equal_weights()) return usable[random.Below(n)];
      const auto cumulative = list.cumulative_weights();
      const uint64_t point = random.Below(list.total_weight());
      return usable[static_cast<size_t>(std::upper_bound(cumulative.begin(), cumulative.end(), point) - cumulative.begin())];
    }
    case config::LbPolicy::kRoundRobin: {
      if (list.equal_weights()) return usable[sequence_++ % n];
      // Static stride: in generation g an endpoint of weight w is taken when (w * g + its offset) mod W >= W - w, W the largest.
      const uint64_t largest = list.largest_weight();
      while (true) {
        const uint64_t at = sequence_ % n;
        const uint64_t generation = sequence_ / n;
        ++sequence_;
        const uint64_t weight = list[usable[at]].config.weight;
        const uint64_t offset = at * largest / n;
        if ((weight * generation + offset) % largest >= largest - weight) return usable[at];
      }
    }
  }
  return usable[0];
}

std::optional<uint32_t> Picker::Pick(config::LbPolicy policy, const EndpointList& list, std::span<const uint32_t> tried,
                                     Instant now, Random& random) {
  const std::span<const uint32_t> usable = list.usable();
  if (usable.empty()) return std::nullopt;

  // Nearly always the first draw will do; the scan below is for lists with many endpoints out of the running.
  constexpr int kDraws = 4;
  for (int draw = 0; draw < kDraws; ++draw) {
    const uint32_t index = Draw(policy, list, random);
    if (Contains(tried, index)) continue;
    const EndpointState::Standing standing = list[index].state->standing(now);
    if (standing == EndpointState::Standing::kGood) return index;
    if (standing == EndpointState::Standing::kTrial && list[index].state->TakeTrial(now)) return index;
  }

  // Scan from a random place: of the best class present, the least loaded.
  const size_t start = random.Below(usable.size());
  std::optional<uint32_t> best;
  int best_class = 4;
  for (size_t k = 0; k < usable.size(); ++k) {
    const uint32_t index = usable[(start + k) % usable.size()];
    const bool good = list[index].state->standing(now) == EndpointState::Standing::kGood;
    const int preference = (Contains(tried, index) ? 2 : 0) + (good ? 0 : 1);
    if (preference > best_class) continue;
    if (preference < best_class || LessLoaded(list[index], list[*best])) best = index;
    best_class = preference;
  }
  return best;
}

}  // namespace outrigger::balance
