// The control plane's own trust: the signing root, made on the first start and kept in the data folder, and the certificate that the
// control plane shows on its port, renewed at two thirds of its life. One thread.
#pragma once

#include <memory>
#include <string>

#include "proxy/base/error.h"
#include "proxy/base/time.h"
#include "proxy/net/loop.h"
#include "proxy/tls/authority.h"
#include "proxy/tls/tls.h"

namespace outrigger::control {

struct TrustOptions {
  std::string data_dir;      // must exist
  std::string trust_domain;  // "cluster.local"
  Duration certificate_lifetime = tls::kDefaultLeafLifetime;
};

class Trust {
 public:
  // Reads DATA-DIR/authority.pem (key and root in one file, 0600, so that they are replaced together) or makes it when it does not
  // exist, and writes the root alone to DATA-DIR/root.pem for others to read. A damaged or openly readable file, or one of another trust
  // domain, is an error with a sentence: a new root would lock all proxies out, so it is never made unasked. `loop` must outlive it.
  static Result<std::unique_ptr<Trust>> Open(net::Loop* loop, TrustOptions options);

  const tls::Authority& authority() const { return *authority_; }
  Duration certificate_lifetime() const { return options_.certificate_lifetime; }
  std::string root_spki_hex() const;

  // What to serve with now; never null. spiffe://TRUST-DOMAIN/ns/outrigger-system/sa/control
  std::shared_ptr<const tls::Context> context() const { return context_; }
  bool created() const { return created_; }  // at this start

 private:
  Trust(net::Loop* loop, TrustOptions options) : loop_(loop), options_(std::move(options)) {}
  Outcome Load();
  Outcome Renew();
  void OnRenewal();

  net::Loop* const loop_;
  const TrustOptions options_;
  std::shared_ptr<const tls::Authority> authority_;
  std::shared_ptr<const tls::Context> context_;
  CallbackTimer<Trust, &Trust::OnRenewal> renewal_{this};
  bool created_ = false;
};

}  // namespace outrigger::control
