// The server's side of one ADS stream, state of the world, as a pure machine: requests and new resources in, responses out.
// Follows the xDS protocol text (https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol) and what Envoy and gRPC clients need:
//
//   * at most one unacknowledged response per type; what changes meanwhile is sent together after the answer;
//   * what a client asks for is answered at once, even if it did not change; a request with an old nonce is ignored;
//   * changes go out as clusters, endpoints, listeners, routes. Nothing goes out behind clusters before these are answered, and a new
//     cluster's endpoints go before the listeners and routes that may use it (a client uses a route at once, whatever it points at);
//   * a cluster that is gone stays in the responses until listeners and routes without it were accepted (make before break);
//   * clusters and listeners are always sent whole, endpoints and routes as what changed: absence means deletion only in the former;
//   * a refused response is not repeated, but its resources go into the next one of their type, so that an acknowledgement covers them.
//
// Not thread-safe. No clock, no IO: `now` only bounds how long a client may keep endpoints from being asked for.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "control/compile/compile.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "proxy/base/time.h"

namespace outrigger::control {

enum class Type : uint8_t { kCluster, kEndpoint, kListener, kRoute };  // in the order of a push
inline constexpr size_t kTypes = 4;
inline constexpr std::array<Type, kTypes> kAllTypes = {Type::kCluster, Type::kEndpoint, Type::kListener, Type::kRoute};

std::string_view TypeName(Type type);  // "clusters"
std::string_view TypeUrl(Type type);
std::optional<Type> TypeFromUrl(std::string_view url);

// One DiscoveryResponse to send.
struct Push {
  Type type = Type::kCluster;
  std::string version;
  std::string nonce;
  std::vector<Resource> resources;
};

struct TypeStatus {
  bool subscribed = false;
  bool pending = false;           // something is unsent or unacknowledged
  bool refused = false;           // the last answer was a NACK: `reason` says why
  uint64_t sent_version = 0;      // 0: none yet
  uint64_t accepted_version = 0;  // last acknowledged on this stream
  std::string reason;             // of the last NACK, as the client gave it, cut at 4 KiB; empty after an ACK
  uint64_t refusals = 0;
};

class StreamState {
 public:
  // How long listeners and routes wait for a client to ask for the endpoints of a new cluster.
  static constexpr Duration kEndpointPatience = std::chrono::seconds(1);

  // Requests that come before the first SetResources are answered by it. The type must be one of ours (TypeFromUrl).
  void OnRequest(Type type, const envoy::service::discovery::v3::DiscoveryRequest& request, Instant now);
  void SetResources(uint64_t generation, const ResourceSet& resources, Instant now);

  // Responses that have become due, in order; drain after each call from above.
  bool Next(Push* push);

  // When OnTime has something to do, unless something else happens first.
  std::optional<Instant> wake_at() const { return wake_at_; }
  void OnTime(Instant now) { Pump(now); }

  TypeStatus Status(Type type) const;
  // The generation whose resources this client has wholly accepted, last; 0: none yet.
  uint64_t generation_in_force() const { return in_force_; }

 private:
  using Request = envoy::service::discovery::v3::DiscoveryRequest;

  struct PerType {
    bool subscribed = false;
    bool wildcard = false;
    bool named_before = false;  // a request with names was seen: an empty list no longer means "all"
    std::set<std::string> names;
    // By name: what the client was given last on this stream. What it asked for anew is taken out, which makes it due.
    ResourceMap sent;
    // The map that `sent` is known to agree with; null: compare.
    mutable ResourceMapPtr agreed;
    bool answer_owed = false;   // a whole type was asked for: answer even when there is nothing
    bool answer_again = false;  // the parent type was sent since: a repeated request is answered once more
    std::set<std::string> refused;  // in refused responses, and in none since
    std::vector<std::string> in_flight;
    bool unacked = false;
    bool last_refused = false;
    std::string nonce;  // of the last response
    uint64_t sent_version = 0, accepted_version = 0;
    std::string reason;
    uint64_t refusals = 0;
  };

  // Clusters and listeners: responses are complete, what is absent is deleted.
  static bool Whole(Type type) { return type == Type::kCluster || type == Type::kListener; }
  PerType& at(Type type) { return types_[static_cast<size_t>(type)]; }
  const PerType& at(Type type) const { return types_[static_cast<size_t>(type)]; }
  const ResourceMapPtr& Current(Type type) const;

  void Settle(Type type, const Request& request);
  void ChangeNames(Type type, const Request& request);
  void AskAgain(Type type);

  void Pump(Instant now);
  void PumpInOrder(Instant now);
  void Release(Type type, bool only_new = false);  // sends what is due, unless a response is unacknowledged
  void Enqueue(Type type, ResourceMap resources);
  ResourceMap Due(Type type, bool only_new) const;
  ResourceMap WholeResponse(Type type) const;
  bool Dirty(Type type) const;  // something is due
  bool Quiet(Type type) const;  // nothing due, everything accepted (or nothing asked for)
  bool AskedForAll(Type parent, Type child) const;

  std::array<PerType, kTypes> types_;
  uint64_t generation_ = 0;  // 0: no resources yet
  ResourceSet resources_;
  std::deque<Push> out_;
  uint64_t next_nonce_ = 1;
  uint64_t in_force_ = 0;
  std::set<std::string> rewarming_;  // clusters sent changed: clients wait for their endpoints again
  std::optional<Instant> waiting_since_;  // for a client to ask for the endpoints of its clusters
  std::optional<Instant> wake_at_;
};

}  // namespace outrigger::control
