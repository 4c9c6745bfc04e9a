// HTTPRoutes and GRPCRoutes to the service ports they are attached to, and their matches in Gateway API precedence.
#include <algorithm>
#include <tuple>

#include "control/compile/resolve.h"

namespace outrigger::control {
namespace {

const Route& RouteOf(const Object& object) { return *object.As<Route>(); }

std::string_view WithoutSlash(std::string_view path) {
  return path.size() > 1 && path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
}

// Less is tried first. Gateway API, HTTPRouteRule.matches and GRPCRouteRule.matches: exact path, longest prefix, method, most headers, most
// query parameters; for gRPC the characters of service and method. The place of regular expressions is ours: after exact paths
// and before prefixes, or a rule for "/" would hide them all.
auto Rank(const RouteMatch& match) {
  int type = match.path.type == PathMatch::Type::kExact ? 0 : match.path.type == PathMatch::Type::kRegex ? 1 : 2;
  return std::make_tuple(-static_cast<int64_t>(match.grpc_service_chars), -static_cast<int64_t>(match.grpc_method_chars), type,
                         -static_cast<int64_t>(WithoutSlash(match.path.value).size()), match.method.empty(),
                         -static_cast<int64_t>(match.headers.size()), -static_cast<int64_t>(match.query.size()));
}

auto Tie(const AttachedMatch& match) {
  const Object& object = *match.rule->object;
  return std::tie(object.creation_timestamp, object.key.namespace_, object.key.name, match.rule->index, match.index);
}

class Routes {
 public:
  Routes(const StoreSnapshot& snapshot, Mesh* mesh) : snapshot_(snapshot), mesh_(mesh) {}

  void Run() {
    for (const auto& [key, object] : snapshot_.objects) {
      if (key.kind == Kind::kReferenceGrant) grants_[key.namespace_].push_back(object->As<ReferenceGrant>());
    }
    for (const auto& [key, object] : snapshot_.objects) {
      if (object->As<Route>() != nullptr) Attach(*object);
    }
    for (auto& [where, objects] : attached_) {
      const auto& [port, namespace_] = where;
      port->routes[namespace_] = Build(objects);
    }
  }

 private:
  struct ByName {
    bool operator()(const std::pair<MeshPort*, std::string>& a, const std::pair<MeshPort*, std::string>& b) const {
      return std::tie(a.first->service, a.first->port, a.second) < std::tie(b.first->service, b.first->port, b.second);
    }
  };

  void Attach(const Object& object) {
    const Route& route = RouteOf(object);
    for (size_t i = 0; i < route.parents.size(); ++i) {
      const ParentRef& parent = route.parents[i];
      ServiceName service{parent.namespace_, parent.name};
      bool found = false;
      auto port = mesh_->ports.lower_bound({service, 0});
      for (; port != mesh_->ports.end() && port->first.first == service; ++port) {
        if (parent.port && *parent.port != port->second.port) continue;
        if (!parent.section_name.empty() && parent.section_name != port->second.name) continue;
        found = true;
        std::vector<const Object*>& list = attached_[{&port->second, object.key.namespace_}];
        if (std::find(list.begin(), list.end(), &object) == list.end()) list.push_back(&object);
      }
      if (!found) ReportParent(object, parent, Cat("spec.parentRefs[", i, "]"));
    }
    CheckBackends(object);
  }

  void ReportParent(const Object& object, const ParentRef& parent, std::string field) {
    std::string name = Cat("Service ", parent.namespace_, "/", parent.name);
    bool declared = snapshot_.objects.contains(ObjectKey{Kind::kService, parent.namespace_, parent.name});
    Report(object, 0, std::move(field), declared ? name + " has no such port" : Cat("there is no ", name), mesh_);
  }

  // Why a backend cannot be used; empty: it can.
  std::string BackendProblem(const Object& object, const BackendRef& backend) const {
    ServiceName service{backend.namespace_, backend.name};
    if (!mesh_->ports.contains({service, backend.port})) {
      std::string name = Cat("Service ", backend.namespace_, "/", backend.name);
      bool declared = snapshot_.objects.contains(ObjectKey{Kind::kService, backend.namespace_, backend.name});
      return declared ? Cat(name, " has no port ", backend.port) : Cat("there is no ", name);
    }
    if (backend.namespace_ == object.key.namespace_ || Granted(object, backend)) return "";
    return Cat("no ReferenceGrant in namespace ", backend.namespace_, " allows it");
  }

