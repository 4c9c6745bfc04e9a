// What the operator writes on the command line, and the values it stands for.
#pragma once

#include <optional>
#include <string>

#include "proxy/base/error.h"
#include "proxy/base/log.h"
#include "proxy/base/time.h"
#include "proxy/discovery/control_link.h"
#include "proxy/net/address.h"
#include "proxy/net/files.h"
#include "proxy/path/self.h"
#include "proxy/shard/shard.h"
#include "proxy/sidecar/access_log.h"

namespace outrigger {

constexpr int kUsageError = 2;  // exit code: a flag, folder, file or port that cannot be used

struct Config {
  discovery::LinkOptions link;
  shard::Options shard;
  path::Self self;
  net::Address admin, telemetry;
  std::string access_log;  // path, or "-" for standard output; empty: none
  sidecar::AccessLogFormat access_log_format = sidecar::AccessLogFormat::kJson;
  int workers = 1;
  Duration drain_grace{};
  Duration drain_limit{};
  LogLevel log_level = LogLevel::kInfo;
};

// Nullopt: the program ends now with `exit_code`; what there was to say has been said. Reads the token and the CA, opens nothing else.
std::optional<Config> ReadCommandLine(int argc, char** argv, net::Files* files, int* exit_code);

// One line on stderr that says what is wrong; returns kUsageError.
int Fail(std::string text);

}  // namespace outrigger
