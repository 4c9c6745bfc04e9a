#include "proxy/tls/verify.h"

#include <openssl/err.h>
#include <openssl/sha2.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <unordered_map>

namespace outrigger::tls {
namespace {

constexpr int kMaxDepth = 4;        // intermediates between leaf and root
constexpr size_t kMaxChain = 8;     // certificates that a peer may send
constexpr size_t kMaxVerdicts = 512;

Bytes BytesOf(const CRYPTO_BUFFER* buffer) { return {CRYPTO_BUFFER_data(buffer), CRYPTO_BUFFER_len(buffer)}; }

struct DigestHash {
  size_t operator()(const std::string& digest) const {  // a SHA-256 is its own best hash
    size_t hash = 0;
    std::memcpy(&hash, digest.data(), sizeof(hash));
    return hash;
  }
};

// Chains that were found good. Never iterated: hash order decides nothing. The oldest goes first.
class Verdicts {
 public:
  std::shared_ptr<const Verified> Find(const std::string& key) const {
    const auto found = by_key_.find(key);
    return found == by_key_.end() ? nullptr : found->second->second;
  }
  void Put(const std::string& key, std::shared_ptr<const Verified> verdict) {
    if (const auto found = by_key_.find(key); found != by_key_.end()) {
      by_age_.erase(found->second);
      by_key_.erase(found);
    }
    if (by_age_.size() == kMaxVerdicts) {
      by_key_.erase(by_age_.front().first);
      by_age_.pop_front();
    }
    by_age_.emplace_back(key, std::move(verdict));
    by_key_.emplace(key, std::prev(by_age_.end()));
  }

