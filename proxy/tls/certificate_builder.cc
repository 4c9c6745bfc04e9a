#include "proxy/tls/certificate_builder.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/rand.h>
#include <openssl/sha2.h>
#include <openssl/x509v3.h>

#include "proxy/tls/x509.h"

namespace outrigger::tls {
namespace {

constexpr size_t kKeyIdBytes = 20;

// RFC 7093, section 2, method 1: the leftmost 160 bits of the SHA-256 of the public key's bits.
bssl::UniquePtr<ASN1_OCTET_STRING> KeyId(X509* certificate) {
  const ASN1_BIT_STRING* bits = X509_get0_pubkey_bitstr(certificate);
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(ASN1_STRING_get0_data(bits), static_cast<size_t>(ASN1_STRING_length(bits)), digest);
  bssl::UniquePtr<ASN1_OCTET_STRING> id(ASN1_OCTET_STRING_new());
  if (id && !ASN1_OCTET_STRING_set(id.get(), digest, kKeyIdBytes)) id.reset();
  return id;
}

bool SetSerial(X509* certificate) {
  // 16 random bytes; the first bit clear (positive) and the second set (never zero, always the same length).
  uint8_t bytes[16];
  if (!RAND_bytes(bytes, sizeof(bytes))) return false;
  bytes[0] = static_cast<uint8_t>((bytes[0] & 0x7f) | 0x40);
  bssl::UniquePtr<BIGNUM> number(BN_bin2bn(bytes, sizeof(bytes), nullptr));
  bssl::UniquePtr<ASN1_INTEGER> serial(number ? BN_to_ASN1_INTEGER(number.get(), nullptr) : nullptr);
  return serial && X509_set_serialNumber(certificate, serial.get());
}

bool SetNames(X509* certificate, const CertificateSpec& spec, X509* issuer) {
  bssl::UniquePtr<X509_NAME> subject(X509_NAME_new());
  if (!subject) return false;
  if (!spec.common_name.empty() &&
      !X509_NAME_add_entry_by_NID(subject.get(), NID_commonName, MBSTRING_UTF8,
                                  reinterpret_cast<const uint8_t*>(spec.common_name.data()),
                                  static_cast<ossl_ssize_t>(spec.common_name.size()), -1, 0)) {
    return false;
  }
  return X509_set_subject_name(certificate, subject.get()) &&
         X509_set_issuer_name(certificate, issuer != nullptr ? X509_get_subject_name(issuer) : subject.get());
}

bool AddBasicConstraints(X509* certificate, const CertificateSpec& spec) {
  bssl::UniquePtr<BASIC_CONSTRAINTS> constraints(BASIC_CONSTRAINTS_new());
  if (!constraints) return false;
  constraints->ca = spec.authority ? ASN1_BOOLEAN_TRUE : ASN1_BOOLEAN_FALSE;
  return X509_add1_ext_i2d(certificate, NID_basic_constraints, constraints.get(), 1, 0) == 1;
}

bool AddKeyUsage(X509* certificate, const CertificateSpec& spec) {
  if (!spec.digital_signature && !spec.certificate_sign) return true;
  // RFC 5280, section 4.2.1.3: bit 0 digitalSignature, 5 keyCertSign, 6 cRLSign.
  bssl::UniquePtr<ASN1_BIT_STRING> usage(ASN1_BIT_STRING_new());
  if (!usage || (spec.digital_signature && !ASN1_BIT_STRING_set_bit(usage.get(), 0, 1)) ||
      (spec.certificate_sign && (!ASN1_BIT_STRING_set_bit(usage.get(), 5, 1) || !ASN1_BIT_STRING_set_bit(usage.get(), 6, 1)))) {
    return false;
  }
  return X509_add1_ext_i2d(certificate, NID_key_usage, usage.get(), spec.key_usage_critical ? 1 : 0, 0) == 1;
}

bool AddExtendedKeyUsage(X509* certificate, const CertificateSpec& spec) {
  if (!spec.server_auth && !spec.client_auth) return true;
  bssl::UniquePtr<EXTENDED_KEY_USAGE> usages(sk_ASN1_OBJECT_new_null());
  const auto add = [&](int nid) { return sk_ASN1_OBJECT_push(usages.get(), OBJ_dup(OBJ_nid2obj(nid))) > 0; };
  if (!usages || (spec.server_auth && !add(NID_server_auth)) || (spec.client_auth && !add(NID_client_auth))) return false;
  return X509_add1_ext_i2d(certificate, NID_ext_key_usage, usages.get(), 0, 0) == 1;
}

bool AddAlternativeNames(X509* certificate, const CertificateSpec& spec) {
  if (spec.uris.empty() && spec.dns_names.empty()) return true;
  bssl::UniquePtr<GENERAL_NAMES> names(GENERAL_NAMES_new());
  if (!names) return false;
  const auto add = [&](int type, const std::string& text) {
    bssl::UniquePtr<GENERAL_NAME> name(GENERAL_NAME_new());
    bssl::UniquePtr<ASN1_IA5STRING> value(ASN1_IA5STRING_new());
    if (!name || !value || !ASN1_STRING_set(value.get(), text.data(), static_cast<ossl_ssize_t>(text.size()))) return false;
    GENERAL_NAME_set0_value(name.get(), type, value.release());
    return bssl::PushToStack(names.get(), std::move(name));
  };
  for (const std::string& uri : spec.uris) {
    if (!add(GEN_URI, uri)) return false;
  }
  for (const std::string& dns : spec.dns_names) {
    if (!add(GEN_DNS, dns)) return false;
  }
  return X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), spec.common_name.empty() ? 1 : 0, 0) == 1;
}

