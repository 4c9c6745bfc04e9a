#include "control/model/object.h"

#include "control/model/text.h"

namespace outrigger::control {
namespace {

struct KindRow {
  Kind kind;
  std::string_view name;
  std::string_view plural;      // lower case
  std::string_view short_name;  // kubectl's, where it has one
};

constexpr KindRow kKinds[] = {
    {Kind::kNamespace, "Namespace", "namespaces", "ns"},
    {Kind::kServiceAccount, "ServiceAccount", "serviceaccounts", "sa"},
    {Kind::kService, "Service", "services", "svc"},
    {Kind::kPod, "Pod", "pods", "po"},
    {Kind::kEndpointSlice, "EndpointSlice", "endpointslices", ""},
    {Kind::kWorkload, "Workload", "workloads", "wl"},
    {Kind::kHttpRoute, "HTTPRoute", "httproutes", ""},
    {Kind::kGrpcRoute, "GRPCRoute", "grpcroutes", ""},
    {Kind::kReferenceGrant, "ReferenceGrant", "referencegrants", "refgrant"},
    {Kind::kTrafficPolicy, "TrafficPolicy", "trafficpolicies", ""},
    {Kind::kMeshPolicy, "MeshPolicy", "meshpolicies", ""},
};

}  // namespace

std::string_view KindName(Kind kind) {
  for (const KindRow& row : kKinds) {
    if (row.kind == kind) return row.name;
  }
  return "?";
}

std::optional<Kind> KindFromName(std::string_view name) {
  std::string word = Lower(name);
  if (word.empty()) return std::nullopt;
  for (const KindRow& row : kKinds) {
    if (word == row.plural || word == row.short_name || word == Lower(row.name)) return row.kind;
  }
  return std::nullopt;
}

bool IsNamespaced(Kind kind) { return kind != Kind::kNamespace && kind != Kind::kMeshPolicy; }

std::string ObjectKey::ToString() const {
  if (namespace_.empty()) return Cat(KindName(kind), " ", name);
  return Cat(KindName(kind), " ", namespace_, "/", name);
}

std::string Origin::ToString() const { return line > 0 ? Cat(file, ":", line) : file; }

bool Object::SameMeaning(const Object& other) const {
  return key == other.key && api_version == other.api_version && labels == other.labels && annotations == other.annotations &&
         creation_timestamp == other.creation_timestamp && deleting == other.deleting && spec == other.spec;
}

std::string Problem::ToString() const {
  std::string out = Origin{file, line}.ToString() + ": ";
  if (key) out += key->ToString() + ": ";
  if (!field.empty()) out += field + ": ";
  return out + reason;
}

}  // namespace outrigger::control
