#include "control/plane/control_plane.h"

#include <algorithm>
#include <utility>

#include "control/admin/duration.h"
#include "control/identity/secret.h"
#include "proxy/tls/certificate.h"

namespace outrigger::control {

Result<std::unique_ptr<ControlPlane>> ControlPlane::Start(net::Loop* loop, ControlPlaneOptions options) {
  std::unique_ptr<ControlPlane> plane(new ControlPlane(loop, std::move(options)));
  if (Outcome o = plane->Check(); !o.ok()) return o.error();
  if (Outcome o = plane->OpenData(); !o.ok()) return o.error();
  if (Outcome o = plane->StartObjects(); !o.ok()) return o.error();
  if (Outcome o = plane->StartServers(); !o.ok()) return o.error();
  return plane;
}

ControlPlane::~ControlPlane() = default;

Outcome ControlPlane::Check() const {
  const auto invalid = [](std::string text) { return Error::Make(ErrorCode::kInvalid, std::move(text)); };
  if (!tls::IsTrustDomain(options_.trust_domain)) {
    return invalid("the trust domain must be lower-case letters, digits, '.', '-', '_', not \"" + options_.trust_domain + "\"");
  }
  if (options_.certificate_lifetime < kMinCertificateLifetime || options_.certificate_lifetime > kMaxCertificateLifetime) {
    return invalid("the certificate lifetime must be between 5s and 365d");
  }
  if (!options_.admin.loopback()) {
    return invalid("the admin address " + options_.admin.ToString() + " is not loopback: it has no TLS, use 127.0.0.1 and forward it");
  }
  if (options_.xds_plaintext.has_value() && !options_.xds_plaintext->loopback()) {
    return invalid("the plaintext xDS address " + options_.xds_plaintext->ToString() + " is not loopback: its clients have no identity");
  }
  // Before anything is made: a mistyped folder must not leave a signing root behind.
  if (auto listed = loop_->files().List(options_.config_dir); !listed.ok()) return listed.error();
  return {};
}

Outcome ControlPlane::OpenData() {
  if (Outcome made = loop_->files().MakeFolder(options_.data_dir, 0700); !made.ok()) return made;
  Result<std::unique_ptr<Trust>> trust =
      Trust::Open(loop_, {options_.data_dir, options_.trust_domain, options_.certificate_lifetime});
  if (!trust.ok()) return trust.error();
  trust_ = std::move(*trust);
  options_.log(LogLevel::kInfo, trust_->created() ? "signing root created" : "signing root read",
               {{"trust_domain", options_.trust_domain},
                {"root_spki_sha256", trust_->root_spki_hex()},
                {"not_after", tls::FormatTime(trust_->authority().root_not_after())}});
  Result<TokenStore> tokens = TokenStore::Open(&loop_->files(), options_.data_dir + "/tokens.json");
  if (!tokens.ok()) return tokens.error();
  tokens_.emplace(std::move(*tokens));
  return OpenAdminToken();
}

Outcome ControlPlane::OpenAdminToken() {
  const std::string path = options_.data_dir + "/admin.token";
  Result<std::string> text = loop_->files().Read(path, 4096);
  if (!text.ok()) {
    if (text.error().code != ErrorCode::kNotFound) return text.error();
    admin_token_ = MakeSecret();
    return loop_->files().Replace(path, admin_token_ + "\n", 0600);
  }
  if (Result<uint32_t> mode = loop_->files().Mode(path); !mode.ok() || (*mode & 077) != 0) {
    return Error::Make(ErrorCode::kInvalid, path + " may be read by others: chmod 600 it");
  }
  admin_token_ = *text;
  while (!admin_token_.empty() && admin_token_.back() == '\n') admin_token_.pop_back();
  if (admin_token_.size() < 16) return Error::Make(ErrorCode::kInvalid, path + " is too short to be a secret: remove it to get a new one");
  return {};
}

Outcome ControlPlane::StartObjects() {
  StoreOptions store_options;
  store_options.config_dir = options_.config_dir;
  store_options.last_good_file = options_.data_dir + "/last-good.yaml";
  store_ = std::make_unique<Store>(&loop_->files(), store_options);
  ads_ = std::make_unique<AdsService>(loop_, "outrigger-control " + options_.version, options_.log);
  identity_ = std::make_unique<IdentityService>(
      loop_, trust_.get(), &*tokens_, [this](const ProxyId& id) { return ads_->mesh()->Find(id); }, options_.log);
  admin_ = std::make_unique<Admin>(AdminContext{loop_, store_.get(), ads_.get(), identity_.get(), &*tokens_, trust_.get(),
                                                options_.version, options_.trust_domain, admin_token_, loop_->wall_now(), options_.log});
  ads_->SetProgressListener([this] { admin_->OnProgress(); });

  source_ = MakeFolderSource(loop_, options_.config_dir);
  subscription_ = store_->Subscribe([this](const Change& change) {
    LogRejections();
    if (!change.changed.empty()) Compile();
  });
  const absl::Status started = source_->Start([this](const SourceSnapshot& snapshot) { store_->Update(snapshot); });
  if (!started.ok()) {
    return Error::Make(started.code() == absl::StatusCode::kNotFound ? ErrorCode::kNotFound : ErrorCode::kIo,
                       std::string(started.message()));
  }
  if (ads_->mesh() == nullptr) Compile();  // an empty folder changes nothing, and is a mesh all the same
  return {};
}

void ControlPlane::Compile() {
  std::shared_ptr<const CompiledMesh> mesh = compiler_.Compile(store_->snapshot());
  options_.log(LogLevel::kInfo, "objects in force",
               {{"generation", std::to_string(mesh->generation())},
                {"objects", std::to_string(store_->snapshot()->objects.size())},
                {"workloads", std::to_string(mesh->workloads().size())}});
  const bool same_problems = ads_->mesh() != nullptr && ads_->mesh()->problems() == mesh->problems();
  for (const Problem& problem : mesh->problems()) {
    if (!same_problems) options_.log(LogLevel::kWarning, "objects do not work out together", {{"problem", problem.ToString()}});
  }
  ads_->SetMesh(std::move(mesh));
}

// Each rejection once, when it is new.
void ControlPlane::LogRejections() {
  const std::vector<Rejection>& now = store_->snapshot()->rejected;
  for (const Rejection& rejection : now) {
    if (std::find(logged_.begin(), logged_.end(), rejection) != logged_.end()) continue;
    options_.log(LogLevel::kWarning, "object rejected",
                 {{"problem", rejection.problem.ToString()}, {"previous_in_force", rejection.previous_in_force ? "true" : "false"}});
  }
  logged_ = now;
}

Outcome ControlPlane::StartServers() {
  Result<std::unique_ptr<rpc::Server>> rpc = StartRpc(options_.xds, false);
  if (!rpc.ok()) return rpc.error();
  rpc_ = std::move(*rpc);
  if (options_.xds_plaintext.has_value()) {
    Result<std::unique_ptr<rpc::Server>> plaintext = StartRpc(*options_.xds_plaintext, true);
    if (!plaintext.ok()) return plaintext.error();
    plaintext_ = std::move(*plaintext);
  }
  admin::ServerOptions http_options;
  http_options.address = options_.admin;
  Result<std::unique_ptr<admin::HttpServer>> http = admin::MakeHttpServer(loop_, http_options);
  if (!http.ok()) return http.error();
  http_ = std::move(*http);
  admin_->Register(http_.get());
  return {};
}

Result<std::unique_ptr<rpc::Server>> ControlPlane::StartRpc(const net::Address& address, bool plaintext) {
  rpc::ServerOptions server_options;
  server_options.address = address;
  if (!plaintext) server_options.tls = [this] { return trust_->context(); };
  server_options.tls_options.require_client_certificate = false;  // first contact has none; the services ask for what they need
  server_options.limits.message_bytes = 4 << 20;                  // requests are names; responses have no limit here
  return rpc::MakeServer(loop_, std::move(server_options), [this, plaintext](rpc::ServerCall* call) { return Accept(call, plaintext); });
}

std::unique_ptr<rpc::ServerCall::Handler> ControlPlane::Accept(rpc::ServerCall* call, bool plaintext) {
  if (call->path() == kAdsPath) return ads_->Accept(call);
  if (call->path() == kIssueCertificatePath && !plaintext) return identity_->Accept(call);
  call->Finish({rpc::Code::kUnimplemented, std::string(call->path()) + " is not served here"});
  return nullptr;
}

std::optional<net::Address> ControlPlane::plaintext_address() const {
  if (plaintext_ == nullptr) return std::nullopt;
  return plaintext_->local();
}

Result<std::string> ControlPlane::CreateToken(const std::string& workload, Duration lifetime) {
  if (!ParseProxyId(workload).has_value()) return Error::Make(ErrorCode::kInvalid, "the workload must be NAMESPACE/NAME");
  Result<std::string> secret = tokens_->Create(workload, lifetime, loop_->wall_now());
  if (!secret.ok()) return secret.error();
  return *secret + "." + trust_->root_spki_hex();
}

void ControlPlane::Drain() {
  options_.log(LogLevel::kInfo, "draining", {{"proxies", std::to_string(ads_->connected())}});
  admin_->Drain();
  ads_->Drain();
  rpc_->Drain();
  if (plaintext_ != nullptr) plaintext_->Drain();
  http_->Drain();
}

bool ControlPlane::drained() const {
  return rpc_->connections() == 0 && http_->connections() == 0 && (plaintext_ == nullptr || plaintext_->connections() == 0);
}

}  // namespace outrigger::control
