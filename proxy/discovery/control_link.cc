#include "proxy/discovery/control_link.h"

#include <algorithm>
#include <utility>

#include "proxy/tls/certificate.h"

namespace outrigger::discovery {
namespace {

constexpr std::string_view kAdsPath = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
constexpr std::string_view kIssuePath = "/outrigger.v1.Identity/IssueCertificate";
constexpr std::string_view kControlPlanePath = "/ns/outrigger-system/sa/control";
constexpr Duration kIssueTimeout = std::chrono::seconds(10);
constexpr Duration kSaveDelay = std::chrono::milliseconds(500);

envoy::config::core::v3::Node MakeNode(const LinkOptions& options) {
  envoy::config::core::v3::Node node;
  node.set_id(options.workload);
  node.set_user_agent_name("outrigger-proxy");
  node.set_user_agent_version(options.version);
  auto& ours = (*node.mutable_metadata()->mutable_fields())["outrigger.dev"];
  (*ours.mutable_struct_value()->mutable_fields())["version"].set_string_value(options.version);
  return node;
}

}  // namespace

class ControlLink::AdsCall final : public rpc::ClientCall::Handler {
 public:
  explicit AdsCall(ControlLink* link) : link_(link) {}
  void OnMessage(Bytes message) override { link_->OnAdsMessage(message); }
  void OnDone(const rpc::Status& status, const rpc::Metadata&) override { link_->OnAdsDone(status); }
  std::unique_ptr<rpc::ClientCall> call;

 private:
  ControlLink* const link_;
};

class ControlLink::IssueCall final : public rpc::ClientCall::Handler {
 public:
  explicit IssueCall(ControlLink* link) : link_(link) {}
  void OnMessage(Bytes message) override {
    parsed_ = response_.ParseFromArray(message.data(), static_cast<int>(message.size()));
  }
  void OnDone(const rpc::Status& status, const rpc::Metadata&) override {
    if (status.ok() && parsed_) {
      link_->OnIssued(response_);
    } else if (status.ok()) {
      link_->OnIssueFailed({rpc::Code::kInternal, "the control plane's answer is not a certificate"});
    } else {
      link_->OnIssueFailed(status);
    }
  }
  std::unique_ptr<rpc::ClientCall> call;

