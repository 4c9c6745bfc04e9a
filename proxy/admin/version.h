// The version that all programs show.
#pragma once

#include <string_view>

namespace outrigger {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace outrigger
