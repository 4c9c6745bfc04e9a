// outrigger-proxy. Flags are in flags.cc, everything that lives while it runs in process.cc.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <optional>
#include <random>
#include <string>
#include <utility>

#include "proxy/io/signals.h"
#include "proxy/main/process.h"

namespace outrigger {
namespace {

// A program started with these closed must not write its log into a socket that happens to get their number.
void KeepStandardDescriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) < 0) (void)!open("/dev/null", O_RDWR);
  }
}

int Run(int argc, char** argv) {
  KeepStandardDescriptors();
  signal(SIGPIPE, SIG_IGN);
  std::random_device entropy;
  const uint64_t seed = (static_cast<uint64_t>(entropy()) << 32) | entropy();
  io::UvLoop loop(seed);
  int exit_code = 0;
  std::optional<Config> config = ReadCommandLine(argc, argv, &loop.files(), &exit_code);
  if (!config) return exit_code;
  const io::StderrLog log = io::MakeStderrLog(config->log_level, isatty(STDERR_FILENO) == 0);
  {
    Process process(&loop, std::move(*config), log);
    // Before anything is told apart by who asks first: a signal during the start is not lost.
    io::SignalWatcher signals(&loop, {SIGTERM, SIGINT, SIGUSR1}, [&process](int signal) { process.OnSignal(signal); });
    if (Outcome started = process.Start(seed ^ 0x9e3779b97f4a7c15ull); !started) return Fail(started.error().detail);
    loop.Run();
    exit_code = process.exit_code();
  }
  log.log(LogLevel::kInfo, "outrigger-proxy ends", {{"exit_code", std::to_string(exit_code)}});
  return exit_code;
}

}  // namespace
}  // namespace outrigger

int main(int argc, char** argv) { return outrigger::Run(argc, argv); }
