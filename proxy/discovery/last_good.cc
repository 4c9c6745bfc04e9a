#include "proxy/discovery/last_good.h"

#include <map>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"

namespace outrigger::discovery {
namespace {

constexpr size_t kMostBytes = 256u << 20;

template <typename Message>
Message Parsed(const google::protobuf::Any& any) {
  Message message;
  message.ParseFromString(any.value());
  return message;
}

std::string NameOf(Type type, const google::protobuf::Any& any) {
  switch (type) {
    case Type::kCluster: return Parsed<envoy::config::cluster::v3::Cluster>(any).name();
    case Type::kEndpoint: return Parsed<envoy::config::endpoint::v3::ClusterLoadAssignment>(any).cluster_name();
    case Type::kListener: return Parsed<envoy::config::listener::v3::Listener>(any).name();
    case Type::kRoute: return Parsed<envoy::config::route::v3::RouteConfiguration>(any).name();
  }
  return {};
}

}  // namespace

std::string LastGood::PathOf(Type type) const { return folder_ + "/" + std::string(TypeName(type)) + ".pb"; }

AdsState::Response LastGood::Read(Type type) {
  AdsState::Response response;
  Result<std::string> bytes = files_->Read(PathOf(type), kMostBytes);
  if (!bytes) return response;
  if (!response.ParseFromString(*bytes) || response.type_url() != TypeUrl(type)) {
    log_(LogLevel::kWarning, "the kept configuration is damaged and is not used", {{"file", PathOf(type)}});
    return {};
  }
  return response;
}

std::vector<AdsState::Response> LastGood::Load() {
  std::vector<AdsState::Response> responses;
  for (const Type type : {Type::kCluster, Type::kEndpoint, Type::kListener, Type::kRoute}) {
    AdsState::Response response = Read(type);
    if (response.resources_size() > 0) responses.push_back(std::move(response));
  }
  return responses;
}

void LastGood::Save(const AdsState::Accepted& accepted) {
  if (accepted.empty()) return;
  if (Outcome made = files_->MakeFolder(folder_, 0700); !made) {
    log_(LogLevel::kWarning, "the configuration cannot be kept for a restart", {{"why", made.error().detail}});
    return;
  }
  for (const auto& [type, changes] : accepted) {
    std::map<std::string, google::protobuf::Any> all;
    const AdsState::Response before = Read(type);
    for (const google::protobuf::Any& any : before.resources()) all[NameOf(type, any)] = any;
    for (const auto& [name, bytes] : changes) {
      if (bytes.empty()) {
        all.erase(name);
      } else {
        all[name].ParseFromString(bytes);
      }
    }
    AdsState::Response response;
    response.set_type_url(std::string(TypeUrl(type)));
    for (auto& [name, any] : all) *response.add_resources() = std::move(any);
    if (Outcome written = files_->Replace(PathOf(type), response.SerializeAsString(), 0600); !written) {
      log_(LogLevel::kWarning, "the configuration cannot be kept for a restart", {{"why", written.error().detail}});
    }
  }
}

}  // namespace outrigger::discovery
