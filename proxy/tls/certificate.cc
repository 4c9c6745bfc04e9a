#include "proxy/tls/certificate.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/posix_time.h>
#include <openssl/sha2.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <ctime>

#include "proxy/tls/x509.h"

namespace outrigger::tls {
namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr size_t kMaxIdBytes = 2048;
constexpr size_t kMaxTrustDomainBytes = 255;
constexpr size_t kMaxPemBytes = 1 << 20;
constexpr size_t kMaxCertificates = 64;

bool IsLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool IsTrustDomainChar(char c) { return IsLowerOrDigit(c) || c == '.' || c == '-' || c == '_'; }
bool IsPathChar(char c) { return IsTrustDomainChar(c) || (c >= 'A' && c <= 'Z'); }

bool IsPath(std::string_view path) {
  while (!path.empty()) {
    if (path.front() != '/') return false;
    path.remove_prefix(1);
    const std::string_view segment = path.substr(0, path.find('/'));
    if (segment.empty() || segment == "." || segment == "..") return false;
    if (!std::all_of(segment.begin(), segment.end(), IsPathChar)) return false;
    path.remove_prefix(segment.size());
  }
  return true;
}

Error Bad(std::string detail) { return Error::Make(ErrorCode::kTls, std::move(detail)); }

struct UriNames {
  int count = 0;
  std::string first;
  bool malformed = false;
};

UriNames UriSans(const X509* certificate) {
  UriNames uris;
  int critical = -1;
  bssl::UniquePtr<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, nullptr)));
  uris.malformed = !names && critical != -1;  // -1: absent; otherwise twice there, or not to be parsed
  if (!names) return uris;
  for (size_t i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    const Bytes bytes(ASN1_STRING_get0_data(uri), static_cast<size_t>(ASN1_STRING_length(uri)));
    if (uris.count++ == 0) uris.first = AsText(bytes);
  }
  return uris;
}

bool ExtensionIsCritical(const X509* certificate, int nid) {
  const int at = X509_get_ext_by_NID(certificate, nid, -1);
  return at >= 0 && X509_EXTENSION_get_critical(X509_get_ext(certificate, at)) != 0;
}

std::string SerialHex(const X509* certificate) {
  bssl::UniquePtr<BIGNUM> number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  if (!number) return {};
  bssl::UniquePtr<char> text(BN_bn2hex(number.get()));
  std::string hex(text.get());
  const size_t first = hex.find_first_not_of('0');
  return first == std::string::npos ? "0" : hex.substr(first);
}

}  // namespace

bool IsTrustDomain(std::string_view text) {
  return !text.empty() && text.size() <= kMaxTrustDomainBytes && std::all_of(text.begin(), text.end(), IsTrustDomainChar);
}

Result<SpiffeId> ParseSpiffeId(std::string_view text) {
  if (text.size() > kMaxIdBytes) return Bad("SPIFFE id is longer than 2048 bytes");
  // The text comes from a peer and goes into a log line.
  const bool printable = std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  const std::string shown = printable ? std::string(text.substr(0, 256)) : "(not printable)";
  if (!text.starts_with(kScheme)) return Bad("'" + shown + "' is not a SPIFFE id");
  std::string_view rest = text.substr(kScheme.size());
  const std::string_view trust_domain = rest.substr(0, rest.find('/'));
  const std::string_view path = rest.substr(trust_domain.size());
  if (!IsTrustDomain(trust_domain)) return Bad("'" + shown + "' has no valid trust domain");
  if (!IsPath(path)) return Bad("'" + shown + "' has no valid path");
  return SpiffeId{std::string(trust_domain), std::string(path)};
}

std::string WorkloadId(std::string_view trust_domain, std::string_view name_space, std::string_view service_account) {
  std::string id(kScheme);
  id.append(trust_domain).append("/ns/").append(name_space).append("/sa/").append(service_account);
  return id;
}

std::string TakeErrors() {
  std::string text;
  while (const uint32_t code = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(code);
    if (!text.empty()) text += ", ";
    text += reason != nullptr ? reason : "error " + std::to_string(code);
  }
  return text.empty() ? "unknown reason" : text;
}

Result<bssl::UniquePtr<X509>> ParseX509(Bytes der) {
  const uint8_t* at = der.data();
  if (der.size() > static_cast<size_t>(std::numeric_limits<long>::max())) return Bad("certificate is too large");
  bssl::UniquePtr<X509> certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (!certificate || at != der.data() + der.size()) {
    ERR_clear_error();
    return Bad("not an X.509 certificate");
  }
  return certificate;
}

WallTime ToWallTime(const ASN1_TIME* time) {
  int64_t seconds = 0;
  if (!ASN1_TIME_to_posix(time, &seconds)) {
    ERR_clear_error();
    return WallTime{};
  }
  // Nanoseconds reach to the year 2262; a certificate may say 9999.
  constexpr int64_t kLast = std::chrono::duration_cast<std::chrono::seconds>(Duration::max()).count();
  return WallTime(std::chrono::seconds(std::clamp<int64_t>(seconds, -kLast, kLast)));
}

bool IsAcceptedKey(const EVP_PKEY* key) {
  const EC_KEY* ec = key == nullptr ? nullptr : EVP_PKEY_get0_EC_KEY(key);
  ERR_clear_error();
  if (ec == nullptr) return false;
  const int curve = EC_GROUP_get_curve_name(EC_KEY_get0_group(ec));
  return curve == NID_X9_62_prime256v1 || curve == NID_secp384r1;
}

