// Files, as far as this project needs them: small, read whole, replaced whole, watched by folder. Calls are synchronous:
// they belong on the main loop, never on a worker's. Errors are kIo or kNotFound with a sentence that names the path.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/error.h"
#include "proxy/base/time.h"

namespace outrigger::net {

struct DirectoryEntry {
  std::string name;  // without the folder
  bool directory = false;
  uint64_t size_bytes = 0;
  WallTime modified{};
  uint64_t inode = 0;  // (inode, size, modified) tells whether a file is the one that was read before
};

class Watch {
 public:
  virtual ~Watch() = default;  // stops watching
};

class Files {
 public:
  virtual ~Files() = default;
  virtual Result<std::string> Read(const std::string& path, size_t limit_bytes = 16 << 20) = 0;
  // Writes a temporary file beside it, syncs, renames over: readers see the old or the new one, never a part; a full disk
  // leaves the old one as it was.
  virtual Outcome Replace(const std::string& path, std::string_view contents, uint32_t mode = 0644) = 0;
  virtual Outcome Remove(const std::string& path) = 0;
  virtual Outcome MakeFolder(const std::string& path, uint32_t mode = 0755) = 0;  // with parents; fine when it exists
  // Sorted by name; temporary files of Replace are left out. A link stands for what it leads to, one that leads nowhere for itself.
  virtual Result<std::vector<DirectoryEntry>> List(const std::string& folder) = 0;
  virtual Result<uint32_t> Mode(const std::string& path) = 0;  // permission bits
  // Calls back in a later turn after something in `folder` (not below it) was made, changed, moved or removed, or the folder itself
  // vanished. Several changes may make one call. Look again: the call says only that it is worth it.
  virtual Result<std::unique_ptr<Watch>> WatchFolder(const std::string& folder, std::function<void()> changed) = 0;
};

}  // namespace outrigger::net
