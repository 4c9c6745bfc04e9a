// A program's log on stderr: text for people on a terminal, one JSON object a line otherwise.
#pragma once

#include <memory>

#include "proxy/base/log.h"

namespace outrigger::io {

struct StderrLog {
  Log log;                                // thread-safe
  std::shared_ptr<SharedLogLevel> level;  // may be changed while running (/logging)
};

StderrLog MakeStderrLog(LogLevel level, bool json);

}  // namespace outrigger::io
