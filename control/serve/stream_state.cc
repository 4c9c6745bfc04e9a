#include "control/serve/stream_state.h"

#include <algorithm>
#include <utility>

namespace outrigger::control {

namespace {

constexpr size_t kMaxReasonBytes = 4096;

bool Same(const Resource& a, const Resource& b) {
  return a == b || (a->type_url() == b->type_url() && a->value() == b->value());
}

bool Same(const ResourceMap& a, const ResourceMap& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.first == y.first && Same(x.second, y.second); });
}

}  // namespace

std::string_view TypeName(Type type) {
  switch (type) {
    case Type::kCluster: return "clusters";
    case Type::kEndpoint: return "endpoints";
    case Type::kListener: return "listeners";
    case Type::kRoute: return "routes";
  }
  return "";
}

std::string_view TypeUrl(Type type) {
  switch (type) {
    case Type::kCluster: return "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    case Type::kEndpoint: return "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
    case Type::kListener: return "type.googleapis.com/envoy.config.listener.v3.Listener";
    case Type::kRoute: return "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
  }
  return "";
}

std::optional<Type> TypeFromUrl(std::string_view url) {
  for (Type type : kAllTypes) {
    if (url == TypeUrl(type)) return type;
  }
  return std::nullopt;
}

const ResourceMapPtr& StreamState::Current(Type type) const {
  switch (type) {
    case Type::kCluster: return resources_.clusters;
    case Type::kEndpoint: return resources_.endpoints;
    case Type::kListener: return resources_.listeners;
    case Type::kRoute: break;
  }
  return resources_.routes;
}

// ---------------------------------------------------------------- input

void StreamState::OnRequest(Type type, const Request& request, Instant now) {
  PerType& state = at(type);
  const bool first = !state.subscribed;
  const bool again = !first && request.response_nonce().empty() && !state.unacked && !state.nonce.empty();
  if (first || again) {
    state.subscribed = true;
    state.sent.clear();
    state.agreed.reset();
    state.names.clear();
    state.wildcard = false;
    state.answer_owed = Whole(type);
    ChangeNames(type, request);
  } else if (request.response_nonce().empty()) {
    // Sent before our response could be seen: the names count, the answer to the response is still to come.
    ChangeNames(type, request);
  } else if (request.response_nonce() == state.nonce) {
    Settle(type, request);
    ChangeNames(type, request);
  } else {
    return;  // it answers a response that was overtaken; the request for the last one brings the names again
  }
  Pump(now);
}

void StreamState::SetResources(uint64_t generation, const ResourceSet& resources, Instant now) {
  generation_ = generation;
  resources_ = resources;
  Pump(now);
}

bool StreamState::Next(Push* push) {
  if (out_.empty()) return false;
  *push = std::move(out_.front());
  out_.pop_front();
  return true;
}

// The client's verdict on the last response, or the same request again.
void StreamState::Settle(Type type, const Request& request) {
  PerType& state = at(type);
  if (!state.unacked) {
    const bool same_names = std::set<std::string>(request.resource_names().begin(), request.resource_names().end()) == state.names;
    if (same_names && std::exchange(state.answer_again, false)) AskAgain(type);
    return;
  }
  state.unacked = false;
  state.last_refused = request.has_error_detail();
  if (state.last_refused) {
    state.refused.insert(state.in_flight.begin(), state.in_flight.end());
    state.reason = request.error_detail().message().substr(0, kMaxReasonBytes);
    if (state.reason.empty()) state.reason = "refused without a reason";
    ++state.refusals;
  } else {
    state.accepted_version = state.sent_version;
    state.reason.clear();
  }
  state.in_flight.clear();
  if (type == Type::kCluster) {
    // Now the client holds the new versions of these clusters and waits for their endpoints before it uses them, and not every client
    // asks for names that it is subscribed to already.
    PerType& endpoints = at(Type::kEndpoint);
    for (const std::string& name : rewarming_) {
      if (endpoints.sent.erase(name) > 0) endpoints.agreed.reset();
    }
    rewarming_.clear();
  }
}

void StreamState::AskAgain(Type type) {
  at(type).sent.clear();
  at(type).agreed.reset();
  at(type).answer_owed = Whole(type);
}

void StreamState::ChangeNames(Type type, const Request& request) {
  PerType& state = at(type);
  std::set<std::string> names(request.resource_names().begin(), request.resource_names().end());
  if (!names.empty()) state.named_before = true;
  const bool star = Whole(type) && names.erase("*") > 0;
  const bool wildcard = star || (Whole(type) && names.empty() && !state.named_before);

  for (const std::string& name : names) {
    if (state.names.contains(name)) continue;
    state.sent.erase(name);
    state.agreed.reset();
    if (Whole(type)) state.answer_owed = true;
  }
  if (wildcard && !state.wildcard) state.answer_owed = true;
  if (wildcard != state.wildcard) state.agreed.reset();
  if (!wildcard) {
    if (names.empty()) state.answer_owed = false;
    std::erase_if(state.sent, [&names](const auto& item) { return !names.contains(item.first); });
    std::erase_if(state.refused, [&names](const std::string& name) { return !names.contains(name); });
  }
  state.names = std::move(names);
  state.wildcard = wildcard;
}

// ---------------------------------------------------------------- what is due

ResourceMap StreamState::WholeResponse(Type type) const {
  const PerType& state = at(type);
  ResourceMap response;
  if (state.wildcard) {
    response = *Current(type);
  } else {
    for (const std::string& name : state.names) {
      if (auto it = Current(type)->find(name); it != Current(type)->end()) response.insert(*it);
    }
  }
  // Make before break: what is gone stays until nothing that the client runs can refer to it.
  if (type == Type::kCluster && !(Quiet(Type::kListener) && Quiet(Type::kRoute))) {
    response.insert(state.sent.begin(), state.sent.end());
  }
  return response;
}

