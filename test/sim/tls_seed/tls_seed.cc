#include "test/sim/tls_seed/tls_seed.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "proxy/base/random.h"

namespace outrigger::sim {
namespace {

// A thread that nobody seeded gets this one: still no entropy of the machine.
thread_local Random entropy(0x6f757472696767ull);

// Bit 62 of the first value is RDRAND (CPUID 1, ECX bit 30). BoringSSL reads this variable on its first use, which comes after
// the constructors of this priority.
__attribute__((constructor(101))) void MaskRdrand() { setenv("OPENSSL_ia32cap", "~0x4000000000000000", 1); }

}  // namespace

void RunSeeded(uint64_t seed, const std::function<void()>& body) {
  std::thread([&] {
    entropy = Random(seed);
    body();
  }).join();
}

}  // namespace outrigger::sim

namespace bssl {

void CRYPTO_init_sysrand();
void CRYPTO_sysrand(uint8_t* out, size_t size);

void CRYPTO_init_sysrand() {}

void CRYPTO_sysrand(uint8_t* out, size_t size) {
  while (size > 0) {
    const uint64_t word = outrigger::sim::entropy.Next();
    const size_t part = size < sizeof(word) ? size : sizeof(word);
    std::memcpy(out, &word, part);
    out += part;
    size -= part;
  }
}

}  // namespace bssl
