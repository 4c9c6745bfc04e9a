// How a part says what happens: a function handed in, so that the simulation can collect it and the program can print it. One sentence
// and named facts; never secrets, never request contents.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace outrigger {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError };

using LogFields = std::vector<std::pair<std::string_view, std::string>>;  // names are static text
using Log = std::function<void(LogLevel level, std::string_view message, const LogFields& fields)>;

// The least level that is logged, changed while others log. Thread-safe.
class SharedLogLevel {
 public:
  explicit SharedLogLevel(LogLevel level) : level_(level) {}
  LogLevel load() const { return level_.load(std::memory_order_relaxed); }
  void store(LogLevel level) { level_.store(level, std::memory_order_relaxed); }

 private:
  std::atomic<LogLevel> level_;
};

inline Log NoLog() {
  return [](LogLevel, std::string_view, const LogFields&) {};
}

}  // namespace outrigger
