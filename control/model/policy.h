// outrigger.dev/v1 TrafficPolicy and MeshPolicy. A member that is not set was not declared: TrafficPolicy falls back to MeshPolicy's
// defaults, and these to what docs/objects.md names.
#pragma once

#include "control/model/common.h"

namespace outrigger::control {

enum class LoadBalancing : uint8_t { kLeastRequest, kRoundRobin, kRandom };

struct RetryBudget {
  double ratio = 0.2;          // retries per success
  double min_per_second = 10;  // allowed whatever succeeds
  bool operator==(const RetryBudget&) const = default;
};

struct RetrySettings {
  std::optional<uint32_t> attempts;           // retries after the first try; 0: never
  std::optional<std::vector<std::string>> on; // xDS retry_on words: "connect-failure", "reset", ...
  std::vector<int> status_codes;
  std::optional<Duration> per_try_timeout;
  std::optional<Duration> backoff_base, backoff_max;
  std::optional<RetryBudget> budget;
  bool operator==(const RetrySettings&) const = default;
};

struct TimeoutSettings {
  std::optional<Duration> request;  // the whole request with its retries; zero: none
  std::optional<Duration> connect;
  std::optional<Duration> idle;     // no byte in either direction of a request
  bool operator==(const TimeoutSettings&) const = default;
};

struct TrafficSettings {
  std::optional<LoadBalancing> load_balancing;
  std::optional<RetrySettings> retry;
  TimeoutSettings timeout;
  bool operator==(const TrafficSettings&) const = default;
};

struct TargetRef {  // a Service of the policy's own namespace
  std::string name;
  std::string section_name;  // a port's name; empty: all ports
  int line = 0;  // where it was written; not part of its meaning
  bool operator==(const TargetRef& o) const { return name == o.name && section_name == o.section_name; }
};

struct TrafficPolicy {
  std::vector<TargetRef> targets;
  TrafficSettings settings;
  bool operator==(const TrafficPolicy&) const = default;
};

enum class MtlsMode : uint8_t { kStrict, kPermissive };
enum class AccessLog : uint8_t { kAll, kErrors, kOff };

struct MeshPolicy {
  std::string trust_domain;  // empty: not declared
  std::optional<MtlsMode> mtls;
  TrafficSettings defaults;
  std::optional<AccessLog> access_log;
  bool operator==(const MeshPolicy&) const = default;
};

}  // namespace outrigger::control
