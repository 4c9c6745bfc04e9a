#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/source/source.h"
#include "control/source/testing.h"

namespace outrigger::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Namespace(const std::string& name) { return "{apiVersion: v1, kind: Namespace, metadata: {name: " + name + "}}\n"; }

class FolderSourceTest : public ::testing::Test {
 protected:
  FolderSourceTest() { disk.MakeFolder("/cfg", 0755).ok(); }

  absl::Status Start(FolderSourceOptions options = {}) {
    source = MakeFolderSource(&loop, "/cfg/", options);
    return source->Start([this](const SourceSnapshot& snapshot) {
      last = snapshot;
      ++calls;
    });
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> out;
    for (const auto& file : last.files) {
      for (const ObjectPtr& object : file->objects) out.push_back(object->key.name);
    }
    return out;
  }
  std::vector<std::string> Problems() const {
    std::vector<std::string> out;
    for (const Problem& problem : last.problems) out.push_back(problem.ToString());
    for (const auto& file : last.files) {
      for (const Problem& problem : file->problems) out.push_back(problem.ToString());
    }
    return out;
  }
  const SourceFile& File(const std::string& path) const {
    for (const auto& file : last.files) {
      if (file->path == path) return *file;
    }
    ADD_FAILURE() << "no " << path;
    return *last.files.at(0);
  }

  testing::FakeLoop loop;
  testing::FakeFiles& disk = loop.disk;
  std::unique_ptr<Source> source;
  SourceSnapshot last;
  int calls = 0;
};

TEST_F(FolderSourceTest, StartsWithEverythingInTheFolderAndOneLevelBelow) {
  disk.Write("/cfg/b.yaml", Namespace("b"));
  disk.Write("/cfg/a.yml", Namespace("a"));
  disk.Write("/cfg/c.json", R"({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "c"}})");
  disk.Write("/cfg/.hidden.yaml", Namespace("hidden"));
  disk.Write("/cfg/notes.txt", "not ours");
  disk.Write("/cfg/a.yaml~", Namespace("backup"));
  for (const char* folder : {"/cfg/applied", "/cfg/applied/deeper", "/cfg/.git"}) disk.MakeFolder(folder, 0755).ok();
  disk.Write("/cfg/applied/d.yaml", Namespace("d"));
  disk.Write("/cfg/applied/deeper/e.yaml", Namespace("e"));
  disk.Write("/cfg/.git/f.yaml", Namespace("f"));
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(calls, 1) << "before Start returns";
  EXPECT_THAT(Names(), ElementsAre("a", "d", "b", "c")) << "by path";
  EXPECT_EQ(last.files[0]->path, "/cfg/a.yml");
  loop.RunFor(100s);
  EXPECT_EQ(calls, 1) << "nothing changed";
}

TEST_F(FolderSourceTest, AFolderThatIsNotThereFailsTheStart) {
  disk.DeleteFolder("/cfg");
  absl::Status status = Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/cfg"));
  EXPECT_EQ(calls, 0);
}

TEST_F(FolderSourceTest, AnEmptyFolderIsFine) {
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(calls, 1);
  EXPECT_THAT(last.files, IsEmpty());
}

TEST_F(FolderSourceTest, ReadsAfterFiftyMillisecondsOfQuiet) {
  ASSERT_TRUE(Start().ok());
  disk.Write("/cfg/a.yaml", Namespace("a"));
  loop.RunFor(40ms);
  disk.Write("/cfg/b.yaml", Namespace("b"));
  loop.RunFor(45ms);
  EXPECT_EQ(calls, 1) << "still settling";
  loop.RunFor(10ms);
  EXPECT_EQ(calls, 2) << "both in one";
  EXPECT_THAT(Names(), ElementsAre("a", "b"));
}

TEST_F(FolderSourceTest, DoesNotWaitForeverForQuiet) {
  ASSERT_TRUE(Start().ok());
  for (int i = 0; i < 110; ++i) {
    disk.Write("/cfg/a.yaml", Namespace("a" + std::to_string(i)));
    loop.RunFor(10ms);
  }
  EXPECT_GE(calls, 2) << "after a second at the latest";
}

TEST_F(FolderSourceTest, AChangedAFewMillisecondsLaterIsSeenAlthoughSizeAndTimeAreTheSame) {
  disk.Write("/cfg/a.yaml", Namespace("a"));
  ASSERT_TRUE(Start().ok());
  WallTime before = disk.files["/cfg/a.yaml"].modified;
  disk.Write("/cfg/a.yaml", Namespace("b"));
  disk.files["/cfg/a.yaml"].modified = before;  // a file system with a coarse clock
  loop.RunFor(60ms);
  EXPECT_THAT(Names(), ElementsAre("b"));
}

