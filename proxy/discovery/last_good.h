// The last good configuration on disk, so that a proxy starts and serves while the control plane is away: one file a type in
// DATA-DIR/xds, each a serialised DiscoveryResponse of what was accepted last. Damaged files are set aside, never fatal. Main loop only.
#pragma once

#include <string>
#include <vector>

#include "proxy/base/log.h"
#include "proxy/discovery/ads_state.h"
#include "proxy/net/files.h"

namespace outrigger::discovery {

class LastGood {
 public:
  LastGood(net::Files* files, std::string folder, Log log) : files_(files), folder_(std::move(folder)), log_(std::move(log)) {}

  // In the order in which they should be applied. Empty when there is nothing.
  std::vector<AdsState::Response> Load();
  // Merges into what is there. A full disk is logged, and the former file stays.
  void Save(const AdsState::Accepted& accepted);

 private:
  std::string PathOf(Type type) const;
  AdsState::Response Read(Type type);

  net::Files* const files_;
  const std::string folder_;
  const Log log_;
};

}  // namespace outrigger::discovery
