// What both paths do to a request: the phases between codec and pool that are the same in both directions.
#pragma once

#include <string>
#include <string_view>

#include "proxy/exchange/path.h"
#include "proxy/path/self.h"

namespace outrigger::path {

// x-request-id when the request has none (UUIDv4, RFC 9562 section 5.4).
void EnsureRequestId(http::RequestHead* head, Random& random);

// Upgrades that are passed on: WebSocket. Others are answered as ordinary requests, which RFC 9110 section 7.8 allows.
void KeepKnownUpgrades(http::RequestHead* head);

exchange::Plan Answer(int status, uint32_t flags, std::string_view reason, std::string text);

// What a matched route says: forward (cluster found, head edited), redirect or a fixed answer.
exchange::Plan FollowRoute(const route::Table::Match& match, const snapshot::Snapshot& snapshot, std::string_view scheme,
                           Random& random, http::RequestHead* head);

// An error of an attempt as an answer: status, flags, reason and a sentence (rescue.cc).
exchange::Reply Rescue(const exchange::FailedRequest& failed);

// Response edits of route and weighted cluster.
void EditResponse(const exchange::Plan& plan, http::ResponseHead* head);

// "spiffe://cluster.local/ns/default/sa/web" -> namespace and account; empty views when it is none.
struct Account {
  std::string_view account_namespace, name;
};
Account ParseAccount(std::string_view spiffe_id);

// The listener's chain for this connection; null when the listener is gone or none matches.
const snapshot::Chain* FindChain(const exchange::Origin& origin, const snapshot::Snapshot& snapshot);

}  // namespace outrigger::path