TEST_F(FolderSourceTest, AnUnchangedFileIsNotReadAgainAndKeepsItsObjects) {
  disk.Write("/cfg/a.yaml", Namespace("a"));
  disk.Write("/cfg/b.yaml", Namespace("b"));
  loop.RunFor(10s);
  ASSERT_TRUE(Start().ok());
  auto a = last.files[0];
  disk.Write("/cfg/b.yaml", Namespace("b2"));
  loop.RunFor(60ms);
  EXPECT_EQ(disk.reads["/cfg/a.yaml"], 1);
  EXPECT_EQ(last.files[0], a);
  EXPECT_THAT(Names(), ElementsAre("a", "b2"));
}

TEST_F(FolderSourceTest, AFileThatIsRemovedTakesItsObjectsAlong) {
  disk.Write("/cfg/a.yaml", Namespace("a"));
  disk.Write("/cfg/b.yaml", Namespace("b"));
  ASSERT_TRUE(Start().ok());
  disk.Delete("/cfg/a.yaml");
  loop.RunFor(60ms);
  EXPECT_THAT(Names(), ElementsAre("b"));
}

TEST_F(FolderSourceTest, AFileReplacedByRenameIsOneChange) {
  disk.Write("/cfg/a.yaml", Namespace("a"));
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(disk.Replace("/cfg/a.yaml", Namespace("b"), 0644).ok());
  loop.RunFor(60ms);
  EXPECT_EQ(calls, 2);
  EXPECT_THAT(Names(), ElementsAre("b"));
}

TEST_F(FolderSourceTest, AFileWrittenInPiecesIsReadWhenItIsWhole) {
  disk.Write("/cfg/a.yaml", Namespace("a"));
  ASSERT_TRUE(Start().ok());
  const std::string whole = Namespace("one") + "---\n" + Namespace("two");
  for (size_t bytes = 0; bytes <= whole.size(); bytes += 20) {
    disk.Write("/cfg/a.yaml", whole.substr(0, bytes));
    loop.RunFor(20ms);
  }
  disk.Write("/cfg/a.yaml", whole);
  EXPECT_THAT(Names(), ElementsAre("a")) << "not read in between";
  loop.RunFor(60ms);
  EXPECT_EQ(calls, 2);
  EXPECT_THAT(Names(), ElementsAre("one", "two"));
}

TEST_F(FolderSourceTest, AFileThatChangesWhileItIsReadIsReadAgain) {
  disk.Write("/cfg/a.yaml", Namespace("a"));
  disk.Write("/cfg/other.yaml", Namespace("other"));
  ASSERT_TRUE(Start().ok());
  disk.on_read = [&](const std::string& path) {
    disk.on_read = nullptr;
    EXPECT_EQ(path, "/cfg/a.yaml");
    disk.now += 1ms;
    disk.Write("/cfg/a.yaml", Namespace("whole"));
  };
  disk.Write("/cfg/a.yaml", "{apiVersion: v1, kind: Namesp");
  loop.RunFor(60ms);
  EXPECT_EQ(calls, 1) << "what was read is half of it";
  loop.RunFor(60ms);
  EXPECT_EQ(calls, 2);
  EXPECT_THAT(Names(), ElementsAre("whole", "other"));
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(FolderSourceTest, AFileThatNeverHoldsStillDoesNotKeepOthersWaiting) {
  disk.Write("/cfg/log.yaml", Namespace("log"));
  ASSERT_TRUE(Start().ok());
  disk.on_read = [&](const std::string& path) {
    if (path == "/cfg/log.yaml") disk.Write(path, disk.files[path].contents + "#");
  };
  disk.Write("/cfg/log.yaml", Namespace("log") + "#");
  disk.Write("/cfg/b.yaml", Namespace("b"));
  loop.RunFor(1500ms);
  EXPECT_THAT(Names(), ElementsAre("b", "log"));
}

TEST_F(FolderSourceTest, AFileWithASyntaxErrorIsIncomplete) {
  disk.Write("/cfg/a.yaml", Namespace("a"));
  ASSERT_TRUE(Start().ok());
  disk.Write("/cfg/a.yaml", "{apiVersion: v1, kind: 'Name");
  loop.RunFor(60ms);
  EXPECT_FALSE(File("/cfg/a.yaml").complete);
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("/cfg/a.yaml:1: not valid YAML")));
}

