// Is this chain a workload of the trust domain, at `now`? RFC 5280 path validation (BoringSSL's) against given roots, plus the
// rules for X509-SVIDs. Verdicts on chains that were good are remembered, per thread and bounded: the key is a hash over the
// roots and every certificate of the chain, so other roots never hit, and the validity window of the whole path is looked at again
// each time. Thread-safe to share. Internal to this folder.
#pragma once

#include <openssl/base.h>
#include <openssl/pool.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/tls/tls.h"
#include "proxy/tls/x509.h"

namespace outrigger::tls {

// Leaf first, as the peer sent it; borrowed.
using Chain = std::vector<const CRYPTO_BUFFER*>;

struct Verified {
  Peer peer;
  std::string trust_domain;
  // When every certificate of the path that was found is valid: from <= now < until, as BoringSSL counts.
  WallTime valid_from{};
  WallTime valid_until{};
};

// Why not: the sentence, and the TLS alert that tells the peer (RFC 8446, section 6.2).
struct Refusal {
  std::string reason;
  uint8_t alert = 0;
};

class Verifier {
 public:
  // kTls when a root is not a CA certificate. No roots: everything is refused but by VerifyPinned.
  static Result<std::unique_ptr<const Verifier>> Make(const std::vector<Der>& roots, std::string trust_domain);

  std::shared_ptr<const Verified> Verify(const Chain& chain, WallTime now, Refusal* refusal) const;
  // First contact: the only root is the certificate of the chain whose SubjectPublicKeyInfo hashes to `spki_sha256`. The leaf must be of
  // the trust domain that this root names, and of ours if we know it. Remembers nothing.
  std::shared_ptr<const Verified> VerifyPinned(const Chain& chain, const std::string& spki_sha256, WallTime now,
                                               Refusal* refusal) const;
  // Do chain and roots belong together, at whatever time?
  std::shared_ptr<const Verified> VerifyTimeless(const Chain& chain, Refusal* refusal) const;

  bool has_roots() const { return has_roots_; }
  const std::string& roots_digest() const { return roots_digest_; }

 private:
  Verifier() = default;
  bool has_roots_ = false;
  bssl::UniquePtr<X509_STORE> store_;
  std::string trust_domain_;
  std::string roots_digest_;  // and of the trust domain
};

}  // namespace outrigger::tls
