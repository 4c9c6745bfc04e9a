#include "proxy/io/log_output.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "proxy/io/test_support.h"

namespace outrigger::io {
namespace {

using ::testing::HasSubstr;

class LogOutputTest : public ::testing::Test {
 protected:
  static std::string Contents(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  Log Collect() {
    return [this](LogLevel, std::string_view message, const LogFields&) { messages_.emplace_back(message); };
  }
  const TemporaryFolder folder_;
  std::vector<std::string> messages_;
};

TEST_F(LogOutputTest, AppendsToAFileThatOthersOfItsGroupMayRead) {
  const std::string path = folder_ / "access.log";
  for (const char* line : {"one\n", "two\n"}) {
    LogOutput output(path, NoLog());
    ASSERT_TRUE(output.Open().ok());
    EXPECT_EQ(output.Write(line), 4u);
  }
  EXPECT_EQ(Contents(path), "one\ntwo\n");
  struct stat status {};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0007, 0u);
}

TEST_F(LogOutputTest, WritesToANewFileAfterARotation) {
  const std::string path = folder_ / "access.log";
  LogOutput output(path, NoLog());
  ASSERT_TRUE(output.Open().ok());
  output.Write("one\n");
  std::filesystem::rename(path, path + ".1");
  output.Write("two\n");
  output.Reopen();
  output.Write("three\n");
  EXPECT_EQ(Contents(path + ".1"), "one\ntwo\n");
  EXPECT_EQ(Contents(path), "three\n");
}

TEST_F(LogOutputTest, KeepsItsFileWhenTheNewOneCannotBeHad) {
  const std::string folder = folder_ / "logs";
  std::filesystem::create_directory(folder);
  LogOutput output(folder + "/access.log", Collect());
  ASSERT_TRUE(output.Open().ok());
  std::filesystem::rename(folder, folder + ".old");
  output.Reopen();
  EXPECT_EQ(messages_.size(), 1u);
  EXPECT_EQ(output.Write("still here\n"), 11u);
  EXPECT_EQ(Contents(folder + ".old/access.log"), "still here\n");
}

TEST_F(LogOutputTest, SaysWhichFileCannotBeOpened) {
  LogOutput output(folder_ / "missing/access.log", NoLog());
  const Outcome opened = output.Open();
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().detail, HasSubstr("missing/access.log cannot be opened for writing: No such file"));
}

TEST_F(LogOutputTest, APipeThatNobodyReadsTakesWhatFitsAndNeverHoldsUsUp) {
  const std::string path = folder_ / "pipe";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const int reader = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  LogOutput output(path, NoLog());
  ASSERT_TRUE(output.Open().ok());
  const std::string bulk(1 << 20, 'x');
  size_t taken = 0;
  while (const std::optional<size_t> size = output.Write(bulk)) {
    if (*size == 0) break;
    taken += *size;
  }
  EXPECT_GT(taken, 0u);
  EXPECT_LT(taken, bulk.size());
  EXPECT_FALSE(output.WaitWritable(0));
  std::string sink(taken, '\0');
  size_t read_size = 0;
  while (read_size < taken) read_size += static_cast<size_t>(read(reader, sink.data(), sink.size()));
  EXPECT_GT(output.Write("more\n").value(), 0u);
  close(reader);
}

TEST_F(LogOutputTest, APipeWhoseReaderWentTakesNothingEverAndSaysSoOnce) {
  signal(SIGPIPE, SIG_IGN);
  const std::string path = folder_ / "pipe";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const int reader = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  LogOutput output(path, Collect());
  ASSERT_TRUE(output.Open().ok());
  close(reader);
  EXPECT_EQ(output.Write("lost\n"), std::nullopt);
  EXPECT_EQ(output.Write("lost\n"), std::nullopt);
  EXPECT_EQ(messages_.size(), 1u);
}

TEST_F(LogOutputTest, AFullDiskTakesNothingNow) {
  LogOutput output("/dev/full", Collect());
  ASSERT_TRUE(output.Open().ok());
  EXPECT_EQ(output.Write("later\n"), 0u);
  EXPECT_EQ(messages_.size(), 1u);
}

}  // namespace
}  // namespace outrigger::io
