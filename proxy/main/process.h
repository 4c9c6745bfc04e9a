// The whole program after its flags: workers, the sidecar on the main loop, admin pages, access log, and its end.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "proxy/admin/pages.h"
#include "proxy/base/error.h"
#include "proxy/io/log_output.h"
#include "proxy/io/stderr_log.h"
#include "proxy/io/uv_loop.h"
#include "proxy/main/flags.h"
#include "proxy/sidecar/access_log.h"
#include "proxy/sidecar/sidecar.h"
#include "proxy/worker/worker.h"

namespace outrigger {

// Main loop only. The loop must outlive it.
class Process {
 public:
  Process(io::UvLoop* loop, Config config, io::StderrLog log);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // An error is a sentence for the user.
  Outcome Start(uint64_t seed);
  // SIGTERM and SIGINT drain and then stop the loop, a second one stops it now; SIGUSR1 opens the access log again.
  void OnSignal(int signal);
  // 0 drained; 3 requests were cut.
  int exit_code() const { return exit_code_; }

 private:
  Outcome StartAccessLog();
  Outcome StartWorkers(uint64_t seed);
  Outcome StartPages();
  void FlushAccessLog();

  io::UvLoop* const loop_;
  Config config_;
  const io::StderrLog log_;
  std::unique_ptr<io::LogOutput> access_log_output_;           // null: no access log
  std::unique_ptr<sidecar::AccessLogWriter> access_log_;
  std::vector<std::unique_ptr<worker::Worker>> workers_;
  std::vector<sidecar::ShardHandle> handles_;
  std::unique_ptr<sidecar::Sidecar> sidecar_;
  std::unique_ptr<admin::Pages> pages_;
  bool ending_ = false;
  int exit_code_ = 0;
};

}  // namespace outrigger
