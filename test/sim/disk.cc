#include "test/sim/disk.h"

#include <algorithm>

#include "test/sim/machine.h"
#include "test/sim/world.h"

namespace outrigger::sim {
namespace {

Error NotFound(const std::string& path) { return Error::Make(ErrorCode::kNotFound, path + ": no such file or folder"); }

// "/a//b/" and "/a/b" are one; a relative path starts at the root.
std::string Clean(const std::string& path) {
  std::string clean;
  size_t at = 0;
  while (at < path.size()) {
    const size_t end = std::min(path.find('/', at), path.size());
    if (end > at && path.compare(at, end - at, ".") != 0) clean += "/" + path.substr(at, end - at);
    at = end + 1;
  }
  return clean.empty() ? "/" : clean;
}

}  // namespace

class SimWatch final : public net::Watch, public ReadySource {
 public:
  SimWatch(SimFiles* files, std::string folder, std::function<void()> changed)
      : files_(files), folder_(std::move(folder)), changed_(std::move(changed)) {
    ++files_->watches_;
    files_->disk_->AddWatch(this);
  }
  ~SimWatch() override {
    --files_->watches_;
    files_->disk_->RemoveWatch(this);
  }
  const std::string& folder() const { return folder_; }
  // Several changes may make one call.
  void Changed(World* world) {
    if (*scheduled_) return;
    *scheduled_ = true;
    world->Later(world->DrawTime(world->faults().watch_delay_max), [this, alive = std::weak_ptr<bool>(scheduled_)] {
      if (alive.lock() != nullptr) files_->loop_->MarkReady(this);
    });
  }
  void Deliver() override {
    *scheduled_ = false;
    files_->loop_->world().Note(TraceKind::kWatch, files_->loop_->actor(), 0);
    const std::function<void()> changed = changed_;  // the call may destroy this
    changed();
  }

