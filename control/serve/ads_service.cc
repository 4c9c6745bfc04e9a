#include "control/serve/ads_service.h"

#include <algorithm>
#include <utility>

#include "control/identity/identity_service.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace outrigger::control {

using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;

namespace {

// Who the node says it is, for people: bounded, because it comes from outside.
std::string UserAgent(const envoy::config::core::v3::Node& node) {
  std::string version = node.user_agent_version();
  if (version.empty() && node.has_user_agent_build_version()) {
    const auto& number = node.user_agent_build_version().version();
    version = std::to_string(number.major_number()) + "." + std::to_string(number.minor_number()) + "." + std::to_string(number.patch());
  }
  std::string text = node.user_agent_name() + (version.empty() ? "" : " " + version);
  std::erase_if(text, [](char c) { return c < ' ' || c > '~'; });
  return text.substr(0, 128);
}

}  // namespace

// Runs the listener at the end of the turn: once for all that happened in it.
class AdsService::ProgressTask final : public net::TurnTask {
 public:
  explicit ProgressTask(AdsService* service) : service_(service) {}
  void OnTurnEnd() override {
    if (service_->progress_) service_->progress_();
  }

 private:
  AdsService* const service_;
};

class AdsService::Stream final : public rpc::ServerCall::Handler {
 public:
  Stream(AdsService* service, rpc::ServerCall* call, uint64_t number) : service_(service), call_(call), number_(number) {}
  ~Stream() override {
    if (service_ != nullptr) service_->Unregister(this);
  }

