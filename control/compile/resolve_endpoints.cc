// Services to endpoints. Workloads and Pods are selected by label; where a service has EndpointSlices, these say which Pods and
// addresses there are (they come from the cluster, which has looked at readiness already), and Workloads still count beside them.
#include <algorithm>
#include <iterator>
#include <tuple>
#include <unordered_map>

#include "control/compile/resolve.h"

namespace outrigger::control {
namespace {

constexpr uint16_t kPodInbound = 15006;

bool Selects(const Labels& selector, const Labels& labels) {
  return std::all_of(selector.begin(), selector.end(), [&](const auto& want) {
    auto found = labels.find(want.first);
    return found != labels.end() && found->second == want.second;
  });
}

// Finds what a selector selects without looking at everything: 1,000 services times 10,000 workloads would be too much.
class LabelIndex {
 public:
  void Add(const Object* object) {
    for (const auto& [key, value] : object->labels) by_label_[Name(object->key.namespace_, key, value)].push_back(object);
  }
  // In the order in which they were added.
  std::vector<const Object*> Select(const std::string& namespace_, const Labels& selector) const {
    const std::vector<const Object*>* least = nullptr;
    for (const auto& [key, value] : selector) {
      auto found = by_label_.find(Name(namespace_, key, value));
      if (found == by_label_.end()) return {};
      if (least == nullptr || found->second.size() < least->size()) least = &found->second;
    }
    std::vector<const Object*> out;
    if (least == nullptr) return out;  // an empty selector selects nothing
    std::copy_if(least->begin(), least->end(), std::back_inserter(out),
                 [&](const Object* object) { return Selects(selector, object->labels); });
    return out;
  }

 private:
  static std::string Name(const std::string& namespace_, const std::string& key, const std::string& value) {
    return Cat(namespace_, "\n", key, "\n", value);
  }
  std::unordered_map<std::string, std::vector<const Object*>> by_label_;  // never iterated
};

std::string AddressText(const std::string& ip, uint16_t port) {
  return ip.find(':') == std::string::npos ? Cat(ip, ":", port) : Cat("[", ip, "]:", port);
}

class Endpoints {
 public:
  Endpoints(const StoreSnapshot& snapshot, Mesh* mesh) : snapshot_(snapshot), mesh_(mesh) {}

  void Run() {
    for (const auto& [key, object] : snapshot_.objects) {
      if (key.kind == Kind::kWorkload) {
        AddWorkload(*object);
      } else if (key.kind == Kind::kPod) {
        pods_.push_back(object.get());
        pod_index_.Add(object.get());
      } else if (key.kind == Kind::kEndpointSlice) {
        const auto& slice = *object->As<EndpointSlice>();
        if (!slice.service.empty()) slices_[{key.namespace_, slice.service}].push_back(object.get());
      }
    }
    // Workloads come first: a Pod of the same name has no proxy of its own.
    for (const Object* pod : pods_) AddPod(*pod);
    FindClashes();
    for (const auto& [key, object] : snapshot_.objects) {
      if (key.kind == Kind::kService) AddService(*object);
    }
    for (const auto& [id, object] : workloads_) {
      FinishWorkload(*object, &mesh_->workloads[id]);
      CheckListen(*object, mesh_->workloads[id]);
    }
  }

 private:
  MeshWorkload* NewWorkload(const Object& object, const std::string& account) {
    ProxyId id{object.key.namespace_, object.key.name};
    auto [place, added] = mesh_->workloads.try_emplace(id);
    if (!added) {
      Report(object, 0, "metadata.name", Cat("a Workload has the same name (", workloads_[id]->origin.ToString(), "); it is the one that ",
                                             id.ToString(), " means"), mesh_);
      return nullptr;
    }
    workloads_[id] = &object;
    MeshWorkload& workload = place->second;
    workload.info.id = id;
    workload.info.service_account = account;
    workload.info.identity = SpiffeId(mesh_->trust_domain, object.key.namespace_, account);
    return &workload;
  }

