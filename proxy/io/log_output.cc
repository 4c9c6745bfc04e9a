#include "proxy/io/log_output.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace outrigger::io {
namespace {

constexpr size_t kMostBytesOfOneCall = 256 << 10;  // the main loop has other things to do

bool MayWait(int fd) {
  struct stat status {};
  return fstat(fd, &status) == 0 && !S_ISREG(status.st_mode);
}

}  // namespace

LogOutput::~LogOutput() {
  if (fd_ > STDERR_FILENO) close(fd_);
}

Outcome LogOutput::Open() {
  // O_NONBLOCK: a named pipe without a reader is an error at once.
  constexpr int kHow = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  const int fd = path_ == "-" ? STDOUT_FILENO : open(path_.c_str(), kHow, 0640);
  if (fd < 0) return Error::Make(ErrorCode::kIo, path_ + " cannot be opened for writing: " + strerror(errno));
  if (fd_ > STDERR_FILENO) close(fd_);
  fd_ = fd;
  waits_ = MayWait(fd);
  complained_ = false;
  return {};
}

void LogOutput::Reopen() {
  if (Outcome opened = Open(); !opened) {
    log_(LogLevel::kWarning, "the access log stays in its old file", {{"why", opened.error().detail}});
  }
}

bool LogOutput::WaitWritable(int timeout_ms) const {
  pollfd ready = {fd_, POLLOUT, 0};
  return poll(&ready, 1, timeout_ms) == 1;
}

std::optional<size_t> LogOutput::Write(std::string_view bytes) {
  size_t written = 0;
  while (written < bytes.size() && written < kMostBytesOfOneCall) {
    // Standard output is shared with others and stays as it is, waiting or not; a pipe that is ready takes PIPE_BUF bytes without
    // waiting (pipe(7)).
    if (waits_ && !WaitWritable(0)) return written;
    const size_t most = waits_ ? PIPE_BUF : kMostBytesOfOneCall;
    const ssize_t size = write(fd_, bytes.data() + written, std::min(bytes.size() - written, most));
    if (size < 0 && errno == EINTR) continue;
    if (size >= 0) {
      written += static_cast<size_t>(size);
      complained_ = false;
      continue;
    }
    const int error = errno;
    if (error == EAGAIN) return written;
    if (!std::exchange(complained_, true)) {
      log_(LogLevel::kWarning, "the access log cannot be written", {{"path", path_}, {"why", strerror(error)}});
    }
    const bool may_pass = error == ENOSPC || error == EDQUOT || error == EIO || error == EFBIG;
    return may_pass ? std::optional<size_t>(written) : std::nullopt;
  }
  return written;
}

}  // namespace outrigger::io
