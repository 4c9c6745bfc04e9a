// Reading what stands in a request line: path segments, query, patterns of routes. Internal to this folder; PercentDecode and
// AcceptsHost, which lie in the same source, are declared in http_server.h.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http/message.h"

namespace outrigger::admin {

// For Allow.
std::string_view MethodName(http::Method method);
// "/a/b/" -> a, b, "". Views into `path`, which begins with a slash.
std::vector<std::string_view> Segments(std::string_view path);
// name=value&name=value, decoded ('+' is a space, as forms write it). Nullopt when it cannot be read in one way only.
std::optional<std::map<std::string, std::string>> ParseQuery(std::string_view text);
// "{}" in the pattern stands for one segment that is not empty; those are left in `parameters` when all fits.
bool Fits(const std::vector<std::string>& pattern, const std::vector<std::string>& path, std::vector<std::string>* parameters);

}  // namespace outrigger::admin
