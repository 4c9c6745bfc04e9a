// Durations as people write them in URLs and flags: "500ms", "10s", "15m", "24h", "30d"; a whole number and one unit.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "proxy/base/time.h"

namespace outrigger::control {

// Nullopt for anything else, signs and overflow included.
std::optional<Duration> ParseDuration(std::string_view text);
// The shortest way to write it exactly: "24h", "90s", "1500ms".
std::string FormatDuration(Duration duration);

}  // namespace outrigger::control
