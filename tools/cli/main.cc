// outrigger: the operator's command line. Each subcommand is one function; what they print is made in views.h and check.h.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "control/admin/duration.h"
#include "proxy/admin/version.h"
#include "tools/cli/check.h"
#include "tools/cli/control_client.h"
#include "tools/cli/views.h"

namespace outrigger::cli {
namespace {

// What the exit codes mean is in the footer below.
enum Exit : int { kWell = 0, kNotWell = 1, kUsage = 2, kUnreachable = 3, kNotInForce = 4 };

constexpr const char* kFooter = R"(Examples:
  outrigger check
  outrigger apply -f mesh.yaml --wait
  outrigger get services
  outrigger get workload orders-1 -o yaml
  outrigger delete workload orders-3
  outrigger config default/orders-1
  outrigger token create --workload default/orders-1 > orders-1.token
  outrigger --control 127.0.0.1:15014 status -o json

Exit codes: 0 all is well; 1 something is wrong, refused or not there (it says what); 2 a wrong flag or file;
3 the control plane cannot be reached; 4 accepted, but not in force in every proxy in time (apply and delete --wait).
Environment: OUTRIGGER_CONTROL for --control, OUTRIGGER_TOKEN for the admin token, OUTRIGGER_DATA_DIR for --data-dir, NO_COLOR.)";

struct Flags {
  std::string control = "127.0.0.1:15014", data_dir, output = "table", log_level = "warning";
  std::vector<std::string> files;
  bool wait = false;
  std::string timeout = "10s", kind, name, space, workload, lifetime = "24h";
};

// What the control plane calls the text that it was sent; the user knows it by another name.
constexpr const char* kPosted = "input";

int Fail(int code, std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  fprintf(stderr, "outrigger: %s\n", text.c_str());
  return code;
}

int Unreachable(const ControlClient& client, const Error& error) {
  if (error.code == ErrorCode::kInvalid) return Fail(kUsage, "--control: " + error.detail);
  return Fail(kUnreachable, "the control plane at " + client.control() + " does not answer (" + error.ToString() +
                                "): start outrigger-control, or name its admin address with --control or OUTRIGGER_CONTROL");
}

void Print(const std::string& text) { fwrite(text.data(), 1, text.size(), stdout); }

// -o json and -o yaml show what the control plane said; a table is made by `table`.
template <typename TableMaker>
void PrintAs(const std::string& output, const Json& json, TableMaker&& table) {
  if (output == "json") return Print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  if (output == "yaml") return Print(ToYaml(json));
  Print(table(json));
}

bool Colour() { return isatty(STDOUT_FILENO) != 0 && getenv("NO_COLOR") == nullptr; }

std::string DefaultDataDir() {
  if (const char* folder = getenv("OUTRIGGER_DATA_DIR"); folder != nullptr && folder[0] != '\0') return folder;
  if (geteuid() == 0) return "/var/lib/outrigger/control";
  if (const char* state = getenv("XDG_STATE_HOME"); state != nullptr && state[0] == '/') return std::string(state) + "/outrigger/control";
  const char* home = getenv("HOME");
  return std::string(home == nullptr ? "" : home) + "/.local/state/outrigger/control";
}

// ---------------------------------------------------------------- subcommands

int Check(const Flags& flags, ControlClient* client, Duration patience) {
  constexpr Duration kLookAgain = std::chrono::milliseconds(200);
  std::vector<CheckLine> lines;
  int code = kWell;
  for (Duration waited{};; waited += kLookAgain) {
    Result<ControlClient::Answer> answer = client->Get("/status");
    if (!answer.ok()) {
      lines = CheckUnreachable(client->control(), answer.error().ToString());
      code = kUnreachable;
      break;
    }
    lines = answer->ok() ? CheckStatus(answer->json, kVersion, client->control()) : CheckUnreachable(client->control(), answer->error());
    code = AnyBad(lines) ? kNotWell : kWell;
    if (code == kWell || !OnlyTransient(lines) || waited >= patience) break;
    client->Pause(kLookAgain);
  }
  if (flags.output == "table") {
    Print(FormatCheck(lines, Colour()));
  } else {
    PrintAs(flags.output, CheckJson(lines), [](const Json&) { return std::string(); });
  }
  return code;
}

int Status(const Flags& flags, ControlClient* client) {
  Result<ControlClient::Answer> answer = client->Get("/status");
  if (!answer.ok()) return Unreachable(*client, answer.error());
  if (!answer->ok()) return Fail(kNotWell, answer->error());
  PrintAs(flags.output, answer->json, StatusTable);
  return kWell;
}

// Contents of FILE, "-" for standard input; a folder means its *.yaml, *.yml and *.json. False with `problem` when one cannot be read.
bool ReadInputs(const std::vector<std::string>& names, std::vector<std::pair<std::string, std::string>>* inputs, std::string* problem) {
  namespace fs = std::filesystem;
  std::vector<std::string> files;
  for (const std::string& name : names) {
    std::error_code error;
    if (name == "-" || !fs::is_directory(name, error)) {
      files.push_back(name);
      continue;
    }
    std::vector<std::string> found;
    for (const fs::directory_entry& entry : fs::directory_iterator(name, error)) {
      const std::string extension = entry.path().extension();
      if (extension == ".yaml" || extension == ".yml" || extension == ".json") found.push_back(entry.path());
    }
    std::sort(found.begin(), found.end());
    if (found.empty()) {
      *problem = name + " holds no *.yaml, *.yml or *.json";
      return false;
    }
    files.insert(files.end(), found.begin(), found.end());
  }
  for (const std::string& file : files) {
    std::ifstream stream;
    if (file != "-") stream.open(file, std::ios::binary);
    if (file != "-" && !stream) {
      *problem = file + " cannot be read";
      return false;
    }
    std::istream& in = file == "-" ? std::cin : stream;
    inputs->emplace_back(file == "-" ? "standard input" : file, std::string(std::istreambuf_iterator<char>(in), {}));
  }
  return true;
}

int ShowWritten(const Flags& flags, const ControlClient::Answer& answer) {
  PrintAs(flags.output, answer.json, ApplyText);
  const bool behind = answer.json.is_object() && answer.json.value("in_force", true) == false;
  return behind ? kNotInForce : kWell;
}

int Apply(const Flags& flags, ControlClient* client, std::optional<Duration> wait) {
  std::vector<std::pair<std::string, std::string>> inputs;
  std::string problem;
  if (!ReadInputs(flags.files, &inputs, &problem)) return Fail(kUsage, problem);
  if (!client->token_problem().empty()) return Fail(kUsage, client->token_problem());
  int code = kWell;
  for (size_t i = 0; i < inputs.size(); ++i) {
    // Generations only grow: waiting for the last file's is waiting for all.
    const bool last = i + 1 == inputs.size();
    const std::string path = wait.has_value() && last ? "/objects?wait=" + control::FormatDuration(*wait) : "/objects";
    Result<ControlClient::Answer> answer = client->Post(path, inputs[i].second, "application/yaml", wait.value_or(Duration::zero()));
    if (!answer.ok()) return Unreachable(*client, answer.error());
    if (answer->ok()) {
      code = std::max(code, ShowWritten(flags, *answer));
      continue;
    }
    code = kNotWell;
    if (answer->json.is_object() && answer->json.contains("problems")) {
      for (Json item : answer->json["problems"]) {
        if (item.value("file", "") == kPosted) item["file"] = inputs[i].first;
        fprintf(stderr, "%s\n", ProblemText(item, inputs[i].first).c_str());
      }
      fprintf(stderr, "outrigger: nothing of %s was applied\n", inputs[i].first.c_str());
    } else {
      Fail(kNotWell, inputs[i].first + ": " + answer->error());
    }
  }
  return code;
}

// "orders", "shop/orders" or a flag -n. A kind without a namespace has "-" in its path.
std::string ObjectPath(const Flags& flags) {
  const size_t slash = flags.name.find('/');
  const std::string space = slash != std::string::npos ? flags.name.substr(0, slash) : flags.space.empty() ? "default" : flags.space;
  const std::string name = slash != std::string::npos ? flags.name.substr(slash + 1) : flags.name;
  return "/objects/" + Escape(flags.kind) + "/" + Escape(space) + "/" + Escape(name);
}

int Get(const Flags& flags, ControlClient* client) {
  std::string path = "/objects";
  if (!flags.name.empty()) {
    path = ObjectPath(flags);
  } else {
    if (!flags.kind.empty() && flags.kind != "all") path += "/" + Escape(flags.kind);
  }
  std::string query;
  if (flags.name.empty() && !flags.space.empty()) query = "namespace=" + Escape(flags.space);
  if (flags.output == "yaml") query += (query.empty() ? "" : "&") + std::string("format=yaml");
  Result<ControlClient::Answer> answer = client->Get(path + (query.empty() ? "" : "?" + query));
  if (!answer.ok()) return Unreachable(*client, answer.error());
  if (!answer->ok()) return Fail(kNotWell, answer->error());
  if (flags.output == "yaml") {
    Print(answer->text);
  } else if (flags.output == "json" && answer->json.contains("object")) {
    Print(answer->json["object"].dump(2, ' ', false, Json::error_handler_t::replace) + "\n");  // one object, as it may be applied
  } else {
    PrintAs(flags.output, answer->json, ObjectsTable);
  }
  return kWell;
}

int Delete(const Flags& flags, ControlClient* client, std::optional<Duration> wait) {
  if (!client->token_problem().empty()) return Fail(kUsage, client->token_problem());
  const std::string query = wait.has_value() ? "?wait=" + control::FormatDuration(*wait) : "";
  Result<ControlClient::Answer> answer = client->Delete(ObjectPath(flags) + query, wait.value_or(Duration::zero()));
  if (!answer.ok()) return Unreachable(*client, answer.error());
  if (!answer->ok()) return Fail(kNotWell, answer->error());
  return ShowWritten(flags, *answer);
}

int Config(const Flags& flags, ControlClient* client) {
  const size_t slash = flags.workload.find('/');
  const std::string space = slash == std::string::npos ? "default" : flags.workload.substr(0, slash);
  const std::string name = slash == std::string::npos ? flags.workload : flags.workload.substr(slash + 1);
  Result<ControlClient::Answer> answer = client->Get("/proxies/" + Escape(space) + "/" + Escape(name) + "/config");
  if (!answer.ok()) return Unreachable(*client, answer.error());
  if (!answer->ok()) return Fail(kNotWell, answer->error());
  PrintAs(flags.output, answer->json, ConfigTables);
  return kWell;
}

int CreateToken(const Flags& flags, ControlClient* client) {
  if (!client->token_problem().empty()) return Fail(kUsage, client->token_problem());
  const Json body = {{"workload", flags.workload}, {"lifetime", flags.lifetime}};
  Result<ControlClient::Answer> answer = client->Post("/tokens", body.dump(), "application/json");
  if (!answer.ok()) return Unreachable(*client, answer.error());
  if (!answer->ok()) return Fail(kNotWell, answer->error());
  if (flags.output != "table") {
    PrintAs(flags.output, answer->json, [](const Json&) { return std::string(); });
    return kWell;
  }
  Print(answer->json.value("token", "") + "\n");
  if (!answer->json.value("declared", true)) {
    fprintf(stderr, "outrigger: note: no Workload or Pod %s is declared yet; the proxy gets its certificate once one is\n",
            flags.workload.c_str());
  }
  return kWell;
}

// ---------------------------------------------------------------- flags

void AddOutput(CLI::App* command, Flags* flags) {
  command->add_option("-o,--output", flags->output, "table, json or yaml")
      ->check(CLI::IsMember({"table", "json", "yaml"}))
      ->capture_default_str();
}

void AddWait(CLI::App* command, Flags* flags) {
  command->add_flag("--wait", flags->wait, "return when every connected proxy runs it, and name those that do not");
  command->add_option("--timeout", flags->timeout, "how long --wait waits")->capture_default_str();
}

void AddObject(CLI::App* command, Flags* flags, bool needed) {
  const std::string kinds = "service, workload, httproute, trafficpolicy, ...";
  command->add_option("kind", flags->kind, needed ? kinds : kinds + "; all")->required(needed);
  command->add_option("name", flags->name, "NAME or NAMESPACE/NAME")->required(needed);
  command->add_option("-n,--namespace", flags->space, "namespace (default: \"default\" for one object, all for a list)");
}

struct Commands {
  CLI::App *check, *status, *apply, *get, *erase, *config, *token, *token_create;
};

Commands Declare(CLI::App* app, Flags* flags) {
  app->description("The operator's command for an Outrigger mesh.");
  app->footer(kFooter);
  app->set_version_flag("--version", "outrigger " + std::string(kVersion));
  app->require_subcommand(1);
  app->fallthrough();
  app->add_option("--control", flags->control, "the control plane's admin address")->envname("OUTRIGGER_CONTROL")->capture_default_str();
  app->add_option("--data-dir", flags->data_dir, "the control plane's data folder, for its admin.token")->capture_default_str();
  app->add_option("--log-level", flags->log_level, "accepted by all programs; this one logs nothing")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
  Commands commands{};
  commands.check = app->add_subcommand("check", "is everything well? versions, certificates, proxies, objects");
  commands.check->add_option("--timeout", flags->timeout, "how long to look again while proxies catch up")->capture_default_str();
  commands.status = app->add_subcommand("status", "what is in force, and in which proxies");
  commands.apply = app->add_subcommand("apply", "declare objects; a file is taken whole or not at all");
  commands.apply->add_option("-f,--file", flags->files, "file, folder, or - for standard input")->required();
  AddWait(commands.apply, flags);
  commands.get = app->add_subcommand("get", "show declared objects");
  AddObject(commands.get, flags, false);
  commands.erase = app->add_subcommand("delete", "withdraw an object that apply declared");
  AddObject(commands.erase, flags, true);
  AddWait(commands.erase, flags);
  commands.config = app->add_subcommand("config", "what a workload's proxy is given: listeners, routes, clusters, endpoints");
  commands.config->add_option("workload", flags->workload, "NAMESPACE/NAME")->required();
  commands.token = app->add_subcommand("token", "join tokens");
  commands.token->require_subcommand(1);
  commands.token->fallthrough();
  commands.token_create = commands.token->add_subcommand("create", "print a join token for one workload's proxy");
  commands.token_create->add_option("--workload", flags->workload, "NAMESPACE/NAME")->required();
  commands.token_create->add_option("--lifetime", flags->lifetime, "until when it may be used, from now")->capture_default_str();
  for (CLI::App* command : {commands.check, commands.status, commands.apply, commands.get, commands.erase, commands.config,
                            commands.token_create}) {
    AddOutput(command, flags);
  }
  return commands;
}

int Run(const Commands& commands, const Flags& flags) {
  const std::optional<Duration> timeout = control::ParseDuration(flags.timeout);
  if (!timeout.has_value()) return Fail(kUsage, "--timeout: \"" + flags.timeout + "\" is no duration, as in 10s");
  const std::optional<Duration> wait = flags.wait ? timeout : std::nullopt;
  ControlClient client(flags.control, flags.data_dir);
  if (commands.check->parsed()) return Check(flags, &client, *timeout);
  if (commands.status->parsed()) return Status(flags, &client);
  if (commands.apply->parsed()) return Apply(flags, &client, wait);
  if (commands.get->parsed()) return Get(flags, &client);
  if (commands.erase->parsed()) return Delete(flags, &client, wait);
  if (commands.config->parsed()) return Config(flags, &client);
  return CreateToken(flags, &client);
}

}  // namespace
}  // namespace outrigger::cli

int main(int argc, char** argv) {
  using namespace outrigger::cli;
  signal(SIGPIPE, SIG_IGN);
  Flags flags;
  flags.data_dir = DefaultDataDir();
  CLI::App app;
  app.name("outrigger");
  const Commands commands = Declare(&app, &flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    return app.exit(help_or_version);
  } catch (const CLI::RequiredError& error) {
    const CLI::App* chosen = &app;
    while (!chosen->get_subcommands().empty()) chosen = chosen->get_subcommands().front();
    const std::vector<std::string> unknown = app.remaining(true);
    // A command that was named lacks something else than a command's name.
    if (!chosen->get_subcommands(nullptr).empty() && !unknown.empty() && !unknown.front().starts_with('-')) {
      return Fail(kUsage, "there is no subcommand \"" + unknown.front() + "\" (see outrigger --help)");
    }
    return Fail(kUsage, std::string(error.what()) + " (see outrigger --help)");
  } catch (const CLI::ParseError& error) {
    return Fail(kUsage, std::string(error.what()) + " (see outrigger --help)");
  }
  return Run(commands, flags);
}
