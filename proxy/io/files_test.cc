#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "proxy/io/test_support.h"

namespace outrigger::io {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FilesTest : public ::testing::Test {
 protected:
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) names.push_back(entry.path().filename());
    return names;
  }
  UvLoop loop_{1};
  net::Files& files_ = loop_.files();
  const TemporaryFolder folder_;
};

TEST_F(FilesTest, ReadsWhatWasReplaced) {
  const std::string path = folder_ / "a";
  ASSERT_TRUE(files_.Replace(path, "one").ok());
  EXPECT_EQ(files_.Read(path).value(), "one");
  const std::string bulk(300'000, 'x');
  ASSERT_TRUE(files_.Replace(path, bulk).ok());
  EXPECT_EQ(files_.Read(path).value(), bulk);
  ASSERT_TRUE(files_.Replace(path, "").ok());
  EXPECT_EQ(files_.Read(path).value(), "");
  EXPECT_THAT(Names(), ElementsAre("a")) << "nothing temporary stays";
}

TEST_F(FilesTest, AReaderKeepsTheOldFile) {
  const std::string path = folder_ / "a";
  ASSERT_TRUE(files_.Replace(path, "old").ok());
  const int reader = open(path.c_str(), O_RDONLY);
  ASSERT_TRUE(files_.Replace(path, "new").ok());
  char text[8] = {};
  EXPECT_EQ(read(reader, text, sizeof(text)), 3);
  EXPECT_STREQ(text, "old");
  close(reader);
}

TEST_F(FilesTest, ModesAreExactWhateverTheUmask) {
  const mode_t before = umask(0077);
  ASSERT_TRUE(files_.Replace(folder_ / "open", "", 0666).ok());
  ASSERT_TRUE(files_.MakeFolder(folder_ / "wide", 0777).ok());
  umask(0);
  ASSERT_TRUE(files_.Replace(folder_ / "secret", "", 0600).ok());
  umask(before);
  EXPECT_EQ(files_.Mode(folder_ / "open").value(), 0666u);
  EXPECT_EQ(files_.Mode(folder_ / "wide").value(), 0777u);
  EXPECT_EQ(files_.Mode(folder_ / "secret").value(), 0600u);
  ASSERT_TRUE(files_.Replace(folder_ / "open", "", 0600).ok());
  EXPECT_EQ(files_.Mode(folder_ / "open").value(), 0600u);
}

TEST_F(FilesTest, AFullDiskLeavesTheOldFile) {
  const std::string path = folder_ / "a";
  ASSERT_TRUE(files_.Replace(path, "old").ok());
  // A limit on file size stands for the disk: write fails in the middle (EFBIG).
  signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{1000, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Outcome outcome = files_.Replace(path, std::string(5000, 'x'));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::kIo);
  EXPECT_THAT(outcome.error().detail, HasSubstr(path));
  EXPECT_EQ(files_.Read(path).value(), "old");
  EXPECT_THAT(Names(), ElementsAre("a"));
}

TEST_F(FilesTest, ErrorsNameThePath) {
  const std::string missing = folder_ / "missing/file";
  const auto expect = [&](const Error& error, ErrorCode code) {
    EXPECT_EQ(error.code, code);
    EXPECT_THAT(error.detail, HasSubstr(folder_ / "missing"));
  };
  expect(files_.Read(missing).error(), ErrorCode::kNotFound);
  expect(files_.Replace(missing, "x").error(), ErrorCode::kNotFound);
  expect(files_.Remove(missing).error(), ErrorCode::kNotFound);
  expect(files_.List(folder_ / "missing").error(), ErrorCode::kNotFound);
  expect(files_.Mode(missing).error(), ErrorCode::kNotFound);
  expect(files_.WatchFolder(folder_ / "missing", [] {}).error(), ErrorCode::kNotFound);
  EXPECT_EQ(files_.Read(folder_.path()).error().code, ErrorCode::kIo) << "a folder is no file";
}

TEST_F(FilesTest, ReadingStopsAtTheLimit) {
  ASSERT_TRUE(files_.Replace(folder_ / "a", std::string(10'000, 'x')).ok());
  EXPECT_TRUE(files_.Read(folder_ / "a", 10'000).ok());
  const Result<std::string> result = files_.Read(folder_ / "a", 9'999);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().detail, HasSubstr("larger than 9999"));
  EXPECT_FALSE(files_.Read("/dev/zero", 100'000).ok());
}

TEST_F(FilesTest, ReadsFilesThatDoNotSayTheirSize) { EXPECT_THAT(files_.Read("/proc/self/status").value(), HasSubstr("Pid:")); }

TEST_F(FilesTest, RemoveRemoves) {
  ASSERT_TRUE(files_.Replace(folder_ / "a", "x").ok());
  EXPECT_TRUE(files_.Remove(folder_ / "a").ok());
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(FilesTest, MakesFoldersWithTheirParents) {
  EXPECT_TRUE(files_.MakeFolder(folder_ / "a/b/c", 0700).ok());
  EXPECT_EQ(files_.Mode(folder_ / "a/b/c").value(), 0700u);
  EXPECT_TRUE(files_.MakeFolder(folder_ / "a/b/c").ok());
  EXPECT_EQ(files_.Mode(folder_ / "a/b/c").value(), 0700u) << "an existing folder keeps its mode";
  ASSERT_TRUE(files_.Replace(folder_ / "file", "x").ok());
  EXPECT_FALSE(files_.MakeFolder(folder_ / "file").ok());
  EXPECT_FALSE(files_.MakeFolder(folder_ / "file/below").ok());
}

TEST_F(FilesTest, ListsSortedWithoutTemporaries) {
  ASSERT_TRUE(files_.Replace(folder_ / "b.yaml", "12345").ok());
  ASSERT_TRUE(files_.Replace(folder_ / "a.yaml", "1").ok());
  ASSERT_TRUE(files_.MakeFolder(folder_ / "sub").ok());
  std::filesystem::copy(folder_ / "a.yaml", folder_ / ".c.yaml.123.outrigger-new");
  std::filesystem::create_symlink("nowhere", folder_ / "dangling");
  const std::vector<net::DirectoryEntry> entries = files_.List(folder_.path()).value();
  EXPECT_THAT(entries, ElementsAre(Field(&net::DirectoryEntry::name, "a.yaml"), Field(&net::DirectoryEntry::name, "b.yaml"),
                                   Field(&net::DirectoryEntry::name, "dangling"), Field(&net::DirectoryEntry::name, "sub")));
  EXPECT_EQ(entries[1].size_bytes, 5u);
  EXPECT_FALSE(entries[1].directory);
  EXPECT_FALSE(entries[2].directory);
  EXPECT_EQ(files_.Read(folder_ / "dangling").error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(entries[3].directory);
  const uint64_t inode = entries[0].inode;
  ASSERT_TRUE(files_.Replace(folder_ / "a.yaml", "1").ok());
  EXPECT_NE(files_.List(folder_.path()).value()[0].inode, inode);
}

class WatchTest : public FilesTest {
 protected:
  std::unique_ptr<net::Watch> Watch() {
    Result<std::unique_ptr<net::Watch>> watch = files_.WatchFolder(folder_ / "w", [this] { ++calls_; });
    EXPECT_TRUE(watch.ok());
    return std::move(watch).value();
  }
  // The call must come by itself; the test's time limit ends what never comes.
  void ExpectCallAfter(const std::function<void()>& change) {
    const int before = calls_;
    change();
    EXPECT_EQ(calls_, before) << "it must come in a later turn";
    TurnUntil(loop_, [&] { return calls_ > before; });
    Settle();
  }
  // Events that came together may make several calls: takes them all.
  void Settle() {
    for (int i = 0; i < 3; ++i) {
      loop_.mailbox()->Post([] {});
      loop_.RunTurn();
    }
  }
  void SetUp() override { ASSERT_TRUE(files_.MakeFolder(folder_ / "w").ok()); }
  int calls_ = 0;
};

TEST_F(WatchTest, CallsForEveryKindOfChange) {
  const auto watch = Watch();
  ExpectCallAfter([&] { ASSERT_TRUE(files_.Replace(folder_ / "w/a", "1").ok()); });
  ExpectCallAfter([&] { ASSERT_TRUE(files_.Replace(folder_ / "w/a", "2").ok()); });
  ExpectCallAfter([&] {
    const int fd = open((folder_ / "w/a").c_str(), O_WRONLY | O_APPEND);
    ASSERT_EQ(write(fd, "3", 1), 1);
    close(fd);
  });
  ExpectCallAfter([&] { ASSERT_EQ(rename((folder_ / "w/a").c_str(), (folder_ / "w/b").c_str()), 0); });
  ExpectCallAfter([&] { ASSERT_TRUE(files_.Remove(folder_ / "w/b").ok()); });
  ExpectCallAfter([&] { ASSERT_TRUE(files_.MakeFolder(folder_ / "w/sub").ok()); });
}

TEST_F(WatchTest, ManyChangesAtOnceMakeFewCalls) {
  const auto watch = Watch();
  ExpectCallAfter([&] {
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(files_.Replace(folder_ / ("w/" + std::to_string(i)), "x").ok());
  });
  EXPECT_LT(calls_, 10);
}

TEST_F(WatchTest, SaysNothingOnceDestroyedEvenInItsCall) {
  std::unique_ptr<net::Watch> watch;
  watch = files_.WatchFolder(folder_ / "w", [&] {
    ++calls_;
    watch.reset();
  }).value();
  ExpectCallAfter([&] { ASSERT_TRUE(files_.Replace(folder_ / "w/a", "1").ok()); });
  const int calls = calls_;
  ASSERT_TRUE(files_.Replace(folder_ / "w/b", "1").ok());
  Settle();
  EXPECT_EQ(calls_, calls);
}

TEST_F(WatchTest, TellsWhenTheFolderVanishesAndWhenItIsBack) {
  const auto watch = Watch();
  ExpectCallAfter([&] { std::filesystem::remove_all(folder_ / "w"); });
  ExpectCallAfter([&] { ASSERT_TRUE(files_.MakeFolder(folder_ / "w").ok()); });
  ExpectCallAfter([&] { ASSERT_TRUE(files_.Replace(folder_ / "w/a", "1").ok()); });
}

TEST_F(WatchTest, FollowsTheNameWhenAnotherFolderTakesItsPlace) {
  ASSERT_TRUE(files_.MakeFolder(folder_ / "other").ok());
  const auto watch = Watch();
  ExpectCallAfter([&] {
    ASSERT_EQ(rename((folder_ / "w").c_str(), (folder_ / "old").c_str()), 0);
    ASSERT_EQ(rename((folder_ / "other").c_str(), (folder_ / "w").c_str()), 0);
  });
  ExpectCallAfter([&] { ASSERT_TRUE(files_.Replace(folder_ / "w/a", "1").ok()); });
}

}  // namespace
}  // namespace outrigger::io
