#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/sim/testing.h"
#include "test/sim/world.h"

namespace outrigger::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class DiskTest : public ::testing::Test {
 protected:
  std::vector<std::string> Names(const std::string& folder) {
    std::vector<std::string> names;
    const std::vector<net::DirectoryEntry> entries = files.List(folder).value();
    for (const net::DirectoryEntry& entry : entries) names.push_back(entry.name);
    return names;
  }
  World world{1};
  SimLoop& loop = world.AddLoop("main");
  net::Files& files = loop.files();
  Disk& disk = loop.process().machine().disk();
};

TEST_F(DiskTest, WhatWasReplacedIsReadWithItsMode) {
  ASSERT_TRUE(files.MakeFolder("/data/keys", 0700).ok());
  ASSERT_TRUE(files.Replace("/data/keys/leaf", "one", 0600).ok());
  EXPECT_EQ(files.Read("/data/keys/leaf").value(), "one");
  EXPECT_EQ(files.Mode("/data/keys/leaf").value(), 0600u);
  EXPECT_EQ(files.Mode("/data/keys").value(), 0700u);
  const uint64_t before = files.List("/data/keys").value()[0].inode;
  ASSERT_TRUE(files.Replace("/data/keys/leaf", "three").ok());
  EXPECT_EQ(files.Read("/data/keys/leaf").value(), "three");
  EXPECT_EQ(files.Mode("/data/keys/leaf").value(), 0644u);
  EXPECT_NE(files.List("/data/keys").value()[0].inode, before);
}

TEST_F(DiskTest, WhatIsMissingIsNotFoundAndWhatIsWrongIsAnIoError) {
  EXPECT_EQ(files.Read("/nothing").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(files.List("/nothing").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(files.Replace("/nothing/file", "x").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(files.Remove("/nothing").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(files.WatchFolder("/nothing", [] {}).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(files.MakeFolder("/a/b").ok());
  ASSERT_TRUE(files.Replace("/a/b/file", "1234").ok());
  EXPECT_EQ(files.Read("/a/b").error().code, ErrorCode::kIo);
  EXPECT_EQ(files.Read("/a/b/file", 3).error().code, ErrorCode::kIo);
  EXPECT_EQ(files.Remove("/a/b").error().code, ErrorCode::kIo);
  EXPECT_EQ(files.MakeFolder("/a/b/file/c").error().code, ErrorCode::kIo);
}

TEST_F(DiskTest, ListsOneFolderSortedByName) {
  ASSERT_TRUE(files.MakeFolder("/f/sub").ok());
  ASSERT_TRUE(files.MakeFolder("/f-other").ok());
  ASSERT_TRUE(files.Replace("/f/b", "22").ok());
  ASSERT_TRUE(files.Replace("/f/a", "1").ok());
  ASSERT_TRUE(files.Replace("/f/sub/deep", "3").ok());
  EXPECT_THAT(Names("/f"), ElementsAre("a", "b", "sub"));
  EXPECT_EQ(files.List("/f").value()[1].size_bytes, 2u);
  EXPECT_TRUE(files.List("/f").value()[2].directory);
  EXPECT_EQ(files.Remove("/f").error().code, ErrorCode::kIo) << "not empty, whatever sorts between";
}

TEST_F(DiskTest, AFullDiskLeavesTheOldFileAsItWas) {
  disk.SetCapacity(10);
  ASSERT_TRUE(files.Replace("/file", "12345").ok());
  EXPECT_EQ(files.Replace("/file", "123456").error().code, ErrorCode::kIo);
  EXPECT_EQ(files.Read("/file").value(), "12345");
  EXPECT_EQ(disk.used_bytes(), 5u);
  ASSERT_TRUE(files.Remove("/file").ok());
  EXPECT_EQ(disk.used_bytes(), 0u);
}

TEST_F(DiskTest, AWatchCallsInALaterTurnAndOnlyForItsFolder) {
  ASSERT_TRUE(files.MakeFolder("/w/below").ok());
  int calls = 0;
  std::unique_ptr<net::Watch> watch = std::move(files.WatchFolder("/w", [&] { ++calls; }).value());
  ASSERT_TRUE(files.Replace("/w/one", "1").ok());
  ASSERT_TRUE(files.Replace("/w/two", "2").ok());
  EXPECT_EQ(calls, 0);
  world.RunFor(1s);
  EXPECT_EQ(calls, 1) << "two changes at once may be one call";
  ASSERT_TRUE(files.Replace("/w/below/deep", "3").ok());
  world.RunFor(1s);
  EXPECT_EQ(calls, 1);
  ASSERT_TRUE(files.Remove("/w/one").ok());
  world.RunFor(1s);
  EXPECT_EQ(calls, 2);
  disk.RemoveTree("/w");
  world.RunFor(1s);
  EXPECT_EQ(calls, 3) << "the folder itself vanished";
  watch.reset();
  EXPECT_THAT(world.Holdings(), IsEmpty());
}

TEST_F(DiskTest, AWatchMayBeDestroyedBeforeAndInsideItsCall) {
  int calls = 0;
  std::unique_ptr<net::Watch> watch;
  watch = std::move(files.WatchFolder("/", [&] { ++calls, watch.reset(); }).value());
  ASSERT_TRUE(files.Replace("/x", "1").ok());
  world.RunFor(1s);
  EXPECT_EQ(calls, 1);
  watch = std::move(files.WatchFolder("/", [&] { ++calls; }).value());
  ASSERT_TRUE(files.Replace("/x", "2").ok());
  watch.reset();
  world.RunFor(1s);
  EXPECT_EQ(calls, 1);
}

TEST_F(DiskTest, TheDiskOutlivesItsProcesses) {
  ASSERT_TRUE(files.Replace("/kept", "safe").ok());
  Process& process = loop.process();
  process.Restart();
  EXPECT_EQ(process.loop().files().Read("/kept").value(), "safe");
}

TEST_F(DiskTest, AnEditorThatWritesInPlaceShowsHalfAFile) {
  ASSERT_TRUE(files.Replace("/edited", "whole").ok());
  const uint64_t inode = files.List("/").value()[0].inode;
  ASSERT_TRUE(disk.WriteInPlace("/edited", "wh", world.wall_now()).ok());
  EXPECT_EQ(files.Read("/edited").value(), "wh");
  EXPECT_EQ(files.List("/").value()[0].inode, inode);
}

TEST_F(DiskTest, ADiskThatFailsSaysSo) {
  world.faults().disk_error = 1;
  EXPECT_EQ(files.Replace("/x", "1").error().code, ErrorCode::kIo);
  EXPECT_FALSE(disk.Exists("/x"));
}

}  // namespace
}  // namespace outrigger::sim
