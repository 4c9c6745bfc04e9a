// /config_dump in the shape of envoy.admin.v3.ConfigDump. Decoded messages are not kept in memory: what the control plane sent last and
// was accepted is read back from the data folder, where it is kept for restarts.
#include <google/protobuf/util/json_util.h>

#include "nlohmann/json.hpp"
#include "proxy/admin/view.h"

namespace outrigger::admin {
namespace {

using Json = nlohmann::ordered_json;
using discovery::Type;

// How the resources of one type appear in a dump.
struct Shape {
  Type type;
  std::string_view dump;      // the element of `configs`
  std::string_view resource;  // its list, which ?resource= names
  std::string_view member;    // the resource in an entry
};
constexpr Shape kShapes[] = {
    {Type::kCluster, "ClustersConfigDump", "dynamic_active_clusters", "cluster"},
    {Type::kEndpoint, "EndpointsConfigDump", "dynamic_endpoint_configs", "endpoint_config"},
    {Type::kListener, "ListenersConfigDump", "dynamic_listeners", "listener"},
    {Type::kRoute, "RoutesConfigDump", "dynamic_route_configs", "route_config"},
};

Json ResourceJson(const google::protobuf::Any& any) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(any, &text, options);
  if (status.ok()) {
    Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!json.is_discarded()) return json;
  }
  return {{"@type", any.type_url()}, {"error", "cannot be shown: " + status.ToString()}};
}

Json EntryOf(const Shape& shape, const std::string& version, const google::protobuf::Any& any) {
  Json entry;
  Json resource = ResourceJson(any);
  if (shape.type != Type::kListener) {
    entry["version_info"] = version;
    entry[std::string(shape.member)] = std::move(resource);
    return entry;
  }
  entry["name"] = resource.contains("name") ? resource["name"] : Json("");
  entry["active_state"] = {{"version_info", version}, {"listener", std::move(resource)}};
  return entry;
}

}  // namespace

Response ConfigDumpPage(discovery::ControlLink* link, const Request& request) {
  const std::string_view wanted = request.Query("resource");
  bool known = wanted.empty();
  for (const Shape& shape : kShapes) known = known || shape.resource == wanted;
  if (!known) {
    return Response::Text(400, "resource must be dynamic_active_clusters, dynamic_endpoint_configs, dynamic_listeners or "
                               "dynamic_route_configs\n");
  }
  const std::vector<discovery::AdsState::Response> kept = link->Kept();
  Json configs = Json::array();
  for (const Shape& shape : kShapes) {
    if (!wanted.empty() && shape.resource != wanted) continue;
    const std::string& version = link->ads().status(shape.type).version;
    Json entries = Json::array();
    for (const discovery::AdsState::Response& response : kept) {
      if (response.type_url() != TypeUrl(shape.type)) continue;
      for (const google::protobuf::Any& any : response.resources()) entries.push_back(EntryOf(shape, version, any));
    }
    if (!wanted.empty()) {
      configs = std::move(entries);
      break;
    }
    Json dump;
    dump["@type"] = "type.googleapis.com/envoy.admin.v3." + std::string(shape.dump);
    if (shape.type == Type::kCluster || shape.type == Type::kListener) dump["version_info"] = version;
    dump[std::string(shape.resource)] = std::move(entries);
    configs.push_back(std::move(dump));
  }
  // Whatever bytes a name holds, the page is JSON.
  return Response::Json(200, Json({{"configs", std::move(configs)}}).dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace outrigger::admin
