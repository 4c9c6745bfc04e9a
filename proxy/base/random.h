// Pseudo-random numbers from a seed: xoshiro256++ (Blackman & Vigna, 2019), seeded by splitmix64. Handed in wherever
// chance plays a part, so that one seed repeats a whole simulated mesh. Not for secrets: those come from BoringSSL.
// Not thread-safe: one per worker.
#pragma once

#include <bit>
#include <cstdint>

namespace outrigger {

class Random {
 public:
  using result_type = uint64_t;

  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15ull;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
      word = z ^ (z >> 31);
    }
  }

  uint64_t Next() {
    const uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  // Uniform in [0, bound), bound > 0, by multiplication (Lemire 2019); the bias is below 2^-32 for bounds below 2^32.
  uint64_t Below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * bound) >> 64);
  }

  // Uniform in [0, 1).
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

  bool Chance(double probability) { return Uniform() < probability; }

  // A generator of its own whose stream does not overlap in practice: for handing to a part.
  Random Fork() { return Random(Next()); }

  // UniformRandomBitGenerator, so that std::shuffle takes one.
  uint64_t operator()() { return Next(); }
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return ~0ull; }

 private:
  uint64_t state_[4];
};

}  // namespace outrigger
