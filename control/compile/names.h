// How things are called on the wire: docs/xds-mapping.md, "Names".
#pragma once

#include <string>
#include <string_view>

#include "control/model/text.h"

namespace outrigger::control {

inline constexpr std::string_view kMetadataKey = "outrigger.dev";
inline constexpr std::string_view kOutbound = "outbound";
inline constexpr std::string_view kInbound = "inbound";
inline constexpr std::string_view kBlackhole = "blackhole";  // a cluster without endpoints: the share of a backend that does not exist
inline constexpr std::string_view kLeafSecret = "default";
inline constexpr std::string_view kRootsSecret = "ROOTCA";

struct ServiceName {
  std::string namespace_, name;
  auto operator<=>(const ServiceName&) const = default;
};

inline std::string OutboundCluster(const ServiceName& s, uint16_t port) { return Cat("outbound|", port, "||", s.name, ".", s.namespace_); }
inline std::string InboundCluster(uint16_t app_port) { return Cat("inbound|", app_port); }
inline std::string ServiceRoutes(const ServiceName& s, uint16_t port) { return Cat("service|", s.name, ".", s.namespace_, "|", port); }
inline std::string ServiceSni(const ServiceName& s, uint16_t port) {
  return Cat(port, ".", s.name, ".", s.namespace_, ".svc.outrigger.internal");
}
inline std::string WorkloadSni(std::string_view namespace_, std::string_view name, uint16_t app_port) {
  return Cat(app_port, ".", name, ".", namespace_, ".workload.outrigger.internal");
}
inline std::string ServiceLabel(const ServiceName& s, uint16_t port) { return Cat(s.name, ".", s.namespace_, ":", port); }
inline std::string SpiffeId(std::string_view trust_domain, std::string_view namespace_, std::string_view account) {
  return Cat("spiffe://", trust_domain, "/ns/", namespace_, "/sa/", account);
}

}  // namespace outrigger::control
