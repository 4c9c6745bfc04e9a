// The whole control plane on one Loop: folder -> store -> compile -> serve, the identity service beside it on the same port, and the admin
// API. No thread, no socket, no clock of its own, so it runs in the simulation as it runs in production.
// The folder names are the phases: source, store, compile, serve; identity and admin stand beside them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/admin/admin.h"
#include "control/compile/compile.h"
#include "control/identity/identity_service.h"
#include "control/identity/tokens.h"
#include "control/identity/trust.h"
#include "control/log/log.h"
#include "control/serve/ads_service.h"
#include "control/source/source.h"
#include "control/store/store.h"
#include "proxy/admin/http_server.h"
#include "proxy/net/loop.h"
#include "proxy/rpc/rpc.h"

namespace outrigger::control {

struct ControlPlaneOptions {
  std::string config_dir;  // must exist
  std::string data_dir;    // made when it does not exist, mode 0700
  std::string trust_domain = "cluster.local";
  net::Address xds = net::Address::Loopback(15010);
  net::Address admin = net::Address::Loopback(15014);  // loopback or a Unix socket only
  // For xDS clients that have no identity of ours: no TLS, no identity service; loopback only.
  std::optional<net::Address> xds_plaintext;
  Duration certificate_lifetime = tls::kDefaultLeafLifetime;
  std::string version;
  Log log = [](LogLevel, std::string_view, const LogFields&) {};
};

class ControlPlane {
 public:
  static constexpr Duration kMinCertificateLifetime = std::chrono::seconds(5);
  static constexpr Duration kMaxCertificateLifetime = std::chrono::hours(24 * 365);

  // Everything is in force when it returns. Errors have one sentence for the user: missing folder, port in use, damaged data folder...
  // `loop` must outlive it.
  static Result<std::unique_ptr<ControlPlane>> Start(net::Loop* loop, ControlPlaneOptions options);
  ~ControlPlane();

  // With the ports that port 0 became.
  net::Address xds_address() const { return rpc_->local(); }
  net::Address admin_address() const { return http_->local(); }
  std::optional<net::Address> plaintext_address() const;

  // A join token, as `outrigger token create` prints it.
  Result<std::string> CreateToken(const std::string& workload, Duration lifetime = TokenStore::kDefaultLifetime);

  const Trust& trust() const { return *trust_; }
  const std::string& admin_token() const { return admin_token_; }
  Store& store() { return *store_; }
  AdsService& ads() { return *ads_; }

  // Takes no new work, ends the streams (proxies keep what they have) and answers what is under way. Drained when nobody is connected.
  void Drain();
  bool drained() const;

 private:
  ControlPlane(net::Loop* loop, ControlPlaneOptions options) : loop_(loop), options_(std::move(options)) {}
  Outcome Check() const;
  Outcome OpenData();
  Outcome OpenAdminToken();
  Outcome StartObjects();
  Outcome StartServers();
  Result<std::unique_ptr<rpc::Server>> StartRpc(const net::Address& address, bool plaintext);
  std::unique_ptr<rpc::ServerCall::Handler> Accept(rpc::ServerCall* call, bool plaintext);
  void Compile();
  void LogRejections();

  net::Loop* const loop_;
  const ControlPlaneOptions options_;
  std::string admin_token_;
  std::unique_ptr<Trust> trust_;
  std::optional<TokenStore> tokens_;
  std::unique_ptr<Store> store_;
  Compiler compiler_{CompileOptions{options_.trust_domain}};
  std::unique_ptr<AdsService> ads_;
  std::unique_ptr<IdentityService> identity_;
  std::unique_ptr<Admin> admin_;
  std::unique_ptr<Store::Subscription> subscription_;
  std::unique_ptr<Source> source_;
  std::vector<Rejection> logged_;
  // Servers last: they are destroyed first, and with them whatever calls into the services above.
  std::unique_ptr<rpc::Server> rpc_;
  std::unique_ptr<rpc::Server> plaintext_;
  std::unique_ptr<admin::HttpServer> http_;
};

}  // namespace outrigger::control