 private:
  SimFiles* const files_;
  const std::string folder_;
  const std::function<void()> changed_;
  const std::shared_ptr<bool> scheduled_ = std::make_shared<bool>(false);
};

std::string Disk::Parent(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

Outcome Disk::CheckParent(const std::string& path) const {
  const auto parent = nodes_.find(Parent(path));
  if (parent == nodes_.end()) return NotFound(Parent(path));
  if (!parent->second.folder) return Error::Make(ErrorCode::kIo, Parent(path) + ": not a folder");
  return {};
}

void Disk::Changed(const std::string& path) {
  const std::string folder = Parent(path);
  for (SimWatch* watch : watches_) {
    if (watch->folder() == folder || watch->folder() == path) watch->Changed(world_);
  }
}

Result<std::string> Disk::Read(const std::string& raw, size_t limit_bytes) const {
  const auto node = nodes_.find(Clean(raw));
  if (node == nodes_.end()) return NotFound(raw);
  if (node->second.folder) return Error::Make(ErrorCode::kIo, raw + ": is a folder");
  if (node->second.contents.size() > limit_bytes) {
    return Error::Make(ErrorCode::kIo, raw + ": larger than " + std::to_string(limit_bytes) + " bytes");
  }
  return node->second.contents;
}

Outcome Disk::Replace(const std::string& raw, std::string_view contents, uint32_t mode, WallTime now) {
  const std::string path = Clean(raw);
  if (Outcome parent = CheckParent(path); !parent.ok()) return parent;
  const auto old = nodes_.find(path);
  if (old != nodes_.end() && old->second.folder) return Error::Make(ErrorCode::kIo, raw + ": is a folder");
  if (capacity_bytes_ > 0 && used_bytes_ + contents.size() > capacity_bytes_) {
    return Error::Make(ErrorCode::kIo, raw + ": no space left on device");
  }
  if (old != nodes_.end()) used_bytes_ -= old->second.contents.size();
  used_bytes_ += contents.size();
  nodes_[path] = Node{.folder = false, .contents = std::string(contents), .mode = mode, .modified = now, .inode = next_inode_++};
  Changed(path);
  return {};
}

Outcome Disk::WriteInPlace(const std::string& raw, std::string_view contents, WallTime now) {
  const std::string path = Clean(raw);
  const auto node = nodes_.find(path);
  if (node == nodes_.end()) return Replace(path, contents, 0644, now);
  used_bytes_ = used_bytes_ - node->second.contents.size() + contents.size();
  node->second.contents = contents;
  node->second.modified = now;
  Changed(path);
  return {};
}

Outcome Disk::Remove(const std::string& raw) {
  const std::string path = Clean(raw);
  const auto node = nodes_.find(path);
  if (node == nodes_.end()) return NotFound(raw);
  if (node->second.folder) {
    const auto next = nodes_.lower_bound(path + "/");
    if (next != nodes_.end() && next->first.starts_with(path + "/")) return Error::Make(ErrorCode::kIo, raw + ": folder not empty");
  }
  used_bytes_ -= node->second.contents.size();
  nodes_.erase(node);
  Changed(path);
  return {};
}

void Disk::RemoveTree(const std::string& raw) {
  const std::string path = Clean(raw);
  for (auto node = nodes_.lower_bound(path); node != nodes_.end();) {
    if (node->first != path && !node->first.starts_with(path + "/")) {
      ++node;
      continue;
    }
    used_bytes_ -= node->second.contents.size();
    Changed(node->first);
    node = nodes_.erase(node);
  }
}

Outcome Disk::MakeFolder(const std::string& raw, uint32_t mode, WallTime now) {
  const std::string path = Clean(raw);
  for (size_t at = 1; at != std::string::npos && path.size() > 1;) {
    const size_t slash = path.find('/', at);
    const std::string part = path.substr(0, slash);
    const auto [node, is_new] = nodes_.try_emplace(part);
    if (is_new) {
      node->second = Node{.folder = true, .contents = {}, .mode = mode, .modified = now, .inode = next_inode_++};
      Changed(part);
    } else if (!node->second.folder) {
      return Error::Make(ErrorCode::kIo, part + ": not a folder");
    }
    at = slash == std::string::npos ? slash : slash + 1;
  }
  return {};
}

Result<std::vector<net::DirectoryEntry>> Disk::List(const std::string& raw) const {
  const std::string folder = Clean(raw);
  const auto found = nodes_.find(folder);
  if (found == nodes_.end()) return NotFound(raw);
  if (!found->second.folder) return Error::Make(ErrorCode::kIo, raw + ": not a folder");
  std::vector<net::DirectoryEntry> entries;
  const std::string prefix = folder == "/" ? "/" : folder + "/";
  for (auto node = nodes_.lower_bound(prefix); node != nodes_.end() && node->first.starts_with(prefix); ++node) {
    std::string name = node->first.substr(prefix.size());
    if (name.empty() || name.find('/') != std::string::npos) continue;
    entries.push_back({.name = std::move(name), .directory = node->second.folder, .size_bytes = node->second.contents.size(),
                       .modified = node->second.modified, .inode = node->second.inode});
  }
  return entries;
}

Result<uint32_t> Disk::Mode(const std::string& raw) const {
  const auto node = nodes_.find(Clean(raw));
  if (node == nodes_.end()) return NotFound(raw);
  return node->second.mode;
}

Outcome SimFiles::MayFail(const std::string& path, const char* call) {
  World& world = loop_->world();
  world.Note(TraceKind::kFile, loop_->actor(), path.size());
  if (!loop_->alive()) return Error::Make(ErrorCode::kIo, path + ": the process has ended");
  if (world.Chance(world.faults().disk_error)) return Error::Make(ErrorCode::kIo, path + ": " + call + ": input/output error");
  return {};
}

Result<std::string> SimFiles::Read(const std::string& path, size_t limit_bytes) {
  if (Outcome may = MayFail(path, "read"); !may.ok()) return may.error();
  return disk_->Read(path, limit_bytes);
}

Outcome SimFiles::Replace(const std::string& path, std::string_view contents, uint32_t mode) {
  if (Outcome may = MayFail(path, "write"); !may.ok()) return may;
  return disk_->Replace(path, contents, mode, loop_->wall_now());
}

Outcome SimFiles::Remove(const std::string& path) {
  if (Outcome may = MayFail(path, "remove"); !may.ok()) return may;
  return disk_->Remove(path);
}

Outcome SimFiles::MakeFolder(const std::string& path, uint32_t mode) {
  if (Outcome may = MayFail(path, "mkdir"); !may.ok()) return may;
  return disk_->MakeFolder(path, mode, loop_->wall_now());
}

Result<std::vector<net::DirectoryEntry>> SimFiles::List(const std::string& folder) {
  if (Outcome may = MayFail(folder, "list"); !may.ok()) return may.error();
  return disk_->List(folder);
}

Result<uint32_t> SimFiles::Mode(const std::string& path) { return disk_->Mode(path); }

Result<std::unique_ptr<net::Watch>> SimFiles::WatchFolder(const std::string& folder, std::function<void()> changed) {
  if (!loop_->alive()) return Error::Make(ErrorCode::kIo, folder + ": the process has ended");
  const std::string path = Clean(folder);
  if (!disk_->Exists(path)) return NotFound(folder);
  return std::unique_ptr<net::Watch>(std::make_unique<SimWatch>(this, path, std::move(changed)));
}

}  // namespace outrigger::sim
