// Secrets that people carry: random, printable, from BoringSSL's generator (which the simulation seeds). Thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace outrigger::control {

// `size` random bytes as base64url without padding (RFC 4648 section 5).
std::string MakeSecret(size_t size = 32);

// SHA-256 as lower-case hex: what is stored instead of a secret.
std::string SecretHash(std::string_view secret);

// In a time that depends only on the lengths.
bool SecretsEqual(std::string_view a, std::string_view b);

}  // namespace outrigger::control
