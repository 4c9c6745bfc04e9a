// outrigger-proxy: flags, wiring, drain. Everything else is sidecar::Sidecar on the main loop and a shard on each worker.
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "proxy/admin/pages.h"
#include "proxy/admin/version.h"
#include "proxy/io/signals.h"
#include "proxy/io/stderr_log.h"
#include "proxy/io/uv_loop.h"
#include "proxy/main/process_facts.h"
#include "proxy/observe/metrics.h"
#include "proxy/shard/shard.h"
#include "proxy/sidecar/sidecar.h"
#include "proxy/tls/certificate.h"
#include "proxy/worker/worker.h"
#include "proxy/worker/worker_count.h"

namespace outrigger {
namespace {

constexpr int kUsageError = 2;
constexpr int kCutError = 3;

constexpr const char* kFooter = R"(Examples:
  outrigger-proxy --control 127.0.0.1:15010 --workload default/orders-1 --token-file orders-1.token
  outrigger-proxy --control control.mesh:15010 --workload default/web-1 --app 127.0.0.1:8080 --data-dir /var/lib/outrigger/web-1

A token comes from:   outrigger token create --workload default/orders-1 > orders-1.token
It is needed once: key and certificate are kept in --data-dir and renewed by themselves.

Exit codes: 0 drained, 2 a flag, folder, file or port that cannot be used, 3 requests were cut at the end of --drain-time.)";

int Fail(std::string text) {
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  fprintf(stderr, "outrigger-proxy: %s\n", text.c_str());
  return kUsageError;
}

struct Flags {
  std::string control, workload, token_file, control_ca, data_dir, app;
  std::string outbound = "127.0.0.1:15001", inbound = ":15006", admin = "127.0.0.1:15000", telemetry = ":15020";
  std::string log_level = "info";
  int workers = 0;
  int drain_time_s = 30;
  int drain_grace_ms = 1000;
};

struct Config {
  discovery::LinkOptions link;
  shard::Options shard;
  path::Self self;
  net::Address admin, telemetry;
  int workers = 1;
};

void Declare(CLI::App* app, Flags* flags) {
  app->description("The sidecar: takes a workload's traffic in and out, and gives it identity, balancing, retries and sight.");
  app->footer(kFooter);
  app->set_version_flag("--version", "outrigger-proxy " + std::string(kVersion));
  app->add_option("--control", flags->control, "HOST:PORT of the control plane's xDS and identity port")->required();
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

Outcome Convert(const Flags& flags, net::Files* files, Config* config) {
  const size_t slash = flags.workload.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == flags.workload.size() ||
      flags.workload.find('/', slash + 1) != std::string::npos) {
    return Error::Make(ErrorCode::kInvalid, "--workload must be NAMESPACE/NAME, as in default/orders-1");
  }
  const size_t colon = flags.control.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == flags.control.size()) {
    return Error::Make(ErrorCode::kInvalid, "--control must be HOST:PORT, as in 127.0.0.1:15010");
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
  return ReadFiles(flags, files, &config->link);
}

// Each client connection may need one of its own upstream: 80 % of the descriptors for both, the rest for everything else.
size_t MaxConnections(int workers) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  const size_t usable = limit.rlim_cur == RLIM_INFINITY ? 1 << 20 : static_cast<size_t>(limit.rlim_cur);
  return std::max<size_t>(16, usable * 4 / 10 / static_cast<size_t>(workers));
}

// What lives on a worker's thread, in the order of its making.
struct WorkerParts {
  explicit WorkerParts(net::Loop* loop, const Config& config) : shard(loop, config.shard, config.self, &metrics) {}
  observe::WorkerMetrics metrics;
  shard::Shard shard;
};

class Process {
 public:
  Process(io::UvLoop* loop, Config config, io::StderrLog log) : loop_(loop), config_(std::move(config)), log_(std::move(log)) {}
  ~Process() {
    pages_.reset();
    sidecar_.reset();
    workers_.clear();  // joins
  }

  Outcome Start(const Flags& flags, uint64_t seed);
  void OnSignal(int signal);
  int exit_code() const { return exit_code_; }

 private:
  Outcome StartWorkers(uint64_t seed);

  io::UvLoop* const loop_;
  Config config_;
  const io::StderrLog log_;
  std::vector<std::unique_ptr<worker::Worker>> workers_;
  std::vector<sidecar::ShardHandle> handles_;
  std::unique_ptr<sidecar::Sidecar> sidecar_;
  std::unique_ptr<admin::Pages> pages_;
  Duration drain_grace_{};
  Duration drain_limit_{};
  bool ending_ = false;
  int exit_code_ = 0;
};

