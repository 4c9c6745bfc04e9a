#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "control/model/text.h"
#include "control/source/source.h"

namespace outrigger::control {
namespace {

bool IsDeclaration(const net::DirectoryEntry& entry) {
  return !entry.directory && !entry.name.starts_with('.') &&
         (entry.name.ends_with(".yaml") || entry.name.ends_with(".yml") || entry.name.ends_with(".json"));
}

bool SameFile(const net::DirectoryEntry& a, const net::DirectoryEntry& b) {
  return a.inode == b.inode && a.size_bytes == b.size_bytes && a.modified == b.modified;
}

class FolderSource final : public Source {
 public:
  FolderSource(net::Loop* loop, std::string folder, FolderSourceOptions options)
      : loop_(loop), root_(std::move(folder)), options_(options) {
    while (root_.size() > 1 && root_.ends_with('/')) root_.pop_back();
  }

  absl::Status Start(SourceCallback callback) override {
    Result<std::vector<net::DirectoryEntry>> entries = loop_->files().List(root_);
    if (!entries.ok()) {
      const Error& error = entries.error();
      return error.code == ErrorCode::kNotFound ? absl::NotFoundError(error.detail) : absl::PermissionDeniedError(error.detail);
    }
    callback_ = std::move(callback);
    first_change_ = loop_->now();
    Scan();
    if (!delivered_) Deliver();
    return absl::OkStatus();
  }

 private:
  struct Folder {
    std::unique_ptr<net::Watch> watch;
    bool there = false;
    std::string problem;  // why it cannot be read now
  };
  struct File {
    net::DirectoryEntry entry;
    bool fresh = false;  // changed so shortly before it was read that its time may not show the next change
    bool had_objects = false;
    std::optional<std::string> text;  // nullopt: could not be read
    std::shared_ptr<const SourceFile> parsed;
  };

  void OnChange() {
    if (!first_change_) first_change_ = loop_->now();
    Duration left = *first_change_ + options_.patience - loop_->now();
    loop_->Arm(&quiet_timer_, std::clamp(left, Duration(), options_.quiet));
  }

  void Scan() {
    bool stable = ScanFolder(root_, /*is_root=*/true);
    for (const std::string& folder : Subfolders()) stable = ScanFolder(folder, /*is_root=*/false) && stable;
    bool all_watched = std::all_of(folders_.begin(), folders_.end(),
                                   [](const auto& entry) { return entry.second.there && entry.second.watch != nullptr; });
    loop_->Arm(&poll_timer_, all_watched ? options_.recheck : options_.poll);
    if (!stable) {
      // A file changed while it was read. What is known so far waits with it, unless somebody writes all the time.
      if (!first_change_) first_change_ = loop_->now();
      loop_->Arm(&quiet_timer_, options_.quiet);
      if (loop_->now() - *first_change_ < options_.patience) return;
    }
    first_change_.reset();
    if (stable) quiet_timer_.Disarm();
    if (changed_) Deliver();
  }

  // Those that are there and those that were.
  std::vector<std::string> Subfolders() {
    for (const std::string& folder : found_subfolders_) folders_[folder];
    std::vector<std::string> out;
    for (const auto& [path, folder] : folders_) {
      if (path != root_) out.push_back(path);
    }
    return out;
  }

  // False when a file was changed while it was read.
  bool ScanFolder(const std::string& path, bool is_root) {
    Folder& folder = folders_[path];
    // The watch comes first: what changes after the listing is then told. A new one each time, because the folder may be another
    // one under the old name.
    Result<std::unique_ptr<net::Watch>> watch = loop_->files().WatchFolder(path, [this] { OnChange(); });
    folder.watch = watch.ok() ? std::move(watch).value() : nullptr;
    Result<std::vector<net::DirectoryEntry>> entries = loop_->files().List(path);
    folder.there = entries.ok();
    std::string problem = entries.ok() ? "" : Cat("the folder cannot be read, what it declared stays in force: ", entries.error().detail);
    if (problem != folder.problem) {
      folder.problem = std::move(problem);
      changed_ = true;
    }
    if (!entries.ok()) return true;
    if (is_root) {
      found_subfolders_.clear();
      for (const net::DirectoryEntry& entry : *entries) {
        if (entry.directory && !entry.name.starts_with('.')) found_subfolders_.push_back(Cat(path, "/", entry.name));
      }
    }
    return ReadFiles(path, *entries);
  }

