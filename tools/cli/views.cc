#include "tools/cli/views.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace outrigger::cli {

namespace {

size_t Width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }));
}

// A member as text, whatever its type; "-" when there is none.
std::string Show(const Json& json, const std::string& name) {
  if (!json.is_object() || !json.contains(name)) return "-";
  const Json& value = json[name];
  if (value.is_string()) return value.get<std::string>().empty() ? "-" : value.get<std::string>();
  return value.is_null() ? "-" : value.dump();
}

const Json& At(const Json& json, const std::string& name) {
  static const Json none;
  return json.is_object() && json.contains(name) ? json[name] : none;
}

std::string KeyText(const Json& item) {
  std::string text = Show(item, "kind") + " ";
  if (item.contains("namespace")) text += Show(item, "namespace") + "/";
  return text + Show(item, "name");
}

// "12", "9 (12 sent)", "REFUSED"; "-" when the proxy does not ask for the type.
std::string TypeText(const Json& types, const std::string& name) {
  const Json& type = At(types, name);
  if (!type.is_object()) return "-";
  if (type.contains("refused")) return "REFUSED";
  if (At(type, "pending") == true) return Show(type, "accepted") + " (" + Show(type, "sent") + " sent)";
  return Show(type, "accepted");
}

bool PlainYaml(const std::string& text) {
  if (text.empty() || text.find_first_not_of("0123456789.+-eE_") == std::string::npos) return false;
  for (const char* word : {"true", "false", "null", "yes", "no", "on", "off", "~", "True", "False", "Null", "Yes", "No", "On", "Off"}) {
    if (text == word) return false;
  }
  if (std::string_view("-?:,[]{}#&*!|>'\"%@`=< ").find(text.front()) != std::string_view::npos || text.back() == ' ') return false;
  if (text.find(": ") != std::string::npos || text.find(" #") != std::string::npos || text.back() == ':') return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) >= ' '; });
}

std::string YamlScalar(const Json& json) {
  if (json.is_string() && PlainYaml(json.get<std::string>())) return json.get<std::string>();
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void WriteYaml(const Json& json, int indent, bool in_list, std::string* out) {
  const std::string pad(static_cast<size_t>(indent), ' ');
  bool first = in_list;
  if (json.is_object()) {
    for (const auto& [name, value] : json.items()) {
      *out += first ? "" : pad;
      first = false;
      *out += YamlScalar(name) + ":";
      if (value.is_structured() && !value.empty()) {
        *out += "\n";
        WriteYaml(value, value.is_array() ? indent : indent + 2, false, out);
      } else {
        *out += " " + YamlScalar(value) + "\n";
      }
    }
  } else {
    for (const Json& value : json) {
      *out += first ? "- " : pad + "- ";
      first = false;
      if (value.is_structured() && !value.empty()) {
        WriteYaml(value, indent + 2, true, out);
      } else {
        *out += YamlScalar(value) + "\n";
      }
    }
  }
}

std::string Address(const Json& address) {
  const Json& socket = At(address, "socket_address");
  return Show(socket, "address") + ":" + Show(socket, "port_value");
}

std::string MatchText(const Json& match) {
  for (const char* kind : {"path", "path_separated_prefix", "prefix"}) {
    if (match.contains(kind)) return Show(match, kind) + (std::string_view(kind) == "path" ? "" : "*");
  }
  if (match.contains("safe_regex")) return "~" + Show(At(match, "safe_regex"), "regex");
  return "*";
}

std::string TargetText(const Json& route) {
  if (route.contains("redirect")) return "redirect";
  if (route.contains("direct_response")) return "reply " + Show(At(route, "direct_response"), "status");
  const Json& action = At(route, "route");
  if (action.contains("cluster")) return Show(action, "cluster");
  std::string text;
  for (const Json& share : At(At(action, "weighted_clusters"), "clusters")) {
    if (!text.empty()) text += ", ";
    text += Show(share, "name") + " x" + Show(share, "weight");
  }
  return text.empty() ? "-" : text;
}

void AddRoutes(const Json& configuration, std::vector<std::vector<std::string>>* rows) {
  for (const Json& host : At(configuration, "virtual_hosts")) {
    const Json& domains = At(host, "domains");
    const std::string domain = domains.is_array() && !domains.empty() && domains[0].is_string() ? domains[0].get<std::string>() : "-";
    for (const Json& route : At(host, "routes")) {
      const Json& match = At(route, "match");
      const size_t more = At(match, "headers").size() + At(match, "query_parameters").size();
      rows->push_back({Show(configuration, "name"), domain, MatchText(match), more == 0 ? "-" : std::to_string(more), TargetText(route)});
    }
  }
}

}  // namespace