 private:
  using Ages = std::list<std::pair<std::string, std::shared_ptr<const Verified>>>;
  Ages by_age_;
  std::unordered_map<std::string, Ages::iterator, DigestHash> by_key_;
};
thread_local Verdicts verdicts;

std::string ChainKey(const std::string& roots_digest, const Chain& chain) {
  SHA256_CTX sha;
  SHA256_Init(&sha);
  SHA256_Update(&sha, roots_digest.data(), roots_digest.size());
  for (const CRYPTO_BUFFER* certificate : chain) {
    const uint64_t size = CRYPTO_BUFFER_len(certificate);
    SHA256_Update(&sha, &size, sizeof(size));
    SHA256_Update(&sha, CRYPTO_BUFFER_data(certificate), size);
  }
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256_Final(digest, &sha);
  return std::string(AsText({digest, sizeof(digest)}));
}

std::shared_ptr<const Verified> Refuse(Refusal* refusal, std::string reason, uint8_t alert) {
  *refusal = {std::move(reason), alert};
  return nullptr;
}

struct ParsedChain {
  bssl::UniquePtr<X509> leaf;
  bssl::UniquePtr<STACK_OF(X509)> others;
  SpiffeId id;
};

std::optional<ParsedChain> Parse(const Chain& chain, Refusal* refusal) {
  if (chain.empty() || chain.size() > kMaxChain) {
    *refusal = chain.empty() ? Refusal{"peer showed no certificate", SSL_AD_CERTIFICATE_REQUIRED}
                             : Refusal{"peer sent more than 8 certificates", SSL_AD_BAD_CERTIFICATE};
    return std::nullopt;
  }
  ParsedChain parsed;
  parsed.others.reset(sk_X509_new_null());
  for (const CRYPTO_BUFFER* buffer : chain) {
    Result<bssl::UniquePtr<X509>> certificate = ParseX509(BytesOf(buffer));
    if (!certificate) {
      Refuse(refusal, "peer sent something that is " + certificate.error().detail, SSL_AD_BAD_CERTIFICATE);
      return std::nullopt;
    }
    if (!parsed.leaf) {
      parsed.leaf = std::move(*certificate);
    } else if (!bssl::PushToStack(parsed.others.get(), std::move(*certificate))) {
      Refuse(refusal, "out of memory", SSL_AD_INTERNAL_ERROR);
      return std::nullopt;
    }
  }
  Result<SpiffeId> id = SvidIdentity(parsed.leaf.get());
  if (!id) {
    Refuse(refusal, "peer's " + id.error().detail, SSL_AD_BAD_CERTIFICATE);
    return std::nullopt;
  }
  parsed.id = std::move(*id);
  return parsed;
}

// Turns BoringSSL's verdict into a sentence that names who and when.
void Explain(X509_STORE_CTX* context, const SpiffeId& id, Refusal* refusal) {
  const int error = X509_STORE_CTX_get_error(context);
  X509* at = X509_STORE_CTX_get_current_cert(context);
  const std::string whose = X509_STORE_CTX_get_error_depth(context) == 0 ? "certificate" : "issuer's certificate";
  const std::string tail = ", peer is " + id.ToString();
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      *refusal = {whose + " expired at " + FormatTime(ToWallTime(X509_get0_notAfter(at))) + tail, SSL_AD_CERTIFICATE_EXPIRED};
      return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      *refusal = {whose + " is not valid before " + FormatTime(ToWallTime(X509_get0_notBefore(at))) + tail, SSL_AD_CERTIFICATE_EXPIRED};
      return;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      *refusal = {"certificate does not lead to a root of " + id.trust_domain + " that we trust" + tail, SSL_AD_UNKNOWN_CA};
      return;
    default:
      *refusal = {whose + " is not accepted: " + X509_verify_cert_error_string(error) + tail, SSL_AD_BAD_CERTIFICATE};
  }
}

// `now` empty: times are not looked at.
std::shared_ptr<const Verified> FindPath(X509_STORE* store, const ParsedChain& parsed, const CRYPTO_BUFFER* leaf,
                                         std::optional<WallTime> now, Refusal* refusal) {
  bssl::UniquePtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
  if (!context || !X509_STORE_CTX_init(context.get(), store, parsed.leaf.get(), parsed.others.get())) {
    return Refuse(refusal, "cannot verify: " + TakeErrors(), SSL_AD_INTERNAL_ERROR);
  }
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_depth(parameters, kMaxDepth);
  if (now) {
    X509_VERIFY_PARAM_set_time_posix(parameters, UnixSeconds(*now));
  } else {
    X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_NO_CHECK_TIME);
  }
  if (X509_verify_cert(context.get()) != 1) {
    Explain(context.get(), parsed.id, refusal);
    ERR_clear_error();
    return nullptr;
  }
  auto verified = std::make_shared<Verified>();
  verified->trust_domain = parsed.id.trust_domain;
  verified->peer.spiffe_id = parsed.id.ToString();
  verified->peer.leaf_sha256_hex = Hex(AsBytes(Sha256(BytesOf(leaf))));
  verified->peer.not_after = ToWallTime(X509_get0_notAfter(parsed.leaf.get()));
  verified->valid_from = WallTime::min();
  verified->valid_until = WallTime::max();
  const STACK_OF(X509)* path = X509_STORE_CTX_get0_chain(context.get());
  for (size_t i = 0; i < sk_X509_num(path); ++i) {
    const X509* certificate = sk_X509_value(path, i);
    verified->valid_from = std::max(verified->valid_from, ToWallTime(X509_get0_notBefore(certificate)));
    verified->valid_until = std::min(verified->valid_until, ToWallTime(X509_get0_notAfter(certificate)));
  }
  return verified;
}

bool ValidAt(const Verified& verified, WallTime now) {
  return verified.valid_from <= now && now < verified.valid_until;
}

bool IsSigner(X509* certificate) {
  return (X509_get_extension_flags(certificate) & (EXFLAG_CA | EXFLAG_INVALID)) == EXFLAG_CA &&
         (X509_get_key_usage(certificate) & X509v3_KU_KEY_CERT_SIGN) != 0;
}

bool InTrustDomain(const SpiffeId& id, const std::string& expected, Refusal* refusal) {
  if (expected.empty() || id.trust_domain == expected) return true;
  *refusal = {"peer is " + id.ToString() + ", expected one of trust domain " + expected, SSL_AD_ACCESS_DENIED};
  return false;
}

}  // namespace