TEST_F(FolderSourceTest, AnEmptiedFileIsIncompleteUntilItIsRemoved) {
  disk.Write("/cfg/a.yaml", Namespace("a"));
  disk.Write("/cfg/new.yaml", "");
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(File("/cfg/new.yaml").complete) << "it never held anything";
  disk.Write("/cfg/a.yaml", "# empty\n");
  loop.RunFor(60ms);
  EXPECT_FALSE(File("/cfg/a.yaml").complete);
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("the file is empty; what it declared stays in force")));
  disk.Delete("/cfg/a.yaml");
  loop.RunFor(60ms);
  EXPECT_EQ(last.files.size(), 1u);
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(FolderSourceTest, AFileThatCannotBeReadIsIncompleteAndComesBack) {
  disk.Write("/cfg/a.yaml", Namespace("a"));
  ASSERT_TRUE(Start().ok());
  disk.Write("/cfg/a.yaml", Namespace("b"));
  disk.files["/cfg/a.yaml"].unreadable = true;
  loop.RunFor(60ms);
  EXPECT_FALSE(File("/cfg/a.yaml").complete);
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("cannot be read: /cfg/a.yaml: permission denied")));
  disk.files["/cfg/a.yaml"].unreadable = false;
  disk.Write("/cfg/a.yaml", Namespace("b"));
  loop.RunFor(60ms);
  EXPECT_THAT(Names(), ElementsAre("b"));
}

TEST_F(FolderSourceTest, AFolderThatVanishedKeepsEverythingAndIsReadAgainWhenItIsBack) {
  disk.Write("/cfg/a.yaml", Namespace("a"));
  ASSERT_TRUE(Start().ok());
  disk.DeleteFolder("/cfg");
  loop.RunFor(1s);
  EXPECT_THAT(Names(), ElementsAre("a"));
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("/cfg: the folder cannot be read, what it declared stays in force")));
  int calls_before = calls;
  loop.RunFor(10s);
  EXPECT_EQ(calls, calls_before) << "said once";

  disk.MakeFolder("/cfg", 0755).ok();
  disk.Write("/cfg/b.yaml", Namespace("b"));
  loop.RunFor(1s);
  EXPECT_THAT(Names(), ElementsAre("b")) << "now it says so itself";
  EXPECT_THAT(Problems(), IsEmpty());
  disk.Write("/cfg/c.yaml", Namespace("c"));
  loop.RunFor(60ms);
  EXPECT_THAT(Names(), ElementsAre("b", "c")) << "watched again";
}

TEST_F(FolderSourceTest, ASubfolderThatComesLaterIsReadAndWatched) {
  ASSERT_TRUE(Start().ok());
  disk.MakeFolder("/cfg/applied", 0755).ok();
  disk.Write("/cfg/applied/a.yaml", Namespace("a"));
  loop.RunFor(60ms);
  EXPECT_THAT(Names(), ElementsAre("a"));
  disk.Write("/cfg/applied/b.yaml", Namespace("b"));
  loop.RunFor(60ms);
  EXPECT_THAT(Names(), ElementsAre("a", "b"));
  disk.Delete("/cfg/applied/a.yaml");
  loop.RunFor(60ms);
  EXPECT_THAT(Names(), ElementsAre("b"));
  disk.DeleteFolder("/cfg/applied");
  loop.RunFor(1s);
  EXPECT_THAT(Names(), ElementsAre("b")) << "vanished as a whole";
}

TEST_F(FolderSourceTest, WhereNothingCanBeWatchedItLooksEveryHalfSecond) {
  disk.can_watch = false;
  ASSERT_TRUE(Start().ok());
  disk.Write("/cfg/a.yaml", Namespace("a"));
  loop.RunFor(501ms);
  EXPECT_THAT(Names(), ElementsAre("a"));
}

TEST_F(FolderSourceTest, TooManyFilesAreReportedAndTheRestIsNotRead) {
  for (const char* name : {"a", "b", "c"}) disk.Write(std::string("/cfg/") + name + ".yaml", Namespace(name));
  FolderSourceOptions options;
  options.files = 2;
  ASSERT_TRUE(Start(options).ok());
  EXPECT_THAT(Names(), ElementsAre("a", "b"));
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("more than 2 files")));
}

TEST_F(FolderSourceTest, AFileThatIsTooLargeIsReportedAndKept) {
  disk.Write("/cfg/a.yaml", Namespace("a"));
  ASSERT_TRUE(Start().ok());
  disk.Write("/cfg/a.yaml", std::string(17 << 20, ' '));
  loop.RunFor(60ms);
  EXPECT_FALSE(File("/cfg/a.yaml").complete);
}

}  // namespace
}  // namespace outrigger::control
