// What the control plane answers, as text for people. Pure functions of JSON; members that are missing show as "-".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nlohmann/json.hpp"
#include "proxy/base/time.h"

namespace outrigger::cli {

using Json = nlohmann::ordered_json;

// Rows as columns, two spaces apart, widths by Unicode characters; the first row is the heading. Trailing blanks are cut.
std::string Table(const std::vector<std::vector<std::string>>& rows);

// JSON as YAML: block style, members in their order, strings quoted where they would read as something else.
std::string ToYaml(const Json& json);

std::string StatusTable(const Json& status);
std::string ObjectsTable(const Json& list);
std::string ConfigTables(const Json& config);
// "Service default/orders created" and, after a wait, where it is in force.
std::string ApplyText(const Json& answer);
// "mesh.yaml:12: Service default/orders: spec.ports: reason"; `file` when the problem names none.
std::string ProblemText(const Json& problem, std::string_view file);

// "2026-11-21T10:00:00Z" -> seconds since 1970; -1 when it is no such time.
int64_t ParseTime(std::string_view text);
// 90 -> "1m30s", 93600 -> "1d2h": the two largest units. Negative: "expired".
std::string Remaining(int64_t seconds);

}  // namespace outrigger::cli
