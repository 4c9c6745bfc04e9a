#include "proxy/main/process_facts.h"

#include <dirent.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdio>

namespace outrigger {
namespace {

double Seconds(const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6; }

uint64_t CountEntries(const char* folder) {
  DIR* const dir = opendir(folder);
  if (dir == nullptr) return 0;
  uint64_t count = 0;
  while (const dirent* entry = readdir(dir)) count += entry->d_name[0] != '.';
  closedir(dir);
  return count;
}

}  // namespace

admin::ProcessFacts ReadProcessFacts() {
  admin::ProcessFacts facts;
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) facts.cpu_seconds = Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  if (FILE* const file = fopen("/proc/self/statm", "re"); file != nullptr) {
    unsigned long long total = 0, resident = 0;
    if (fscanf(file, "%llu %llu", &total, &resident) == 2) facts.virtual_bytes = total * page, facts.resident_bytes = resident * page;
    fclose(file);
  }
  const uint64_t fds = CountEntries("/proc/self/fd");
  facts.open_fds = fds > 0 ? fds - 1 : 0;  // without the one that looks
  facts.threads = CountEntries("/proc/self/task");
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) facts.max_fds = limit.rlim_cur;
  const struct mallinfo2 heap = mallinfo2();
  facts.heap_allocated_bytes = heap.uordblks + heap.hblkhd;
  facts.heap_reserved_bytes = heap.arena + heap.hblkhd;
  facts.heap_free_bytes = heap.fordblks;
  return facts;
}

}  // namespace outrigger
