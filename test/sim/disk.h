// A machine's disk in memory, and net::Files of a process on it. Survives its processes. Replace is atomic, as the contract says; what an
// operator's editor does (writing in place, in steps) is WriteInPlace, for scenarios that want to see half a file being read.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/net/files.h"
#include "test/sim/loop.h"

namespace outrigger::sim {

class SimWatch;

class Disk {
 public:
  explicit Disk(World* world) : world_(world) {}

  Result<std::string> Read(const std::string& path, size_t limit_bytes) const;
  Outcome Replace(const std::string& path, std::string_view contents, uint32_t mode, WallTime now);
  Outcome WriteInPlace(const std::string& path, std::string_view contents, WallTime now);  // same inode
  Outcome Remove(const std::string& path);  // a file or an empty folder
  void RemoveTree(const std::string& path);
  Outcome MakeFolder(const std::string& path, uint32_t mode, WallTime now);
  Result<std::vector<net::DirectoryEntry>> List(const std::string& folder) const;
  Result<uint32_t> Mode(const std::string& path) const;
  bool Exists(const std::string& path) const { return nodes_.count(path) > 0; }

  // Files together never hold more; 0: no limit. A Replace needs room for old and new at once.
  void SetCapacity(size_t bytes) { capacity_bytes_ = bytes; }
  size_t used_bytes() const { return used_bytes_; }

  void AddWatch(SimWatch* watch) { watches_.push_back(watch); }
  void RemoveWatch(SimWatch* watch) { std::erase(watches_, watch); }

 private:
  struct Node {
    bool folder = false;
    std::string contents;
    uint32_t mode = 0;
    WallTime modified{};
    uint64_t inode = 0;
  };
  static std::string Parent(const std::string& path);
  Outcome CheckParent(const std::string& path) const;
  void Changed(const std::string& path);

  World* const world_;
  std::map<std::string, Node> nodes_{{"/", Node{.folder = true, .contents = {}, .mode = 0755, .inode = 1}}};  // by absolute path
  uint64_t next_inode_ = 2;
  size_t capacity_bytes_ = 0;
  size_t used_bytes_ = 0;
  std::vector<SimWatch*> watches_;
};

class SimFiles final : public net::Files {
 public:
  SimFiles(SimLoop* loop, Disk* disk) : loop_(loop), disk_(disk) {}
  Result<std::string> Read(const std::string& path, size_t limit_bytes) override;
  Outcome Replace(const std::string& path, std::string_view contents, uint32_t mode) override;
  Outcome Remove(const std::string& path) override;
  Outcome MakeFolder(const std::string& path, uint32_t mode) override;
  Result<std::vector<net::DirectoryEntry>> List(const std::string& folder) override;
  Result<uint32_t> Mode(const std::string& path) override;
  Result<std::unique_ptr<net::Watch>> WatchFolder(const std::string& folder, std::function<void()> changed) override;

  int watches() const { return watches_; }

 private:
  friend class SimWatch;
  Outcome MayFail(const std::string& path, const char* call);

  SimLoop* const loop_;
  Disk* const disk_;
  int watches_ = 0;
};

}  // namespace outrigger::sim
