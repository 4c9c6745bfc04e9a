#include <array>
#include <cstdint>
#include <thread>

#include <gtest/gtest.h>
#include <openssl/rand.h>

namespace {

using Bytes = std::array<uint8_t, 32>;

// BoringSSL keeps its generator per thread, so a fresh thread starts from the seed again.
Bytes RandomBytesOfAFreshThread() {
  Bytes bytes;
  std::thread([&] { RAND_bytes(bytes.data(), bytes.size()); }).join();
  return bytes;
}

TEST(SeededRandom, TheSameSeedGivesTheSameBytes) {
  const Bytes first = RandomBytesOfAFreshThread();
  EXPECT_EQ(first, RandomBytesOfAFreshThread());
}

}  // namespace
