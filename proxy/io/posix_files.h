// net::Files on the real file system, and watching of folders by inotify (uv_fs_event).
#pragma once

#include <memory>

#include "proxy/net/files.h"

namespace outrigger::io {

class UvLoop;

// The loop outlives the Files.
std::unique_ptr<net::Files> MakePosixFiles(UvLoop* loop);

// kNotFound when there is no such folder. Once the folder vanishes it is looked for every second; `changed` is called when it
// vanishes and when it is there again.
Result<std::unique_ptr<net::Watch>> StartWatch(UvLoop* loop, const std::string& folder, std::function<void()> changed);

// Is this the name of a temporary file of Replace?
bool IsTemporaryName(std::string_view name);

}  // namespace outrigger::io
