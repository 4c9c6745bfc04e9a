#include "proxy/discovery/static_resources.h"

#include <google/protobuf/util/json_util.h>

#include <string>

#include "nlohmann/json.hpp"

namespace outrigger::discovery {

Result<std::vector<AdsState::Response>> ParseStaticResources(std::string_view json) {
  nlohmann::json lists = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!lists.is_object()) return Error::Make(ErrorCode::kInvalid, "must be a map of clusters, endpoints, listeners and routes");
  std::vector<AdsState::Response> responses;
  for (const Type type : {Type::kCluster, Type::kEndpoint, Type::kListener, Type::kRoute}) {
    const std::string name(TypeName(type));
    if (!lists.contains(name)) continue;
    if (!lists[name].is_array()) return Error::Make(ErrorCode::kInvalid, name + ": must be a list");
    AdsState::Response response;
    response.set_type_url(std::string(TypeUrl(type)));
    for (size_t i = 0; i < lists[name].size(); ++i) {
      nlohmann::json& resource = lists[name][i];
      const std::string place = name + "[" + std::to_string(i) + "]: ";
      if (!resource.is_object()) return Error::Make(ErrorCode::kInvalid, place + "must be a map");
      resource["@type"] = TypeUrl(type);
      const auto status = google::protobuf::util::JsonStringToMessage(resource.dump(), response.add_resources());
      if (!status.ok()) return Error::Make(ErrorCode::kInvalid, place + std::string(status.message()));
    }
    lists.erase(name);
    responses.push_back(std::move(response));
  }
  if (!lists.empty()) {
    return Error::Make(ErrorCode::kInvalid, lists.begin().key() + ": is none of clusters, endpoints, listeners, routes");
  }
  return responses;
}

}  // namespace outrigger::discovery
