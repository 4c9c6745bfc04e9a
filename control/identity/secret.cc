#include "control/identity/secret.h"

#include <openssl/base64.h>
#include <openssl/mem.h>
#include <openssl/rand.h>

#include <cstdint>
#include <vector>

#include "proxy/base/bytes.h"
#include "proxy/tls/certificate.h"

namespace outrigger::control {

std::string MakeSecret(size_t size) {
  std::vector<uint8_t> bytes(size);
  RAND_bytes(bytes.data(), bytes.size());
  std::vector<uint8_t> encoded((size + 2) / 3 * 4 + 1);
  const size_t length = EVP_EncodeBlock(encoded.data(), bytes.data(), bytes.size());
  std::string secret(encoded.begin(), encoded.begin() + static_cast<ptrdiff_t>(length));
  for (char& c : secret) {
    if (c == '+') c = '-';
    if (c == '/') c = '_';
  }
  while (!secret.empty() && secret.back() == '=') secret.pop_back();
  return secret;
}

std::string SecretHash(std::string_view secret) { return tls::Hex(AsBytes(tls::Sha256(AsBytes(secret)))); }

bool SecretsEqual(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace outrigger::control
