// What the exchange asks of the two paths (path/inbound.cc, path/outbound.cc): decide about a request, and say how to name it. The exchange
// itself only moves bytes, tries, and tells how it ended.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "proxy/base/error.h"
#include "proxy/http/message.h"
#include "proxy/net/address.h"
#include "proxy/observe/record.h"
#include "proxy/snapshot/snapshot.h"
#include "proxy/tls/tls.h"

namespace outrigger::exchange {

// Where a request came in. Lives as long as its connection.
struct Origin {
  config::Direction direction = config::Direction::kOutbound;
  net::Address remote;
  net::Address local;
  std::optional<net::Address> original_destination;
  const tls::Peer* peer = nullptr;  // null: plaintext
  std::string listener;
  std::string server_name;          // SNI; empty without TLS
  std::string remote_text;
};

// An answer made here.
struct Reply {
  int status = 503;
  uint32_t flags = 0;
  std::string_view reason;   // static text, a token: "no-route"; header x-outrigger-reason and the log
  std::string text;          // one line for a person: what happened and what to do
  std::string location;      // redirects
  std::string_view receipt;  // "not-forwarded", "forwarded", or none
  bool close = false;        // HTTP/1: close the connection after it
};

// What shall be done with a request. Pointers live as long as the epoch that the exchange pins.
struct Plan {
  std::optional<Reply> reply;                        // set: answer this, and nothing else matters
  const snapshot::Cluster* cluster = nullptr;
  const config::Route* route = nullptr;
  const config::Forward* forward = nullptr;
  const config::WeightedCluster* weighted = nullptr;  // its response edits
  const config::FilterChain* chain = nullptr;        // inbound
};

// A request that no attempt could answer.
struct FailedRequest {
  Error error;                       // of the last attempt
  bool reached_application = false;  // some attempt may have been seen by the application
  bool retries_exhausted = false;
  bool idled = false;                // the stream's idle timeout ended it
  std::string_view not_retried;      // why no further attempt was made
  std::string_view cluster;
};

class Path {
 public:
  virtual ~Path() = default;
  // The phases before the first attempt: may edit the head.
  virtual Plan Decide(const Origin& origin, http::RequestHead* head, const snapshot::Snapshot& snapshot, Random& random) = 0;
  // Edits on the way back.
  virtual void OnResponse(const Plan& plan, http::ResponseHead* head) = 0;
  // Names for the record: source and destination.
  virtual void Describe(const Origin& origin, const Plan& plan, const balance::ListedEndpoint* endpoint,
                        observe::ExchangeRecord* record) = 0;
  // An error as an answer.
  virtual Reply Rescue(const FailedRequest& failed) = 0;
};

}  // namespace outrigger::exchange
