// The Context behind tls.h: two BoringSSL contexts prepared once, and the verifier. Immutable; thread-safe to share.
// Internal to this folder.
#pragma once

#include <openssl/base.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "proxy/tls/tls.h"
#include "proxy/tls/verify.h"

namespace outrigger::tls {

// What a Session answers to BoringSSL's questions. The SSL's app data points to it.
class Callbacks {
 public:
  virtual ~Callbacks() = default;
  virtual bool OnPeerChain(uint8_t* alert) = 0;
  // Picks a name out of the client's list (wire format), or none when we have no preference. False: no overlap.
  virtual bool OnSelectAlpn(Bytes offered, Bytes* chosen) = 0;
  virtual void OnNewSession(bssl::UniquePtr<SSL_SESSION> session) = 0;
};

class ContextImpl final : public Context {
 public:
  static Result<std::shared_ptr<const ContextImpl>> Make(Credentials credentials);

  const Credentials& credentials() const override { return credentials_; }
  const std::string& own_id() const override { return own_.spiffe_id; }
  WallTime not_after() const override { return own_.not_after; }
  WallTime not_before() const override { return own_.not_before; }

  bool has_identity() const { return !credentials_.chain.empty(); }
  const Verifier& verifier() const { return *verifier_; }
  // Roots, trust domain and own leaf in one hash: what a resumed session must have in common with the first.
  const std::string& scope() const { return scope_; }

  // A fresh SSL; null when out of memory.
  bssl::UniquePtr<SSL> NewClient() const { return bssl::UniquePtr<SSL>(SSL_new(client_.get())); }
  bssl::UniquePtr<SSL> NewServer() const { return bssl::UniquePtr<SSL>(SSL_new(server_.get())); }

 private:
  ContextImpl() = default;
  Outcome TakeIdentity();
  Outcome Configure(bssl::UniquePtr<SSL_CTX>* context) const;

  Credentials credentials_;
  CertificateInfo own_;
  std::unique_ptr<const Verifier> verifier_;
  std::string scope_;
  // Certificates of peers are kept once however many connections show them; a buffer may outlive its pool.
  bssl::UniquePtr<CRYPTO_BUFFER_POOL> pool_;
  bssl::UniquePtr<SSL_CTX> client_;
  bssl::UniquePtr<SSL_CTX> server_;
};

// BoringSSL asks for the time without saying for which connection: whoever calls into it says so first, for this thread.
void SetTimeForThread(WallTime now);

// One line for a person about why BoringSSL failed, from its queue, which is emptied. `alert`: the alert that the peer sent, -1 if it
// sent none.
std::string ExplainFailure(int* alert);

}  // namespace outrigger::tls
