// The program's log on stderr: text for people on a terminal, one JSON object a line otherwise.
#pragma once

#include "control/log/log.h"

namespace outrigger::control {

// `json`: whatever stderr is. Thread-safe.
Log MakeStderrLog(LogLevel level, bool json);

}  // namespace outrigger::control
