// outrigger-control: flags, wiring, drain. Everything else is control::ControlPlane on one loop.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "CLI/CLI.hpp"
#include "control/admin/duration.h"
#include "control/plane/control_plane.h"
#include "proxy/admin/version.h"
#include "proxy/io/signals.h"
#include "proxy/io/stderr_log.h"
#include "proxy/io/uv_loop.h"

namespace outrigger::control {
namespace {

constexpr Duration kDrainTime = std::chrono::seconds(5);
constexpr int kUsageError = 2;

constexpr const char* kFooter = R"(Examples:
  outrigger-control --config-dir mesh/
  outrigger-control --config-dir mesh/ --data-dir /var/lib/outrigger/control --xds :15010
  outrigger-control --config-dir mesh/ --xds-plaintext 127.0.0.1:15011     for Envoy or gRPC clients without an identity of ours

Proxies join with a token:   outrigger token create --workload default/orders-1 > orders-1.token
What is in force:            outrigger status

Exit codes: 0 ended by SIGTERM or SIGINT, 2 a flag, folder, file or port that cannot be used.)";

// One clear line, as every start that fails gets.
int Fail(std::string text) {
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  fprintf(stderr, "outrigger-control: %s\n", text.c_str());
  return kUsageError;
}

std::string DefaultDataDir() {
  if (geteuid() == 0) return "/var/lib/outrigger/control";
  if (const char* state = getenv("XDG_STATE_HOME"); state != nullptr && state[0] == '/') return std::string(state) + "/outrigger/control";
  const char* home = getenv("HOME");
  return std::string(home != nullptr && home[0] == '/' ? home : "") + "/.local/state/outrigger/control";
}

struct Flags {
  std::string config_dir, data_dir = DefaultDataDir(), xds = "127.0.0.1:15010", admin = "127.0.0.1:15014", xds_plaintext;
  std::string trust_domain = "cluster.local", certificate_lifetime = "24h", log_level = "info", source = "files";
};

void Declare(CLI::App* app, Flags* flags) {
  app->description("The control plane: turns declared objects into configuration, signs workload certificates, streams both to proxies.");
  app->footer(kFooter);
  app->set_version_flag("--version", "outrigger-control " + std::string(kVersion));
  app->add_option("--config-dir", flags->config_dir, "folder with the declared objects (*.yaml, *.json); watched")->required();
  app->add_option("--data-dir", flags->data_dir, "folder for the signing root and tokens; kept over restarts")->capture_default_str();
  app->add_option("--xds", flags->xds, "address of xDS and identity, TLS only (\":15010\": all addresses)")->capture_default_str();
  app->add_option("--admin", flags->admin, "address of admin and metrics; loopback")->capture_default_str();
  app->add_option("--xds-plaintext", flags->xds_plaintext, "also serve xDS without TLS and identity on this loopback address");
  app->add_option("--trust-domain", flags->trust_domain, "trust domain of all identities")->capture_default_str();
  app->add_option("--certificate-lifetime", flags->certificate_lifetime, "how long workload certificates last (5s to 365d)")
      ->capture_default_str();
  app->add_option("--source", flags->source, "where objects come from")->check(CLI::IsMember({"files"}))->capture_default_str();
  app->add_option("--log-level", flags->log_level, "least level that is logged")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
}

// A sentence about the first flag that cannot be used; empty when all can.
std::string Convert(const Flags& flags, ControlPlaneOptions* options) {
  options->config_dir = flags.config_dir;
  options->data_dir = flags.data_dir;
  options->trust_domain = flags.trust_domain;
  options->version = std::string(kVersion);
  Result<net::Address> xds = net::Address::Parse(flags.xds);
  if (!xds.ok()) return "--xds: " + xds.error().detail;
  options->xds = *xds;
  Result<net::Address> admin = net::Address::Parse(flags.admin);
  if (!admin.ok()) return "--admin: " + admin.error().detail;
  options->admin = *admin;
  if (!flags.xds_plaintext.empty()) {
    Result<net::Address> plaintext = net::Address::Parse(flags.xds_plaintext);
    if (!plaintext.ok()) return "--xds-plaintext: " + plaintext.error().detail;
    options->xds_plaintext = *plaintext;
  }
  const std::optional<Duration> lifetime = ParseDuration(flags.certificate_lifetime);
  if (!lifetime.has_value()) return "--certificate-lifetime: \"" + flags.certificate_lifetime + "\" is no duration, as in 24h or 10s";
  options->certificate_lifetime = *lifetime;
  return "";
}

LogLevel ParseLevel(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warning") return LogLevel::kWarning;
  return name == "error" ? LogLevel::kError : LogLevel::kInfo;
}

// Lets the plane drain, then ends the loop.
class Ending {
 public:
  Ending(io::UvLoop* loop, ControlPlane* plane) : loop_(loop), plane_(plane) {}

