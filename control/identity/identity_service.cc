#include "control/identity/identity_service.h"

#include <utility>

#include "proxy/tls/certificate.h"

namespace outrigger::control {

namespace {

constexpr size_t kMaxRequestBytes = 16 * 1024;
constexpr std::string_view kBearer = "Bearer ";

// RFC 1123 subdomain, as Kubernetes names most things.
bool IsName(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (!alphanumeric(name.front()) || !alphanumeric(name.back())) return false;
  for (char c : name) {
    if (!alphanumeric(c) && c != '-' && c != '.') return false;
  }
  return true;
}

rpc::Status Refuse(rpc::Code code, std::string message) { return {code, std::move(message)}; }

// One unary call: the request, then the answer when the client has said all.
class IssueCall final : public rpc::ServerCall::Handler {
 public:
  IssueCall(IdentityService* service, rpc::ServerCall* call) : service_(service), call_(call) {}

  void OnMessage(Bytes message) override {
    if (done_) return;
    if (received_ || message.size() > kMaxRequestBytes ||
        !request_.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return Finish({rpc::Code::kInvalidArgument, "one IssueCertificateRequest of at most 16 KiB is expected"});
    }
    received_ = true;
  }

  void OnHalfClose() override {
    if (done_) return;
    if (!received_) return Finish({rpc::Code::kInvalidArgument, "the request is missing"});
    const Proof proof{call_->secure(), call_->peer().spiffe_id, std::string(call_->metadata().Get("authorization").value_or(""))};
    outrigger::v1::IssueCertificateResponse response;
    const rpc::Status status = service_->Issue(proof, request_, &response);
    if (status.ok()) call_->Send(response);
    Finish(status);
  }

  void OnCancelled() override {}

 private:
  void Finish(const rpc::Status& status) {
    done_ = true;
    call_->Finish(status);
  }

  IdentityService* const service_;
  rpc::ServerCall* const call_;
  outrigger::v1::IssueCertificateRequest request_;
  bool received_ = false;
  bool done_ = false;
};

}  // namespace

std::optional<ProxyId> ParseProxyId(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  ProxyId id{std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
  if (!IsName(id.namespace_) || !IsName(id.workload)) return std::nullopt;
  return id;
}

rpc::Status IdentityService::Authorise(const Proof& proof, const std::string& workload_name, const WorkloadInfo** workload) const {
  if (!proof.secure) return Refuse(rpc::Code::kUnauthenticated, "certificates are issued over TLS only");
  const std::optional<ProxyId> id = ParseProxyId(workload_name);
  if (!id.has_value()) return Refuse(rpc::Code::kInvalidArgument, "`workload` must be NAMESPACE/NAME");
  *workload = find_(*id);

  if (!proof.authorization.empty()) {
    if (!proof.authorization.starts_with(kBearer)) {
      return Refuse(rpc::Code::kUnauthenticated, "authorization must be `Bearer` and the secret of a join token");
    }
    switch (tokens_->Check(std::string_view(proof.authorization).substr(kBearer.size()), workload_name, loop_->wall_now())) {
      case TokenStore::Verdict::kGood: break;
      case TokenStore::Verdict::kUnknown:
        return Refuse(rpc::Code::kUnauthenticated,
                      "the join token is not known here: make one with `outrigger token create --workload " + workload_name + "`");
      case TokenStore::Verdict::kExpired:
        return Refuse(rpc::Code::kUnauthenticated,
                      "the join token has expired: make one with `outrigger token create --workload " + workload_name + "`");
      case TokenStore::Verdict::kOtherWorkload:
        return Refuse(rpc::Code::kPermissionDenied, "the join token belongs to another workload than " + workload_name);
    }
    if (*workload == nullptr) {
      return Refuse(rpc::Code::kNotFound, "no Workload or Pod " + workload_name + " is declared: apply one");
    }
    return {};
  }

  if (proof.spiffe_id.empty()) {
    return Refuse(rpc::Code::kUnauthenticated, "neither a join token nor a client certificate was shown");
  }
  if (*workload == nullptr) return Refuse(rpc::Code::kNotFound, "no Workload or Pod " + workload_name + " is declared: apply one");
  if ((*workload)->identity != proof.spiffe_id) {
    return Refuse(rpc::Code::kPermissionDenied,
                  workload_name + " is " + (*workload)->identity + ", and the caller's certificate is of " + proof.spiffe_id);
  }
  return {};
}

rpc::Status IdentityService::Issue(const Proof& proof, const outrigger::v1::IssueCertificateRequest& request,
                                   outrigger::v1::IssueCertificateResponse* response) {
  const WorkloadInfo* workload = nullptr;
  rpc::Status status = Authorise(proof, request.workload(), &workload);
  Result<tls::Der> leaf = tls::Der();
  if (status.ok()) {
    leaf = trust_->authority().Sign(AsBytes(request.csr_der()), workload->identity, loop_->wall_now(), trust_->certificate_lifetime());
    if (!leaf.ok()) status = Refuse(rpc::Code::kInvalidArgument, leaf.error().detail);
  }
  Result<tls::CertificateInfo> info = tls::CertificateInfo();
  if (status.ok()) {
    info = tls::ParseCertificate(*leaf);
    if (!info.ok()) status = Refuse(rpc::Code::kInternal, info.error().detail);
  }
  if (!status.ok()) {
    ++refused_;
    log_(LogLevel::kWarning, "certificate refused",
         {{"workload", ParseProxyId(request.workload()).has_value() ? request.workload() : "?"}, {"reason", status.message}});
    return status;
  }
  response->add_chain_der(leaf->data(), leaf->size());
  response->add_roots_der(trust_->authority().root().data(), trust_->authority().root().size());
  response->set_not_after_unix(UnixSeconds(info->not_after));
  response->set_trust_domain(trust_->authority().trust_domain());
  ++issued_;
  expiry_[workload->id] = info->not_after;
  log_(LogLevel::kInfo, "certificate issued",
       {{"workload", request.workload()},
        {"identity", workload->identity},
        {"proof", proof.authorization.empty() ? "certificate" : "token"},
        {"not_after", tls::FormatTime(info->not_after)}});
  return {};
}

std::unique_ptr<rpc::ServerCall::Handler> IdentityService::Accept(rpc::ServerCall* call) {
  return std::make_unique<IssueCall>(this, call);
}

std::optional<WallTime> IdentityService::Expiry(const ProxyId& id) const {
  auto it = expiry_.find(id);
  if (it == expiry_.end()) return std::nullopt;
  return it->second;
}

}  // namespace outrigger::control
