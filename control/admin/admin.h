// The control plane's admin API, on proxy/admin's HTTP server. Reads are open (the server listens on loopback); writes and join tokens
// need `Authorization: Bearer` and the secret in DATA-DIR/admin.token. Errors are JSON: {"error": "...", "problems": [...]}.
//
//   GET    /ready                              200, or 503 while draining
//   GET    /status                             everything `outrigger status` and `check` show
//   GET    /metrics                            Prometheus text
//   GET    /objects[/KIND]                     what is in force; ?namespace=, ?format=yaml
//   GET    /objects/KIND/NAMESPACE/NAME        one object ("-" as namespace for kinds without one); ?format=yaml
//   POST   /objects                            YAML or JSON, all or nothing; ?wait=10s, ?dry_run=true
//   DELETE /objects/KIND/NAMESPACE/NAME        ?wait=10s
//   GET    /proxies/NAMESPACE/NAME/config      the resources of that workload's proxy
//   POST   /tokens                             {"workload": "default/orders-1", "lifetime": "24h"} -> {"token": ...}
//
// With `wait` the answer comes when every connected proxy has accepted the change, or the time is over; "behind" names those that have not.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "control/admin/views.h"
#include "control/identity/identity_service.h"
#include "control/identity/tokens.h"
#include "control/identity/trust.h"
#include "control/log/log.h"
#include "control/serve/ads_service.h"
#include "control/store/store.h"
#include "proxy/admin/http_server.h"
#include "proxy/net/loop.h"

namespace outrigger::control {

// What the admin speaks for. All of it must outlive the Admin.
struct AdminContext {
  net::Loop* loop = nullptr;
  Store* store = nullptr;
  AdsService* ads = nullptr;
  IdentityService* identity = nullptr;
  TokenStore* tokens = nullptr;
  Trust* trust = nullptr;
  std::string version;
  std::string trust_domain;
  std::string admin_token;  // the secret that writes need
  WallTime started{};
  Log log;
};

class Admin {
 public:
  explicit Admin(AdminContext context) : context_(std::move(context)) {}

  void Register(admin::HttpServer* server);
  // A proxy came, left or accepted something: answers those who wait for it.
  void OnProgress();
  void Drain();

 private:
  // A write that is in force here and not yet in every proxy.
  struct Waiter final : Timer {
    Waiter(Admin* owner, Json answer, uint64_t generation, admin::Responder responder)
        : admin(owner), body(std::move(answer)), generation(generation), respond(std::move(responder)) {}
    void OnTimer() override { admin->Answer(this); }
    Admin* const admin;
    Json body;
    const uint64_t generation;
    Instant since{};
    admin::Responder respond;
  };

  void GetStatus(const admin::Request& request, admin::Responder responder);
  void GetMetrics(admin::Responder responder);
  void ListObjects(const admin::Request& request, admin::Responder responder);
  void GetObject(const admin::Request& request, admin::Responder responder);
  void ApplyObjects(const admin::Request& request, admin::Responder responder);
  void DeleteObject(const admin::Request& request, admin::Responder responder);
  void CreateToken(const admin::Request& request, admin::Responder responder);
  void GetConfig(const admin::Request& request, admin::Responder responder);

  bool Authorised(const admin::Request& request, admin::Responder* responder) const;
  void Finish(Json body, uint64_t generation, std::optional<Duration> wait, admin::Responder responder);
  Json Behind(uint64_t generation) const;
  void Answer(Waiter* waiter);

  const AdminContext context_;
  std::list<Waiter> waiters_;
  bool draining_ = false;
};

}  // namespace outrigger::control
