#include "proxy/io/posix_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace outrigger::io {
namespace {

constexpr std::string_view kTemporarySuffix = ".outrigger-new";

Error FileError(const std::string& what, const std::string& path, int error) {
  const ErrorCode code = error == ENOENT || error == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kIo;
  return Error::Make(code, "cannot " + what + " " + path + ": " + std::strerror(error));
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Hidden, in the same folder (rename does not cross file systems), with the process in its name: two processes that replace
// one file do not write into each other's.
std::string TemporaryPath(const std::string& path) {
  const size_t slash = path.rfind('/');
  const size_t name = slash == std::string::npos ? 0 : slash + 1;
  return path.substr(0, name) + "." + path.substr(name) + "." + std::to_string(getpid()) + std::string(kTemporarySuffix);
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  // The result of close, which on some file systems is where a full disk shows.
  int Close() { return close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

bool WriteAll(int fd, std::string_view contents) {
  while (!contents.empty()) {
    const ssize_t written = write(fd, contents.data(), contents.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    contents.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

class PosixFiles final : public net::Files {
 public:
  explicit PosixFiles(UvLoop* loop) : loop_(loop) {}

  Result<std::string> Read(const std::string& path, size_t limit_bytes) override {
    // Non-blocking: a pipe in the place of a file must not stop the loop.
    const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.get() < 0) return FileError("read", path, errno);
    struct stat status{};
    if (fstat(file.get(), &status) != 0) return FileError("read", path, errno);
    if (S_ISDIR(status.st_mode)) return FileError("read", path, EISDIR);
    // A hint only: files of /proc say 0, and a file may grow while it is read.
    const size_t expected = static_cast<size_t>(std::max<off_t>(status.st_size, 0));
    std::string contents;
    for (;;) {
      const size_t used = contents.size();
      if (used > limit_bytes) {
        return Error::Make(ErrorCode::kIo, "cannot read " + path + ": larger than " + std::to_string(limit_bytes) + " bytes");
      }
      // One byte more than may be, to see that there is none.
      const size_t room = std::min(std::max<size_t>(4096, expected + 1 - std::min(used, expected)), limit_bytes + 1 - used);
      contents.resize(used + room);
      const ssize_t size = read(file.get(), contents.data() + used, room);
      const int error = errno;
      contents.resize(used + static_cast<size_t>(std::max<ssize_t>(size, 0)));
      if (size == 0) return contents;
      if (size < 0 && error != EINTR) return FileError("read", path, error);
    }
  }

  Outcome Replace(const std::string& path, std::string_view contents, uint32_t mode) override {
    const std::string temporary = TemporaryPath(path);
    unlink(temporary.c_str());  // left by an earlier process of this number
    const int error = WriteTemporary(temporary, contents, mode);
    if (error != 0 || rename(temporary.c_str(), path.c_str()) != 0) {
      const int why = error != 0 ? error : errno;
      unlink(temporary.c_str());
      return FileError("write", path, why);
    }
    // Makes the rename itself survive a power cut. The new file is in place either way.
    const Descriptor folder(open(FolderOf(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder.get() < 0 || fsync(folder.get()) != 0) return FileError("sync the folder of", path, errno);
    return {};
  }

  Outcome Remove(const std::string& path) override {
    if (unlink(path.c_str()) != 0) return FileError("remove", path, errno);
    return {};
  }

  Outcome MakeFolder(const std::string& path, uint32_t mode) override {
    for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
      const std::string parent = path.substr(0, slash);
      if (mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) return FileError("make the folder", parent, errno);
    }
    if (mkdir(path.c_str(), mode) == 0) {
      // mkdir subtracts the umask; the mode asked for is meant.
      return chmod(path.c_str(), mode) == 0 ? Outcome() : Outcome(FileError("make the folder", path, errno));
    }
    const int error = errno;
    struct stat status{};
    if (error == EEXIST && stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return {};
    return FileError("make the folder", path, error);
  }

  Result<std::vector<net::DirectoryEntry>> List(const std::string& folder) override {
    DIR* directory = opendir(folder.c_str());
    if (directory == nullptr) return FileError("list", folder, errno);
    std::vector<net::DirectoryEntry> entries;
    while (const dirent* found = readdir(directory)) {
      const std::string_view name = found->d_name;
      if (name == "." || name == ".." || IsTemporaryName(name)) continue;
      struct stat status{};
      // A link that leads nowhere is listed as itself: that it cannot be read is another thing than that it is gone.
      if (fstatat(dirfd(directory), found->d_name, &status, 0) != 0 &&
          fstatat(dirfd(directory), found->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        continue;  // gone meanwhile
      }
      const Duration modified = std::chrono::seconds(status.st_mtim.tv_sec) + Duration(status.st_mtim.tv_nsec);
      entries.push_back({std::string(name), S_ISDIR(status.st_mode), static_cast<uint64_t>(status.st_size), WallTime(modified),
                         static_cast<uint64_t>(status.st_ino)});
    }
    closedir(directory);
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return entries;
  }

  Result<uint32_t> Mode(const std::string& path) override {
    struct stat status{};
    if (stat(path.c_str(), &status) != 0) return FileError("look at", path, errno);
    return static_cast<uint32_t>(status.st_mode & 07777);
  }

  Result<std::unique_ptr<net::Watch>> WatchFolder(const std::string& folder, std::function<void()> changed) override {
    return StartWatch(loop_, folder, std::move(changed));
  }

 private:
  // 0, or errno.
  static int WriteTemporary(const std::string& temporary, std::string_view contents, uint32_t mode) {
    Descriptor file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (file.get() < 0) return errno;
    // The mode before the contents: nobody may open a secret in between.
    if (fchmod(file.get(), mode) != 0 || !WriteAll(file.get(), contents) || fsync(file.get()) != 0 || file.Close() != 0) return errno;
    return 0;
  }

  UvLoop* const loop_;
};

}  // namespace

bool IsTemporaryName(std::string_view name) {
  return name.starts_with('.') && name.size() > kTemporarySuffix.size() && name.ends_with(kTemporarySuffix);
}

std::unique_ptr<net::Files> MakePosixFiles(UvLoop* loop) { return std::make_unique<PosixFiles>(loop); }

}  // namespace outrigger::io
