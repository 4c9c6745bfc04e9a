// Where objects come from. A Source reports everything it sees, again and whole, whenever something changed; what stays in
// force when something is broken is the Store's business. One thread: lives on the main loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "control/model/object.h"
#include "control/model/parse.h"
#include "proxy/net/loop.h"

namespace outrigger::control {

struct SourceFile {
  std::string path;
  std::vector<ObjectPtr> objects;
  std::vector<Problem> problems;
  // False: the file may hold more objects than could be read (syntax error, unreadable, emptied); what was in force from it stays.
  bool complete = true;
  bool operator==(const SourceFile&) const = default;
};

struct SourceSnapshot {
  std::vector<std::shared_ptr<const SourceFile>> files;  // by path; unchanged files keep their pointer
  std::vector<Problem> problems;                         // of folders; then `files` holds what was last seen there
};

using SourceCallback = std::function<void(const SourceSnapshot& snapshot)>;

class Source {
 public:
  virtual ~Source() = default;
  // Reads everything once, calls back before it returns, and watches from then on. NotFound or PermissionDenied with a sentence for the
  // user when there is nothing to read from; the callback is not called then.
  virtual absl::Status Start(SourceCallback callback) = 0;
};

struct FolderSourceOptions {
  // After a change nothing is read until it has been quiet for so long, but no later than `patience` after the first change.
  Duration quiet = std::chrono::milliseconds(50);
  Duration patience = std::chrono::seconds(1);
  // How often to look without being told: a folder that vanished or cannot be watched (`poll`), all others (`recheck`).
  Duration poll = std::chrono::milliseconds(500);
  Duration recheck = std::chrono::seconds(30);
  size_t file_bytes = 16 << 20;
  size_t files = 20'000;
};

// *.yaml, *.yml and *.json in `folder` and its subfolders, one level deep; hidden ones are left out. A file that cannot be read or
// was emptied is `complete = false`; a folder that vanished keeps all files that were seen in it, and is reported.
// `loop` must outlive it.
std::unique_ptr<Source> MakeFolderSource(net::Loop* loop, std::string folder, FolderSourceOptions options = {});

}  // namespace outrigger::control
