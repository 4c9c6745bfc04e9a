#include "control/compile/compile.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <utility>

#include "control/compile/build.h"
#include "control/compile/resolve.h"
#include "envoy/config/route/v3/route.pb.h"

namespace outrigger::control {
namespace {

// Remembers the resources of the last two compilations, so that what did not change keeps its pointer. Shared by the Compiler and the
// meshes that it made; one thread.
class Cache {
 public:
  void NextRound() {
    ++round_;
    std::erase_if(resources_, [&](const auto& entry) { return entry.second.used + 1 < round_; });
    std::erase_if(maps_, [&](const auto& entry) { return entry.second.used + 1 < round_; });
    std::erase_if(clusters_, [&](const auto& entry) { return entry.second.used + 1 < round_; });
    std::erase_if(endpoints_, [&](const auto& entry) { return entry.second.used + 1 < round_; });
  }

  Resource Intern(const std::string& key, google::protobuf::Any any) {
    auto& entry = resources_[key];
    entry.used = round_;
    if (entry.value == nullptr || entry.value->value() != any.value() || entry.value->type_url() != any.type_url()) {
      entry.value = std::make_shared<const google::protobuf::Any>(std::move(any));
    }
    return entry.value;
  }

  ResourceMapPtr Intern(const std::string& key, ResourceMap map) {
    auto& entry = maps_[key];
    entry.used = round_;
    if (entry.value == nullptr || *entry.value != map) entry.value = std::make_shared<const ResourceMap>(std::move(map));
    return entry.value;
  }

  // The two kinds of which there are many are not even built again when what they are made of is the same.
  Resource Cluster(const std::string& name, const ClusterInputs& inputs) {
    return Memo(name, inputs, &clusters_, [&] { return ToAny(BuildOutboundCluster(inputs)); });
  }
  Resource Endpoints(const std::string& name, const MeshPort& port) {
    return Memo(name, port.endpoints, &endpoints_, [&] { return ToAny(BuildEndpoints(port.service, port.port, port.endpoints)); });
  }

 private:
  template <typename T>
  struct Entry {
    T value{};
    uint64_t used = 0;
  };
  template <typename Inputs>
  struct Made {
    Inputs inputs;
    Resource resource;
    uint64_t used = 0;
  };

  template <typename Inputs, typename Build>
  Resource Memo(const std::string& name, const Inputs& inputs, std::map<std::string, Made<Inputs>>* made, const Build& build) {
    Made<Inputs>& entry = (*made)[name];
    entry.used = round_;
    if (entry.resource == nullptr || !(entry.inputs == inputs)) {
      entry.inputs = inputs;
      entry.resource = std::make_shared<const google::protobuf::Any>(build());
    }
    return entry.resource;
  }

  uint64_t round_ = 1;
  std::map<std::string, Entry<Resource>> resources_;
  std::map<std::string, Entry<ResourceMapPtr>> maps_;
  std::map<std::string, Made<ClusterInputs>> clusters_;
  std::map<std::string, Made<std::vector<MeshEndpoint>>> endpoints_;
};

class Compiled final : public CompiledMesh {
 public:
  Compiled(std::shared_ptr<const StoreSnapshot> snapshot, const CompileOptions& options, std::shared_ptr<Cache> cache)
      : snapshot_(std::move(snapshot)), cache_(std::move(cache)), mesh_(Resolve(*snapshot_, options)) {
    ResourceMap endpoints;
    for (const auto& [key, port] : mesh_.ports) {
      std::string name = OutboundCluster(port.service, port.port);
      clusters_[name] = cache_->Cluster(name, InputsOf(mesh_, port));
      endpoints[name] = cache_->Endpoints(name, port);
    }
    if (mesh_.needs_blackhole) clusters_[std::string(kBlackhole)] = cache_->Intern("blackhole", ToAny(BuildBlackhole()));
    endpoints_ = cache_->Intern("endpoints", std::move(endpoints));
    outbound_ = cache_->Intern("outbound", ToAny(BuildOutboundListener(mesh_)));
    for (const auto& [id, workload] : mesh_.workloads) workloads_[id] = workload.info;
  }

  uint64_t generation() const override { return snapshot_->generation; }
  const std::map<ProxyId, WorkloadInfo>& workloads() const override { return workloads_; }
  const std::vector<Problem>& problems() const override { return mesh_.problems; }
  MtlsMode mtls() const override { return mesh_.mtls; }

  const WorkloadInfo* Find(const ProxyId& proxy) const override {
    auto found = workloads_.find(proxy);
    return found == workloads_.end() ? nullptr : &found->second;
  }

  absl::StatusOr<ResourceSet> For(const ProxyId& proxy) const override {
    auto found = mesh_.workloads.find(proxy);
    if (found == mesh_.workloads.end()) {
      return absl::NotFoundError(Cat("nobody declared a Workload (or a Pod with a sidecar) ", proxy.ToString()));
    }
    auto [place, added] = sets_.try_emplace(proxy);
    if (added) {
      const MeshWorkload& workload = found->second;
      place->second = ResourceSet{Clusters(workload), endpoints_, Listeners(workload), Routes(workload)};
    }
    return place->second;
  }

 private:
  // Workloads with the same application ports share one map.
  ResourceMapPtr Clusters(const MeshWorkload& workload) const {
    std::string key = "clusters";
    for (const InboundPort& port : workload.ports) key += Cat("|", port.port, "=", port.name);
    auto [place, added] = cluster_maps_.try_emplace(key);
    if (added) {
      ResourceMap map = clusters_;
      for (const InboundPort& port : workload.ports) {
        map[InboundCluster(port.port)] = cache_->Intern(Cat("inbound|", port.port, "=", port.name), ToAny(BuildInboundCluster(port)));
      }
      place->second = cache_->Intern(key, std::move(map));
    }
    return place->second;
  }

