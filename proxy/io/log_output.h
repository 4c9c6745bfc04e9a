// Where access log lines go: a file that is opened again when asked (log rotation), or standard output. Writes never wait: a pipe that
// nobody reads takes nothing, and the caller keeps or drops. Main loop only.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "proxy/base/error.h"
#include "proxy/base/log.h"

namespace outrigger::io {

class LogOutput {
 public:
  LogOutput(std::string path, Log log) : path_(std::move(path)), log_(std::move(log)) {}  // "-": standard output
  ~LogOutput();
  LogOutput(const LogOutput&) = delete;
  LogOutput& operator=(const LogOutput&) = delete;

  // Before the first Write. kIo with a sentence for the user. A file is appended to, and made with mode 0640.
  Outcome Open();
  // Opens the path anew, after a rotation has moved the file; the old one stays in use when that fails.
  void Reopen();
  // How many bytes were taken, 0 when none can be now (full pipe, full disk); nullopt when nothing ever will (nobody reads any more).
  std::optional<size_t> Write(std::string_view bytes);
  // Waits up to `timeout_ms` until something can be written: for the end of the program.
  bool WaitWritable(int timeout_ms) const;

 private:
  const std::string path_;
  const Log log_;
  int fd_ = -1;
  bool waits_ = false;     // a write to it may wait: pipe, socket, terminal
  bool complained_ = false;
};

}  // namespace outrigger::io
