#include "proxy/discovery/ads_state.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "proxy/discovery/translate.h"

namespace outrigger::discovery {
namespace {

constexpr std::string_view kUrls[kTypes] = {
    "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
    "type.googleapis.com/envoy.config.listener.v3.Listener",
    "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
};
constexpr std::string_view kNames[kTypes] = {"clusters", "endpoints", "listeners", "routes"};

std::optional<Type> FindType(std::string_view url) {
  for (size_t i = 0; i < kTypes; ++i) {
    if (kUrls[i] == url) return static_cast<Type>(i);
  }
  return std::nullopt;
}

// Listener and Cluster responses are complete; of the others a response may hold a part.
bool Complete(Type type) { return type == Type::kCluster || type == Type::kListener; }

template <typename Message>
absl::Status Unpack(const google::protobuf::Any& any, Message* message) {
  if (any.UnpackTo(message)) return absl::OkStatus();
  return absl::InvalidArgumentError("is not a well-formed " + Message::descriptor()->name());
}

}  // namespace

std::string_view TypeUrl(Type type) { return kUrls[static_cast<size_t>(type)]; }
std::string_view TypeName(Type type) { return kNames[static_cast<size_t>(type)]; }

AdsState::AdsState(snapshot::Compiler* compiler, envoy::config::core::v3::Node node, std::optional<net::Address> app)
    : compiler_(compiler), node_(std::move(node)), app_(std::move(app)) {}

AdsState::Request AdsState::MakeRequest(Type type, const std::string& error) {
  TypeState& state = Of(type);
  Request request;
  if (std::exchange(first_request_, false)) *request.mutable_node() = node_;
  request.set_type_url(std::string(TypeUrl(type)));
  request.set_version_info(state.status.version);
  request.set_response_nonce(state.nonce);
  for (const std::string& name : state.names) request.add_resource_names(name);
  if (!error.empty()) {
    request.mutable_error_detail()->set_code(3);  // INVALID_ARGUMENT
    request.mutable_error_detail()->set_message(error);
  }
  state.asked = true;
  return request;
}

std::vector<AdsState::Request> AdsState::OnStream() {
  first_request_ = true;
  for (TypeState& state : types_) {
    state.nonce.clear();
    state.asked = false;
  }
  // Clusters first, then what hangs on them; listeners and their routes after.
  std::vector<Request> requests;
  requests.push_back(MakeRequest(Type::kCluster));
  if (!Of(Type::kEndpoint).names.empty()) requests.push_back(MakeRequest(Type::kEndpoint));
  requests.push_back(MakeRequest(Type::kListener));
  if (!Of(Type::kRoute).names.empty()) requests.push_back(MakeRequest(Type::kRoute));
  return requests;
}

// Before anything of it is taken: a second one of the same name must not replace the first and be refused all the same.
absl::Status AdsState::Admit(Type type, const std::string& name, const std::set<std::string>& present, Incoming* incoming) const {
  incoming->name = name;
  if (name.empty()) return absl::InvalidArgumentError("has no name");
  if (present.contains(name)) return absl::InvalidArgumentError("appears twice in one response");
  incoming->unasked = !Complete(type) && !types_[static_cast<size_t>(type)].names.contains(name);
  return absl::OkStatus();
}

absl::Status AdsState::Apply(Type type, const google::protobuf::Any& any, const std::set<std::string>& present, Incoming* incoming) {
  switch (type) {
    case Type::kCluster: {
      envoy::config::cluster::v3::Cluster cluster;
      if (absl::Status status = Unpack(any, &cluster); !status.ok()) return status;
      if (absl::Status status = Admit(type, cluster.name(), present, incoming); !status.ok() || incoming->unasked) return status;
      auto translated = Translate(cluster);
      if (!translated.ok()) return translated.status();
      if (translated->discovered) incoming->refers.push_back(translated->endpoints_name);
      RedirectToApp(&*translated);
      return compiler_->SetCluster(*std::move(translated));
    }
    case Type::kEndpoint: {
      envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
      if (absl::Status status = Unpack(any, &assignment); !status.ok()) return status;
      if (absl::Status status = Admit(type, assignment.cluster_name(), present, incoming); !status.ok() || incoming->unasked) return status;
      auto translated = Translate(assignment);
      if (!translated.ok()) return translated.status();
      return compiler_->SetEndpoints(*std::move(translated));
    }
    case Type::kListener: {
      envoy::config::listener::v3::Listener listener;
      if (absl::Status status = Unpack(any, &listener); !status.ok()) return status;
      if (absl::Status status = Admit(type, listener.name(), present, incoming); !status.ok() || incoming->unasked) return status;
      auto translated = Translate(listener);
      if (!translated.ok()) return translated.status();
      for (const config::FilterChain& chain : translated->chains) {
        if (!chain.route_table.empty()) incoming->refers.push_back(chain.route_table);
      }
      return compiler_->SetListener(*std::move(translated));
    }
    case Type::kRoute: {
      envoy::config::route::v3::RouteConfiguration routes;
      if (absl::Status status = Unpack(any, &routes); !status.ok()) return status;
      if (absl::Status status = Admit(type, routes.name(), present, incoming); !status.ok() || incoming->unasked) return status;
      auto translated = Translate(routes);
      if (!translated.ok()) return translated.status();
      return compiler_->SetRoutes(*std::move(translated));
    }
  }
  return absl::InternalError("no such type");
}

void AdsState::RedirectToApp(config::Cluster* cluster) const {
  if (!app_.has_value() || cluster->inbound_port == 0) return;
  for (config::Endpoint& endpoint : cluster->inline_endpoints.endpoints) {
    endpoint.address = inbound_clusters_ == 1 ? *app_ : app_->WithPort(endpoint.address.port());
    endpoint.address_text = endpoint.address.ToString();
  }
}

// Takes what is good; the answer names each resource that is not, a line each.
std::string AdsState::ApplyAll(Type type, const Response& response) {
  TypeState& state = Of(type);
  std::string errors;
  std::set<std::string> present;
  if (type == Type::kCluster && app_.has_value()) {
    inbound_clusters_ = 0;
    for (const google::protobuf::Any& any : response.resources()) {
      envoy::config::cluster::v3::Cluster cluster;
      if (any.UnpackTo(&cluster) && cluster.name().starts_with("inbound|")) ++inbound_clusters_;
    }
  }
  bool all_named = true;
  for (int i = 0; i < response.resources_size(); ++i) {
    const google::protobuf::Any& any = response.resources(i);
    Incoming incoming;
    const absl::Status status = any.type_url() == TypeUrl(type)
                                    ? Apply(type, any, present, &incoming)
                                    : absl::InvalidArgumentError("is of type " + any.type_url() + " in a response of another");
    all_named = all_named && !incoming.name.empty();
    if (!incoming.unasked) present.insert(incoming.name);
    if (!status.ok()) {
      errors += (incoming.name.empty() ? "resource " + std::to_string(i) : incoming.name) + ": " + std::string(status.message()) + "\n";
      continue;
    }
    if (incoming.unasked) continue;
    if (type == Type::kEndpoint) endpoints_received_.insert(incoming.name);
    state.held[incoming.name] = std::move(incoming.refers);
    accepted_[type][incoming.name] = any.SerializeAsString();
  }
  // What cannot be read may be any of those that seem to be gone.
  if (Complete(type) && all_named) RemoveAbsent(type, present);
  if (!errors.empty()) errors.pop_back();
  state.status.resources = state.held.size();
  return errors;
}

void AdsState::RemoveAbsent(Type type, const std::set<std::string>& present) {
  TypeState& state = Of(type);
  for (auto it = state.held.begin(); it != state.held.end();) {
    if (present.contains(it->first)) {
      ++it;
      continue;
    }
    if (type == Type::kCluster) compiler_->RemoveCluster(it->first);
    if (type == Type::kListener) compiler_->RemoveListener(it->first);
    accepted_[type][it->first].clear();
    it = state.held.erase(it);
  }
}

void AdsState::Resubscribe(Type parent, Type child, std::vector<Request>* requests, bool always) {
  std::set<std::string> names;
  for (const auto& [name, refers] : Of(parent).held) names.insert(refers.begin(), refers.end());
  TypeState& state = Of(child);
  const bool changed = names != state.names;
  for (const std::string& name : state.names) {
    if (names.contains(name)) continue;
    state.held.erase(name);
    accepted_[child][name].clear();
    endpoints_received_.erase(name);
    if (child == Type::kRoute) compiler_->RemoveRoutes(name);
  }
  state.names = std::move(names);
  state.status.resources = state.held.size();
  if (!always && !changed) return;
  if (state.names.empty() && !state.asked) return;
  if (requests != nullptr) requests->push_back(MakeRequest(child));
}

std::vector<AdsState::Request> AdsState::OnResponse(const Response& response) {
  const std::optional<Type> type = FindType(response.type_url());
  if (!type.has_value()) return {};
  TypeState& state = Of(*type);
  state.nonce = response.nonce();
  const std::string errors = ApplyAll(*type, response);
  state.status.last_error = errors;
  if (errors.empty()) {
    state.status.version = response.version_info();
    ++state.status.updates;
  } else {
    ++state.status.rejected;
  }
  std::vector<Request> requests;
  requests.push_back(MakeRequest(*type, errors));
  if (*type == Type::kCluster) Resubscribe(Type::kCluster, Type::kEndpoint, &requests, /*always=*/false);
  if (*type == Type::kListener) Resubscribe(Type::kListener, Type::kRoute, &requests, /*always=*/false);
  return requests;
}

std::string AdsState::Restore(const Response& response) {
  const std::optional<Type> type = FindType(response.type_url());
  if (!type.has_value()) return {};
  std::string refused = ApplyAll(*type, response);
  // No version: the control plane then sends everything once, whatever it had counted when this was kept.
  if (*type == Type::kCluster) Resubscribe(Type::kCluster, Type::kEndpoint, nullptr, false);
  if (*type == Type::kListener) Resubscribe(Type::kListener, Type::kRoute, nullptr, false);
  accepted_.clear();
  return refused;
}

std::vector<std::string> AdsState::MissingEndpoints() const {
  std::vector<std::string> missing;
  for (const std::string& name : types_[static_cast<size_t>(Type::kEndpoint)].names) {
    if (!endpoints_received_.contains(name)) missing.push_back(name);
  }
  return missing;
}

void AdsState::TreatAsEmpty(const std::vector<std::string>& endpoints) {
  for (const std::string& name : endpoints) {
    if (compiler_->SetEndpoints({name, {}}).ok()) endpoints_received_.insert(name);
  }
}

}  // namespace outrigger::discovery
