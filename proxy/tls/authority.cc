#include "proxy/tls/authority.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <algorithm>
#include <limits>

#include "proxy/tls/certificate_builder.h"
#include "proxy/tls/x509.h"

namespace outrigger::tls {
namespace {

constexpr size_t kMaxRequestBytes = 8 << 10;

Error Bad(std::string detail) { return Error::Make(ErrorCode::kInvalid, std::move(detail)); }

// The key of a PKCS#10 request that proves possession of it.
Result<bssl::UniquePtr<EVP_PKEY>> RequestedKey(Bytes request) {
  if (request.size() > kMaxRequestBytes) return Bad("certificate request is larger than 8 KiB");
  const uint8_t* at = request.data();
  bssl::UniquePtr<X509_REQ> parsed(d2i_X509_REQ(nullptr, &at, static_cast<long>(request.size())));
  bssl::UniquePtr<EVP_PKEY> key(parsed && at == request.data() + request.size() ? X509_REQ_get_pubkey(parsed.get()) : nullptr);
  ERR_clear_error();
  if (!key) return Bad("not a PKCS#10 certificate request");
  if (!IsAcceptedKey(key.get())) return Bad("certificate request's key is not ECDSA on P-256 or P-384");
  const bool signed_by_key = X509_REQ_verify(parsed.get(), key.get()) == 1;
  ERR_clear_error();
  if (!signed_by_key) return Bad("certificate request is not signed by its own key");
  return key;
}

}  // namespace

Authority::Authority(std::string trust_domain, std::shared_ptr<const PrivateKey> key, Der root, const CertificateInfo& info)
    : trust_domain_(std::move(trust_domain)),
      key_(std::move(key)),
      root_(std::move(root)),
      spki_sha256_(key_->SpkiSha256()),
      not_before_(info.not_before),
      not_after_(info.not_after) {}

Result<std::shared_ptr<const Authority>> Authority::Create(std::string_view trust_domain, WallTime now, Duration lifetime) {
  if (!IsTrustDomain(trust_domain)) return Bad("'" + std::string(trust_domain) + "' is not a trust domain");
  Result<std::shared_ptr<const PrivateKey>> key = PrivateKey::Generate();
  if (!key) return key.error();
  CertificateSpec spec;
  spec.common_name = "Outrigger root";
  spec.uris = {SpiffeId{std::string(trust_domain), ""}.ToString()};
  spec.not_before = now - kLeafBackdate;
  spec.not_after = now + lifetime;
  spec.authority = spec.certificate_sign = true;
  spec.digital_signature = spec.server_auth = spec.client_auth = false;
  Result<Der> root = BuildCertificate(spec, (*key)->get(), {.certificate = nullptr, .key = key->get()});
  if (!root) return root.error();
  Result<CertificateInfo> info = ParseCertificate(*root);
  if (!info) return info.error();
  return std::shared_ptr<const Authority>(new Authority(std::string(trust_domain), *key, std::move(*root), *info));
}

Result<std::shared_ptr<const Authority>> Authority::FromPem(std::string_view key_pem, std::string_view root_pem) {
  Result<std::shared_ptr<const PrivateKey>> key = PrivateKey::FromPem(key_pem);
  if (!key) return key.error();
  Result<std::vector<Der>> chain = ChainFromPem(root_pem);
  if (!chain) return Bad(chain.error().detail);
  if (chain->size() != 1) return Bad("expected exactly one root certificate");
  const Der& root = chain->front();
  Result<CertificateInfo> info = ParseCertificate(root);
  if (!info) return Bad(info.error().detail);
  Result<SpiffeId> id = ParseSpiffeId(info->spiffe_id);
  if (!info->authority || !id || !id->path.empty()) return Bad("root certificate is not the authority of a trust domain");
  Result<std::string> spki = SpkiSha256(root);
  if (!spki || *spki != (*key)->SpkiSha256()) return Bad("root certificate and private key do not belong together");
  return std::shared_ptr<const Authority>(new Authority(id->trust_domain, *key, root, *info));
}

Result<Der> Authority::Sign(Bytes request, std::string_view spiffe_id, WallTime now, Duration lifetime) const {
  Result<SpiffeId> id = ParseSpiffeId(spiffe_id);
  if (!id) return Bad(id.error().detail);
  if (id->trust_domain != trust_domain_) return Bad("'" + id->ToString() + "' is not of trust domain " + trust_domain_);
  if (id->path.empty()) return Bad("'" + id->ToString() + "' names the trust domain, not a workload");
  if (lifetime <= Duration::zero()) return Bad("a certificate's lifetime must be positive");
  if (now < not_before_ || now >= not_after_) {
    return Bad("the root is valid from " + FormatTime(not_before_) + " to " + FormatTime(not_after_) + ", it is " + FormatTime(now));
  }
  Result<bssl::UniquePtr<EVP_PKEY>> key = RequestedKey(request);
  if (!key) return key.error();
  CertificateSpec spec;
  spec.uris = {id->ToString()};
  spec.not_before = std::max(now - kLeafBackdate, not_before_);
  spec.not_after = lifetime < not_after_ - now ? now + lifetime : not_after_;
  return BuildCertificate(spec, key->get(), {.certificate = &root_, .key = key_.get()});
}

}  // namespace outrigger::tls
