#include "proxy/worker/worker_count.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace outrigger::worker {
namespace {

using ::testing::DoubleEq;
using ::testing::Optional;

ReadFile FilesAre(std::map<std::string, std::string> files) {
  return [files = std::move(files)](const std::string& path) -> std::optional<std::string> {
    const auto found = files.find(path);
    if (found == files.end()) return std::nullopt;
    return found->second;
  };
}

constexpr char kV2Mount[] =
    "25 30 0:23 / /sys rw,nosuid - sysfs sysfs rw\n"
    "35 25 0:30 / /sys/fs/cgroup rw,nosuid,nodev shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

TEST(CgroupCpuLimit, ReadsVersion2OfAContainer) {
  EXPECT_THAT(CgroupCpuLimit(FilesAre({{"/proc/self/cgroup", "0::/\n"},
                                       {"/proc/self/mountinfo", kV2Mount},
                                       {"/sys/fs/cgroup/cpu.max", "150000 100000\n"}})),
              Optional(DoubleEq(1.5)));
}

TEST(CgroupCpuLimit, TakesTheTightestOfThoseAbove) {
  EXPECT_THAT(CgroupCpuLimit(FilesAre({{"/proc/self/cgroup", "0::/kubepods/pod1/proxy\n"},
                                       {"/proc/self/mountinfo", kV2Mount},
                                       {"/sys/fs/cgroup/kubepods/pod1/proxy/cpu.max", "400000 100000\n"},
                                       {"/sys/fs/cgroup/kubepods/pod1/cpu.max", "250000 100000\n"},
                                       {"/sys/fs/cgroup/kubepods/cpu.max", "max 100000\n"}})),
              Optional(DoubleEq(2.5)));
}

TEST(CgroupCpuLimit, MaxMeansNone) {
  EXPECT_EQ(CgroupCpuLimit(FilesAre({{"/proc/self/cgroup", "0::/user.slice\n"},
                                     {"/proc/self/mountinfo", kV2Mount},
                                     {"/sys/fs/cgroup/user.slice/cpu.max", "max 100000\n"}})),
            std::nullopt);
}

constexpr char kV1Mount[] =
    "36 25 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "37 25 0:32 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n";

TEST(CgroupCpuLimit, ReadsVersion1OfAContainer) {
  EXPECT_THAT(CgroupCpuLimit(FilesAre({{"/proc/self/cgroup", "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/system.slice\n"},
                                       {"/proc/self/mountinfo", kV1Mount},
                                       {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n"},
                                       {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"}})),
              Optional(DoubleEq(0.5)));
}

TEST(CgroupCpuLimit, MinusOneMeansNoneInVersion1) {
  EXPECT_EQ(CgroupCpuLimit(FilesAre({{"/proc/self/cgroup", "4:cpu,cpuacct:/docker/abc\n"},
                                     {"/proc/self/mountinfo", kV1Mount},
                                     {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"},
                                     {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"}})),
            std::nullopt);
}

TEST(CgroupCpuLimit, NonsenseMeansNone) {
  EXPECT_EQ(CgroupCpuLimit(FilesAre({})), std::nullopt);
  EXPECT_EQ(CgroupCpuLimit(FilesAre({{"/proc/self/cgroup", "garbage\n0::/\n"}, {"/proc/self/mountinfo", "x - y\n\n"}})), std::nullopt);
  for (const char* text : {"", "100000", "a b", "0 100000", "100000 0", "1 2 3"}) {
    EXPECT_EQ(
        CgroupCpuLimit(FilesAre(
            {{"/proc/self/cgroup", "0::/\n"}, {"/proc/self/mountinfo", kV2Mount}, {"/sys/fs/cgroup/cpu.max", text}})),
        std::nullopt)
        << text;
  }
}

TEST(WorkerCount, RoundsTheLimitUp) {
  EXPECT_EQ(WorkerCount(0.1, 8), 1);
  EXPECT_EQ(WorkerCount(1.0, 8), 1);
  EXPECT_EQ(WorkerCount(1.5, 8), 2);
  EXPECT_EQ(WorkerCount(4.0, 8), 4);
}

TEST(WorkerCount, IsNeverMoreThanThereAreCpus) {
  EXPECT_EQ(WorkerCount(16.0, 4), 4);
  EXPECT_EQ(WorkerCount(std::nullopt, 1), 1);
  EXPECT_EQ(WorkerCount(4.0, 0), 1);
}

TEST(WorkerCount, IsAtMostTwoWithoutALimit) { EXPECT_EQ(WorkerCount(std::nullopt, 64), 2); }

TEST(WorkerCount, OfThisMachineIsSane) {
  EXPECT_GE(WorkerCount(), 1);
  EXPECT_LE(WorkerCount(), 1024);
}

}  // namespace
}  // namespace outrigger::worker
