// The inbound path, phase by phase:
//
//   tls                  done by the session: the peer has proved an identity of the trust domain (or sent plaintext)
//   detect -> codec      done by the session
//   authorize            plaintext only where the mesh is permissive; what the caller says of itself is replaced by what it proved
//   guard                (limits of the callee)
//   route                the server name of the handshake chose the chain, and with it the application's port
//   pool                 exchange/: a connection to the application; nothing it may have seen is sent again
//   observe              Describe names source and destination for metrics, log and trace
#include "proxy/path/inbound.h"

#include "proxy/route/route.h"

namespace outrigger::path {

using exchange::Plan;
using http::Known;
using observe::Flag;

namespace {

// Who may be told where a request came from: appended by every proxy on the way (x-forwarded-for), or the first one's word kept.
void SetForwarded(const exchange::Origin& origin, const Self& self, http::RequestHead* head) {
  const std::string remote = origin.remote.Ip();
  // Several fields of one name are one list (RFC 9110 section 5.3).
  std::string through;
  for (const http::Field& field : head->headers.fields()) {
    if (field.known == Known::kXForwardedFor) through.append(field.value).append(", ");
  }
  head->headers.Set(Known::kXForwardedFor, through + remote);
  if (!head->headers.Has(Known::kXForwardedProto)) head->headers.Add(Known::kXForwardedProto, "http");
  if (!head->headers.Has(Known::kXForwardedHost) && !head->authority.empty()) {
    head->headers.Add(Known::kXForwardedHost, head->authority);
  }
  // SANITIZE_SET: only what was proved in this handshake.
  head->headers.Remove(Known::kXForwardedClientCert);
  if (origin.peer != nullptr && !origin.peer->spiffe_id.empty()) {
    head->headers.Add(Known::kXForwardedClientCert,
                      "By=" + self.identity + ";Hash=" + origin.peer->leaf_sha256_hex + ";URI=" + origin.peer->spiffe_id);
  }
}

}  // namespace

Plan Inbound::Decide(const exchange::Origin& origin, http::RequestHead* head, const snapshot::Snapshot& snapshot, Random& random) {
  const snapshot::Chain* chain = FindChain(origin, snapshot);
  // authorize
  if (origin.peer == nullptr) {
    const auto listener = snapshot.listeners.find(origin.listener);
    if (listener == snapshot.listeners.end() || !listener->second->config.permissive) {
      Plan plan = Answer(403, 0u | Flag::kUAEX, "mtls-required",
                         "this workload takes mutual TLS only: call it through a sidecar, or set mtls: permissive in MeshPolicy");
      plan.reply->close = true;
      return plan;
    }
  }
  head->headers.Remove(Known::kXOutriggerProtocol);
  head->headers.Remove(Known::kXOutriggerReceipt);
  KeepKnownUpgrades(head);
  EnsureRequestId(head, random);
  if (chain == nullptr || chain->routes == nullptr) {
    Plan plan = Answer(421, 0u | Flag::kNR, "misdirected",
                       origin.server_name.empty() ? "this workload has no port that the connection could mean"
                                                  : "this workload does not serve " + origin.server_name);
    plan.reply->close = true;
    return plan;
  }
  if (head->method == http::Method::kConnect) {
    return Answer(501, 0, "connect-not-supported", "CONNECT tunnels are not supported by this version: send an ordinary request");
  }
  SetForwarded(origin, *self_, head);

  // route
  const route::Table::Match match = chain->routes->Find(*head);
  if (match.route == nullptr) {
    return Answer(404, 0u | Flag::kNR, "no-matching-route", "no inbound route matches this request");
  }
  Plan plan = FollowRoute(match, snapshot, "http", random, head);
  plan.chain = &chain->config;
  return plan;
}

void Inbound::OnResponse(const Plan& plan, http::ResponseHead* head) {
  // An application cannot speak for its sidecar.
  head->headers.Remove(Known::kXOutriggerReceipt);
  EditResponse(plan, head);
}

void Inbound::Describe(const exchange::Origin& origin, const Plan& plan, const balance::ListedEndpoint* endpoint,
                       observe::ExchangeRecord* record) {
  if (origin.peer != nullptr) {
    record->source_identity = origin.peer->spiffe_id;
    const Account account = ParseAccount(origin.peer->spiffe_id);
    record->source_workload = account.name;
    record->source_namespace = account.account_namespace;
  }
  record->destination_workload = self_->workload;
  record->destination_namespace = self_->workload_namespace;
  record->destination_identity = self_->identity;
  if (plan.route != nullptr) record->route = plan.route->name;
  if (plan.cluster != nullptr) {
    record->cluster = plan.cluster->config.name;
    record->cluster_index = plan.cluster->state->index;
  }
  if (plan.chain != nullptr) {
    record->destination_service = plan.chain->service;
    record->destination_service_namespace = plan.chain->service_namespace;
    record->destination_port = plan.chain->service_port;
  }
  if (endpoint != nullptr) record->upstream_address = endpoint->config.address_text;
}

}  // namespace outrigger::path
