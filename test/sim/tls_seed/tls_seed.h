// Makes BoringSSL's randomness a function of a seed, so that a simulated mesh with real TLS runs the same way twice. Linking this
// library is enough to replace the entropy of the operating system (and RDRAND is masked): never link it into a program that
// is shipped. Its object defines bssl::CRYPTO_init_sysrand and bssl::CRYPTO_sysrand ahead of libcrypto, from whose archive the
// real ones are then not taken.
//
// BoringSSL keeps a generator per thread, seeded by that thread's first use, so one seed belongs to one fresh thread:
//   RunSeeded(seed, [&] { ... the whole simulation ... });
// What proxy/tls keeps per thread (verdicts on chains, resumable sessions) starts empty there as well.
#pragma once

#include <cstdint>
#include <functional>

namespace outrigger::sim {

// Runs `body` on a thread of its own whose TLS randomness comes from `seed`, and returns when it is done.
void RunSeeded(uint64_t seed, const std::function<void()>& body);

}  // namespace outrigger::sim
