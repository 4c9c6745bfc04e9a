#include "control/admin/duration.h"

#include <array>
#include <charconv>

namespace outrigger::control {

namespace {

struct Unit {
  std::string_view name;
  Duration length;
};
constexpr std::array<Unit, 5> kUnits = {{{"d", 24h}, {"h", 1h}, {"m", 1min}, {"s", 1s}, {"ms", 1ms}}};

}  // namespace

std::optional<Duration> ParseDuration(std::string_view text) {
  uint32_t number = 0;  // so that no unit overflows nanoseconds by more than the check below sees
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  for (const Unit& known : kUnits) {
    if (unit != known.name) continue;
    if (number > Duration::max() / known.length) return std::nullopt;
    return known.length * static_cast<int64_t>(number);
  }
  return std::nullopt;
}

std::string FormatDuration(Duration duration) {
  for (const Unit& unit : kUnits) {
    if (unit.name == "d") continue;  // "24h" is how certificates' lives are spoken of
    if (duration.count() != 0 && duration % unit.length == Duration::zero()) {
      return std::to_string(duration / unit.length) + std::string(unit.name);
    }
  }
  return std::to_string(Milliseconds(duration)) + "ms";
}

}  // namespace outrigger::control
