#include "proxy/io/stderr_log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "nlohmann/json.hpp"

namespace outrigger::io {

namespace {

spdlog::level::level_enum Level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarning: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}

// As JSON writes it: quoted, escaped, whatever the bytes.
std::string Quoted(std::string_view text) {
  return nlohmann::json(std::string(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string JsonMembers(std::string_view message, const LogFields& fields) {
  std::string line = "\"message\":" + Quoted(message);
  for (const auto& [name, value] : fields) line += "," + Quoted(name) + ":" + Quoted(value);
  return line;
}

std::string Text(std::string_view message, const LogFields& fields) {
  std::string line(message);
  for (const auto& [name, value] : fields) {
    const bool plain = !value.empty() && value.find_first_of(" \"\\\n\t=") == std::string::npos;
    line += " " + std::string(name) + "=" + (plain ? value : Quoted(value));
  }
  return line;
}

}  // namespace

StderrLog MakeStderrLog(LogLevel level, bool json) {
  auto logger = std::make_shared<spdlog::logger>("outrigger", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::trace);
  logger->set_formatter(json ? std::make_unique<spdlog::pattern_formatter>("{\"time\":\"%Y-%m-%dT%H:%M:%S.%eZ\",\"level\":\"%l\",%v}",
                                                                           spdlog::pattern_time_type::utc)
                             : std::make_unique<spdlog::pattern_formatter>("%Y-%m-%d %H:%M:%S.%e %-7l %v"));
  auto least = std::make_shared<SharedLogLevel>(level);
  Log log = [logger, json, least](LogLevel message_level, std::string_view message, const LogFields& fields) {
    if (message_level < least->load()) return;
    logger->log(Level(message_level), "{}", json ? JsonMembers(message, fields) : Text(message, fields));
  };
  return {std::move(log), std::move(least)};
}

}  // namespace outrigger::io