  void OnMessage(Bytes message) override {
    if (finished_) return;
    DiscoveryRequest request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return Finish({rpc::Code::kInvalidArgument, "not a DiscoveryRequest"});
    }
    last_seen_ = service_->loop_->wall_now();
    if (!identified_ && !Identify(request)) return;
    if (!request.node().id().empty() && request.node().id() != id_.ToString()) {
      return Finish({rpc::Code::kInvalidArgument, "the node id may not change within a stream"});
    }
    const std::optional<Type> type = TypeFromUrl(request.type_url());
    if (!type.has_value()) return NoteUnknownType(request.type_url());
    const uint64_t refusals = state_.Status(*type).refusals;
    state_.OnRequest(*type, request, service_->loop_->now());
    if (state_.Status(*type).refusals != refusals) NoteRefusal(*type);
    Flush();
  }

  void OnHalfClose() override { Finish({}); }
  void OnCancelled() override { finished_ = true; }

  // The mesh changed; or the stream is new.
  void Update() {
    if (finished_ || !identified_) return;
    if (rpc::Status status = service_->Authorise(*call_, id_); !status.ok()) return Finish(std::move(status));
    absl::StatusOr<ResourceSet> resources = service_->mesh_->For(id_);
    if (!resources.ok()) return Finish({rpc::Code::kNotFound, std::string(resources.status().message())});
    state_.SetResources(service_->mesh_->generation(), *resources, service_->loop_->now());
    Flush();
  }

  void Finish(rpc::Status status) {
    if (std::exchange(finished_, true)) return;
    if (!status.ok()) {
      service_->log_(LogLevel::kWarning, "stream ended", {{"proxy", identified_ ? id_.ToString() : "?"}, {"reason", status.message}});
    }
    timer_.Disarm();
    call_->Finish(status);
    if (identified_) service_->NoteProgress();
  }

  ProxyStatus Status() const {
    ProxyStatus status;
    status.id = id_;
    status.connected = !finished_;
    status.remote = remote_;
    status.user_agent = user_agent_;
    status.identity = identity_;
    status.connected_since = since_;
    status.last_seen = last_seen_;
    status.certificate_expires = certificate_expires_;
    status.generation = state_.generation_in_force();
    for (Type type : kAllTypes) status.types[static_cast<size_t>(type)] = state_.Status(type);
    return status;
  }

  uint64_t number() const { return number_; }
  bool identified() const { return identified_; }
  void Detach() { service_ = nullptr; }

 private:
  bool Identify(const DiscoveryRequest& request) {
    const std::optional<ProxyId> id = ParseProxyId(request.node().id());
    rpc::Status status;
    if (!id.has_value()) {
      status = {rpc::Code::kInvalidArgument, "node.id must be NAMESPACE/WORKLOAD"};
    } else if (service_->draining_) {
      status = {rpc::Code::kUnavailable, "the control plane is shutting down"};
    } else if (service_->mesh_ == nullptr) {
      status = {rpc::Code::kUnavailable, "the control plane has not read its objects yet"};
    } else {
      status = service_->Authorise(*call_, *id);
    }
    if (!status.ok()) {
      ++service_->counts_.refused_streams;
      if (id.has_value()) status.message = id->ToString() + ": " + status.message;
      Finish(std::move(status));
      return false;
    }
    id_ = *id;
    user_agent_ = UserAgent(request.node());
    remote_ = call_->remote().ToString();
    identity_ = call_->peer().spiffe_id;
    if (!identity_.empty()) certificate_expires_ = call_->peer().not_after;
    since_ = last_seen_;
    opened_ = service_->loop_->now();
    identified_ = true;
    ++service_->counts_.streams;
    service_->log_(LogLevel::kInfo, "proxy connected",
                   {{"proxy", id_.ToString()}, {"remote", remote_}, {"identity", identity_}, {"program", user_agent_}});
    Update();
    service_->NoteProgress();
    return !finished_;
  }

  void Flush() {
    if (finished_) return;
    Push push;
    while (state_.Next(&push)) Send(push);
    if (state_.wake_at().has_value()) {
      service_->loop_->Arm(&timer_, *state_.wake_at() - service_->loop_->now());
    } else {
      timer_.Disarm();
    }
    if (state_.generation_in_force() != noted_generation_) {
      noted_generation_ = state_.generation_in_force();
      service_->NoteAcceptance(noted_generation_, opened_);
    }
  }

  void Send(const Push& push) {
    DiscoveryResponse response;
    response.set_version_info(push.version);
    response.set_nonce(push.nonce);
    response.set_type_url(std::string(TypeUrl(push.type)));
    response.mutable_control_plane()->set_identifier(service_->identifier_);
    // Resources are shared by all proxies and only read while they are written out: lent to the message, not copied into it.
    auto* resources = response.mutable_resources();
    resources->Reserve(static_cast<int>(push.resources.size()));
    for (const Resource& resource : push.resources) {
      resources->UnsafeArenaAddAllocated(const_cast<google::protobuf::Any*>(resource.get()));
    }
    call_->Send(response);
    std::vector<google::protobuf::Any*> lent(push.resources.size());
    if (!lent.empty()) resources->UnsafeArenaExtractSubrange(0, static_cast<int>(lent.size()), lent.data());
    ++service_->counts_.pushes[static_cast<size_t>(push.type)];
    service_->log_(LogLevel::kDebug, "pushed",
                   {{"proxy", id_.ToString()},
                    {"type", std::string(TypeName(push.type))},
                    {"version", push.version},
                    {"resources", std::to_string(push.resources.size())}});
  }

  void NoteRefusal(Type type) {
    ++service_->counts_.refusals[static_cast<size_t>(type)];
    const TypeStatus status = state_.Status(type);
    service_->log_(LogLevel::kWarning, "proxy refused a configuration and stays on what it had",
                   {{"proxy", id_.ToString()},
                    {"type", std::string(TypeName(type))},
                    {"version", std::to_string(status.sent_version)},
                    {"reason", status.reason}});
    service_->NoteProgress();
  }

  // Asked for what we never have (secrets, runtime): said once, left unanswered, as the protocol has it.
  void NoteUnknownType(const std::string& url) {
    if (std::exchange(unknown_type_noted_, true)) return;
    service_->log_(LogLevel::kInfo, "proxy asks for a type that is not served", {{"proxy", id_.ToString()}, {"type", url.substr(0, 256)}});
  }

  void OnTimer() {
    state_.OnTime(service_->loop_->now());
    Flush();
  }

  AdsService* service_;
  rpc::ServerCall* const call_;
  const uint64_t number_;
  StreamState state_;
  ProxyId id_;
  std::string remote_, user_agent_, identity_;
  WallTime since_{}, last_seen_{};
  Instant opened_{};
  std::optional<WallTime> certificate_expires_;
  CallbackTimer<Stream, &Stream::OnTimer> timer_{this};
  uint64_t noted_generation_ = 0;
  bool identified_ = false;
  bool finished_ = false;
  bool unknown_type_noted_ = false;
};