  void OnSignal() {
    if (draining_) return loop_->Stop();  // asked twice: now
    draining_ = true;
    until_ = loop_->now() + kDrainTime;
    plane_->Drain();
    Look();
  }

 private:
  void Look() {
    if (plane_->drained() || loop_->now() >= until_) return loop_->Stop();
    loop_->Arm(&timer_, 10ms);
  }

  io::UvLoop* const loop_;
  ControlPlane* const plane_;
  CallbackTimer<Ending, &Ending::Look> timer_{this};
  Instant until_{};
  bool draining_ = false;
};

int Run(const Flags& flags) {
  ControlPlaneOptions options;
  if (std::string wrong = Convert(flags, &options); !wrong.empty()) return Fail(std::move(wrong));
  const Log log = io::MakeStderrLog(ParseLevel(flags.log_level), isatty(STDERR_FILENO) == 0).log;
  options.log = log;

  signal(SIGPIPE, SIG_IGN);
  std::random_device entropy;
  io::UvLoop loop((static_cast<uint64_t>(entropy()) << 32) | entropy());
  // Before anything is written or said: another control plane may be at work on the same folders.
  for (const std::optional<net::Address>& address : {std::optional(options.xds), std::optional(options.admin), options.xds_plaintext}) {
    if (!address.has_value()) continue;
    if (Outcome free = io::ProbeBind(*address); !free.ok()) return Fail(free.error().detail);
  }
  Result<std::unique_ptr<ControlPlane>> plane = ControlPlane::Start(&loop, std::move(options));
  if (!plane.ok()) return Fail(plane.error().detail);
  log(LogLevel::kInfo, "outrigger-control runs",
      {{"version", std::string(kVersion)},
       {"xds", (*plane)->xds_address().ToString()},
       {"admin", (*plane)->admin_address().ToString()},
       {"config_dir", flags.config_dir},
       {"data_dir", flags.data_dir},
       {"trust_domain", flags.trust_domain}});
  if ((*plane)->plaintext_address().has_value()) {
    log(LogLevel::kWarning, "xDS is also served without TLS", {{"xds", (*plane)->plaintext_address()->ToString()}});
  }
  Ending ending(&loop, plane->get());
  io::SignalWatcher signals(&loop, {SIGTERM, SIGINT}, [&ending](int) { ending.OnSignal(); });
  loop.Run();
  log(LogLevel::kInfo, "outrigger-control ends", {});
  return 0;
}

}  // namespace
}  // namespace outrigger::control

int main(int argc, char** argv) {
  outrigger::control::Flags flags;
  CLI::App app;
  app.name("outrigger-control");
  outrigger::control::Declare(&app, &flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    return app.exit(help_or_version);
  } catch (const CLI::ParseError& error) {
    return outrigger::control::Fail(std::string(error.what()) + " (see outrigger-control --help)");
  }
  return outrigger::control::Run(flags);
}
