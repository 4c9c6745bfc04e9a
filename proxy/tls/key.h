// A workload's private key and the request for a certificate that goes with it. Immutable, thread-safe to share.
// Randomness comes from BoringSSL. Errors are kTls or kInvalid with a sentence that never shows key material.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/error.h"

struct evp_pkey_st;  // BoringSSL's EVP_PKEY

namespace outrigger::tls {

class PrivateKey {
 public:
  // A fresh ECDSA P-256 key.
  static Result<std::shared_ptr<const PrivateKey>> Generate();
  // PKCS#8 ("BEGIN PRIVATE KEY") or SEC 1 ("BEGIN EC PRIVATE KEY"), unencrypted, on P-256 or P-384; exactly one key.
  static Result<std::shared_ptr<const PrivateKey>> FromPem(std::string_view pem);

  ~PrivateKey();
  PrivateKey(const PrivateKey&) = delete;
  PrivateKey& operator=(const PrivateKey&) = delete;

  // PKCS#8, unencrypted: for a file of mode 0600 and nothing else.
  std::string ToPem() const;
  // SHA-256 (32 bytes) of the SubjectPublicKeyInfo.
  std::string SpkiSha256() const;

  evp_pkey_st* get() const { return key_; }  // for this folder

 private:
  explicit PrivateKey(evp_pkey_st* key) : key_(key) {}  // takes ownership
  evp_pkey_st* const key_;
};

// A PKCS#10 request (RFC 2986), DER, that proves possession of `key`. It carries no names: who the workload is, the signer
// learns from how the request reached it, never from the request.
Result<std::vector<uint8_t>> MakeCertificateRequest(const PrivateKey& key);

}  // namespace outrigger::tls
