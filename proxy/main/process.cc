#include "proxy/main/process.h"

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <string>
#include <utility>

#include "proxy/admin/version.h"
#include "proxy/main/process_facts.h"
#include "proxy/observe/metrics.h"
#include "proxy/shard/shard.h"

namespace outrigger {
namespace {

constexpr int kCutError = 3;

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
  WorkerParts(net::Loop* loop, const Config& config, std::shared_ptr<sidecar::AccessLogLane> lane)
      : access_log(loop, std::move(lane)), shard(loop, config.shard, config.self, &metrics) {}
  sidecar::AccessLogSink access_log;
  observe::WorkerMetrics metrics{&access_log};
  shard::Shard shard;
};

}  // namespace

Process::Process(io::UvLoop* loop, Config config, io::StderrLog log) : loop_(loop), config_(std::move(config)), log_(std::move(log)) {}

Process::~Process() {
  pages_.reset();
  sidecar_.reset();
  workers_.clear();  // joins
  FlushAccessLog();
}

// What the workers have said in their last moments lies in the mailbox of a loop that has stopped.
void Process::FlushAccessLog() {
  if (access_log_ == nullptr) return;
  loop_->mailbox()->Post([this] { loop_->Stop(); });
  loop_->Run();
  for (int tries = 0; tries < 20 && access_log_->pending_bytes() > 0; ++tries) {
    access_log_->Push();
    if (access_log_->pending_bytes() > 0) access_log_output_->WaitWritable(/*timeout_ms=*/50);
  }
}

Outcome Process::StartAccessLog() {
  if (config_.access_log.empty()) return {};
  access_log_output_ = std::make_unique<io::LogOutput>(config_.access_log, log_.log);
  if (Outcome opened = access_log_output_->Open(); !opened) {
    return Error::Make(ErrorCode::kIo, "--access-log: " + opened.error().detail);
  }
  access_log_ = std::make_unique<sidecar::AccessLogWriter>(
      loop_, config_.access_log_format, [output = access_log_output_.get()](std::string_view bytes) { return output->Write(bytes); });
  return {};
}

Outcome Process::StartWorkers(uint64_t seed) {
  config_.shard.max_connections = MaxConnections(config_.workers);
  Random seeds(seed);
  for (int i = 0; i < config_.workers; ++i) {
    sidecar::ShardHandle handle;
    std::shared_ptr<sidecar::AccessLogLane> lane = access_log_ == nullptr ? nullptr : access_log_->MakeLane();
    auto worker = std::make_unique<worker::Worker>("worker-" + std::to_string(i), seeds.Next(),
                                                   [this, &handle, &lane](net::Loop& loop) -> Result<std::shared_ptr<void>> {
                                                     auto parts = std::make_shared<WorkerParts>(&loop, config_, std::move(lane));
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

Outcome Process::StartPages() {
  admin::PagesOptions options;
  options.admin = config_.admin;
  options.telemetry = config_.telemetry;
  options.self = config_.self;
  options.log_level = log_.level;
  options.process = ReadProcessFacts;
  options.drain_grace = config_.drain_grace;
  options.quit = [this] { OnSignal(SIGTERM); };
  if (access_log_ != nullptr) {
    options.access_log = [this] { return admin::AccessLogFacts{access_log_->lines(), access_log_->dropped()}; };
    options.reopen_logs = [this] { access_log_output_->Reopen(); };
  }
  Result<std::unique_ptr<admin::Pages>> pages = admin::MakePages(loop_, std::move(options), sidecar_.get());
  if (!pages) return pages.error();
  pages_ = std::move(pages).value();
  return {};
}

Outcome Process::Start(uint64_t seed) {
  for (const net::Address& address : {config_.shard.outbound, config_.shard.inbound}) {
    if (Outcome free = io::ProbeBind(address); !free) return free;
  }
  if (Outcome opened = StartAccessLog(); !opened) return opened;
  if (Outcome started = StartWorkers(seed); !started) return started;
  config_.link.log = log_.log;
  sidecar_ = std::make_unique<sidecar::Sidecar>(loop_, config_.link, handles_);
  if (Outcome served = StartPages(); !served) return served;
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
  if (signal == SIGUSR1) {
    if (access_log_output_ != nullptr) access_log_output_->Reopen();
    return;
  }
  if (std::exchange(ending_, true)) {
    log_.log(LogLevel::kWarning, "asked twice: ends now", {});
    exit_code_ = kCutError;
    loop_->Stop();
    return;
  }
  log_.log(LogLevel::kInfo, "drains", {{"signal", std::to_string(signal)}});
  sidecar_->Drain(config_.drain_grace, config_.drain_limit, [this](bool cut) {
    if (cut) {
      log_.log(LogLevel::kWarning, "requests were still under way at the end of --drain-time and are cut", {});
      exit_code_ = kCutError;
    }
    loop_->Stop();
  });
}

}  // namespace outrigger
