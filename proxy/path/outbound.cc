// The outbound path, phase by phase. The words are the folders' names:
//
//   detect -> codec      done by the session: the head is whole, its framing unambiguous, hop-by-hop fields gone
//   authorize            the caller is our own application; what only sidecars may say is taken out of its request
//   route                which service, by the listener's table: the Host names it, or the `listen` port fixed it
//   guard                deadline and retry policy come with the route; budgets and limits with the cluster
//   balance -> pool      exchange/: which endpoint, which connection, again if that is safe
//   observe              Describe names source and destination for metrics, log and trace
#include "proxy/path/outbound.h"

#include "proxy/route/route.h"

namespace outrigger::path {

using exchange::Plan;
using http::Known;
using observe::Flag;

Plan Outbound::Decide(const exchange::Origin& origin, http::RequestHead* head, const snapshot::Snapshot& snapshot, Random& random) {
  // authorize: these are believed between sidecars, so an application must not be able to say them.
  head->headers.Remove(Known::kXOutriggerProtocol);
  head->headers.Remove(Known::kXOutriggerReceipt);
  head->headers.Remove(Known::kXOutriggerAttempt);
  head->headers.Remove(Known::kXForwardedClientCert);
  KeepKnownUpgrades(head);
  EnsureRequestId(head, random);
  if (head->method == http::Method::kConnect) {
    return Answer(501, 0, "connect-not-supported", "CONNECT tunnels are not supported by this version: send an ordinary request");
  }
  if (head->authority.empty()) {
    return Answer(400, 0u | Flag::kDPE, "no-host", "the request names no host: a Host header says which service is meant");
  }

  // route
  const snapshot::Chain* chain = FindChain(origin, snapshot);
  if (chain == nullptr || chain->routes == nullptr) {
    return Answer(503, 0u | Flag::kNR, "not-configured", "this proxy has no configuration for listener " + origin.listener + " yet");
  }
  const route::Table::Match match = chain->routes->Find(*head);
  if (match.virtual_host == nullptr) {
    return Answer(404, 0u | Flag::kNR, "no-such-service",
                  "nobody declared a service for host " + std::string(head->authority) + ": check the name, its namespace and its port");
  }
  if (match.route == nullptr) {
    return Answer(404, 0u | Flag::kNR, "no-matching-route",
                  "service " + match.virtual_host->name + " has routes, and none of them matches this request");
  }
  const std::string_view scheme = head->scheme.empty() ? std::string_view("http") : head->scheme;
  return FollowRoute(match, snapshot, scheme, random, head);
}

void Outbound::OnResponse(const Plan& plan, http::ResponseHead* head) { EditResponse(plan, head); }

void Outbound::Describe(const exchange::Origin&, const Plan& plan, const balance::ListedEndpoint* endpoint,
                        observe::ExchangeRecord* record) {
  record->source_identity = self_->identity;
  record->source_workload = self_->workload;
  record->source_namespace = self_->workload_namespace;
  if (plan.route != nullptr) record->route = plan.route->name;
  if (plan.cluster != nullptr) {
    const config::Cluster& cluster = plan.cluster->config;
    record->cluster = cluster.name;
    record->cluster_index = plan.cluster->state->index;
    record->destination_service = cluster.service;
    record->destination_service_namespace = cluster.service_namespace;
    record->destination_port = cluster.service_port;
  }
  if (endpoint != nullptr) {
    record->destination_workload = endpoint->config.workload;
    record->destination_namespace = endpoint->config.workload_namespace;
    record->destination_identity = endpoint->config.identity;
    record->upstream_address = endpoint->config.address_text;
  }
}

}  // namespace outrigger::path