Outcome Process::StartWorkers(uint64_t seed) {
  config_.shard.max_connections = MaxConnections(config_.workers);
  Random seeds(seed);
  for (int i = 0; i < config_.workers; ++i) {
    sidecar::ShardHandle handle;
    auto worker = std::make_unique<worker::Worker>("worker-" + std::to_string(i), seeds.Next(),
                                                   [this, &handle](net::Loop& loop) -> Result<std::shared_ptr<void>> {
                                                     auto parts = std::make_shared<WorkerParts>(&loop, config_);
                                                     if (Outcome listening = parts->shard.Listen(); !listening) return listening.error();
                                                     handle.shard = &parts->shard;
                                                     handle.metrics = &parts->metrics;
                                                     return std::shared_ptr<void>(std::move(parts));
                                                   });
    if (Outcome started = worker->Start(); !started) return started;
    handle.mailbox = worker->mailbox();
    handles_.push_back(handle);
    workers_.push_back(std::move(worker));
  }
  return {};
}

Outcome Process::Start(const Flags& flags, uint64_t seed) {
  drain_grace_ = std::chrono::milliseconds(flags.drain_grace_ms);
  drain_limit_ = std::chrono::seconds(flags.drain_time_s);
  for (const net::Address& address : {config_.shard.outbound, config_.shard.inbound}) {
    if (Outcome free = io::ProbeBind(address); !free) return free;
  }
  if (Outcome started = StartWorkers(seed); !started) return started;
  config_.link.log = log_.log;
  sidecar_ = std::make_unique<sidecar::Sidecar>(loop_, config_.link, handles_);
  admin::PagesOptions options;
  options.admin = config_.admin;
  options.telemetry = config_.telemetry;
  options.self = config_.self;
  options.log_level = log_.level;
  options.process = ReadProcessFacts;
  options.drain_grace = drain_grace_;
  options.quit = [this] { OnSignal(SIGTERM); };
  Result<std::unique_ptr<admin::Pages>> pages = admin::MakePages(loop_, std::move(options), sidecar_.get());
  if (!pages) return pages.error();
  pages_ = std::move(pages).value();
  if (Outcome linked = sidecar_->Start(); !linked) return linked;
  log_.log(LogLevel::kInfo, "outrigger-proxy runs",
           {{"version", std::string(kVersion)},
            {"workload", config_.link.workload},
            {"control", config_.link.control},
            {"outbound", config_.shard.outbound.ToString()},
            {"inbound", config_.shard.inbound.ToString()},
            {"admin", config_.admin.ToString()},
            {"workers", std::to_string(config_.workers)}});
  return {};
}

void Process::OnSignal(int signal) {
  if (std::exchange(ending_, true)) {
    log_.log(LogLevel::kWarning, "asked twice: ends now", {});
    exit_code_ = kCutError;
    loop_->Stop();
    return;
  }
  log_.log(LogLevel::kInfo, "drains", {{"signal", std::to_string(signal)}});
  sidecar_->Drain(drain_grace_, drain_limit_, [this](bool cut) {
    if (cut) {
      log_.log(LogLevel::kWarning, "requests were still under way at the end of --drain-time and are cut", {});
      exit_code_ = kCutError;
    }
    loop_->Stop();
  });
}

int Run(const Flags& flags) {
  const LogLevel level = flags.log_level == "debug"     ? LogLevel::kDebug
                         : flags.log_level == "warning" ? LogLevel::kWarning
                         : flags.log_level == "error"   ? LogLevel::kError
                                                        : LogLevel::kInfo;
  io::StderrLog log = io::MakeStderrLog(level, isatty(STDERR_FILENO) == 0);
  signal(SIGPIPE, SIG_IGN);
  std::random_device entropy;
  const uint64_t seed = (static_cast<uint64_t>(entropy()) << 32) | entropy();
  io::UvLoop loop(seed);
  Config config;
  if (Outcome converted = Convert(flags, &loop.files(), &config); !converted) return Fail(converted.error().detail);
  Process process(&loop, std::move(config), log);
  if (Outcome started = process.Start(flags, seed ^ 0x9e3779b97f4a7c15ull); !started) return Fail(started.error().detail);
  io::SignalWatcher signals(&loop, {SIGTERM, SIGINT}, [&process](int signal) { process.OnSignal(signal); });
  loop.Run();
  log.log(LogLevel::kInfo, "outrigger-proxy ends", {{"exit_code", std::to_string(process.exit_code())}});
  return process.exit_code();
}

}  // namespace
}  // namespace outrigger

int main(int argc, char** argv) {
  outrigger::Flags flags;
  CLI::App app;
  app.name("outrigger-proxy");
  outrigger::Declare(&app, &flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    return app.exit(help_or_version);
  } catch (const CLI::ParseError& error) {
    return outrigger::Fail(std::string(error.what()) + " (see outrigger-proxy --help)");
  }
  return outrigger::Run(flags);
}
