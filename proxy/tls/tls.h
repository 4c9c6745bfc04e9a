// TLS 1.3 between workloads as a pure machine over memory (BoringSSL): ciphertext in, plaintext and ciphertext out. No
// sockets, no clock: `now` comes in with the bytes. Both sides always present and verify a certificate (X.509-SVID):
// a leaf with exactly one URI SAN spiffe://TRUST-DOMAIN/ns/NS/sa/SA, CA false, digitalSignature and no keyCertSign, a chain to
// the trust domain's roots, valid at `now` (SPIFFE X509-SVID; RFC 5280). Verification cannot be switched off.
// Leaf keys are ECDSA P-256, key exchange X25519 (or the post-quantum hybrid that BoringSSL offers), tickets on, 0-RTT never.
// Context is immutable and thread-safe to share; a Session belongs to one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/buffer.h"
#include "proxy/base/bytes.h"
#include "proxy/base/error.h"
#include "proxy/base/time.h"

namespace outrigger::tls {

using Der = std::vector<uint8_t>;

// A private key that never leaves its owner but as PEM into a 0600 file.
class PrivateKey;  // key.h

// What a workload shows and what it trusts, at one time.
struct Credentials {
  std::shared_ptr<const PrivateKey> key{};
  std::vector<Der> chain{};  // leaf first; empty for a client that has no identity yet (first contact with the control plane)
  std::vector<Der> roots{};
  std::string trust_domain{};  // "cluster.local"
};

// Who the peer proved to be.
struct Peer {
  std::string spiffe_id;
  WallTime not_after{};
  std::string leaf_sha256_hex;  // for x-forwarded-client-cert
};

class Context {
 public:
  virtual ~Context() = default;
  virtual const Credentials& credentials() const = 0;
  virtual const std::string& own_id() const = 0;   // spiffe id of the leaf; empty without one
  virtual WallTime not_after() const = 0;          // of the leaf
  virtual WallTime not_before() const = 0;
};
// kTls with the reason when key, leaf and roots do not belong together.
Result<std::shared_ptr<const Context>> MakeContext(Credentials credentials);

struct ClientOptions {
  std::string sni{};
  std::vector<std::string> alpn{};          // in order of preference
  std::vector<std::string> accepted_ids{};  // the peer must be one of these SPIFFE ids; empty: anyone of the trust domain
  // First contact only: instead of roots, the SHA-256 (32 bytes) of the SubjectPublicKeyInfo of a root that must be in the chain the peer
  // sends. Empty otherwise.
  std::string pinned_root_spki_sha256{};
  // Sessions are resumed only between connections of one thread with the same own leaf, roots, sni, alpn, accepted_ids and this text. The
  // endpoint's address belongs here: another replica cannot read the ticket, and offering it would only waste it.
  std::string resumption_scope{};
};

struct ServerOptions {
  std::vector<std::string> alpn{};  // ours, in order of preference; no overlap with the client's: handshake failure; empty: none is agreed
  // False only on the control plane's port, where a proxy without identity asks for its first one.
  bool require_client_certificate = true;
};

class Session {
 public:
  enum class State : uint8_t { kHandshake, kOpen, kFailed };

  virtual ~Session() = default;

  // Takes all of `ciphertext` (may be empty: lets a client send its first flight), appends what it decrypts to `plaintext` and what must be
  // sent to output(). An error is final: state() is kFailed and output() may hold an alert that should still be sent.
  virtual Outcome Feed(Bytes ciphertext, WallTime now, Buffer* plaintext) = 0;
  // Encrypts into output(). Only in kOpen. Records are as large as the data allows, up to 16 KiB.
  virtual Outcome Write(Bytes plaintext) = 0;
  // Appends close_notify to output().
  virtual void CloseNotify() = 0;
  virtual Buffer& output() = 0;

  virtual State state() const = 0;
  virtual bool peer_closed() const = 0;          // close_notify came: an end that is not a truncation
  virtual const Peer& peer() const = 0;          // from kOpen on; spiffe_id empty when the client showed no certificate
  virtual std::string_view alpn() const = 0;     // agreed; empty when none
  virtual std::string_view sni() const = 0;      // as asked for
  virtual bool resumed() const = 0;
};

std::unique_ptr<Session> MakeClient(std::shared_ptr<const Context> context, ClientOptions options);
std::unique_ptr<Session> MakeServer(std::shared_ptr<const Context> context, ServerOptions options);

}  // namespace outrigger::tls