  void AddWorkload(const Object& object) {
    const auto& spec = *object.As<Workload>();
    MeshWorkload* workload = NewWorkload(object, spec.service_account);
    workload->address = spec.address;
    workload->inbound_port = spec.inbound_port;
    workload->listen = spec.listen;
    workload->info.address = AddressText(spec.address, spec.inbound_port);
    workload_index_.Add(&object);
  }

  void AddPod(const Object& object) {
    const auto& spec = *object.As<Pod>();
    if (!spec.injected) return;
    MeshWorkload* workload = NewWorkload(object, spec.service_account);
    if (workload == nullptr) return;
    workload->address = spec.ip;
    workload->inbound_port = kPodInbound;
    workload->info.pod = true;
    if (!spec.ip.empty()) workload->info.address = AddressText(spec.ip, kPodInbound);
  }

  // Two sidecars cannot listen on one address.
  void FindClashes() {
    std::map<std::pair<std::string, uint16_t>, const Object*> taken;
    for (const auto& [id, object] : workloads_) {
      const auto* spec = object->As<Workload>();
      if (spec == nullptr) continue;
      auto [place, added] = taken.try_emplace({spec->address, spec->inbound_port}, object);
      if (!added) {
        Report(*object, 0, "spec.inboundPort", Cat(AddressText(spec->address, spec->inbound_port), " is the inbound address of ",
                                                   place->second->key.ToString(), " too"), mesh_);
      }
    }
    for (const auto& [id, object] : workloads_) {
      const auto* spec = object->As<Workload>();
      if (spec == nullptr) continue;
      for (const LocalListen& listen : spec->listen) {
        auto [place, added] = taken.try_emplace({spec->address, listen.port}, object);
        if (!added) {
          Report(*object, listen.line, "spec.listen", Cat("port ", listen.port, " of ", spec->address, " is taken by ",
                                                          place->second->key.ToString()), mesh_);
        }
      }
    }
  }

  void AddService(const Object& object) {
    const auto& service = *object.As<Service>();
    ServiceName name{object.key.namespace_, object.key.name};
    std::vector<const Object*> workloads = workload_index_.Select(name.namespace_, service.selector), pods;
    auto slices = slices_.find({name.namespace_, name.name});
    if (slices == slices_.end()) pods = pod_index_.Select(name.namespace_, service.selector);
    auto tcp = [](const ServicePort& port) { return port.transport == TransportProtocol::kTcp; };
    bool only = std::count_if(service.ports.begin(), service.ports.end(), tcp) == 1;
    for (size_t i = 0; i < service.ports.size(); ++i) {
      const ServicePort& port = service.ports[i];
      if (!tcp(port)) continue;
      MeshPort& out = mesh_->ports[{name, port.port}];
      out.service = name;
      out.name = port.name;
      out.port = port.port;
      out.only_port = only;
      out.protocol = port.app_protocol;
      std::string field = Cat("spec.ports[", i, "].targetPort");
      for (const Object* workload : workloads) AddWorkloadEndpoint(object, port, field, *workload, &out);
      for (const Object* pod : pods) AddPodEndpoint(object, port, field, *pod, service.publish_not_ready_addresses, &out);
      if (slices != slices_.end()) {
        for (const Object* slice : slices->second) AddSlice(port, *slice, &out);
      }
      Finish(&out);
    }
  }

  // The application's port of a Workload or Pod that `port` leads to; 0 after a report.
  uint16_t TargetPort(const Object& service, const ServicePort& port, const std::string& field, const Object& target) {
    if (port.target_port_name.empty()) return port.target_port;
    if (const auto* workload = target.As<Workload>()) {
      auto found = workload->ports.find(port.target_port_name);
      if (found != workload->ports.end()) return found->second;
    } else if (const auto* pod = target.As<Pod>()) {
      for (const ContainerPort& candidate : pod->ports) {
        if (candidate.name == port.target_port_name) return candidate.port;
      }
    }
    Report(service, port.line, field, Cat(target.key.ToString(), " (", target.origin.ToString(), ") has no port named \"",
                                          port.target_port_name, "\", so it is not an endpoint"), mesh_);
    return 0;
  }

