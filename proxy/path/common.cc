#include "proxy/path/common.h"

#include <cstdio>
#include <utility>

#include "proxy/route/route.h"

namespace outrigger::path {

using exchange::Plan;
using http::Known;
using observe::Flag;

void EnsureRequestId(http::RequestHead* head, Random& random) {
  if (head->headers.Has(Known::kXRequestId)) return;
  const uint64_t high = (random.Next() & 0xffffffffffff0fffull) | 0x4000ull;
  const uint64_t low = (random.Next() & 0x3fffffffffffffffull) | 0x8000000000000000ull;
  char text[37];
  static constexpr char kHex[] = "0123456789abcdef";
  size_t at = 0;
  for (int nibble = 0; nibble < 32; ++nibble) {
    if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20) text[at++] = '-';
    const uint64_t word = nibble < 16 ? high : low;
    text[at++] = kHex[(word >> (60 - 4 * (nibble % 16))) & 15];
  }
  head->headers.Add(Known::kXRequestId, {text, at});
}

void KeepKnownUpgrades(http::RequestHead* head) {
  if (head->protocol.empty() || http::EqualsIgnoreCase(head->protocol, "websocket")) return;
  head->protocol = {};
  head->content_length = 0;  // what asks for a tunnel has no body of its own
}

Plan Answer(int status, uint32_t flags, std::string_view reason, std::string text) {
  Plan plan;
  plan.reply.emplace();
  plan.reply->status = status;
  plan.reply->flags = flags;
  plan.reply->reason = reason;
  plan.reply->text = std::move(text);
  plan.reply->receipt = "not-forwarded";
  return plan;
}

Plan FollowRoute(const route::Table::Match& match, const snapshot::Snapshot& snapshot, std::string_view scheme, Random& random,
                 http::RequestHead* head) {
  const config::Route& route = *match.route;
  Plan plan;
  if (const auto* redirect = std::get_if<config::Redirect>(&route.action)) {
    plan = Answer(redirect->status, 0, {}, {});
    plan.reply->location = route::RedirectLocation(route, *redirect, *head, scheme);
    plan.route = &route;
    return plan;
  }
  if (const auto* direct = std::get_if<config::DirectResponse>(&route.action)) {
    plan = Answer(direct->status, 0, direct->status >= 500 ? "direct-response" : std::string_view(), direct->body);
    plan.route = &route;
    return plan;
  }
  const auto& forward = std::get<config::Forward>(route.action);
  const config::WeightedCluster& weighted = route::PickCluster(forward, random);
  if (weighted.cluster == "blackhole") {
    plan = Answer(500, 0u | Flag::kNC, "no-backend", "route " + route.name + " has a backendRef to a service that does not exist");
    plan.route = &route;
    return plan;
  }
  const snapshot::Cluster* cluster = snapshot.FindCluster(weighted.cluster);
  if (cluster == nullptr) {
    plan = Answer(503, 0u | Flag::kNC, "no-cluster",
                  "route " + route.name + " names cluster " + weighted.cluster + ", which is not known here: check its backendRefs");
    plan.route = &route;
    return plan;
  }
  plan.cluster = cluster;
  plan.route = &route;
  plan.forward = &forward;
  plan.weighted = &weighted;
  route::Rewrite(match, forward, head);
  route::Edit(weighted.request_edits, &head->headers);
  route::Edit(route.request_edits, &head->headers);
  return plan;
}

void EditResponse(const Plan& plan, http::ResponseHead* head) {
  if (plan.weighted != nullptr && !plan.weighted->response_edits.empty()) route::Edit(plan.weighted->response_edits, &head->headers);
  if (plan.route != nullptr && !plan.route->response_edits.empty()) route::Edit(plan.route->response_edits, &head->headers);
}

Account ParseAccount(std::string_view id) {
  const size_t ns = id.find("/ns/");
  if (!id.starts_with("spiffe://") || ns == std::string_view::npos) return {};
  std::string_view rest = id.substr(ns + 4);
  const size_t sa = rest.find("/sa/");
  if (sa == std::string_view::npos) return {};
  return {rest.substr(0, sa), rest.substr(sa + 4)};
}

const snapshot::Chain* FindChain(const exchange::Origin& origin, const snapshot::Snapshot& snapshot) {
  const auto it = snapshot.listeners.find(origin.listener);
  if (it == snapshot.listeners.end()) return nullptr;
  const uint16_t port = origin.original_destination.has_value() ? origin.original_destination->port() : 0;
  return it->second->Find(origin.server_name, origin.peer != nullptr, port);
}

}  // namespace outrigger::path
