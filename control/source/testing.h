// A loop with a clock and files of the test's own, for tests of sources and stores: a read may be interrupted by another writer, which the
// simulation's disk does not do. Header only.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/net/loop.h"

namespace outrigger::control::testing {

class FakeFiles final : public net::Files {
 public:
  struct File {
    std::string contents;
    WallTime modified{};
    uint64_t inode = 0;
    bool unreadable = false;
  };

  // As another process would: in place, or as a new file under the old name.
  void Write(const std::string& path, std::string contents) {
    File& file = files[path];
    if (file.inode == 0) file.inode = ++last_inode;
    file.contents = std::move(contents);
    file.modified = now;
    Changed(Parent(path));
  }
  void Delete(const std::string& path) {
    files.erase(path);
    Changed(Parent(path));
  }
  void DeleteFolder(const std::string& path) {
    folders.erase(path);
    std::erase_if(files, [&](const auto& entry) { return Parent(entry.first) == path; });
    Changed(path);
    Changed(Parent(path));
  }
  // What watches wait to be told, in the next turn.
  void TellWatches() {
    std::vector<std::string> told = std::exchange(changed_, {});
    for (const std::string& folder : told) {
      for (const auto& [id, watch] : std::map(watches_)) {
        if (watch.first == folder) watch.second();
      }
    }
  }

  Result<std::string> Read(const std::string& path, size_t limit_bytes) override {
    auto found = files.find(path);
    if (found == files.end()) return Error::Make(ErrorCode::kNotFound, path + ": no such file");
    if (found->second.unreadable) return Error::Make(ErrorCode::kIo, path + ": permission denied");
    if (found->second.contents.size() > limit_bytes) return Error::Make(ErrorCode::kIo, path + ": too large");
    ++reads[path];
    std::string contents = found->second.contents;
    if (on_read) on_read(path);
    return contents;
  }
  Outcome Replace(const std::string& path, std::string_view contents, uint32_t) override {
    if (full == path) return Error::Make(ErrorCode::kIo, path + ": no space left on device");
    if (!folders.contains(Parent(path))) return Error::Make(ErrorCode::kNotFound, path + ": no such folder");
    files[path] = File{std::string(contents), now, ++last_inode, false};
    Changed(Parent(path));
    return {};
  }
  Outcome Remove(const std::string& path) override {
    if (files.erase(path) == 0) return Error::Make(ErrorCode::kNotFound, path + ": no such file");
    Changed(Parent(path));
    return {};
  }
  Outcome MakeFolder(const std::string& path, uint32_t) override {
    if (folders.insert({path, ++last_inode}).second) Changed(Parent(path));
    return {};
  }
  Result<std::vector<net::DirectoryEntry>> List(const std::string& folder) override {
    if (!folders.contains(folder)) return Error::Make(ErrorCode::kNotFound, folder + ": no such folder");
    std::vector<net::DirectoryEntry> out;
    for (const auto& [path, file] : files) {
      if (Parent(path) == folder) out.push_back({path.substr(folder.size() + 1), false, file.contents.size(), file.modified, file.inode});
    }
    for (const auto& [path, inode] : folders) {
      if (path != folder && Parent(path) == folder) out.push_back({path.substr(folder.size() + 1), true, 0, WallTime(), inode});
    }
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return out;
  }
  Result<uint32_t> Mode(const std::string&) override { return 0644u; }
  Result<std::unique_ptr<net::Watch>> WatchFolder(const std::string& folder, std::function<void()> changed) override {
    if (!can_watch || !folders.contains(folder)) return Error::Make(ErrorCode::kNotFound, folder + ": cannot be watched");
    watches_[++last_watch_] = {folder, std::move(changed)};
    return std::unique_ptr<net::Watch>(std::make_unique<FakeWatch>(this, last_watch_));
  }

  static std::string Parent(const std::string& path) { return path.substr(0, path.rfind('/')); }

  std::map<std::string, File> files;
  std::map<std::string, uint64_t> folders;
  std::map<std::string, int> reads;
  std::function<void(const std::string& path)> on_read;  // after the bytes were taken
  std::string full;                                      // Replace of this path fails
  bool can_watch = true;
  WallTime now{std::chrono::hours(24 * 365)};
  uint64_t last_inode = 0;

 private:
  struct FakeWatch final : net::Watch {
    FakeWatch(FakeFiles* files, int id) : files_(files), id_(id) {}
    ~FakeWatch() override { files_->watches_.erase(id_); }
    FakeFiles* const files_;
    const int id_;
  };
  void Changed(const std::string& folder) { changed_.push_back(folder); }

  std::map<int, std::pair<std::string, std::function<void()>>> watches_;
  int last_watch_ = 0;
  std::vector<std::string> changed_;
};

class FakeLoop final : public net::Loop {
 public:
  FakeLoop() : Loop(Instant(std::chrono::hours(1)), 1) { SetTime(now(), disk.now); }

  // In turns of a millisecond.
  void RunFor(Duration duration) {
    for (Duration passed{}; passed < duration; passed += std::chrono::milliseconds(1)) {
      disk.now += std::chrono::milliseconds(1);
      SetTime(now() + std::chrono::milliseconds(1), disk.now);
      disk.TellWatches();
      timers().Advance(now());
      RunTurnEnd();
    }
  }

  Result<std::unique_ptr<net::Listener>> Listen(const net::ListenOptions&, net::Listener::Handler*) override {
    return Error::Make(ErrorCode::kIo, "no network here");
  }
  std::unique_ptr<net::Connection> Connect(const net::ConnectOptions&, net::Connection::Handler*) override { return nullptr; }
  void Retire(std::unique_ptr<net::Connection>) override {}
  std::unique_ptr<net::Resolution> Resolve(const std::string&, uint16_t, net::ResolveCallback) override { return nullptr; }
  std::shared_ptr<net::Mailbox> mailbox() override { return nullptr; }
  net::Files& files() override { return disk; }

  FakeFiles disk;
};

}  // namespace outrigger::control::testing