  void AddWorkloadEndpoint(const Object& service, const ServicePort& port, const std::string& field, const Object& object, MeshPort* out) {
    uint16_t target = TargetPort(service, port, field, object);
    if (target == 0) return;
    const auto& spec = *object.As<Workload>();
    MeshEndpoint endpoint;
    endpoint.address = spec.address;
    endpoint.port = spec.inbound_port;
    endpoint.weight = spec.weight;
    endpoint.locality = spec.locality;
    AddMesh(object, target, object.deleting, std::move(endpoint), port, out);
  }

  void AddMesh(const Object& object, uint16_t target, bool draining, MeshEndpoint endpoint, const ServicePort& port, MeshPort* out) {
    MeshWorkload& workload = mesh_->workloads[{object.key.namespace_, object.key.name}];
    endpoint.mesh = true;
    endpoint.draining = draining;
    endpoint.namespace_ = object.key.namespace_;
    endpoint.workload = object.key.name;
    endpoint.identity = workload.info.identity;
    out->endpoints.push_back(std::move(endpoint));
    Inbound(&workload, target)->services.emplace_back(out->service, port.port);
  }

  static InboundPort* Inbound(MeshWorkload* workload, uint16_t port) {
    auto place = std::lower_bound(workload->ports.begin(), workload->ports.end(), port,
                                  [](const InboundPort& a, uint16_t b) { return a.port < b; });
    if (place == workload->ports.end() || place->port != port) place = workload->ports.insert(place, InboundPort{port, "", {}});
    return &*place;
  }

  // Whether the pod's own proxy runs as this name: a Workload may have taken it.
  bool IsMesh(const Object& pod) const {
    auto found = workloads_.find({pod.key.namespace_, pod.key.name});
    return found != workloads_.end() && found->second == &pod;
  }

  void AddPodEndpoint(const Object& service, const ServicePort& port, const std::string& field, const Object& object, bool not_ready_too,
                      MeshPort* out) {
    const auto& pod = *object.As<Pod>();
    if (pod.ip.empty() || pod.finished) return;
    uint16_t target = TargetPort(service, port, field, object);
    if (target == 0) return;
    // An unready pod is still served by its sidecar (its inbound port exists), but nobody is sent there.
    bool ready = pod.ready || not_ready_too || object.deleting;
    AddPodAt(object, pod.ip, target, object.deleting, ready, "", port, out);
  }

  void AddPodAt(const Object& object, const std::string& ip, uint16_t target, bool draining, bool ready, const std::string& zone,
                const ServicePort& port, MeshPort* out) {
    MeshEndpoint endpoint;
    endpoint.address = ip;
    endpoint.locality.zone = zone;
    if (IsMesh(object)) {
      endpoint.port = kPodInbound;
      AddMesh(object, target, draining, std::move(endpoint), port, out);
      if (!ready) out->endpoints.pop_back();
      return;
    }
    if (!ready) return;
    endpoint.port = target;
    endpoint.draining = draining;
    endpoint.namespace_ = object.key.namespace_;
    endpoint.workload = object.key.name;
    out->endpoints.push_back(std::move(endpoint));
  }

  const Object* FindPod(const std::string& namespace_, const std::string& name) const {
    auto found = snapshot_.objects.find(ObjectKey{Kind::kPod, namespace_, name});
    return found == snapshot_.objects.end() ? nullptr : found->second.get();
  }

  void AddSlice(const ServicePort& port, const Object& object, MeshPort* out) {
    const auto& slice = *object.As<EndpointSlice>();
    for (const SlicePort& slice_port : slice.ports) {
      if (slice_port.name != port.name || slice_port.transport != TransportProtocol::kTcp) continue;
      uint16_t target = slice_port.port.value_or(port.target_port);
      if (target == 0) continue;
      for (const SliceEndpoint& endpoint : slice.endpoints) AddSliceEndpoint(object, endpoint, target, port, out);
    }
  }

