#include "control/compile/resolve.h"

#include <algorithm>
#include <tuple>

namespace outrigger::control {
namespace {

// Kubernetes has no order for conflicts but this one (GEP-713): the oldest, then the first by name. Objects come by name already.
const Object* FirstMeshPolicy(const StoreSnapshot& snapshot, Mesh* mesh) {
  std::vector<const Object*> found;
  for (const auto& [key, object] : snapshot.objects) {
    if (key.kind == Kind::kMeshPolicy) found.push_back(object.get());
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Object* a, const Object* b) { return a->creation_timestamp < b->creation_timestamp; });
  for (size_t i = 1; i < found.size(); ++i) {
    Report(*found[i], 0, "", Cat("there may be only one; ", found[0]->key.ToString(), " (", found[0]->origin.ToString(), ") is in force"),
           mesh);
  }
  return found.empty() ? nullptr : found[0];
}

}  // namespace

void Report(const Object& object, int line, std::string field, std::string reason, Mesh* mesh) {
  mesh->problems.push_back(
      Problem{object.origin.file, line > 0 ? line : object.origin.line, std::move(field), std::move(reason), object.key});
}

Mesh Resolve(const StoreSnapshot& snapshot, const CompileOptions& options) {
  Mesh mesh;
  mesh.trust_domain = options.trust_domain;
  if (const Object* object = FirstMeshPolicy(snapshot, &mesh)) {
    const MeshPolicy& policy = *object->As<MeshPolicy>();
    mesh.mtls = policy.mtls.value_or(MtlsMode::kStrict);
    mesh.access_log = policy.access_log;
    if (!policy.trust_domain.empty() && policy.trust_domain != options.trust_domain) {
      Report(*object, 0, "spec.trustDomain",
             Cat("the control plane runs with trust domain ", options.trust_domain,
                 ", which stays in force; to change it start outrigger-control with --trust-domain ", policy.trust_domain),
             &mesh);
    }
  }
  ResolveEndpoints(snapshot, &mesh);
  ResolvePolicies(snapshot, &mesh);
  ResolveRoutes(snapshot, &mesh);
  std::stable_sort(mesh.problems.begin(), mesh.problems.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.file, a.line, a.field) < std::tie(b.file, b.line, b.field);
  });
  return mesh;
}

}  // namespace outrigger::control