  bool Granted(const Object& object, const BackendRef& backend) const {
    // A route may send to the service that it is attached to: its clients could call that without it.
    for (const ParentRef& parent : RouteOf(object).parents) {
      if (parent.namespace_ == backend.namespace_ && parent.name == backend.name) return true;
    }
    auto grants = grants_.find(backend.namespace_);
    if (grants == grants_.end()) return false;
    for (const ReferenceGrant* grant : grants->second) {
      bool from = std::any_of(grant->from.begin(), grant->from.end(), [&](const ReferenceGrant::From& f) {
        return f.kind == KindName(object.key.kind) && f.namespace_ == object.key.namespace_;
      });
      bool to = grant->all_services || std::find(grant->services.begin(), grant->services.end(), backend.name) != grant->services.end();
      if (from && to) return true;
    }
    return false;
  }

  void CheckBackends(const Object& object) {
    const Route& route = RouteOf(object);
    for (size_t r = 0; r < route.rules.size(); ++r) {
      const RouteRule& rule = route.rules[r];
      for (size_t b = 0; b < rule.backends.size(); ++b) {
        std::string why = BackendProblem(object, rule.backends[b]);
        if (why.empty()) continue;
        Report(object, rule.backends[b].line, Cat("spec.rules[", r, "].backendRefs[", b, "]"),
               why + "; its share of requests is answered 500", mesh_);
      }
      bool answers = rule.redirect || std::any_of(rule.backends.begin(), rule.backends.end(), [](const auto& b) { return b.weight > 0; });
      if (!answers) {
        Report(object, 0, Cat("spec.rules[", r, "].backendRefs"),
               "there is no backend with a weight: all requests are answered 500", mesh_);
      }
    }
  }

  AttachedRule BuildRule(const Object& object, size_t index) {
    AttachedRule out{&object, &RouteOf(object).rules[index], index, {}};
    for (const BackendRef& backend : out.rule->backends) {
      if (backend.weight == 0) continue;
      bool usable = BackendProblem(object, backend).empty();
      out.backends.push_back({usable ? OutboundCluster({backend.namespace_, backend.name}, backend.port) : "", backend.weight});
    }
    auto missing = [](const AttachedBackend& b) { return b.cluster.empty(); };
    if (out.backends.size() > 1 && std::any_of(out.backends.begin(), out.backends.end(), missing)) mesh_->needs_blackhole = true;
    return out;
  }

  AttachedRoutes Build(std::vector<const Object*> objects) {
    // Of several route types on one Service only the most specific one holds (GEP-1426).
    auto grpc = [](const Object* object) { return RouteOf(*object).grpc; };
    if (std::any_of(objects.begin(), objects.end(), grpc)) std::erase_if(objects, [&](const Object* object) { return !grpc(object); });
    AttachedRoutes out;
    size_t rules = 0;
    for (const Object* object : objects) rules += RouteOf(*object).rules.size();
    out.rules.reserve(rules);  // matches point into it
    for (const Object* object : objects) {
      for (size_t i = 0; i < RouteOf(*object).rules.size(); ++i) {
        out.rules.push_back(BuildRule(*object, i));
        const AttachedRule& rule = out.rules.back();
        for (size_t m = 0; m < rule.rule->matches.size(); ++m) out.matches.push_back({&rule.rule->matches[m], &rule, m});
      }
    }
    std::sort(out.matches.begin(), out.matches.end(), [](const AttachedMatch& a, const AttachedMatch& b) {
      auto ra = Rank(*a.match), rb = Rank(*b.match);
      return ra != rb ? ra < rb : Tie(a) < Tie(b);
    });
    return out;
  }

  const StoreSnapshot& snapshot_;
  Mesh* const mesh_;
  std::map<std::string, std::vector<const ReferenceGrant*>> grants_;  // by namespace
  std::map<std::pair<MeshPort*, std::string>, std::vector<const Object*>, ByName> attached_;  // and the routes' namespace
};

}  // namespace

void ResolveRoutes(const StoreSnapshot& snapshot, Mesh* mesh) { Routes(snapshot, mesh).Run(); }

}  // namespace outrigger::control
