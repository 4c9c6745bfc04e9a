// What this folder shares about BoringSSL's X.509 types. Not for others: they see certificate.h.
#pragma once

#include <openssl/base.h>
#include <openssl/x509.h>

#include <string>

#include "proxy/tls/certificate.h"

namespace outrigger::tls {

// The reasons that BoringSSL left in its queue, oldest first, and empties it. "unknown reason" when there are none.
std::string TakeErrors();

// kTls unless `der` is exactly one certificate.
Result<bssl::UniquePtr<X509>> ParseX509(Bytes der);
WallTime ToWallTime(const ASN1_TIME* time);
// ECDSA on P-256 or P-384.
bool IsAcceptedKey(const EVP_PKEY* key);

// The identity of a leaf that keeps the rules for X509-SVIDs (sections 2 to 5): exactly one URI SAN, a SPIFFE id with a path;
// not a CA; key usage critical, with digitalSignature, without keyCertSign and cRLSign; an extended key usage, if any, names both
// server and client authentication; a subject alternative name is critical when the subject is empty.
Result<SpiffeId> SvidIdentity(X509* leaf);

}  // namespace outrigger::tls
