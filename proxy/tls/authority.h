// A trust domain's signing authority: one self-signed root and the rules for what it signs. Pure: time comes in, serial
// numbers and signatures take their randomness from BoringSSL. Immutable and thread-safe after it is made.
// Who may have which identity is the caller's decision; this makes sure that only a well-formed X509-SVID comes out.
// Errors are kInvalid (the request or argument is bad) or kTls, with a sentence.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "proxy/base/bytes.h"
#include "proxy/base/error.h"
#include "proxy/base/time.h"
#include "proxy/tls/certificate.h"
#include "proxy/tls/key.h"

namespace outrigger::tls {

inline constexpr Duration kDefaultRootLifetime = std::chrono::hours(24 * 3650);
inline constexpr Duration kDefaultLeafLifetime = std::chrono::hours(24);

class Authority {
 public:
  // A new root for `trust_domain`: ECDSA P-256, the SPIFFE id without a path, keyCertSign.
  static Result<std::shared_ptr<const Authority>> Create(std::string_view trust_domain, WallTime now,
                                                         Duration lifetime = kDefaultRootLifetime);
  // What key_pem() and root_pem() gave before. kInvalid when they do not belong together or are no authority of a trust domain.
  static Result<std::shared_ptr<const Authority>> FromPem(std::string_view key_pem, std::string_view root_pem);

  // A leaf for `spiffe_id` (of this trust domain, with a path) over the request's key, valid from kLeafBackdate before `now` until
  // `lifetime` after it, or until the root ends if that is sooner. Only the key is taken from the request: P-256 or P-384, possession
  // proved by its signature; names and extensions in it are ignored.
  Result<Der> Sign(Bytes request, std::string_view spiffe_id, WallTime now, Duration lifetime = kDefaultLeafLifetime) const;

  const std::string& trust_domain() const { return trust_domain_; }
  const Der& root() const { return root_; }
  WallTime root_not_after() const { return not_after_; }
  std::string root_pem() const { return ChainToPem({root_}); }
  std::string key_pem() const { return key_->ToPem(); }  // for a file of mode 0600 and nothing else
  // SHA-256 (32 bytes) of the root's SubjectPublicKeyInfo: what a join token carries.
  const std::string& root_spki_sha256() const { return spki_sha256_; }

 private:
  Authority(std::string trust_domain, std::shared_ptr<const PrivateKey> key, Der root, const CertificateInfo& info);

  const std::string trust_domain_;
  const std::shared_ptr<const PrivateKey> key_;
  const Der root_;
  const std::string spki_sha256_;
  const WallTime not_before_;
  const WallTime not_after_;
};

}  // namespace outrigger::tls
