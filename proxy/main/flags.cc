#include "proxy/main/flags.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "proxy/admin/version.h"
#include "proxy/discovery/static_resources.h"
#include "proxy/main/bootstrap.h"
#include "proxy/tls/certificate.h"
#include "proxy/worker/worker_count.h"

namespace outrigger {
namespace {

constexpr const char* kFooter = R"(Examples:
  outrigger-proxy --control 127.0.0.1:15010 --workload default/orders-1 --token-file orders-1.token
  outrigger-proxy --control control.mesh:15010 --workload default/web-1 --app 127.0.0.1:8080 --data-dir /var/lib/outrigger/web-1

  outrigger-proxy --bootstrap orders-1.yaml

A token comes from:   outrigger token create --workload default/orders-1 > orders-1.token
It is needed once: key and certificate are kept in --data-dir and renewed by themselves.

Exit codes: 0 drained, 2 a flag, folder, file or port that cannot be used, 3 requests were cut at the end of --drain-time.)";

struct Flags {
  std::string control, workload, token_file, control_ca, data_dir, app;
  std::string outbound = "127.0.0.1:15001", inbound = ":15006", admin = "127.0.0.1:15000", telemetry = ":15020";
  std::string access_log = "-", access_log_format;
  std::string log_level = "info";
  int workers = 0;
  int drain_time_s = 30;
  int drain_grace_ms = 1000;
  std::shared_ptr<Bootstrap> bootstrap;
};

void Declare(CLI::App* app, Flags* flags) {
  app->description("The sidecar: takes a workload's traffic in and out, and gives it identity, balancing, retries and sight.");
  app->footer(kFooter);
  app->set_version_flag("--version", "outrigger-proxy " + std::string(kVersion));
  app->add_option("--control", flags->control, "HOST:PORT of the control plane's xDS and identity port");
  app->add_option("--workload", flags->workload, "NAMESPACE/NAME of the workload beside this proxy")->required();
  app->add_option("--token-file", flags->token_file, "join token; needed until a certificate is kept in --data-dir");
  app->add_option("--control-ca", flags->control_ca, "PEM file with the control plane's root, instead of the token's pin");
  app->add_option("--outbound", flags->outbound, "address for the application's own requests")->capture_default_str();
  app->add_option("--inbound", flags->inbound, "address for requests of other workloads (\":15006\": all addresses)")
      ->capture_default_str();
  app->add_option("--admin", flags->admin, "admin address; loopback or unix:PATH")->capture_default_str();
  app->add_option("--telemetry", flags->telemetry, "address of /metrics, /ready and /live")->capture_default_str();
  app->add_option("--app", flags->app, "where the application listens, when not on 127.0.0.1 and its declared port");
  app->add_option("--data-dir", flags->data_dir, "folder for key, certificate and the last good configuration; kept over restarts");
  app->add_option("--workers", flags->workers, "threads that carry traffic; 0: the CPU limit rounded up, at most 2 without one")
      ->check(CLI::Range(0, 256))
      ->capture_default_str();
  app->add_option("--drain-time", flags->drain_time_s, "seconds that requests under way get at the end")
      ->check(CLI::Range(0, 3600))
      ->capture_default_str();
  app->add_option("--drain-grace-ms", flags->drain_grace_ms, "milliseconds for which new requests are still taken at the end")
      ->check(CLI::Range(0, 600000))
      ->capture_default_str();
  app->add_option("--access-log", flags->access_log,
                  "where requests are logged that the mesh's policy wants (all, errors or none): a file, - for standard output, or off; "
                  "SIGUSR1 opens the file again")
      ->capture_default_str();
  app->add_option("--access-log-format", flags->access_log_format, "json or text; without it, text on a terminal and JSON otherwise")
      ->check(CLI::IsMember({"json", "text"}));
  app->set_config("--bootstrap", "",
                  "YAML file with these settings by their names (control: 127.0.0.1:15010); the command line comes first. With "
                  "staticResources, xDS resources to run on without a control plane");
  app->add_option("--log-level", flags->log_level, "least level that is logged")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
}

std::string DefaultDataDir(const std::string& workload) {
  std::string name = "proxy-" + workload;
  for (char& c : name) {
    if (c == '/') c = '.';
  }
  if (geteuid() == 0) return "/var/lib/outrigger/" + name;
  if (const char* state = getenv("XDG_STATE_HOME"); state != nullptr && state[0] == '/') return std::string(state) + "/outrigger/" + name;
  const char* home = getenv("HOME");
  return std::string(home != nullptr && home[0] == '/' ? home : "") + "/.local/state/outrigger/" + name;
}

Outcome ReadAddress(const char* flag, const std::string& text, net::Address* address) {
  Result<net::Address> parsed = net::Address::Parse(text);
  if (!parsed) return Error::Make(ErrorCode::kInvalid, std::string(flag) + ": " + parsed.error().detail);
  *address = *parsed;
  return {};
}

Outcome ReadFiles(const Flags& flags, net::Files* files, discovery::LinkOptions* link) {
  if (!flags.token_file.empty()) {
    Result<std::string> text = files->Read(flags.token_file, 64 * 1024);
    if (!text) return Error::Make(ErrorCode::kInvalid, "--token-file: " + text.error().detail);
    Result<discovery::JoinToken> token = discovery::ParseJoinToken(*text);
    if (!token) return Error::Make(ErrorCode::kInvalid, "--token-file " + flags.token_file + ": " + token.error().detail);
    link->token = *token;
  }
  if (!flags.control_ca.empty()) {
    Result<std::string> text = files->Read(flags.control_ca, 1 << 20);
    if (!text) return Error::Make(ErrorCode::kInvalid, "--control-ca: " + text.error().detail);
    Result<std::vector<tls::Der>> roots = tls::ChainFromPem(*text);
    if (!roots) return Error::Make(ErrorCode::kInvalid, "--control-ca " + flags.control_ca + ": " + roots.error().detail);
    link->control_ca = *roots;
  }
  return {};
}

bool IsName(std::string_view name) {
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.empty() || name.size() > 253 || !alphanumeric(name.front()) || !alphanumeric(name.back())) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) { return alphanumeric(c) || c == '-' || c == '.'; });
}

