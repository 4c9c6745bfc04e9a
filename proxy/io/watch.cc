#include <sys/stat.h>
#include <uv.h>

#include <utility>

#include "proxy/io/posix_files.h"
#include "proxy/io/uv_loop.h"

namespace outrigger::io {
namespace {

constexpr Duration kLookAgain = 1s;

struct Identity {
  dev_t device = 0;
  ino_t inode = 0;
  friend bool operator==(const Identity&, const Identity&) = default;
};

std::optional<Identity> FolderIdentity(const std::string& folder) {
  struct stat status{};
  if (stat(folder.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) return std::nullopt;
  return Identity{status.st_dev, status.st_ino};
}

class UvWatch final : public net::Watch, private net::TurnTask {
 public:
  UvWatch(UvLoop* loop, std::string folder, std::function<void()> changed)
      : loop_(loop), folder_(std::move(folder)), changed_(std::move(changed)) {}
  ~UvWatch() override { StopEvents(); }

  // 0, or libuv's error.
  int Begin() {
    identity_ = FolderIdentity(folder_);
    if (!identity_) return UV_ENOENT;
    event_ = new uv_fs_event_t;
    event_->data = this;
    uv_fs_event_init(loop_->uv(), event_);
    const int error = uv_fs_event_start(event_, &OnEvent, folder_.c_str(), 0);
    if (error != 0) StopEvents();
    return error;
  }

 private:
  static void OnEvent(uv_fs_event_t* event, const char* name, int /*events*/, int /*status*/) {
    UvWatch* watch = static_cast<UvWatch*>(event->data);
    watch->loop_->BeginTurn();
    // A file that Replace is still writing is nobody's business; its rename is.
    if (name != nullptr && IsTemporaryName(name) && FolderIdentity(watch->folder_) == watch->identity_) return;
    watch->loop_->AtTurnEnd(watch);
  }

  void OnTurnEnd() override {
    if (event_ != nullptr && FolderIdentity(folder_) != identity_) {
      // The folder vanished, or another one took its place: inotify follows the old one.
      StopEvents();
      if (Begin() != 0) loop_->Arm(&look_again_, kLookAgain);
    }
    const std::function<void()> changed = changed_;  // the call may destroy this
    changed();
  }

  void OnLookAgain() {
    if (Begin() != 0) {
      loop_->Arm(&look_again_, kLookAgain);
      return;
    }
    loop_->AtTurnEnd(this);
  }

  void StopEvents() {
    if (event_ == nullptr) return;
    uv_close(reinterpret_cast<uv_handle_t*>(event_), [](uv_handle_t* handle) { delete reinterpret_cast<uv_fs_event_t*>(handle); });
    event_ = nullptr;
  }

  UvLoop* const loop_;
  const std::string folder_;
  const std::function<void()> changed_;
  uv_fs_event_t* event_ = nullptr;
  std::optional<Identity> identity_;
  CallbackTimer<UvWatch, &UvWatch::OnLookAgain> look_again_{this};
};

}  // namespace

Result<std::unique_ptr<net::Watch>> StartWatch(UvLoop* loop, const std::string& folder, std::function<void()> changed) {
  auto watch = std::make_unique<UvWatch>(loop, folder, std::move(changed));
  if (const int error = watch->Begin(); error != 0) {
    return Error::Make(error == UV_ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
                       "cannot watch the folder " + folder + ": " + uv_strerror(error));
  }
  return std::unique_ptr<net::Watch>(std::move(watch));
}

}  // namespace outrigger::io