Result<std::unique_ptr<const Verifier>> Verifier::Make(const std::vector<Der>& roots, std::string trust_domain) {
  std::unique_ptr<Verifier> verifier(new Verifier());
  verifier->store_.reset(X509_STORE_new());
  verifier->trust_domain_ = std::move(trust_domain);
  verifier->has_roots_ = !roots.empty();
  std::string digests = Sha256(AsBytes(verifier->trust_domain_));
  for (const Der& root : roots) {
    Result<bssl::UniquePtr<X509>> certificate = ParseX509(root);
    if (!certificate) return Error::Make(ErrorCode::kTls, "a root is " + certificate.error().detail);
    if (!IsSigner(certificate->get())) return Error::Make(ErrorCode::kTls, "a root is not a certificate that may sign certificates");
    if (!X509_STORE_add_cert(verifier->store_.get(), certificate->get())) {
      return Error::Make(ErrorCode::kTls, "cannot take a root: " + TakeErrors());
    }
    digests += Sha256(root);
  }
  verifier->roots_digest_ = Sha256(AsBytes(digests));
  return std::unique_ptr<const Verifier>(std::move(verifier));
}

std::shared_ptr<const Verified> Verifier::Verify(const Chain& chain, WallTime now, Refusal* refusal) const {
  if (!has_roots_) return Refuse(refusal, "we have no roots to verify the peer with", SSL_AD_UNKNOWN_CA);
  const std::string key = ChainKey(roots_digest_, chain);
  if (std::shared_ptr<const Verified> known = verdicts.Find(key); known != nullptr && ValidAt(*known, now)) return known;
  std::optional<ParsedChain> parsed = Parse(chain, refusal);
  if (!parsed || !InTrustDomain(parsed->id, trust_domain_, refusal)) return nullptr;
  std::shared_ptr<const Verified> verified = FindPath(store_.get(), *parsed, chain.front(), now, refusal);
  if (verified != nullptr) verdicts.Put(key, verified);
  return verified;
}

std::shared_ptr<const Verified> Verifier::VerifyPinned(const Chain& chain, const std::string& spki_sha256, WallTime now,
                                                       Refusal* refusal) const {
  std::optional<ParsedChain> parsed = Parse(chain, refusal);
  if (!parsed || !InTrustDomain(parsed->id, trust_domain_, refusal)) return nullptr;
  for (size_t i = 1; i < chain.size(); ++i) {
    X509* root = sk_X509_value(parsed->others.get(), i - 1);
    Result<std::string> spki = SpkiSha256(BytesOf(chain[i]));
    if (!spki || *spki != spki_sha256) continue;
    if (!IsSigner(root)) return Refuse(refusal, "the pinned certificate may not sign certificates", SSL_AD_BAD_CERTIFICATE);
    Result<CertificateInfo> info = ParseCertificate(BytesOf(chain[i]));
    Result<SpiffeId> root_id = ParseSpiffeId(info.ok() ? info->spiffe_id : "");
    if (!root_id) return Refuse(refusal, "the pinned root names no trust domain", SSL_AD_BAD_CERTIFICATE);
    if (!InTrustDomain(parsed->id, root_id->trust_domain, refusal)) return nullptr;
    bssl::UniquePtr<X509_STORE> store(X509_STORE_new());
    if (!store || !X509_STORE_add_cert(store.get(), root)) return Refuse(refusal, "out of memory", SSL_AD_INTERNAL_ERROR);
    return FindPath(store.get(), *parsed, chain.front(), now, refusal);
  }
  return Refuse(refusal, "no certificate that " + parsed->id.ToString() + " sent is the root that the token pins", SSL_AD_UNKNOWN_CA);
}

std::shared_ptr<const Verified> Verifier::VerifyTimeless(const Chain& chain, Refusal* refusal) const {
  std::optional<ParsedChain> parsed = Parse(chain, refusal);
  if (!parsed || !InTrustDomain(parsed->id, trust_domain_, refusal)) return nullptr;
  return FindPath(store_.get(), *parsed, chain.front(), std::nullopt, refusal);
}

}  // namespace outrigger::tls