  bool ReadFiles(const std::string& folder, const std::vector<net::DirectoryEntry>& entries) {
    std::map<std::string, net::DirectoryEntry> read;
    std::set<std::string> seen;
    for (const net::DirectoryEntry& entry : entries) {
      if (!IsDeclaration(entry)) continue;
      std::string path = Cat(folder, "/", entry.name);
      seen.insert(path);
      auto known = files_.find(path);
      if (known != files_.end() && SameFile(known->second.entry, entry) && !known->second.fresh) continue;
      read[path] = entry;
    }
    DropOthers(folder, seen);
    std::map<std::string, Result<std::string>> texts;
    for (const auto& [path, entry] : read) texts.emplace(path, loop_->files().Read(path, options_.file_bytes));
    if (read.empty()) return true;

    std::map<std::string, net::DirectoryEntry> after;
    if (Result<std::vector<net::DirectoryEntry>> again = loop_->files().List(folder)) {
      for (const net::DirectoryEntry& entry : *again) after[Cat(folder, "/", entry.name)] = entry;
    }
    bool stable = true;
    for (const auto& [path, entry] : read) {
      auto now = after.find(path);
      if (now == after.end() || !SameFile(now->second, entry)) {
        stable = false;
      } else {
        Take(path, entry, texts.at(path));
      }
    }
    return stable;
  }

  void DropOthers(const std::string& folder, const std::set<std::string>& seen) {
    for (auto file = files_.begin(); file != files_.end();) {
      bool here = file->first.substr(0, file->first.rfind('/')) == folder;
      if (here && !seen.contains(file->first)) {
        file = files_.erase(file);
        changed_ = true;
      } else {
        ++file;
      }
    }
  }

  void Take(const std::string& path, const net::DirectoryEntry& entry, const Result<std::string>& text) {
    if (!files_.contains(path) && files_.size() >= options_.files) {
      if (!too_many_) changed_ = too_many_ = true;
      return;
    }
    File& file = files_[path];
    file.entry = entry;
    file.fresh = loop_->wall_now() - entry.modified < std::chrono::seconds(2);
    if (text.ok() && file.text == *text) return;
    auto parsed = std::make_shared<SourceFile>();
    parsed->path = path;
    if (!text.ok()) {
      parsed->complete = false;
      parsed->problems.push_back(Problem{path, 0, "", Cat("cannot be read: ", text.error().detail), std::nullopt});
      file.text.reset();
    } else {
      ParseResult result = ParseYaml(*text, path);
      parsed->objects = std::move(result.objects);
      parsed->problems = std::move(result.problems);
      parsed->complete = result.complete;
      file.text = *text;
      if (parsed->objects.empty() && parsed->problems.empty() && file.had_objects) {
        // Most likely somebody is about to write it.
        parsed->complete = false;
        parsed->problems.push_back(
            Problem{path, 0, "", "the file is empty; what it declared stays in force until it is written again or removed", std::nullopt});
      }
      if (!parsed->objects.empty()) file.had_objects = true;
    }
    file.parsed = std::move(parsed);
    changed_ = true;
  }

  void Deliver() {
    SourceSnapshot snapshot;
    for (const auto& [path, file] : files_) snapshot.files.push_back(file.parsed);
    for (const auto& [path, folder] : folders_) {
      if (!folder.problem.empty()) snapshot.problems.push_back(Problem{path, 0, "", folder.problem, std::nullopt});
    }
    if (too_many_) {
      snapshot.problems.push_back(Problem{root_, 0, "", Cat("more than ", options_.files, " files; the rest is not read"), std::nullopt});
    }
    changed_ = false;
    delivered_ = true;
    callback_(snapshot);
  }

  net::Loop* const loop_;
  std::string root_;
  const FolderSourceOptions options_;
  SourceCallback callback_;
  std::map<std::string, Folder> folders_;
  std::vector<std::string> found_subfolders_;
  std::map<std::string, File> files_;
  std::optional<Instant> first_change_;  // since the last delivery
  bool changed_ = false;                 // something is new since the last delivery
  bool delivered_ = false;
  bool too_many_ = false;
  CallbackTimer<FolderSource, &FolderSource::Scan> quiet_timer_{this};
  CallbackTimer<FolderSource, &FolderSource::Scan> poll_timer_{this};
};

}  // namespace

std::unique_ptr<Source> MakeFolderSource(net::Loop* loop, std::string folder, FolderSourceOptions options) {
  return std::make_unique<FolderSource>(loop, std::move(folder), options);
}

}  // namespace outrigger::control
