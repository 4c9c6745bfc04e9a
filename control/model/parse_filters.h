// The filters of a route's rule, and what they share with its matches. Used by parse_route.cc only.
#pragma once

#include <set>
#include <string>

#include "control/model/reader.h"
#include "control/model/route.h"

namespace outrigger::control {

// In lower case; nullopt after a report.
std::optional<std::string> HeaderName(Document* document, const Value& value);
// As the CEL rules of HTTPPathMatch; false after a report.
bool CheckPath(Document* document, const Value& value, const std::string& path);
// One item of `filters`; `rule` has its matches already. `seen`: the types so far.
void ReadFilter(Document* document, const Value& value, bool grpc, std::set<std::string>* seen, RouteRule* rule);

}  // namespace outrigger::control