ResourceMap StreamState::Due(Type type, bool only_new) const {
  if (Whole(type)) return WholeResponse(type);
  const PerType& state = at(type);
  const ResourceMap& current = *Current(type);
  ResourceMap response;
  for (const std::string& name : state.names) {
    auto it = current.find(name);
    if (it == current.end()) continue;
    auto sent = state.sent.find(name);
    if (sent == state.sent.end() || (!only_new && !Same(sent->second, it->second))) response.insert(*it);
  }
  if (response.empty()) return response;
  for (const std::string& name : state.refused) {
    if (auto it = current.find(name); it != current.end()) response.insert(*it);
  }
  return response;
}

bool StreamState::Dirty(Type type) const {
  const PerType& state = at(type);
  if (!state.subscribed) return false;
  if (state.answer_owed) return true;
  if (state.agreed != nullptr && state.agreed == Current(type)) return false;
  const bool dirty = Whole(type) ? !Same(WholeResponse(type), state.sent) : !Due(type, false).empty();
  // Clusters kept beyond their end agree only for the time being.
  const bool kept = type == Type::kCluster && std::any_of(state.sent.begin(), state.sent.end(), [&](const auto& item) {
                      return !Current(type)->contains(item.first);
                    });
  if (!dirty && !kept) state.agreed = Current(type);
  return dirty;
}

bool StreamState::Quiet(Type type) const {
  const PerType& state = at(type);
  return !state.subscribed || (!state.unacked && !state.last_refused && !Dirty(type));
}

// Has the client asked for the child resource (endpoints, routes) of every parent (cluster, listener) it was given? Only clients
// that take all parents must; the others choose by themselves.
bool StreamState::AskedForAll(Type parent, Type child) const {
  if (!at(parent).wildcard) return true;
  const std::set<std::string>& names = at(child).names;
  return std::all_of(Current(child)->begin(), Current(child)->end(),
                     [&names](const auto& item) { return names.contains(item.first); });
}

// ---------------------------------------------------------------- output

void StreamState::Pump(Instant now) {
  wake_at_.reset();
  if (generation_ == 0) return;
  // What was asked for is never held back.
  for (Type type : kAllTypes) {
    const PerType& state = at(type);
    if (Whole(type) ? state.answer_owed : state.subscribed && state.agreed == nullptr) Release(type, true);
  }
  PumpInOrder(now);
  const bool all_quiet = std::all_of(kAllTypes.begin(), kAllTypes.end(), [this](Type type) { return Quiet(type); });
  if (all_quiet && at(Type::kListener).subscribed && AskedForAll(Type::kCluster, Type::kEndpoint) &&
      AskedForAll(Type::kListener, Type::kRoute)) {
    in_force_ = generation_;
  }
}

void StreamState::PumpInOrder(Instant now) {
  Release(Type::kCluster);
  if (at(Type::kCluster).unacked) return;
  Release(Type::kEndpoint);
  if (Dirty(Type::kEndpoint)) return;
  if (AskedForAll(Type::kCluster, Type::kEndpoint)) {
    waiting_since_.reset();
  } else {
    if (!waiting_since_.has_value()) waiting_since_ = now;
    if (now < *waiting_since_ + kEndpointPatience) {
      if (Dirty(Type::kListener) || Dirty(Type::kRoute)) wake_at_ = *waiting_since_ + kEndpointPatience;
      return;
    }
  }
  Release(Type::kListener);
  if (Dirty(Type::kListener)) return;
  Release(Type::kRoute);
}

void StreamState::Release(Type type, bool only_new) {
  PerType& state = at(type);
  if (!state.subscribed || state.unacked || !Dirty(type)) return;
  ResourceMap due = Due(type, only_new);
  if (due.empty() && !Whole(type)) return;
  Enqueue(type, std::move(due));
}

void StreamState::Enqueue(Type type, ResourceMap resources) {
  PerType& state = at(type);
  Push push{type, std::to_string(generation_), std::to_string(next_nonce_++), {}};
  state.in_flight.clear();
  for (const auto& [name, resource] : resources) {
    push.resources.push_back(resource);
    state.in_flight.push_back(name);
    if (type == Type::kCluster) {
      auto sent = state.sent.find(name);
      if (sent != state.sent.end() && !Same(sent->second, resource)) rewarming_.insert(name);
    }
  }
  if (Whole(type)) {
    at(type == Type::kCluster ? Type::kEndpoint : Type::kRoute).answer_again = true;
    state.sent = std::move(resources);
  } else {
    for (auto& [name, resource] : resources) state.sent[name] = resource;
  }
  state.agreed.reset();
  state.answer_owed = false;
  state.answer_again = false;
  state.refused.clear();
  state.unacked = true;
  state.nonce = push.nonce;
  state.sent_version = generation_;
  out_.push_back(std::move(push));
}

TypeStatus StreamState::Status(Type type) const {
  const PerType& state = at(type);
  TypeStatus status;
  status.subscribed = state.subscribed;
  status.pending = generation_ != 0 && (state.unacked || Dirty(type));
  status.refused = state.last_refused;
  status.sent_version = state.sent_version;
  status.accepted_version = state.accepted_version;
  status.reason = state.reason;
  status.refusals = state.refusals;
  return status;
}

}  // namespace outrigger::control
