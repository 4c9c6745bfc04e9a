// What the operating system says about this process, for metrics and /memory: /proc/self and the allocator. Linux; zero where something
// cannot be read.
#pragma once

#include "proxy/admin/pages.h"

namespace outrigger {

admin::ProcessFacts ReadProcessFacts();

}  // namespace outrigger