AdsService::AdsService(net::Loop* loop, std::string identifier, Log log)
    : loop_(loop),
      identifier_(std::move(identifier)),
      log_(std::move(log)),
      progress_task_(std::make_unique<ProgressTask>(this)) {}

AdsService::~AdsService() {
  for (auto& [number, stream] : streams_) stream->Detach();
}

std::unique_ptr<rpc::ServerCall::Handler> AdsService::Accept(rpc::ServerCall* call) {
  auto stream = std::make_unique<Stream>(this, call, next_stream_++);
  streams_.emplace(stream->number(), stream.get());
  return stream;
}

void AdsService::Unregister(Stream* stream) {
  streams_.erase(stream->number());
  if (!stream->identified()) return;
  ProxyStatus status = stream->Status();
  status.connected = false;
  log_(LogLevel::kInfo, "proxy disconnected", {{"proxy", status.id.ToString()}});
  left_[status.id] = std::move(status);
  NoteProgress();
}

// A proxy gets what is its workload's: the certificate must be of the workload's service account. The plaintext port
// has no certificates, and therefore listens on loopback only.
rpc::Status AdsService::Authorise(const rpc::ServerCall& call, const ProxyId& id) const {
  const WorkloadInfo* workload = mesh_->Find(id);
  if (workload == nullptr) return {rpc::Code::kNotFound, "no Workload or Pod of that name is declared: apply one"};
  if (!call.secure()) return {};
  if (call.peer().spiffe_id.empty()) {
    return {rpc::Code::kUnauthenticated, "no client certificate: get one from outrigger.v1.Identity first"};
  }
  if (call.peer().spiffe_id != workload->identity) {
    return {rpc::Code::kPermissionDenied,
            "the workload is " + workload->identity + ", and the caller's certificate is of " + call.peer().spiffe_id};
  }
  return {};
}

void AdsService::SetMesh(std::shared_ptr<const CompiledMesh> mesh) {
  mesh_ = std::move(mesh);
  mesh_since_ = loop_->now();
  std::erase_if(left_, [this](const auto& item) { return mesh_->Find(item.first) == nullptr; });
  for (auto& [number, stream] : streams_) stream->Update();
  NoteProgress();
}

std::vector<ProxyStatus> AdsService::Status() const {
  std::map<ProxyId, ProxyStatus> all = left_;
  // A proxy that reconnected may have its old stream still: the newest counts.
  for (const auto& [number, stream] : streams_) {
    if (!stream->identified()) continue;
    ProxyStatus status = stream->Status();
    if (!status.connected && all.contains(status.id) && all[status.id].connected) continue;
    all[status.id] = std::move(status);
  }
  std::vector<ProxyStatus> list;
  for (auto& [id, status] : all) list.push_back(std::move(status));
  return list;
}

size_t AdsService::connected() const {
  return static_cast<size_t>(std::count_if(streams_.begin(), streams_.end(), [](const auto& item) {
    return item.second->identified() && item.second->Status().connected;
  }));
}

void AdsService::NoteProgress() { loop_->AtTurnEnd(progress_task_.get()); }

void AdsService::NoteAcceptance(uint64_t generation, Instant opened) {
  NoteProgress();
  if (generation != mesh_->generation()) return;
  // For a proxy that came later it is the time since then.
  const double seconds = std::chrono::duration<double>(loop_->now() - std::max(mesh_since_, opened)).count();
  for (size_t i = 0; i < AdsCounts::kBounds.size(); ++i) {
    if (seconds <= AdsCounts::kBounds[i]) ++counts_.push_duration[i];
  }
  ++counts_.push_duration_count;
  counts_.push_duration_sum_s += seconds;
}

void AdsService::Drain() {
  draining_ = true;
  for (auto& [number, stream] : streams_) stream->Finish({rpc::Code::kUnavailable, "the control plane is shutting down"});
}

}  // namespace outrigger::control