  void AddSliceEndpoint(const Object& object, const SliceEndpoint& endpoint, uint16_t target, const ServicePort& port, MeshPort* out) {
    // Ready: healthy. Serving while terminating: draining, for what is under way. Neither: left out (KEP-1672).
    bool draining = !endpoint.ready && endpoint.serving && endpoint.terminating;
    bool usable = endpoint.ready || draining;
    const std::string& pod_namespace = endpoint.pod_namespace.empty() ? object.key.namespace_ : endpoint.pod_namespace;
    if (const Object* pod = endpoint.pod_name.empty() ? nullptr : FindPod(pod_namespace, endpoint.pod_name)) {
      return AddPodAt(*pod, endpoint.address, target, draining, usable, endpoint.zone, port, out);
    }
    if (!usable) return;
    MeshEndpoint plain;
    plain.address = endpoint.address;
    plain.port = target;
    plain.draining = draining;
    plain.locality.zone = endpoint.zone;
    plain.namespace_ = endpoint.pod_name.empty() ? "" : pod_namespace;
    plain.workload = endpoint.pod_name;
    out->endpoints.push_back(std::move(plain));
  }

  // Sorted; of several at one address (an endpoint that moves between slices) the healthy one stays.
  static void Finish(MeshPort* out) {
    auto order = [](const MeshEndpoint& e) { return std::tie(e.locality, e.namespace_, e.workload, e.address, e.port); };
    std::sort(out->endpoints.begin(), out->endpoints.end(), [](const MeshEndpoint& a, const MeshEndpoint& b) {
      return std::tie(a.address, a.port, a.draining) < std::tie(b.address, b.port, b.draining);
    });
    auto same = [](const MeshEndpoint& a, const MeshEndpoint& b) { return a.address == b.address && a.port == b.port; };
    out->endpoints.erase(std::unique(out->endpoints.begin(), out->endpoints.end(), same), out->endpoints.end());
    std::sort(out->endpoints.begin(), out->endpoints.end(),
              [&](const MeshEndpoint& a, const MeshEndpoint& b) { return order(a) < order(b); });
    for (const MeshEndpoint& endpoint : out->endpoints) {
      if (endpoint.mesh) out->identities.push_back(endpoint.identity);
    }
    std::sort(out->identities.begin(), out->identities.end());
    out->identities.erase(std::unique(out->identities.begin(), out->identities.end()), out->identities.end());
  }

  // Ports that no service leads to, and the names of all of them.
  void FinishWorkload(const Object& object, MeshWorkload* workload) {
    auto name = [&](uint16_t port, const std::string& text) {
      InboundPort* inbound = Inbound(workload, port);
      if (inbound->name.empty()) inbound->name = text;
    };
    if (const auto* spec = object.As<Workload>()) {
      for (const auto& [text, port] : spec->ports) name(port, text);
    } else if (const auto* pod = object.As<Pod>()) {
      for (const ContainerPort& port : pod->ports) name(port.port, port.name);
    }
    for (InboundPort& port : workload->ports) {
      std::sort(port.services.begin(), port.services.end());
      port.services.erase(std::unique(port.services.begin(), port.services.end()), port.services.end());
      for (const auto& [service, number] : port.services) workload->info.services.push_back(ServiceLabel(service, number));
    }
    std::sort(workload->info.services.begin(), workload->info.services.end());
  }

  void CheckListen(const Object& object, const MeshWorkload& workload) {
    for (size_t i = 0; i < workload.listen.size(); ++i) {
      const LocalListen& listen = workload.listen[i];
      if (mesh_->ports.contains({{listen.service_namespace, listen.service}, listen.service_port})) continue;
      Report(object, listen.line, Cat("spec.listen[", i, "].service"),
             Cat("there is no Service ", listen.service_namespace, "/", listen.service, " with port ", listen.service_port,
                 "; requests get 404"),
             mesh_);
    }
  }

  const StoreSnapshot& snapshot_;
  Mesh* const mesh_;
  std::map<ProxyId, const Object*> workloads_;  // with a sidecar
  LabelIndex workload_index_, pod_index_;
  std::vector<const Object*> pods_;
  std::map<std::pair<std::string, std::string>, std::vector<const Object*>> slices_;  // by namespace and service
};

}  // namespace

void ResolveEndpoints(const StoreSnapshot& snapshot, Mesh* mesh) { Endpoints(snapshot, mesh).Run(); }

}  // namespace outrigger::control