// Key ids let a verifier tell the old root from the new one of the same name while roots rotate.
bool AddKeyIds(X509* certificate, X509* issuer) {
  bssl::UniquePtr<ASN1_OCTET_STRING> own = KeyId(certificate);
  if (!own || X509_add1_ext_i2d(certificate, NID_subject_key_identifier, own.get(), 0, 0) != 1) return false;
  bssl::UniquePtr<AUTHORITY_KEYID> authority(AUTHORITY_KEYID_new());
  if (!authority) return false;
  const ASN1_OCTET_STRING* issuer_id = issuer != nullptr ? X509_get0_subject_key_id(issuer) : own.get();
  if (issuer_id == nullptr) return true;
  authority->keyid = ASN1_OCTET_STRING_dup(issuer_id);
  return authority->keyid != nullptr && X509_add1_ext_i2d(certificate, NID_authority_key_identifier, authority.get(), 0, 0) == 1;
}

bool Fill(X509* certificate, const CertificateSpec& spec, evp_pkey_st* subject, X509* issuer) {
  return X509_set_version(certificate, X509_VERSION_3) && SetSerial(certificate) && SetNames(certificate, spec, issuer) &&
         ASN1_TIME_set_posix(X509_getm_notBefore(certificate), UnixSeconds(spec.not_before)) &&
         ASN1_TIME_set_posix(X509_getm_notAfter(certificate), UnixSeconds(spec.not_after)) && X509_set_pubkey(certificate, subject) &&
         AddBasicConstraints(certificate, spec) && AddKeyUsage(certificate, spec) && AddExtendedKeyUsage(certificate, spec) &&
         AddAlternativeNames(certificate, spec) && AddKeyIds(certificate, issuer);
}

}  // namespace

Result<Der> BuildCertificate(const CertificateSpec& spec, evp_pkey_st* subject, const Issuer& issuer) {
  bssl::UniquePtr<X509> parent;
  if (issuer.certificate != nullptr) {
    Result<bssl::UniquePtr<X509>> parsed = ParseX509(*issuer.certificate);
    if (!parsed) return parsed.error();
    parent = std::move(*parsed);
  }
  bssl::UniquePtr<X509> certificate(X509_new());
  if (!certificate || !Fill(certificate.get(), spec, subject, parent.get()) ||
      !X509_sign(certificate.get(), issuer.key->get(), EVP_sha256())) {
    return Error::Make(ErrorCode::kTls, "cannot make a certificate: " + TakeErrors());
  }
  uint8_t* der = nullptr;
  const int size = i2d_X509(certificate.get(), &der);
  if (size < 0) return Error::Make(ErrorCode::kTls, "cannot encode a certificate: " + TakeErrors());
  bssl::UniquePtr<uint8_t> owned(der);
  return Der(der, der + size);
}

}  // namespace outrigger::tls
