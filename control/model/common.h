// Small values that several kinds share.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/time.h"

namespace outrigger::control {

using Labels = std::map<std::string, std::string>;

struct Locality {
  std::string region, zone, sub_zone;
  auto operator<=>(const Locality&) const = default;
};

// What the application behind a service port speaks. kDetect: not declared.
enum class AppProtocol : uint8_t { kDetect, kHttp, kH2c, kGrpc };

}  // namespace outrigger::control
