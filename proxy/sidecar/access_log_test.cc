#include "proxy/sidecar/access_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/sim/world.h"

namespace outrigger::sidecar {
namespace {

using ::testing::IsEmpty;

// A worker and the main loop as two loops of one process, and an output that takes as much as the test allows.
class AccessLogTest : public ::testing::Test {
 protected:
  AccessLogTest() : sink_(std::make_unique<AccessLogSink>(&worker_, lane_)) {}

  void Log(std::string_view path, config::AccessLog policy = config::AccessLog::kAll, int status = 200) {
    observe::ExchangeRecord record;
    record.access_log = policy;
    record.method_text = "GET";
    record.path = path;
    record.status = status;
    sink_->OnExchange(record);
  }
  size_t Lines() const { return static_cast<size_t>(std::count(written_.begin(), written_.end(), '\n')); }

  sim::World world_{1};
  sim::SimLoop& main_ = world_.AddLoop("main");
  sim::SimLoop& worker_ = world_.AddLoop("worker");
  size_t takes_ = SIZE_MAX;
  bool broken_ = false;
  int calls_ = 0;
  std::string written_;
  AccessLogWriter writer_{&main_, AccessLogFormat::kText, [this](std::string_view bytes) -> std::optional<size_t> {
                            ++calls_;
                            if (broken_) return std::nullopt;
                            const size_t size = std::min(bytes.size(), takes_);
                            written_ += bytes.substr(0, size);
                            return size;
                          }};
  std::shared_ptr<AccessLogLane> lane_ = writer_.MakeLane();
  std::unique_ptr<AccessLogSink> sink_;
};

TEST_F(AccessLogTest, LinesOfOneWorkerComeInOrderAndTogether) {
  Log("/a");
  Log("/b");
  EXPECT_THAT(written_, IsEmpty());
  world_.RunFor(1s);
  EXPECT_EQ(Lines(), 2u);
  EXPECT_LT(written_.find("/a"), written_.find("/b"));
  EXPECT_EQ(calls_, 1);
  EXPECT_EQ(writer_.lines(), 2u);
  EXPECT_EQ(writer_.dropped(), 0u);
}

TEST_F(AccessLogTest, ThePolicyOfTheListenerDecides) {
  Log("/fine", config::AccessLog::kErrors, 200);
  Log("/broken", config::AccessLog::kErrors, 503);
  Log("/silent", config::AccessLog::kNone, 503);
  Log("/all", config::AccessLog::kAll, 200);
  world_.RunFor(1s);
  EXPECT_EQ(Lines(), 2u);
  EXPECT_NE(written_.find("/broken"), std::string::npos);
  EXPECT_NE(written_.find("/all"), std::string::npos);
}

TEST_F(AccessLogTest, NoTimerIsArmedWhileNothingWaits) {
  Log("/a");
  world_.RunFor(1s);
  EXPECT_TRUE(world_.quiet());
}

TEST_F(AccessLogTest, WhatAWorkerHoldsAndHasUnderWayIsBoundedAndTheRestCounted) {
  const std::string path(1500, 'x');
  // All in one turn of the test: nothing can be taken meanwhile.
  constexpr uint64_t kRequests = 3000;
  for (uint64_t i = 0; i < kRequests; ++i) Log(path);
  world_.RunFor(1s);
  EXPECT_GT(writer_.dropped(), 0u);
  EXPECT_EQ(Lines() + writer_.dropped(), kRequests);
  EXPECT_LE(written_.size(), AccessLogSink::kMostBytes + 4096);
  // Once it was taken there is room again.
  EXPECT_EQ(lane_->bytes_under_way.load(), 0);
  Log("/again");
  world_.RunFor(1s);
  EXPECT_NE(written_.find("/again"), std::string::npos);
}

TEST_F(AccessLogTest, AnOutputThatTakesNothingNowIsTriedAgainAndLinesStayWhole) {
  takes_ = 7;
  Log("/a");
  Log("/b");
  world_.RunUntil([&] { return Lines() == 2; }, 60s);
  EXPECT_EQ(Lines(), 2u);
  EXPECT_GT(calls_, 10);
  const std::string in_parts = std::exchange(written_, "");
  takes_ = SIZE_MAX;
  Log("/a");
  Log("/b");
  world_.RunFor(1s);
  EXPECT_EQ(written_, in_parts);
}

TEST_F(AccessLogTest, AnOutputThatIsStuckCostsBoundedMemoryAndTheRestIsDropped) {
  takes_ = 0;
  const std::string path(1500, 'x');
  uint64_t logged = 0;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 300; ++i, ++logged) Log(path);
    world_.RunFor(1s);
  }
  EXPECT_LE(writer_.pending_bytes(), AccessLogWriter::kMostPendingBytes + AccessLogSink::kMostBytes);
  EXPECT_GT(writer_.dropped(), 0u);
  EXPECT_EQ(writer_.lines() + writer_.dropped(), logged);
  takes_ = SIZE_MAX;
  world_.RunFor(1s);
  EXPECT_EQ(Lines(), writer_.lines());
  EXPECT_EQ(writer_.pending_bytes(), 0u);
}

TEST_F(AccessLogTest, LinesThatNobodyWillEverTakeAreDroppedAndCounted) {
  broken_ = true;
  Log("/a");
  Log("/b");
  world_.RunFor(1s);
  EXPECT_EQ(writer_.dropped(), 2u);
  EXPECT_EQ(writer_.pending_bytes(), 0u);
  broken_ = false;
  Log("/c");
  world_.RunFor(1s);
  EXPECT_EQ(Lines(), 1u);
}

TEST_F(AccessLogTest, WhatWaitsWhenAWorkerEndsIsNotLost) {
  Log("/last");
  sink_.reset();
  world_.RunFor(1s);
  EXPECT_EQ(Lines(), 1u);
}

TEST_F(AccessLogTest, WithoutALogRecordsGoNowhere) {
  AccessLogSink none(&worker_, nullptr);
  observe::ExchangeRecord record;
  record.status = 503;
  none.OnExchange(record);
  none.Flush();
  world_.RunFor(1s);
  EXPECT_THAT(written_, IsEmpty());
}

TEST(AccessLog, BatchesThatComeAfterTheWriterIsGoneAreNoHarm) {
  sim::World world(1);
  sim::SimLoop& main = world.AddLoop("main");
  sim::SimLoop& worker = world.AddLoop("worker");
  auto writer = std::make_unique<AccessLogWriter>(&main, AccessLogFormat::kJson, [](std::string_view bytes) { return bytes.size(); });
  AccessLogSink sink(&worker, writer->MakeLane());
  observe::ExchangeRecord record;
  record.access_log = config::AccessLog::kAll;
  sink.OnExchange(record);
  sink.Flush();
  writer.reset();
  world.RunFor(1s);
  EXPECT_TRUE(world.quiet());
}

}  // namespace
}  // namespace outrigger::sidecar
