// What the operator declared, as plain values: parsed, checked, and free of YAML. Values compare and copy; immutable once
// parsed, so they may be shared between threads.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "control/model/kubernetes.h"
#include "control/model/policy.h"
#include "control/model/route.h"
#include "control/model/workload.h"

namespace outrigger::control {

enum class Kind : uint8_t {
  kNamespace,
  kServiceAccount,
  kService,
  kPod,
  kEndpointSlice,
  kWorkload,
  kHttpRoute,
  kGrpcRoute,
  kReferenceGrant,
  kTrafficPolicy,
  kMeshPolicy,
};

std::string_view KindName(Kind kind);  // "HTTPRoute", as in YAML
// Case does not matter; plurals and kubectl's short names are fine ("services", "svc", "httproute"): for command lines and
// URLs. YAML itself must spell it exactly.
std::optional<Kind> KindFromName(std::string_view name);
bool IsNamespaced(Kind kind);  // Namespace and MeshPolicy are not

struct ObjectKey {
  Kind kind = Kind::kService;
  std::string namespace_;  // empty for kinds without a namespace
  std::string name;
  std::string ToString() const;  // "Service default/orders", "Namespace shop"
  auto operator<=>(const ObjectKey&) const = default;
};

struct Origin {
  std::string file;  // as the source names it
  int line = 0;      // of the document's first line, from 1
  std::string ToString() const;  // "mesh.yaml:12"
  bool operator==(const Origin&) const = default;
};

// std::monostate: Namespace and ServiceAccount, which carry only metadata.
using Spec = std::variant<std::monostate, Service, Pod, EndpointSlice, Workload, Route, ReferenceGrant, TrafficPolicy, MeshPolicy>;

struct Object {
  ObjectKey key;
  Origin origin;
  std::string api_version;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;
  std::string creation_timestamp;  // RFC 3339; empty when not given, which sorts as the oldest
  bool deleting = false;           // metadata.deletionTimestamp is set
  Spec spec;
  std::string yaml;  // the document as written (YAML or JSON), without the `---` line

  template <typename T>
  const T* As() const {
    return std::get_if<T>(&spec);
  }
  // True when both declare the same, whatever file, line, comments and layout they were written with.
  bool SameMeaning(const Object& other) const;
};

using ObjectPtr = std::shared_ptr<const Object>;

// Why an object, or a file, is not in force (or is, but not wholly as written: see Compiler's problems).
struct Problem {
  std::string file;
  int line = 0;        // 1-based; 0: the file as a whole
  std::string field;   // "spec.ports[0].port"; empty: the document as a whole
  std::string reason;  // one line for a person, says what to do where that is known
  std::optional<ObjectKey> key;  // when the document got far enough to say what it is
  std::string ToString() const;  // "mesh.yaml:12: Service default/orders: spec.ports[0].port: must be 1 to 65535, not 0"
  bool operator==(const Problem&) const = default;
};

}  // namespace outrigger::control
