// Makes certificates of any shape, good and bad: the one place that writes X.509. The rules about what may be signed are
// authority.h's; tests use this to make what an authority would refuse. Pure but for serial numbers and signatures, whose
// randomness comes from BoringSSL.
#pragma once

#include <string>
#include <vector>

#include "proxy/base/time.h"
#include "proxy/tls/certificate.h"
#include "proxy/tls/key.h"

namespace outrigger::tls {

struct CertificateSpec {
  std::string common_name;  // subject; empty: no subject, and a critical subject alternative name
  std::vector<std::string> uris;
  std::vector<std::string> dns_names;
  WallTime not_before{};  // seconds; fractions are cut off
  WallTime not_after{};
  bool authority = false;        // CA:TRUE
  bool digital_signature = true;
  bool certificate_sign = false; // keyCertSign and cRLSign
  bool key_usage_critical = true;
  bool server_auth = true;       // extended key usage; with neither the extension is left out
  bool client_auth = true;
};

// Who signs. Null certificate: the certificate is self-signed by `key`, which must then be the subject's.
struct Issuer {
  const Der* certificate = nullptr;
  const PrivateKey* key = nullptr;
};

// `subject`: an EVP_PKEY whose public half the certificate binds.
Result<Der> BuildCertificate(const CertificateSpec& spec, evp_pkey_st* subject, const Issuer& issuer);

}  // namespace outrigger::tls
