// Sessions that a client may resume, per thread and bounded. A session is offered once (RFC 8446, appendix C.4) and only to a
// connection that asks for the same thing with the same identity and the same roots: all of it is hashed into the scope.
// Internal to this folder.
#pragma once

#include <openssl/base.h>
#include <openssl/ssl.h>

#include <string>

#include "proxy/base/time.h"

namespace outrigger::tls {

// Null when there is none that is still good at `now`.
bssl::UniquePtr<SSL_SESSION> TakeResumable(const std::string& scope, WallTime now);
// `until`: when the certificate path that was verified in the full handshake ends.
void KeepResumable(const std::string& scope, bssl::UniquePtr<SSL_SESSION> session, WallTime until);

}  // namespace outrigger::tls
