// How many workers a process should run: the CPU limit of its cgroup, rounded up. A thread more than that only takes turns.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace outrigger::worker {

// The contents of a file; nullopt when it cannot be read.
using ReadFile = std::function<std::optional<std::string>(const std::string& path)>;

// The tightest CPU limit of this process's cgroup (v2 or v1) and of those above it, in CPUs; nullopt where there is none.
std::optional<double> CgroupCpuLimit(const ReadFile& read);

// The limit rounded up, but no more than there are `cpus`; without a limit at most 2. At least 1.
int WorkerCount(std::optional<double> limit, int cpus);

// Of this process, on this machine.
int WorkerCount();

}  // namespace outrigger::worker
