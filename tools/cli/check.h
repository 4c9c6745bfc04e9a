// `outrigger check`: is everything well? Pure: the control plane's /status in, lines out.
#pragma once

#include <string>
#include <vector>

#include "tools/cli/views.h"

namespace outrigger::cli {

struct CheckLine {
  enum class Level { kGood, kWarning, kBad };
  std::string section;
  Level level = Level::kGood;
  std::string text;
  std::string hint;        // what to do; empty: nothing
  bool transient = false;  // may turn good by itself: worth another look
};

// `version` is the command's own.
std::vector<CheckLine> CheckStatus(const Json& status, std::string_view version, const std::string& control);
// The one line when the control plane cannot be asked.
std::vector<CheckLine> CheckUnreachable(const std::string& control, const std::string& reason);

bool AnyBad(const std::vector<CheckLine>& lines);
bool OnlyTransient(const std::vector<CheckLine>& lines);  // everything that is bad is transient
std::string FormatCheck(const std::vector<CheckLine>& lines, bool colour);
Json CheckJson(const std::vector<CheckLine>& lines);

}  // namespace outrigger::cli
