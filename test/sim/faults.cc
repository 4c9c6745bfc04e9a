#include "test/sim/faults.h"

#include <cmath>
#include <cstdio>

namespace outrigger::sim {
namespace {

// Log-uniform in [low, high]: rare and frequent faults are equally likely to be drawn.
double LogUniform(Random& random, double low, double high) { return low * std::pow(high / low, random.Uniform()); }

size_t LogUniformSize(Random& random, size_t low, size_t high) {
  return static_cast<size_t>(LogUniform(random, static_cast<double>(low), static_cast<double>(high)));
}

Duration LogUniformTime(Random& random, Duration low, Duration high) {
  return Duration(static_cast<int64_t>(LogUniform(random, static_cast<double>(low.count()), static_cast<double>(high.count()))));
}

// A fault that half of all runs do not have at all.
double Sometimes(Random& random, double low, double high) { return random.Chance(0.5) ? LogUniform(random, low, high) : 0.0; }

void Say(std::string* text, const char* name, double value) {
  if (value == 0) return;
  char line[64];
  std::snprintf(line, sizeof line, "%s%s=%.2g", text->empty() ? "" : " ", name, value);
  *text += line;
}

}  // namespace

Faults Faults::Calm(Random& random) {
  Faults faults;
  faults.latency_min = LogUniformTime(random, 10us, 1ms);
  faults.latency_max = faults.latency_min + LogUniformTime(random, 10us, 20ms);
  faults.jitter_max = LogUniformTime(random, 1us, 5ms);
  faults.turn_delay_max = LogUniformTime(random, 1us, 500us);
  faults.tear = Sometimes(random, 0.01, 0.7);
  if (random.Chance(0.5)) {
    faults.send_buffer_min = LogUniformSize(random, 512, 16 * 1024);
    faults.send_buffer_max = faults.send_buffer_min * 4;
    faults.receive_buffer_min = LogUniformSize(random, 512, 16 * 1024);
    faults.receive_buffer_max = faults.receive_buffer_min * 4;
  }
  return faults;
}

Faults Faults::Swarm(Random& random) {
  Faults faults = Calm(random);
  faults.lost_segment = Sometimes(random, 0.0005, 0.02);
  faults.reset = Sometimes(random, 0.0001, 0.01);
  faults.connect_refused = Sometimes(random, 0.001, 0.1);
  faults.connect_lost = Sometimes(random, 0.001, 0.05);
  faults.hiccup = Sometimes(random, 0.0005, 0.02);
  faults.hiccup_max = LogUniformTime(random, 1ms, 100ms);
  faults.resolve_fails = Sometimes(random, 0.01, 0.2);
  faults.kill_resets = random.Uniform();
  faults.reset_discards = random.Uniform();
  return faults;
}

std::string Faults::Describe() const {
  std::string text;
  Say(&text, "tear", tear);
  Say(&text, "lost_segment", lost_segment);
  Say(&text, "reset", reset);
  Say(&text, "connect_refused", connect_refused);
  Say(&text, "connect_lost", connect_lost);
  Say(&text, "hiccup", hiccup);
  Say(&text, "resolve_fails", resolve_fails);
  Say(&text, "disk_error", disk_error);
  if (send_buffer_min < 64 * 1024) Say(&text, "send_buffer", static_cast<double>(send_buffer_min));
  if (receive_buffer_min < 64 * 1024) Say(&text, "receive_buffer", static_cast<double>(receive_buffer_min));
  return text.empty() ? "none" : text;
}

}  // namespace outrigger::sim
