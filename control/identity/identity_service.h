// outrigger.v1.Identity: signs the certificates of declared workloads. Who asks is known by a join token (first contact) or by the
// certificate of the connection (renewal), never by the request. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "control/compile/compile.h"
#include "control/identity/tokens.h"
#include "control/identity/trust.h"
#include "control/log/log.h"
#include "outrigger/v1/identity.pb.h"
#include "proxy/rpc/rpc.h"

namespace outrigger::control {

inline constexpr std::string_view kIssueCertificatePath = "/outrigger.v1.Identity/IssueCertificate";

// "namespace/name" with names that Kubernetes would take; nullopt otherwise.
std::optional<ProxyId> ParseProxyId(std::string_view text);

// What the connection and the call prove.
struct Proof {
  bool secure = false;        // TLS
  std::string spiffe_id;      // of a verified client certificate; empty without one
  std::string authorization;  // metadata
};

class IdentityService {
 public:
  using FindWorkload = std::function<const WorkloadInfo*(const ProxyId& id)>;
  // All of them must outlive the service.
  IdentityService(net::Loop* loop, const Trust* trust, const TokenStore* tokens, FindWorkload find, Log log)
      : loop_(loop), trust_(trust), tokens_(tokens), find_(std::move(find)), log_(std::move(log)) {}

  // May this caller have the workload's certificate? Ok fills `workload`.
  rpc::Status Authorise(const Proof& proof, const std::string& workload_name, const WorkloadInfo** workload) const;
  rpc::Status Issue(const Proof& proof, const outrigger::v1::IssueCertificateRequest& request,
                    outrigger::v1::IssueCertificateResponse* response);

  std::unique_ptr<rpc::ServerCall::Handler> Accept(rpc::ServerCall* call);

  uint64_t issued() const { return issued_; }
  uint64_t refused() const { return refused_; }
  // Until when the certificate lasts that was issued to it last by this process; nullopt: none was.
  std::optional<WallTime> Expiry(const ProxyId& id) const;
  void Forget(const ProxyId& id) { expiry_.erase(id); }

 private:
  net::Loop* const loop_;
  const Trust* const trust_;
  const TokenStore* const tokens_;
  const FindWorkload find_;
  const Log log_;
  std::map<ProxyId, WallTime> expiry_;  // of declared workloads only
  uint64_t issued_ = 0;
  uint64_t refused_ = 0;
};

}  // namespace outrigger::control
