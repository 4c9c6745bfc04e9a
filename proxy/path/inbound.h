// Requests of other workloads to the application beside us.
#pragma once

#include "proxy/path/common.h"

namespace outrigger::path {

class Inbound final : public exchange::Path {
 public:
  explicit Inbound(const Self* self) : self_(self) {}
  exchange::Plan Decide(const exchange::Origin& origin, http::RequestHead* head, const snapshot::Snapshot& snapshot,
                        Random& random) override;
  void OnResponse(const exchange::Plan& plan, http::ResponseHead* head) override;
  void Describe(const exchange::Origin& origin, const exchange::Plan& plan, const balance::ListedEndpoint* endpoint,
                observe::ExchangeRecord* record) override;
  exchange::Reply Rescue(const exchange::FailedRequest& failed) override { return path::Rescue(failed); }

 private:
  const Self* const self_;
};

}  // namespace outrigger::path
