// The standard Kubernetes kinds, cut down to what moves traffic: v1 Service and Pod, discovery.k8s.io/v1 EndpointSlice.
#pragma once

#include "control/model/common.h"

namespace outrigger::control {

enum class TransportProtocol : uint8_t { kTcp, kUdp, kSctp };

struct ServicePort {
  std::string name;  // may be empty when it is the only port
  uint16_t port = 0;
  // The port of the endpoints: by name when `target_port_name` is set, else by number. `port` when left out.
  std::string target_port_name;
  uint16_t target_port = 0;
  TransportProtocol transport = TransportProtocol::kTcp;  // only TCP ports are part of the mesh
  AppProtocol app_protocol = AppProtocol::kDetect;
  int line = 0;  // where it was written; not part of its meaning
  bool operator==(const ServicePort& o) const {
    return name == o.name && port == o.port && target_port_name == o.target_port_name && target_port == o.target_port &&
           transport == o.transport && app_protocol == o.app_protocol;
  }
};

struct Service {
  Labels selector;  // empty: selects nothing; endpoints come from EndpointSlices
  std::vector<ServicePort> ports;
  bool publish_not_ready_addresses = false;
  bool operator==(const Service&) const = default;
};

struct ContainerPort {
  std::string name;  // may be empty
  uint16_t port = 0;
  bool operator==(const ContainerPort&) const = default;
};

struct Pod {
  std::string service_account = "default";
  std::vector<ContainerPort> ports;  // TCP ports of all containers, without the sidecar's own
  std::string ip;                    // status.podIP; empty: not yet an endpoint
  bool ready = true;                 // the Ready condition; true when no status says otherwise
  bool finished = false;             // phase Succeeded or Failed
  bool injected = false;             // has our sidecar: a container named outrigger-proxy
  std::string node_name;
  bool operator==(const Pod&) const = default;
};

struct SlicePort {
  std::string name;
  std::optional<uint16_t> port;  // nullopt: all ports, the service's targetPort number counts
  TransportProtocol transport = TransportProtocol::kTcp;
  bool operator==(const SlicePort&) const = default;
};

struct SliceEndpoint {
  std::string address;  // the first of addresses[]
  bool ready = true, serving = true, terminating = false;
  std::string pod_name, pod_namespace;  // targetRef, when it is a Pod
  std::string zone;
  bool operator==(const SliceEndpoint&) const = default;
};

struct EndpointSlice {
  std::string service;  // label kubernetes.io/service-name; empty: belongs to none
  std::vector<SliceEndpoint> endpoints;
  std::vector<SlicePort> ports;
  bool operator==(const EndpointSlice&) const = default;
};

}  // namespace outrigger::control
