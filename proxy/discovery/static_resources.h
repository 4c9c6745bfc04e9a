// xDS resources that the operator wrote into a file, for a proxy without a control plane. Values.
#pragma once

#include <string_view>
#include <vector>

#include "proxy/base/error.h"
#include "proxy/discovery/ads_state.h"

namespace outrigger::discovery {

// From the proto JSON form of {"clusters": [...], "endpoints": [...], "listeners": [...], "routes": [...]}, each a list of the type's own
// message; in the order in which they should be applied. kInvalid names the list, the place in it and what cannot be read.
Result<std::vector<AdsState::Response>> ParseStaticResources(std::string_view json);

}  // namespace outrigger::discovery
