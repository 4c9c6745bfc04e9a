// Debian's abseil and re2 are built with string views of their own, not std::string_view: these carry one over.
#pragma once

#include <string_view>

#include "absl/strings/string_view.h"

namespace outrigger {

inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace outrigger
