// The pages of one proxy: everything about it on the admin address, and what the outside needs (/metrics, /ready, /live) on the telemetry
// address. Paths and shapes are the ones that people know from Envoy's admin interface (envoyproxy.io, "Administration interface").
// Reads are GET, changes are POST; GET of a changing path is 405. Main loop only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "proxy/base/error.h"
#include "proxy/base/log.h"
#include "proxy/net/address.h"
#include "proxy/net/loop.h"
#include "proxy/path/self.h"
#include "proxy/sidecar/sidecar.h"

namespace outrigger::admin {

// What the operating system says about this process.
struct ProcessFacts {
  double cpu_seconds = 0;           // user and system
  uint64_t resident_bytes = 0;
  uint64_t virtual_bytes = 0;
  uint64_t heap_allocated_bytes = 0;  // in use by the program
  uint64_t heap_reserved_bytes = 0;   // taken from the kernel
  uint64_t heap_free_bytes = 0;       // reserved, not in use
  uint64_t open_fds = 0, max_fds = 0;
  uint64_t threads = 0;
};

// Lines of the access log since the start.
struct AccessLogFacts {
  uint64_t lines = 0;
  uint64_t dropped = 0;
};

struct PagesOptions {
  net::Address admin;      // family kNone: not served
  net::Address telemetry;  // family kNone: not served
  path::Self self;
  std::shared_ptr<SharedLogLevel> log_level;         // null: /logging says 501
  std::function<AccessLogFacts()> access_log;        // null: there is none
  std::function<void()> reopen_logs;                 // null: nothing to reopen
  std::function<void()> quit;                        // /quitquitquit, after its answer
  std::function<ProcessFacts()> process;             // null: zeros
  Duration drain_grace = std::chrono::seconds(1);    // of /drain: connections that are idle after it are closed
  Duration answer_timeout = std::chrono::seconds(5);  // workers that have not answered by then: 503
};

class Pages {
 public:
  virtual ~Pages() = default;
  virtual net::Address admin_address() const = 0;
  virtual net::Address telemetry_address() const = 0;
};

// kIo with a sentence for the user when an address cannot be had. `sidecar` must outlive the pages.
Result<std::unique_ptr<Pages>> MakePages(net::Loop* loop, PagesOptions options, sidecar::Sidecar* sidecar);

}  // namespace outrigger::admin