// HOST:PORT, the host a name or an address.
bool IsHostAndPort(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view host = text.substr(0, colon), digits = text.substr(colon + 1);
  const bool bare_ipv6 = host.find(':') != std::string_view::npos && host.front() != '[';
  if (bare_ipv6 || host.find_first_of("/ @?#") != std::string_view::npos) return false;
  int port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  return error == std::errc() && end == digits.data() + digits.size() && port > 0 && port <= 65535;
}

// What CLI11 says, where it is not plain enough.
std::string PlainError(const CLI::ParseError& error) {
  std::string text = error.what();
  const size_t flag = text.find(": ");
  if (flag != std::string::npos && text.find("At Most 1 required") != std::string::npos) text = text.substr(0, flag) + " is given twice";
  if (flag != std::string::npos && text.find("required TEXT missing") != std::string::npos) text = text.substr(0, flag) + " needs a value";
  return text + " (see outrigger-proxy --help)";
}

Outcome Convert(const Flags& flags, net::Files* files, Config* config) {
  const size_t slash = flags.workload.find('/');
  if (slash == std::string::npos || !IsName(flags.workload.substr(0, slash)) || !IsName(flags.workload.substr(slash + 1))) {
    return Error::Make(ErrorCode::kInvalid, "--workload must be NAMESPACE/NAME, as in default/orders-1, not '" + flags.workload + "'");
  }
  if (const std::optional<std::string>& resources = flags.bootstrap->static_resources(); resources.has_value()) {
    if (!flags.control.empty()) return Error::Make(ErrorCode::kInvalid, "--control and staticResources of --bootstrap exclude each other");
    Result<std::vector<discovery::AdsState::Response>> parsed = discovery::ParseStaticResources(*resources);
    if (!parsed) return Error::Make(ErrorCode::kInvalid, "--bootstrap: staticResources: " + parsed.error().detail);
    config->link.static_resources = std::move(parsed).value();
  } else if (flags.control.empty()) {
    return Error::Make(ErrorCode::kInvalid, "--control is required (see outrigger-proxy --help)");
  } else if (!IsHostAndPort(flags.control)) {
    return Error::Make(ErrorCode::kInvalid, "--control must be HOST:PORT, as in 127.0.0.1:15010, not '" + flags.control + "'");
  }
  config->self.workload_namespace = flags.workload.substr(0, slash);
  config->self.workload = flags.workload.substr(slash + 1);
  config->link.control = flags.control;
  config->link.workload = flags.workload;
  config->link.data_dir = flags.data_dir.empty() ? DefaultDataDir(flags.workload) : flags.data_dir;
  config->link.version = std::string(kVersion);
  for (const auto& [flag, text, into] : {std::tuple("--outbound", &flags.outbound, &config->shard.outbound),
                                         std::tuple("--inbound", &flags.inbound, &config->shard.inbound),
                                         std::tuple("--admin", &flags.admin, &config->admin),
                                         std::tuple("--telemetry", &flags.telemetry, &config->telemetry)}) {
    if (Outcome read = ReadAddress(flag, *text, into); !read) return read;
  }
  if (!config->admin.loopback()) return Error::Make(ErrorCode::kInvalid, "--admin must be a loopback address or unix:PATH");
  if (!flags.app.empty()) {
    net::Address app;
    if (Outcome read = ReadAddress("--app", flags.app, &app); !read) return read;
    config->link.app = app;
  }
  config->workers = flags.workers > 0 ? flags.workers : worker::WorkerCount();
  config->shard.share_ports = config->workers > 1;
  if (flags.access_log != "off") config->access_log = flags.access_log;
  const bool to_terminal = flags.access_log == "-" && isatty(STDOUT_FILENO) != 0;
  const bool text = flags.access_log_format.empty() ? to_terminal : flags.access_log_format == "text";
  config->access_log_format = text ? sidecar::AccessLogFormat::kText : sidecar::AccessLogFormat::kJson;
  config->drain_grace = std::chrono::milliseconds(flags.drain_grace_ms);
  config->drain_limit = std::chrono::seconds(flags.drain_time_s);
  config->log_level = flags.log_level == "debug"     ? LogLevel::kDebug
                      : flags.log_level == "warning" ? LogLevel::kWarning
                      : flags.log_level == "error"   ? LogLevel::kError
                                                     : LogLevel::kInfo;
  return ReadFiles(flags, files, &config->link);
}

}  // namespace

int Fail(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  fprintf(stderr, "outrigger-proxy: %s\n", text.c_str());
  return kUsageError;
}

std::optional<Config> ReadCommandLine(int argc, char** argv, net::Files* files, int* exit_code) {
  Flags flags;
  CLI::App app;
  app.name("outrigger-proxy");
  flags.bootstrap = std::make_shared<Bootstrap>(&app);
  app.config_formatter(flags.bootstrap);
  Declare(&app, &flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    *exit_code = app.exit(help_or_version);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    *exit_code = Fail(PlainError(error));
    return std::nullopt;
  }
  Config config;
  if (Outcome converted = Convert(flags, files, &config); !converted) {
    *exit_code = Fail(converted.error().detail);
    return std::nullopt;
  }
  return config;
}

}  // namespace outrigger
