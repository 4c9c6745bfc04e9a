// What the control plane knows, as JSON for tools and people and as Prometheus text. Pure functions of values.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "control/compile/compile.h"
#include "control/serve/ads_service.h"
#include "control/store/store.h"
#include "nlohmann/json.hpp"
#include "proxy/base/time.h"

namespace outrigger::control {

// Keys keep the order in which they are written: it is made for reading.
using Json = nlohmann::ordered_json;

struct StatusView {
  std::string version;
  std::string trust_domain;
  WallTime now{};
  WallTime started{};
  bool draining = false;
  std::shared_ptr<const StoreSnapshot> snapshot;
  std::shared_ptr<const CompiledMesh> mesh;
  std::vector<ProxyStatus> proxies;
  std::map<ProxyId, WallTime> certificates;  // of workloads, where known
  WallTime root_not_after{};
  std::string root_spki_sha256;
  WallTime serving_not_after{};
  Duration certificate_lifetime{};
};

Json StatusJson(const StatusView& view);
Json ProblemJson(const Problem& problem);
Json ProxyJson(const ProxyStatus& proxy, uint64_t generation);

// "READY", "PENDING", "REFUSED" or "GONE": the state of a proxy in one word.
std::string_view ProxyState(const ProxyStatus& proxy, uint64_t generation);

// The resources of one proxy as JSON: {"generation": 3, "clusters": [...], ...}. Internal when a resource cannot be shown.
absl::StatusOr<std::string> ConfigJson(const ProxyId& proxy, uint64_t generation, const ResourceSet& resources);

struct MetricsView {
  std::string version;
  uint64_t generation = 0;
  std::map<std::string, size_t> objects;  // by kind
  size_t rejected = 0;
  size_t problems = 0;
  size_t connected = 0;
  size_t in_force = 0;  // of the connected, how many run the present generation
  AdsCounts ads;
  uint64_t certificates_issued = 0;
  uint64_t certificates_refused = 0;
  int64_t root_expiry_s = 0;  // seconds from now
  int64_t serving_expiry_s = 0;
};
std::string MetricsText(const MetricsView& view);

// JSON as text, never throwing on bytes that are no UTF-8.
std::string Dump(const Json& json);

}  // namespace outrigger::control