  ResourceMapPtr Listeners(const MeshWorkload& workload) const {
    const std::string owner = workload.info.id.ToString();
    ResourceMap map;
    map[std::string(kOutbound)] = outbound_;
    map[std::string(kInbound)] = cache_->Intern(Cat("listener/", owner), ToAny(BuildInboundListener(mesh_, workload)));
    for (const LocalListen& listen : workload.listen) {
      auto built = BuildListen(mesh_, listen);
      map[built.name()] = cache_->Intern(Cat("listener/", owner, "/", built.name()), ToAny(built));
    }
    return cache_->Intern(Cat("listeners/", owner), std::move(map));
  }

  ResourceMapPtr Routes(const MeshWorkload& workload) const {
    const std::string& viewer = workload.info.id.namespace_;
    std::string key = Cat("routes/", viewer);
    ResourceMap map;
    map[std::string(kOutbound)] = OutboundRoutes(viewer);
    for (const LocalListen& listen : workload.listen) {
      ServiceName service{listen.service_namespace, listen.service};
      std::string name = ServiceRoutes(service, listen.service_port);
      if (map.contains(name)) continue;
      key += Cat("/", name);
      map[name] = RoutesOfService(viewer, service, listen.service_port, name);
    }
    return cache_->Intern(key, std::move(map));
  }

  Resource RoutesOfService(const std::string& viewer, const ServiceName& service, uint16_t port, const std::string& name) const {
    envoy::config::route::v3::RouteConfiguration config;
    config.set_name(name);
    auto found = mesh_.ports.find({service, port});
    if (found != mesh_.ports.end()) {
      *config.add_virtual_hosts() = BuildVirtualHost(mesh_, found->second, viewer, /*any_domain=*/true);
    }  // else: nobody declared it (problems() says so), every request gets 404 NR
    return cache_->Intern(Cat("route/", viewer, "/", name), ToAny(config));
  }

  // One virtual host per service port. Its bytes are the same for every namespace but the service's own and those with
  // consumer routes, so a RouteConfiguration is put together from bytes (protobuf concatenates).
  Resource OutboundRoutes(const std::string& viewer) const {
    auto [place, added] = outbound_routes_.try_emplace(viewer);
    if (!added) return place->second;
    google::protobuf::Any any;
    envoy::config::route::v3::RouteConfiguration config;
    config.set_name(std::string(kOutbound));
    any.set_type_url("type.googleapis.com/" + config.GetDescriptor()->full_name());
    *any.mutable_value() = Bytes(config);
    for (const auto& [key, port] : mesh_.ports) AppendHost(key, port, viewer, any.mutable_value());
    place->second = cache_->Intern(Cat("outbound/", viewer), std::move(any));
    return place->second;
  }

  void AppendHost(const std::pair<ServiceName, uint16_t>& key, const MeshPort& port, const std::string& viewer, std::string* out) const {
    const bool own = port.service.namespace_ == viewer || port.routes.contains(viewer);
    std::string bytes;
    const std::string* host = &bytes;
    if (own) {
      bytes = Bytes(BuildVirtualHost(mesh_, port, viewer, /*any_domain=*/false));
    } else {
      auto [common, fresh] = common_hosts_.try_emplace(key);
      if (fresh) common->second = Bytes(BuildVirtualHost(mesh_, port, "", /*any_domain=*/false));
      host = &common->second;
    }
    google::protobuf::io::StringOutputStream stream(out);  // appends
    google::protobuf::io::CodedOutputStream coded(&stream);
    constexpr uint32_t kTag = envoy::config::route::v3::RouteConfiguration::kVirtualHostsFieldNumber << 3 | 2;  // length-delimited
    coded.WriteTag(kTag);
    coded.WriteVarint32(static_cast<uint32_t>(host->size()));
    coded.WriteString(*host);
  }

  const std::shared_ptr<const StoreSnapshot> snapshot_;  // mesh_ points into it
  const std::shared_ptr<Cache> cache_;
  const Mesh mesh_;
  ResourceMap clusters_;  // outbound
  ResourceMapPtr endpoints_;
  Resource outbound_;
  std::map<ProxyId, WorkloadInfo> workloads_;
  // Made on first use.
  mutable std::map<ProxyId, ResourceSet> sets_;
  mutable std::map<std::string, ResourceMapPtr> cluster_maps_;
  mutable std::map<std::string, Resource> outbound_routes_;  // by namespace
  mutable std::map<std::pair<ServiceName, uint16_t>, std::string> common_hosts_;
};

}  // namespace

class Compiler::State {
 public:
  explicit State(CompileOptions o) : options(std::move(o)), cache(std::make_shared<Cache>()) {}
  const CompileOptions options;
  const std::shared_ptr<Cache> cache;
};

Compiler::Compiler(CompileOptions options) : state_(std::make_unique<State>(std::move(options))) {}
Compiler::~Compiler() = default;

std::shared_ptr<const CompiledMesh> Compiler::Compile(std::shared_ptr<const StoreSnapshot> snapshot) {
  state_->cache->NextRound();
  return std::make_shared<Compiled>(std::move(snapshot), state_->options, state_->cache);
}

}  // namespace outrigger::control