Result<SpiffeId> SvidIdentity(X509* leaf) {
  const uint32_t flags = X509_get_extension_flags(leaf);
  if ((flags & EXFLAG_INVALID) != 0) return Bad("certificate has malformed extensions");
  const UriNames uris = UriSans(leaf);
  if (uris.malformed) return Bad("certificate has a malformed subject alternative name");
  if (uris.count == 0) return Bad("certificate carries no SPIFFE id");
  if (uris.count > 1) return Bad("certificate carries " + std::to_string(uris.count) + " URI names, exactly one is allowed");
  Result<SpiffeId> id = ParseSpiffeId(uris.first);
  if (!id) return id;
  if (id->path.empty()) return Bad("certificate of " + uris.first + " names a trust domain, not a workload");
  if ((flags & EXFLAG_CA) != 0) return Bad("certificate of " + uris.first + " is a CA's, not a workload's");
  const uint32_t usage = X509_get_key_usage(leaf);
  if ((flags & EXFLAG_KUSAGE) == 0 || !ExtensionIsCritical(leaf, NID_key_usage) || (usage & X509v3_KU_DIGITAL_SIGNATURE) == 0) {
    return Bad("certificate of " + uris.first + " lacks the critical key usage digitalSignature");
  }
  if ((usage & (X509v3_KU_KEY_CERT_SIGN | X509v3_KU_CRL_SIGN)) != 0) {
    return Bad("certificate of " + uris.first + " may sign certificates, a workload's must not");
  }
  if ((flags & EXFLAG_XKUSAGE) != 0) {
    constexpr uint32_t kBoth = XKU_SSL_SERVER | XKU_SSL_CLIENT;
    if ((X509_get_extended_key_usage(leaf) & kBoth) != kBoth) {
      return Bad("certificate of " + uris.first + " is not for both server and client authentication");
    }
  }
  if (X509_NAME_entry_count(X509_get_subject_name(leaf)) == 0 && !ExtensionIsCritical(leaf, NID_subject_alt_name)) {
    return Bad("certificate of " + uris.first + " has no subject and a name that is not critical");
  }
  return id;
}

Result<CertificateInfo> ParseCertificate(Bytes der) {
  Result<bssl::UniquePtr<X509>> parsed = ParseX509(der);
  if (!parsed) return parsed.error();
  X509* certificate = parsed->get();
  CertificateInfo info;
  const UriNames uris = UriSans(certificate);
  if (uris.count == 1 && ParseSpiffeId(uris.first).ok()) info.spiffe_id = uris.first;
  info.not_before = ToWallTime(X509_get0_notBefore(certificate));
  info.not_after = ToWallTime(X509_get0_notAfter(certificate));
  info.serial_hex = SerialHex(certificate);
  info.sha256_hex = Hex(AsBytes(Sha256(der)));
  info.authority = (X509_get_extension_flags(certificate) & EXFLAG_CA) != 0;
  ERR_clear_error();
  return info;
}

Result<std::string> SpkiSha256(Bytes der) {
  Result<bssl::UniquePtr<X509>> parsed = ParseX509(der);
  if (!parsed) return parsed.error();
  uint8_t* spki = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(parsed->get()), &spki);
  if (size < 0) return Bad("certificate has no readable public key: " + TakeErrors());
  bssl::UniquePtr<uint8_t> owned(spki);
  return Sha256({spki, static_cast<size_t>(size)});
}

Result<std::vector<Der>> ChainFromPem(std::string_view pem) {
  if (pem.size() > kMaxPemBytes) return Bad("certificate file is larger than 1 MiB");
  bssl::UniquePtr<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<ossl_ssize_t>(pem.size())));
  std::vector<Der> chain;
  for (;;) {
    char* name = nullptr;
    char* header = nullptr;
    uint8_t* data = nullptr;
    long size = 0;
    if (!PEM_read_bio(bio.get(), &name, &header, &data, &size)) break;
    bssl::UniquePtr<char> own_name(name), own_header(header);
    bssl::UniquePtr<uint8_t> own_data(data);
    if (std::string_view(name) != PEM_STRING_X509) {
      return Bad("expected only certificates in PEM, found '" + std::string(name).substr(0, 64) + "'");
    }
    Der der(data, data + size);
    if (Result<bssl::UniquePtr<X509>> parsed = ParseX509(der); !parsed) return parsed.error();
    chain.push_back(std::move(der));
    if (chain.size() > kMaxCertificates) return Bad("more than 64 certificates in one file");
  }
  // The only good end is that no block starts any more.
  const uint32_t error = ERR_peek_last_error();
  const bool at_end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end) return Bad("damaged PEM after " + std::to_string(chain.size()) + " certificates");
  if (chain.empty()) return Bad("no certificate in PEM");
  return chain;
}

std::string ChainToPem(const std::vector<Der>& chain) {
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  for (const Der& der : chain) {
    if (!PEM_write_bio(bio.get(), PEM_STRING_X509, "", der.data(), static_cast<long>(der.size()))) return {};
  }
  const uint8_t* data = nullptr;
  size_t size = 0;
  if (!BIO_mem_contents(bio.get(), &data, &size)) return {};
  return std::string(AsText({data, size}));
}

std::string Hex(Bytes bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) text.append({kDigits[byte >> 4], kDigits[byte & 15]});
  return text;
}

std::string Sha256(Bytes bytes) {
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(bytes.data(), bytes.size(), digest);
  return std::string(AsText({digest, sizeof(digest)}));
}

std::string FormatTime(WallTime time) {
  struct tm parts;
  if (!OPENSSL_posix_to_tm(UnixSeconds(time), &parts)) return "(no time)";
  char text[40];
  std::snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02dZ", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                parts.tm_hour, parts.tm_min, parts.tm_sec);
  return text;
}

}  // namespace outrigger::tls
