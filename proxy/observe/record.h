// Everything worth knowing about one finished request: made by exchange/, read by metrics, access log and (later) spans.
// Views live during the call that hands the record over. A plain value.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/base/time.h"
#include "proxy/config/config.h"
#include "proxy/http/message.h"

namespace outrigger::observe {

// Response flags with the letters that operators know from Envoy; a bit each.
enum class Flag : uint32_t {
  kUF = 1 << 0,    // upstream connection failure
  kUO = 1 << 1,    // overflow: circuit breaker or limit
  kUH = 1 << 2,    // no healthy endpoint
  kNR = 1 << 3,    // no route
  kNC = 1 << 4,    // no such cluster
  kURX = 1 << 5,   // retry limit or budget reached
  kUT = 1 << 6,    // upstream request timeout
  kUC = 1 << 7,    // upstream closed the connection
  kUR = 1 << 8,    // upstream reset
  kDC = 1 << 9,    // the client went away
  kDPE = 1 << 10,  // the client broke the protocol
  kUPE = 1 << 11,  // the upstream broke the protocol
  kRL = 1 << 12,   // rate limited
  kUAEX = 1 << 13, // denied by policy
  kSI = 1 << 14,   // stream idle timeout
  kLR = 1 << 15,   // local reset
};
constexpr uint32_t operator|(uint32_t flags, Flag f) { return flags | static_cast<uint32_t>(f); }
constexpr bool Has(uint32_t flags, Flag f) { return (flags & static_cast<uint32_t>(f)) != 0; }
// "UF,URX", "-" when none. Writes at most 64 bytes into `into` and returns the part used.
std::string_view FlagsText(uint32_t flags, char (&into)[64]);

struct ExchangeRecord {
  config::Direction direction = config::Direction::kOutbound;
  config::AccessLog access_log = config::AccessLog::kErrors;  // of the listener
  WallTime started{};
  Duration duration{};             // first byte of the request read -> last byte of the response handed to the connection
  Duration upstream_duration{};    // last attempt: request sent -> response head; zero when there was none
  // request
  http::Version version = http::Version::kHttp11;
  http::Method method = http::Method::kGet;
  std::string_view method_text, authority, path;
  std::string_view request_id, traceparent, user_agent, forwarded_for;
  uint64_t request_bytes = 0;   // body
  // response
  int status = 0;               // 0: the client went away before one was sent
  int grpc_status = -1;         // -1: not gRPC
  uint64_t response_bytes = 0;  // body
  uint32_t flags = 0;
  std::string_view reason;  // details of a local reply or a failure: "connect-refused", "retry-budget-exhausted"; ""
                            // when the upstream's own
  // where it came from and went
  std::string_view source_identity;   // SPIFFE id of the caller (inbound) or own (outbound)
  std::string_view source_workload, source_namespace;
  std::string_view destination_service, destination_service_namespace;
  uint16_t destination_port = 0;
  std::string_view destination_workload, destination_namespace;
  std::string_view destination_identity;
  std::string_view upstream_address, downstream_address;
  std::string_view route, cluster;
  uint32_t cluster_index = 0;   // snapshot::ClusterState::index; 0: none
  uint32_t attempts = 0;
  bool mutual_tls = false;      // of the hop between the sidecars
};

// What takes records, once per exchange, on the worker's thread. Must not block.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void OnExchange(const ExchangeRecord& record) = 0;
};

}  // namespace outrigger::observe