std::string Table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += row[i] + std::string(widths[i] - Width(row[i]) + 2, ' ');
    line.resize(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string ToYaml(const Json& json) {
  if (!json.is_structured() || json.empty()) return YamlScalar(json) + "\n";
  std::string text;
  WriteYaml(json, 0, false, &text);
  return text;
}

int64_t ParseTime(std::string_view text) {
  // The one form that the control plane writes: YYYY-MM-DDTHH:MM:SSZ.
  constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:ddZ";
  if (text.size() != kForm.size()) return -1;
  for (size_t i = 0; i < text.size(); ++i) {
    if (kForm[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != kForm[i]) return -1;
  }
  const auto number = [&text](size_t at, size_t size) {
    int value = 0;
    std::from_chars(text.data() + at, text.data() + at + size, value);
    return value;
  };
  const std::chrono::year_month_day date{std::chrono::year(number(0, 4)), std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                         std::chrono::day(static_cast<unsigned>(number(8, 2)))};
  if (!date.ok()) return -1;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return ((days * 24 + number(11, 2)) * 60 + number(14, 2)) * 60 + number(17, 2);
}

std::string Remaining(int64_t seconds) {
  if (seconds < 0) return "expired";
  constexpr std::array<std::pair<int64_t, const char*>, 4> kUnits = {{{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}}};
  std::string text;
  int shown = 0;
  for (const auto& [length, unit] : kUnits) {
    if (shown == 2 || (seconds < length && shown == 0 && length != 1)) continue;
    if (seconds >= length || shown == 0) text += std::to_string(seconds / length) + unit;
    seconds %= length;
    ++shown;
  }
  return text;
}

std::string StatusTable(const Json& status) {
  size_t objects = 0;
  for (const Json& count : At(status, "objects")) objects += count.is_number() ? count.get<size_t>() : 0;
  std::string text = "generation " + Show(status, "generation") + ", " + std::to_string(objects) + " objects, " +
                     std::to_string(At(status, "rejected").size()) + " rejected, mTLS " + Show(status, "mtls") + ", trust domain " +
                     Show(status, "trust_domain") + "\n\n";
  const int64_t now = ParseTime(Show(status, "now"));
  std::vector<std::vector<std::string>> rows = {
      {"PROXY", "STATE", "GENERATION", "CLUSTERS", "ENDPOINTS", "LISTENERS", "ROUTES", "CERTIFICATE", "PROGRAM"}};
  std::vector<std::string> reasons;
  std::vector<std::string> seen;
  for (const Json& proxy : At(status, "proxies")) {
    const std::string name = Show(proxy, "workload");
    seen.push_back(name);
    const Json& types = At(proxy, "types");
    const int64_t expires = ParseTime(Show(proxy, "certificate_expires"));
    rows.push_back({name, Show(proxy, "state"), Show(proxy, "generation"), TypeText(types, "clusters"), TypeText(types, "endpoints"),
                    TypeText(types, "listeners"), TypeText(types, "routes"), expires < 0 ? "-" : Remaining(expires - now),
                    Show(proxy, "program")});
    for (const auto& [type, state] : types.items()) {
      if (state.contains("refused")) reasons.push_back(name + " refuses " + type + ": " + Show(state, "refused"));
    }
  }
  for (const Json& workload : At(status, "workloads")) {
    const std::string name = Show(workload, "workload");
    if (std::find(seen.begin(), seen.end(), name) == seen.end()) rows.push_back({name, "ABSENT", "-", "-", "-", "-", "-", "-", "-"});
  }
  text += rows.size() > 1 ? Table(rows) : "No workload is declared.\n";
  if (!reasons.empty()) text += "\n";
  for (const std::string& reason : reasons) text += reason + "\n";
  return text;
}

std::string ObjectsTable(const Json& list) {
  std::vector<std::vector<std::string>> rows = {{"KIND", "NAMESPACE", "NAME", "DECLARED IN"}};
  const auto add = [&rows](const Json& item) {
    rows.push_back({Show(item, "kind"), Show(item, "namespace"), Show(item, "name"), Show(item, "origin")});
  };
  if (list.contains("items")) {
    for (const Json& item : list["items"]) add(item);
  } else {
    add(list);
  }
  return rows.size() > 1 ? Table(rows) : "Nothing of that kind is declared.\n";
}

std::string ConfigTables(const Json& config) {
  std::vector<std::vector<std::string>> listeners = {{"LISTENER", "ADDRESS", "CHAINS"}};
  std::vector<std::vector<std::string>> routes = {{"ROUTES", "HOST", "PATH", "CONDITIONS", "TO"}};
  std::vector<std::vector<std::string>> clusters = {{"CLUSTER", "TYPE", "BALANCING", "CONNECT TIMEOUT"}};
  std::vector<std::vector<std::string>> endpoints = {{"ENDPOINTS OF", "ADDRESS", "HEALTH", "WEIGHT", "IDENTITY"}};
  for (const Json& listener : At(config, "listeners")) {
    listeners.push_back({Show(listener, "name"), Address(At(listener, "address")), std::to_string(At(listener, "filter_chains").size())});
  }
  for (const Json& configuration : At(config, "routes")) AddRoutes(configuration, &routes);
  for (const Json& cluster : At(config, "clusters")) {
    clusters.push_back({Show(cluster, "name"), cluster.contains("type") ? Show(cluster, "type") : "STATIC",
                        cluster.contains("lb_policy") ? Show(cluster, "lb_policy") : "ROUND_ROBIN", Show(cluster, "connect_timeout")});
  }
  for (const Json& assignment : At(config, "endpoints")) {
    size_t count = 0;
    for (const Json& locality : At(assignment, "endpoints")) {
      for (const Json& endpoint : At(locality, "lb_endpoints")) {
        ++count;
        const Json& ours = At(At(At(endpoint, "metadata"), "filter_metadata"), "outrigger.dev");
        endpoints.push_back({Show(assignment, "cluster_name"), Address(At(At(endpoint, "endpoint"), "address")),
                             Show(endpoint, "health_status"), Show(endpoint, "load_balancing_weight"),
                             Show(ours, "identity")});
      }
    }
    if (count == 0) endpoints.push_back({Show(assignment, "cluster_name"), "none", "-", "-", "-"});
  }
  return Show(config, "workload") + ", generation " + Show(config, "generation") + "\n\n" + Table(listeners) + "\n" + Table(routes) + "\n" +
         Table(clusters) + "\n" + Table(endpoints);
}

std::string ApplyText(const Json& answer) {
  std::string text;
  for (const Json& object : At(answer, "objects")) text += KeyText(object) + " " + Show(object, "action") + "\n";
  if (!answer.contains("in_force")) return text;
  const Json& behind = At(answer, "behind");
  if (behind.empty()) {
    return text + "in force in all " + Show(answer, "proxies") + " connected proxies after " + Show(answer, "waited_ms") + " ms\n";
  }
  text += "accepted, and after " + Show(answer, "waited_ms") + " ms not yet in force in " + std::to_string(behind.size()) + " of " +
          Show(answer, "proxies") + " connected proxies:\n";
  for (const Json& proxy : behind) {
    text += "  " + Show(proxy, "workload") + " is at generation " + Show(proxy, "generation");
    if (proxy.contains("reason")) text += ": it refuses " + Show(proxy, "reason");
    text += "\n";
  }
  return text;
}

std::string ProblemText(const Json& problem, std::string_view file) {
  const std::string named = Show(problem, "file");
  std::string text = named == "-" ? std::string(file) : named;
  if (const Json& line = At(problem, "line"); line.is_number() && line != 0) text += ":" + line.dump();
  if (problem.contains("kind")) text += ": " + KeyText(problem);
  if (problem.contains("field")) text += ": " + Show(problem, "field");
  text += ": " + Show(problem, "reason");
  // A file's name may hold what a terminal would obey.
  std::replace_if(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
  return text;
}

}  // namespace outrigger::cli
