#include "proxy/tls/key.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "proxy/tls/certificate.h"
#include "proxy/tls/x509.h"

namespace outrigger::tls {
namespace {

constexpr size_t kMaxPemBytes = 16 << 10;

// An encrypted key must fail, not ask a terminal for a passphrase.
int NoPassphrase(char*, int, int, void*) { return 0; }

}  // namespace

PrivateKey::~PrivateKey() { EVP_PKEY_free(key_); }

Result<std::shared_ptr<const PrivateKey>> PrivateKey::Generate() {
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  if (!ec || !key || !EC_KEY_generate_key(ec.get()) || !EVP_PKEY_set1_EC_KEY(key.get(), ec.get())) {
    return Error::Make(ErrorCode::kTls, "cannot make a P-256 key: " + TakeErrors());
  }
  return std::shared_ptr<const PrivateKey>(new PrivateKey(key.release()));
}

Result<std::shared_ptr<const PrivateKey>> PrivateKey::FromPem(std::string_view pem) {
  if (pem.size() > kMaxPemBytes) return Error::Make(ErrorCode::kInvalid, "private key file is too large");
  bssl::UniquePtr<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<ossl_ssize_t>(pem.size())));
  bssl::UniquePtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();  // its text is about the parser, not about what the user should do
  if (!key) return Error::Make(ErrorCode::kInvalid, "not an unencrypted private key in PEM");
  if (!IsAcceptedKey(key.get())) return Error::Make(ErrorCode::kInvalid, "private key is not ECDSA on P-256 or P-384");
  bssl::UniquePtr<EVP_PKEY> second(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (second) return Error::Make(ErrorCode::kInvalid, "more than one private key in the file");
  return std::shared_ptr<const PrivateKey>(new PrivateKey(key.release()));
}

std::string PrivateKey::ToPem() const {
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  const uint8_t* data = nullptr;
  size_t size = 0;
  if (!bio || !PEM_write_bio_PKCS8PrivateKey(bio.get(), key_, nullptr, nullptr, 0, nullptr, nullptr) ||
      !BIO_mem_contents(bio.get(), &data, &size)) {
    return {};
  }
  return std::string(AsText({data, size}));
}

std::string PrivateKey::SpkiSha256() const {
  uint8_t* der = nullptr;
  const int size = i2d_PUBKEY(key_, &der);
  if (size < 0) return {};
  bssl::UniquePtr<uint8_t> owned(der);
  return Sha256({der, static_cast<size_t>(size)});
}

Result<std::vector<uint8_t>> MakeCertificateRequest(const PrivateKey& key) {
  bssl::UniquePtr<X509_REQ> request(X509_REQ_new());
  uint8_t* der = nullptr;
  int size = -1;
  if (request && X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) && X509_REQ_set_pubkey(request.get(), key.get()) &&
      X509_REQ_sign(request.get(), key.get(), EVP_sha256())) {
    size = i2d_X509_REQ(request.get(), &der);
  }
  if (size < 0) return Error::Make(ErrorCode::kTls, "cannot make a certificate request: " + TakeErrors());
  bssl::UniquePtr<uint8_t> owned(der);
  return std::vector<uint8_t>(der, der + size);
}

}  // namespace outrigger::tls
