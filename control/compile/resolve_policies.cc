// TrafficPolicy over MeshPolicy.defaults over what is built in, member by member, for each service port.
#include <algorithm>

#include "control/compile/resolve.h"

namespace outrigger::control {
namespace {

struct Candidate {
  const Object* object = nullptr;
  const TrafficPolicy* policy = nullptr;
};

template <typename T>
void Take(const std::optional<T>& from, T* to) {
  if (from) *to = *from;
}
template <typename T>
void Take(const std::optional<T>& from, std::optional<T>* to) {
  if (from) *to = from;
}

void Overlay(const TrafficSettings& from, Settings* to) {
  Take(from.load_balancing, &to->load_balancing);
  Take(from.timeout.request, &to->request_timeout);
  Take(from.timeout.connect, &to->connect_timeout);
  Take(from.timeout.idle, &to->idle_timeout);
  if (!from.retry) return;
  Take(from.retry->attempts, &to->retry_attempts);
  Take(from.retry->on, &to->retry_on);
  if (!from.retry->status_codes.empty()) to->retry_codes = from.retry->status_codes;
  Take(from.retry->per_try_timeout, &to->per_try_timeout);
  Take(from.retry->backoff_base, &to->backoff_base);
  Take(from.retry->backoff_max, &to->backoff_max);
  Take(from.retry->budget, &to->budget);
}

class Policies {
 public:
  Policies(const StoreSnapshot& snapshot, Mesh* mesh) : snapshot_(snapshot), mesh_(mesh) {}

  void Run() {
    Settings defaults;
    defaults.retry_on = {"connect-failure", "refused-stream", "reset", "gateway-error"};
    if (const MeshPolicy* policy = InForce()) Overlay(policy->defaults, &defaults);
    Collect();
    for (auto& [key, port] : mesh_->ports) {
      port.settings = defaults;
      const TrafficPolicy* chosen = Choose(port.service, port.name.empty() ? nullptr : &port.name);
      if (chosen == nullptr) chosen = Choose(port.service, nullptr);
      if (chosen != nullptr) Overlay(chosen->settings, &port.settings);
    }
  }

 private:
  // As Resolve chose it: the oldest, then the first by name.
  const MeshPolicy* InForce() const {
    const Object* first = nullptr;
    for (const auto& [key, object] : snapshot_.objects) {
      if (key.kind != Kind::kMeshPolicy) continue;
      if (first == nullptr || object->creation_timestamp < first->creation_timestamp) first = object.get();
    }
    return first == nullptr ? nullptr : first->As<MeshPolicy>();
  }

  void Collect() {
    for (const auto& [key, object] : snapshot_.objects) {
      const auto* policy = object->As<TrafficPolicy>();
      if (policy == nullptr) continue;
      for (size_t i = 0; i < policy->targets.size(); ++i) Add(*object, *policy, policy->targets[i], Cat("spec.targetRefs[", i, "]"));
    }
  }

  void Add(const Object& object, const TrafficPolicy& policy, const TargetRef& target, const std::string& field) {
    ServiceName service{object.key.namespace_, target.name};
    auto found = snapshot_.objects.find(ObjectKey{Kind::kService, service.namespace_, service.name});
    if (found == snapshot_.objects.end()) {
      return Report(object, target.line, field, Cat("there is no Service ", service.namespace_, "/", service.name), mesh_);
    }
    const auto& ports = found->second->As<Service>()->ports;
    bool section = target.section_name.empty() ||
                   std::any_of(ports.begin(), ports.end(), [&](const ServicePort& p) { return p.name == target.section_name; });
    if (!section) {
      return Report(object, target.line, field + ".sectionName",
                    Cat("Service ", service.namespace_, "/", service.name, " has no port named \"", target.section_name, "\""), mesh_);
    }
    Candidate& in_force = chosen_[{service, target.section_name}];
    Candidate candidate{&object, &policy};
    // Objects come by name, so a later one only wins by age.
    if (in_force.object != nullptr && object.creation_timestamp < in_force.object->creation_timestamp) std::swap(in_force, candidate);
    if (in_force.object == nullptr) {
      in_force = candidate;
      return;
    }
    Report(*candidate.object, candidate.object == &object ? target.line : 0, field,
           Cat("Service ", service.namespace_, "/", service.name, " has a policy already: ", in_force.object->key.ToString(), " (",
               in_force.object->origin.ToString(), ") is in force"),
           mesh_);
  }

  const TrafficPolicy* Choose(const ServiceName& service, const std::string* section) const {
    auto found = chosen_.find({service, section == nullptr ? std::string() : *section});
    return found == chosen_.end() ? nullptr : found->second.policy;
  }

  const StoreSnapshot& snapshot_;
  Mesh* const mesh_;
  std::map<std::pair<ServiceName, std::string>, Candidate> chosen_;  // by service and section; "" holds for all ports
};

}  // namespace

void ResolvePolicies(const StoreSnapshot& snapshot, Mesh* mesh) { Policies(snapshot, mesh).Run(); }

}  // namespace outrigger::control
