// One proxy's side of an ADS stream, state of the world, as a pure machine: responses in; requests, and calls on the
// snapshot compiler, out. Follows the xDS protocol text (envoyproxy.io "xDS REST and gRPC protocol"): every response is
// ACKed or NACKed once with its nonce and the full list of names; nonces die with the stream, versions and names do
// not; good resources of a response are taken although others in it are refused, and the NACK names each refused one.
// Main loop only.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "proxy/snapshot/snapshot.h"

namespace outrigger::discovery {

enum class Type : uint8_t { kCluster, kEndpoint, kListener, kRoute };
inline constexpr size_t kTypes = 4;
std::string_view TypeUrl(Type type);
std::string_view TypeName(Type type);  // "clusters", "endpoints", "listeners", "routes"

struct TypeStatus {
  std::string version;          // accepted last
  uint64_t updates = 0;         // responses accepted whole
  uint64_t rejected = 0;        // responses with something refused in them
  std::string last_error;       // of the last response; empty when it was accepted
  size_t resources = 0;         // held
};

class AdsState {
 public:
  using Request = envoy::service::discovery::v3::DiscoveryRequest;
  using Response = envoy::service::discovery::v3::DiscoveryResponse;

  // `app`: where the application really listens (--app); replaces the host of inbound clusters, and the port when there is exactly one.
  AdsState(snapshot::Compiler* compiler, envoy::config::core::v3::Node node, std::optional<net::Address> app = {});

  // A stream was opened: what to send first.
  std::vector<Request> OnStream();
  // What to send in answer. Unknown types are ignored.
  std::vector<Request> OnResponse(const Response& response);
  // From the last good configuration on disk, or from the operator's file: applied as if it had been received, without answers. Says
  // what was refused, a line each; empty when nothing was.
  std::string Restore(const Response& response);

  // Names asked for that have not come: after a while they are taken for empty, so that they hold nothing up.
  std::vector<std::string> MissingEndpoints() const;
  void TreatAsEmpty(const std::vector<std::string>& endpoints);

  const TypeStatus& status(Type type) const { return types_[static_cast<size_t>(type)].status; }
  // Resources accepted since the last call, packed for keeping: type -> name -> serialised Any (empty: removed).
  using Accepted = std::map<Type, std::map<std::string, std::string>>;
  Accepted TakeAccepted() { return std::exchange(accepted_, {}); }

 private:
  struct TypeState {
    TypeStatus status;
    std::string nonce;            // of this stream's last response
    std::set<std::string> names;  // subscribed; empty for the wildcard types
    std::map<std::string, std::vector<std::string>> held;  // name -> names it refers to (cluster -> endpoints, listener -> routes)
    bool asked = false;           // on this stream
  };
  TypeState& Of(Type type) { return types_[static_cast<size_t>(type)]; }

  // One resource of a response.
  struct Incoming {
    std::string name;                 // empty: it cannot be read
    std::vector<std::string> refers;  // names it points to
    bool unasked = false;             // endpoints or routes that nobody subscribed to: not taken, not refused
  };
  // Applies one resource; the refusal says why. `present`: names that the response held already.
  absl::Status Apply(Type type, const google::protobuf::Any& any, const std::set<std::string>& present, Incoming* incoming);
  absl::Status Admit(Type type, const std::string& name, const std::set<std::string>& present, Incoming* incoming) const;
  std::string ApplyAll(Type type, const Response& response);
  void RemoveAbsent(Type type, const std::set<std::string>& present);
  Request MakeRequest(Type type, const std::string& error = {});
  void RedirectToApp(config::Cluster* cluster) const;
  // Follows the references of `parent` resources: a request when the names of `child` changed.
  void Resubscribe(Type parent, Type child, std::vector<Request>* requests, bool always);

  snapshot::Compiler* const compiler_;
  const envoy::config::core::v3::Node node_;
  const std::optional<net::Address> app_;
  size_t inbound_clusters_ = 0;  // of the cluster response being applied
  std::array<TypeState, kTypes> types_;
  std::set<std::string> endpoints_received_;
  Accepted accepted_;
  bool first_request_ = true;
};

}  // namespace outrigger::discovery