 private:
  ControlLink* const link_;
  outrigger::v1::IssueCertificateResponse response_;
  bool parsed_ = false;
};

ControlLink::ControlLink(net::Loop* loop, LinkOptions options, Handler* handler)
    : loop_(loop),
      options_(std::move(options)),
      handler_(handler),
      compiler_(snapshot::MakeCompiler()),
      ads_(compiler_.get(), MakeNode(options_), options_.app),
      identity_store_(&loop->files(), options_.data_dir),
      last_good_(&loop->files(), options_.data_dir + "/xds", options_.log) {}

ControlLink::~ControlLink() {
  // What was accepted since the last save is kept even when the end comes first.
  if (save_timer_.armed()) OnSaveDue();
}

std::vector<AdsState::Response> ControlLink::Kept() {
  if (!controlled()) return options_.static_resources;
  if (save_timer_.armed()) {
    save_timer_.Disarm();
    OnSaveDue();
  }
  return last_good_.Load();
}

Outcome ControlLink::StartAlone() {
  for (const AdsState::Response& response : options_.static_resources) {
    if (std::string refused = ads_.Restore(response); !refused.empty()) return Error::Make(ErrorCode::kInvalid, std::move(refused));
  }
  PublishIfChanged();
  if (const std::vector<std::string> missing = compiler_->Missing(); !missing.empty()) {
    return Error::Make(ErrorCode::kInvalid, "the static resources lack " + missing.front());
  }
  return {};
}

Outcome ControlLink::Start() {
  if (!controlled()) return StartAlone();
  Result<std::shared_ptr<const tls::PrivateKey>> key = identity_store_.Key();
  if (!key) return key.error();
  key_ = *key;
  Result<tls::Credentials> kept = identity_store_.Load(key_);
  std::string unusable;
  if (kept) {
    if (Outcome adopted = Adopt(std::move(kept).value(), /*keep=*/false); !adopted) unusable = adopted.error().detail;
  } else if (kept.error().code != ErrorCode::kNotFound) {
    unusable = kept.error().detail;
  }
  if (unusable.empty() && identity_ != nullptr && !Usable()) unusable = "it ended at " + tls::FormatTime(identity_->not_after());
  if (!unusable.empty()) options_.log(LogLevel::kWarning, "the kept certificate is not used", {{"why", unusable}});
  if (!Usable() && !options_.token.has_value() && options_.control_ca.empty()) {
    return Error::Make(ErrorCode::kInvalid, "no usable certificate is kept in " + options_.data_dir +
                                                (unusable.empty() ? "" : " (" + unusable + ")") +
                                                " and no --token-file was given: make a token with `outrigger token create --workload " +
                                                options_.workload + "`");
  }
  for (const AdsState::Response& response : last_good_.Load()) ads_.Restore(response);
  PublishIfChanged();
  Connect();
  return {};
}

// ---------------------------------------------------------------- connection

void ControlLink::MakeChannel() {
  channel_has_identity_ = Usable();
  rpc::ChannelOptions options;
  options.target = options_.control;
  options.tls_options.sni = "control.outrigger-system.svc.outrigger.internal";
  if (channel_has_identity_) {
    options.tls = [this] { return identity_; };
    options.tls_options.accepted_ids = {"spiffe://" + identity_->credentials().trust_domain + std::string(kControlPlanePath)};
  } else {
    tls::Credentials nobody;
    nobody.roots = options_.control_ca;
    Result<std::shared_ptr<const tls::Context>> context = tls::MakeContext(std::move(nobody));
    if (context) first_contact_ = *context;
    options.tls = [this] { return first_contact_; };
    if (options_.token.has_value() && options_.control_ca.empty()) {
      options.tls_options.pinned_root_spki_sha256 = options_.token->root_spki_sha256;
    }
  }
  channel_ = rpc::MakeChannel(loop_, std::move(options), this);
}

void ControlLink::Connect() {
  const bool usable = Usable();
  if (!usable && !options_.token.has_value() && options_.control_ca.empty()) {
    // Only a person can help; should one set the clock right, this finds out.
    ReconnectLater("the certificate ended at " + tls::FormatTime(identity_->not_after()) +
                   " and there is no --token-file: make a token with `outrigger token create --workload " + options_.workload + "`");
    return;
  }
  if (channel_ == nullptr || channel_has_identity_ != usable) MakeChannel();
  channel_->Connect();
}

// Calls under way end without a word: their handlers go with them, or a renewal under way would be waited for for ever.
void ControlLink::DropChannel() {
  ads_call_.reset();
  issue_call_.reset();
  channel_.reset();
}

void ControlLink::OnUp() {
  // Any workload's leaf chains to the root; only the control plane's own may hear our secret.
  const tls::Peer* peer = channel_->peer();
  Result<tls::SpiffeId> id = tls::ParseSpiffeId(peer == nullptr ? std::string_view() : std::string_view(peer->spiffe_id));
  if (!id || id->path != kControlPlanePath) {
    const std::string who = peer == nullptr ? "nobody" : peer->spiffe_id.empty() ? "without an identity" : peer->spiffe_id;
    DropChannel();
    ReconnectLater("the server is not the control plane but " + who);
    return;
  }
  ++status_.connects;
  if (!channel_has_identity_) {
    StartIssue();
    return;
  }
  StartAds();
  PlanRenewal(/*just_issued=*/false);
}

void ControlLink::OnDown(Error error) {
  ads_call_.reset();
  issue_call_.reset();
  ReconnectLater(error.ToString());
}

void ControlLink::ReconnectLater(const std::string& why) {
  if (status_.connected || status_.last_error != why) {
    options_.log(LogLevel::kWarning, "the control plane is away; what is in force stays in force",
                 {{"control", options_.control}, {"why", why}});
  }
  warm_timer_.Disarm();  // what is in force stays in force
  status_.connected = false;
  status_.last_error = why;
  ++status_.failures;
  if (backoff_timer_.armed()) return;
  const Duration ceiling = std::min<Duration>(
      options_.backoff_base * (1 << std::min<uint32_t>(failures_in_a_row_++, 10)), options_.backoff_max);
  // At least a tenth of the ceiling, so that a refused connection is not tried in a tight loop.
  const auto jittered = Duration(static_cast<int64_t>(static_cast<double>(ceiling.count()) * (0.1 + 0.9 * loop_->random().Uniform())));
  loop_->Arm(&backoff_timer_, jittered);
}

// ---------------------------------------------------------------- identity

void ControlLink::StartIssue() {
  if (channel_ == nullptr || !channel_->up() || issue_call_ != nullptr) return;
  Result<std::vector<uint8_t>> csr = tls::MakeCertificateRequest(*key_);
  if (!csr) {
    OnIssueFailed({rpc::Code::kInternal, csr.error().detail});
    return;
  }
  outrigger::v1::IssueCertificateRequest request;
  request.set_csr_der(csr->data(), csr->size());
  request.set_workload(options_.workload);
  rpc::Metadata metadata;
  if (!channel_has_identity_ && options_.token.has_value()) metadata.Add("authorization", "Bearer " + options_.token->secret);
  issue_call_ = std::make_unique<IssueCall>(this);
  issue_call_->call = channel_->Start(kIssuePath, metadata, kIssueTimeout, issue_call_.get());
  issue_call_->call->Send(request);
  issue_call_->call->HalfClose();
}

void ControlLink::OnIssued(const outrigger::v1::IssueCertificateResponse& response) {
  tls::Credentials credentials;
  credentials.key = key_;
  credentials.trust_domain = response.trust_domain();
  for (const std::string& der : response.chain_der()) credentials.chain.emplace_back(der.begin(), der.end());
  for (const std::string& der : response.roots_der()) credentials.roots.emplace_back(der.begin(), der.end());
  if (Outcome adopted = Adopt(std::move(credentials), /*keep=*/true); !adopted) {
    OnIssueFailed({rpc::Code::kInternal, adopted.error().detail});
    return;
  }
  ++status_.certificates_issued;
  failures_in_a_row_ = 0;
  options_.log(LogLevel::kInfo, "certificate issued",
               {{"id", identity_->own_id()}, {"not_after", tls::FormatTime(identity_->not_after())}});
  issue_call_.reset();
  if (!channel_has_identity_) {
    // First contact is over: the same port again, as ourselves.
    DropChannel();
    Connect();
    return;
  }
  PlanRenewal(/*just_issued=*/true);
}

void ControlLink::OnIssueFailed(const rpc::Status& status) {
  issue_call_.reset();
  options_.log(LogLevel::kWarning, "no certificate was issued; trying again",
               {{"workload", options_.workload}, {"why", status.ToString()}});
  status_.last_error = status.ToString();
  if (!channel_has_identity_) {
    DropChannel();
    ReconnectLater(status.ToString());
    return;
  }
  // There is a third of the leaf's life left: a tenth of what remains, so that there are many tries before it ends.
  const Duration left = identity_->not_after() - loop_->wall_now();
  loop_->Arm(&renewal_timer_, RetryAfter(left));
}

Outcome ControlLink::Adopt(tls::Credentials credentials, bool keep) {
  Result<std::shared_ptr<const tls::Context>> context = tls::MakeContext(credentials);
  if (!context) return context.error();
  if (keep) {
    if (Outcome saved = identity_store_.Save(credentials); !saved) {
      options_.log(LogLevel::kWarning, "the new certificate cannot be kept for a restart", {{"why", saved.error().detail}});
    }
  }
  identity_ = *context;
  status_.not_after = identity_->not_after();
  handler_->OnIdentity(identity_);
  return {};
}

// The life of a leaf begins when it is signed, kLeafBackdate after its notBefore: for a short one that minute is most of it, and
// counted in would have it renewed for ever.
void ControlLink::PlanRenewal(bool just_issued) {
  Duration life = identity_->not_after() - identity_->not_before();
  if (life > tls::kLeafBackdate) life -= tls::kLeafBackdate;
  const WallTime due = identity_->not_after() - life / 3;
  // Up to a twentieth of the life of jitter, so that a thousand proxies started together do not renew together.
  const auto jitter = Duration(static_cast<int64_t>(loop_->random().Uniform() * static_cast<double>(life.count()) / 20));
  // However wrong this machine's clock is, a leaf that has just come is used for a while.
  const Duration least = just_issued ? RetryAfter(life) : Duration::zero();
  loop_->Arm(&renewal_timer_, std::max<Duration>(due - loop_->wall_now() - jitter, least));
}

Duration ControlLink::RetryAfter(Duration left) {
  return std::clamp<Duration>(left / 10, std::chrono::milliseconds(500), std::chrono::minutes(10));
}

// ---------------------------------------------------------------- configuration

void ControlLink::StartAds() {
  ads_call_ = std::make_unique<AdsCall>(this);
  ads_call_->call = channel_->Start(kAdsPath, {}, std::nullopt, ads_call_.get());
  for (const AdsState::Request& request : ads_.OnStream()) ads_call_->call->Send(request);
  waited_for_since_.clear();
  WaitForEndpoints();
}

void ControlLink::OnAdsMessage(Bytes message) {
  AdsState::Response response;
  if (!response.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    DropChannel();
    ReconnectLater("the control plane sent something that is no DiscoveryResponse");
    return;
  }
  status_.connected = true;
  status_.last_error.clear();
  failures_in_a_row_ = 0;
  for (const AdsState::Request& request : ads_.OnResponse(response)) {
    if (request.has_error_detail()) {
      options_.log(LogLevel::kWarning, "configuration was refused",
                   {{"type", request.type_url()}, {"why", request.error_detail().message()}});
    }
    ads_call_->call->Send(request);
  }
  for (auto& [type, changes] : ads_.TakeAccepted()) {
    for (auto& [name, bytes] : changes) pending_save_[type][name] = std::move(bytes);
  }
  if (!save_timer_.armed()) loop_->Arm(&save_timer_, kSaveDelay);
  WaitForEndpoints();
  PublishIfChanged();
}

void ControlLink::OnAdsDone(const rpc::Status& status) {
  DropChannel();
  ReconnectLater("the configuration stream ended: " + status.ToString());
}

// Each name from when it was asked for on this stream.
void ControlLink::WaitForEndpoints() {
  std::map<std::string, Instant> since;
  for (const std::string& name : ads_.MissingEndpoints()) {
    const auto known = waited_for_since_.find(name);
    since[name] = known == waited_for_since_.end() ? loop_->now() : known->second;
  }
  waited_for_since_ = std::move(since);
  warm_timer_.Disarm();
  if (waited_for_since_.empty() || ads_call_ == nullptr) return;
  const auto first = std::min_element(waited_for_since_.begin(), waited_for_since_.end(),
                                      [](const auto& a, const auto& b) { return a.second < b.second; });
  loop_->Arm(&warm_timer_, std::max<Duration>(first->second + options_.warm_timeout - loop_->now(), Duration::zero()));
}

void ControlLink::OnWarmTimeout() {
  std::vector<std::string> missing;
  for (const auto& [name, since] : waited_for_since_) {
    if (since + options_.warm_timeout <= loop_->now()) missing.push_back(name);
  }
  if (!missing.empty()) {
    options_.log(LogLevel::kWarning, "endpoints did not come and count as none",
                 {{"first", missing.front()}, {"count", std::to_string(missing.size())}});
    ads_.TreatAsEmpty(missing);
    PublishIfChanged();
  }
  WaitForEndpoints();
}

void ControlLink::PublishIfChanged() {
  std::shared_ptr<const snapshot::Snapshot> next = compiler_->Build();
  if (next == published_) return;
  published_ = std::move(next);
  if (!published_->listeners.empty()) configured_ = true;
  handler_->OnSnapshot(published_);
}

}  // namespace outrigger::discovery
