// outrigger.dev/v1 Workload: a process with a sidecar that is not a pod.
#pragma once

#include "control/model/common.h"

namespace outrigger::control {

// A port that the sidecar opens on 127.0.0.1 for its application; whatever comes in goes to one service.
struct LocalListen {
  uint16_t port = 0;
  std::string service;            // name
  std::string service_namespace;  // the workload's own when not written (`service: NAME.NAMESPACE`)
  uint16_t service_port = 80;
  int line = 0;  // where it was written; not part of its meaning
  bool operator==(const LocalListen& o) const {
    return port == o.port && service == o.service && service_namespace == o.service_namespace && service_port == o.service_port;
  }
};

struct Workload {
  std::string address;  // numeric IPv4 or IPv6
  uint16_t inbound_port = 15006;
  std::string service_account = "default";
  std::map<std::string, uint16_t> ports;  // the application's, by name
  Locality locality;
  uint32_t weight = 1;
  std::vector<LocalListen> listen;
  bool operator==(const Workload&) const = default;
};

}  // namespace outrigger::control
