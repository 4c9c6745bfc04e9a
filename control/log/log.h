// The control plane's name for the project's log function (proxy/base/log.h).
#pragma once

#include "proxy/base/log.h"

namespace outrigger::control {

using outrigger::Log;
using outrigger::LogFields;
using outrigger::LogLevel;

}  // namespace outrigger::control
