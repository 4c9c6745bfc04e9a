#include "tools/cli/check.h"

#include <algorithm>
#include <map>
#include <set>

namespace outrigger::cli {

namespace {

using Level = CheckLine::Level;

constexpr int64_t kRootWarningS = 60 * 86400;

std::string Text(const Json& json, const std::string& name) {
  return json.is_object() && json.contains(name) && json[name].is_string() ? json[name].get<std::string>() : "";
}

const Json& Object(const Json& json, const std::string& name) {
  static const Json none = Json::object();
  return json.is_object() && json.contains(name) && json[name].is_object() ? json[name] : none;
}

const Json& List(const Json& json, const std::string& name) {
  static const Json none = Json::array();
  return json.is_object() && json.contains(name) && json[name].is_array() ? json[name] : none;
}

class Report {
 public:
  void Section(std::string name) { section_ = std::move(name); }
  void Good(std::string text) { Add(Level::kGood, std::move(text), "", false); }
  void Warn(std::string text, std::string hint) { Add(Level::kWarning, std::move(text), std::move(hint), false); }
  void Bad(std::string text, std::string hint, bool transient = false) { Add(Level::kBad, std::move(text), std::move(hint), transient); }
  std::vector<CheckLine> Take() { return std::move(lines_); }

 private:
  void Add(Level level, std::string text, std::string hint, bool transient) {
    lines_.push_back({section_, level, std::move(text), std::move(hint), transient});
  }
  std::string section_;
  std::vector<CheckLine> lines_;
};

void CheckVersions(const Json& status, std::string_view version, const std::string& control, Report* report) {
  report->Section("control plane");
  report->Good("the control plane at " + control + " answers");
  const std::string theirs = Text(status, "version");
  if (theirs == version) {
    report->Good("command and control plane are both version " + theirs);
  } else {
    report->Warn("the control plane is version " + theirs + ", this command is " + std::string(version), "use the same version of both");
  }
  std::set<std::string> programs;
  for (const Json& proxy : List(status, "proxies")) {
    const std::string program = Text(proxy, "program");
    if (proxy.value("connected", false) && program.starts_with("outrigger-proxy ") && program != "outrigger-proxy " + theirs) {
      programs.insert(Text(proxy, "workload") + " (" + program + ")");
    }
  }
  for (const std::string& program : programs) report->Warn("a proxy is of another version: " + program, "update it to " + theirs);
}

void CheckCertificates(const Json& status, Report* report) {
  report->Section("certificates");
  const int64_t now = ParseTime(Text(status, "now"));
  const Json& certificates = Object(status, "certificates");
  const int64_t root = ParseTime(Text(certificates, "root_expires")) - now;
  if (root < 0) {
    report->Bad("the signing root has expired", "every proxy must join again: stop the control plane, remove its authority.pem, start it");
  } else if (root < kRootWarningS) {
    report->Warn("the signing root ends in " + Remaining(root), "plan a new one");
  } else {
    report->Good("the signing root is valid for " + Remaining(root));
  }
  const int64_t serving = ParseTime(Text(certificates, "serving_expires")) - now;
  if (serving < 0) {
    report->Bad("the control plane's own certificate has expired", "restart the control plane, and look at its log");
  } else {
    report->Good("the control plane's own certificate is valid for " + Remaining(serving));
  }
  size_t valid = 0;
  for (const Json& proxy : List(status, "proxies")) {
    const int64_t expires = ParseTime(Text(proxy, "certificate_expires"));
    if (!proxy.value("connected", false) || expires < 0) continue;
    if (expires < now) {
      report->Bad("the certificate of " + Text(proxy, "workload") + " has expired", "look at that proxy's log: its renewal fails");
    } else {
      ++valid;
    }
  }
  if (valid > 0) report->Good("the certificates of " + std::to_string(valid) + " connected proxies are valid");
}

void CheckProxies(const Json& status, Report* report) {
  report->Section("proxies");
  std::map<std::string, const Json*> proxies;
  for (const Json& proxy : List(status, "proxies")) proxies[Text(proxy, "workload")] = &proxy;
  size_t connected = 0, ready = 0;
  for (const auto& [name, proxy] : proxies) {
    if (!proxy->value("connected", false)) {
      report->Warn(name + " is not connected any more", "start its proxy, or delete its Workload");
      continue;
    }
    ++connected;
    const std::string state = Text(*proxy, "state");
    if (state == "READY") ++ready;
    if (state == "PENDING")
      report->Bad(name + " does not run the present generation yet", "`outrigger status` shows what it waits for",
                  true);
    for (const auto& [type, value] : Object(*proxy, "types").items()) {
      if (value.contains("refused")) {
        report->Bad(name + " refuses " + type + ": " + Text(value, "refused"),
                    "change the object it names; the last good version is in force");
      }
    }
  }
  for (const Json& workload : List(status, "workloads")) {
    const std::string name = Text(workload, "workload");
    if (!proxies.contains(name)) report->Warn(name + " has never connected", "start its proxy: outrigger-proxy --workload " + name);
  }
  if (connected == 0) return report->Warn("no proxy is connected", "start one with outrigger-proxy");
  if (ready == connected) {
    report->Good("all " + std::to_string(connected) + " connected proxies run generation " + status.value("generation", Json(0)).dump());
  }
}

void CheckObjects(const Json& status, Report* report) {
  report->Section("objects");
  for (const Json& rejected : List(status, "rejected")) {
    report->Bad("rejected: " + ProblemText(rejected, "?"),
                rejected.value("previous_in_force", false) ? "its last good version is in force" : "");
  }
  for (const Json& problem : List(status, "problems")) report->Warn(ProblemText(problem, "?"), "");
  size_t count = 0;
  for (const auto& [kind, number] : Object(status, "objects").items()) count += number.is_number() ? number.get<size_t>() : 0;
  if (List(status, "rejected").empty()) report->Good("all " + std::to_string(count) + " objects are accepted");
}

std::string_view LevelName(Level level) {
  return level == Level::kGood ? "good" : level == Level::kWarning ? "warning" : "bad";
}

std::string Symbol(Level level, bool colour) {
  const char* symbol = level == Level::kGood ? "√" : level == Level::kWarning ? "‼" : "×";
  if (!colour) return symbol;
  const char* code = level == Level::kGood ? "32" : level == Level::kWarning ? "33" : "31";
  return "\x1b[" + std::string(code) + "m" + symbol + "\x1b[0m";
}

}  // namespace

std::vector<CheckLine> CheckStatus(const Json& status, std::string_view version, const std::string& control) {
  if (!status.is_object() || !status.contains("generation")) {
    return CheckUnreachable(control, "what answers there is no control plane");
  }
  Report report;
  CheckVersions(status, version, control, &report);
  CheckCertificates(status, &report);
  CheckProxies(status, &report);
  CheckObjects(status, &report);
  return report.Take();
}

std::vector<CheckLine> CheckUnreachable(const std::string& control, const std::string& reason) {
  return {{"control plane", Level::kBad, "the control plane at " + control + " does not answer: " + reason,
           "start outrigger-control, or name its admin address with --control or OUTRIGGER_CONTROL", false}};
}

bool AnyBad(const std::vector<CheckLine>& lines) {
  return std::any_of(lines.begin(), lines.end(), [](const CheckLine& line) { return line.level == Level::kBad; });
}

bool OnlyTransient(const std::vector<CheckLine>& lines) {
  return std::all_of(lines.begin(), lines.end(), [](const CheckLine& line) { return line.level != Level::kBad || line.transient; });
}

std::string FormatCheck(const std::vector<CheckLine>& lines, bool colour) {
  std::string text, section;
  for (const CheckLine& line : lines) {
    if (line.section != section) {
      text += (section.empty() ? "" : "\n") + line.section + "\n" + std::string(line.section.size(), '-') + "\n";
      section = line.section;
    }
    text += Symbol(line.level, colour) + " " + line.text + "\n";
    if (!line.hint.empty()) text += "    " + line.hint + "\n";
  }
  return text + "\nStatus check results are " + Symbol(AnyBad(lines) ? Level::kBad : Level::kGood, colour) + "\n";
}

Json CheckJson(const std::vector<CheckLine>& lines) {
  Json json;
  json["success"] = !AnyBad(lines);
  json["checks"] = Json::array();
  for (const CheckLine& line : lines) {
    Json item = {{"section", line.section}, {"result", LevelName(line.level)}, {"text", line.text}};
    if (!line.hint.empty()) item["hint"] = line.hint;
    json["checks"].push_back(std::move(item));
  }
  return json;
}

}  // namespace outrigger::cli
