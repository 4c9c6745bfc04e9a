// Certificates and SPIFFE ids as values: parsing, PEM, and the rules for an X509-SVID. Pure; thread-safe.
// Sources: SPIFFE-ID, X509-SVID (spiffe.io specifications), RFC 5280. Errors: kTls with a sentence.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/bytes.h"
#include "proxy/base/error.h"
#include "proxy/base/time.h"

namespace outrigger::tls {

using Der = std::vector<uint8_t>;

// spiffe://TRUST-DOMAIN/PATH, compared byte by byte.
struct SpiffeId {
  std::string trust_domain;
  std::string path;  // with its leading '/'; empty for the trust domain itself (its signing certificate)

  std::string ToString() const { return "spiffe://" + trust_domain + path; }
  friend bool operator==(const SpiffeId&, const SpiffeId&) = default;
};
Result<SpiffeId> ParseSpiffeId(std::string_view text);
// Lower-case letters, digits, '.', '-', '_'; 1 to 255 bytes.
bool IsTrustDomain(std::string_view text);
// spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT
std::string WorkloadId(std::string_view trust_domain, std::string_view name_space, std::string_view service_account);

// A leaf is valid from this long before it is signed, for machines whose clocks are a little behind.
inline constexpr Duration kLeafBackdate = std::chrono::minutes(1);

// What one wants to know of a certificate, for status pages and renewal.
struct CertificateInfo {
  std::string spiffe_id;  // the URI SAN when there is exactly one, else empty
  WallTime not_before{};
  WallTime not_after{};
  std::string serial_hex;  // lower case, no leading zeros
  std::string sha256_hex;  // of the DER
  bool authority = false;  // CA:TRUE
};
Result<CertificateInfo> ParseCertificate(Bytes der);

// SHA-256 (32 bytes) of the certificate's SubjectPublicKeyInfo: what a join token pins.
Result<std::string> SpkiSha256(Bytes der);

// One or more "BEGIN CERTIFICATE" blocks, in order. A block of another kind, a damaged one, or none at all is an error; text
// between blocks is not read (RFC 7468, section 5.2).
Result<std::vector<Der>> ChainFromPem(std::string_view pem);
std::string ChainToPem(const std::vector<Der>& chain);

std::string Hex(Bytes bytes);
std::string Sha256(Bytes bytes);            // 32 bytes
std::string FormatTime(WallTime time);      // "2026-11-21T10:00:00Z"

}  // namespace outrigger::tls
