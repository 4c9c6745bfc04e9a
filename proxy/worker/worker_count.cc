#include "proxy/worker/worker_count.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

namespace outrigger::worker {
namespace {

constexpr int kWithoutLimit = 2;

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = text.find(separator);
    if (end != 0) parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return parts;
}

std::optional<double> ParseNumber(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return static_cast<double>(value);
}

std::optional<double> Quotient(std::optional<double> quota, std::optional<double> period) {
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;  // v1 says -1 for "no limit", v2 "max"
  return *quota / *period;
}

// cpu.max: "QUOTA PERIOD" (cgroup v2).
std::optional<double> LimitV2(const ReadFile& read, const std::string& folder) {
  const std::optional<std::string> text = read(folder + "/cpu.max");
  if (!text) return std::nullopt;
  const std::vector<std::string_view> parts = Split(*text, ' ');
  return parts.size() == 2 ? Quotient(ParseNumber(parts[0]), ParseNumber(parts[1])) : std::nullopt;
}

std::optional<double> LimitV1(const ReadFile& read, const std::string& folder) {
  const std::optional<std::string> quota = read(folder + "/cpu.cfs_quota_us");
  const std::optional<std::string> period = read(folder + "/cpu.cfs_period_us");
  return quota && period ? Quotient(ParseNumber(*quota), ParseNumber(*period)) : std::nullopt;
}

bool HasWord(std::string_view list, std::string_view word) {
  const std::vector<std::string_view> words = Split(list, ',');
  return std::find(words.begin(), words.end(), word) != words.end();
}

struct Mount {
  std::string at;
  std::string root;  // the cgroup that is mounted there: in a container not always "/"
};

// proc(5): ID PARENT MAJOR:MINOR ROOT MOUNT-POINT OPTIONS [tags] - TYPE SOURCE SUPER-OPTIONS
std::optional<Mount> FindMount(std::string_view mountinfo, bool v2) {
  for (const std::string_view line : Split(mountinfo, '\n')) {
    const size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    const std::vector<std::string_view> front = Split(line.substr(0, dash), ' ');
    const std::vector<std::string_view> back = Split(line.substr(dash + 3), ' ');
    if (front.size() < 5 || back.size() < 2) continue;
    const bool matches = v2 ? back[0] == "cgroup2" : back[0] == "cgroup" && back.size() >= 3 && HasWord(back[2], "cpu");
    if (matches) return Mount{std::string(front[4]), std::string(front[3])};
  }
  return std::nullopt;
}

// The limits of the cgroup and of all above it, the tightest.
template <typename Limit>
std::optional<double> Tightest(const Mount& mount, std::string path, const Limit& limit) {
  if (mount.root != "/" && path.starts_with(mount.root)) path = path.substr(mount.root.size());
  std::optional<double> tightest;
  for (;;) {
    while (!path.empty() && path.back() == '/') path.pop_back();
    const std::optional<double> here = limit(mount.at + path);
    if (here && (!tightest || *here < *tightest)) tightest = here;
    if (path.empty()) return tightest;
    const size_t slash = path.rfind('/');
    path.resize(slash == std::string::npos ? 0 : slash);
  }
}

std::optional<std::string> ReadRealFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

int UsableCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace

std::optional<double> CgroupCpuLimit(const ReadFile& read) {
  const std::optional<std::string> cgroups = read("/proc/self/cgroup");
  const std::optional<std::string> mountinfo = read("/proc/self/mountinfo");
  if (!cgroups || !mountinfo) return std::nullopt;
  std::optional<double> tightest;
  for (const std::string_view line : Split(*cgroups, '\n')) {
    // HIERARCHY:CONTROLLERS:PATH; version 2 is hierarchy 0 and names no controllers.
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = line.substr(0, first) == "0" && controllers.empty();
    if (!v2 && !HasWord(controllers, "cpu")) continue;
    const std::optional<Mount> mount = FindMount(*mountinfo, v2);
    if (!mount) continue;
    const auto limit = [&](const std::string& folder) { return v2 ? LimitV2(read, folder) : LimitV1(read, folder); };
    const std::optional<double> found = Tightest(*mount, std::string(line.substr(second + 1)), limit);
    if (found && (!tightest || *found < *tightest)) tightest = found;
  }
  return tightest;
}

int WorkerCount(std::optional<double> limit, int cpus) {
  const int most = std::max(cpus, 1);
  if (!limit) return std::min(kWithoutLimit, most);
  return static_cast<int>(std::clamp(std::ceil(*limit), 1.0, static_cast<double>(most)));
}

int WorkerCount() { return WorkerCount(CgroupCpuLimit(&ReadRealFile), UsableCpus()); }

}  // namespace outrigger::worker
