// The objects in force. The last good version of an object stays when its new version is bad. One thread: lives on the main loop;
// snapshots are immutable and may be shared.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/model/object.h"
#include "control/source/source.h"
#include "proxy/net/files.h"

namespace outrigger::control {

struct Rejection {
  Problem problem;
  bool previous_in_force = false;  // an earlier version of the object (or of the file's objects) is still in force
  bool operator==(const Rejection&) const = default;
};

struct StoreSnapshot {
  uint64_t generation = 0;
  std::map<ObjectKey, ObjectPtr> objects;
  std::vector<Rejection> rejected;  // by file and line
};

struct Change {
  uint64_t generation = 0;         // of the snapshot that is in force now
  std::vector<ObjectKey> changed;  // added, changed or removed, sorted; empty when only the rejections changed
};

struct StoreOptions {
  std::string config_dir;
  // Where versions that stay in force although their file is bad now are kept over a restart; empty: not kept.
  std::string last_good_file;
  uint64_t first_generation = 1;
};

class Store {
 public:
  // `files` must outlive the store.
  Store(net::Files* files, StoreOptions options);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // What a Source reports; wire it as `source->Start([&](const SourceSnapshot& s) { store.Update(s); })`.
  void Update(const SourceSnapshot& source);

  // Never null. The generation changes exactly when an object in force changes its meaning.
  std::shared_ptr<const StoreSnapshot> snapshot() const { return snapshot_; }

  // Called after every change, in order of subscription. Destroying the handle ends it; not from inside a listener. A listener may not call
  // Update, Apply or Delete.
  using Listener = std::function<void(const Change&)>;
  class Subscription {
   public:
    virtual ~Subscription() = default;
  };
  [[nodiscard]] std::unique_ptr<Subscription> Subscribe(Listener listener);

  struct Applied {
    enum class Action : uint8_t { kCreated, kConfigured, kUnchanged };
    ObjectKey key;
    Action action = Action::kCreated;
  };
  struct ApplyResult {
    uint64_t generation = 0;  // in which all of it is in force
    std::vector<Applied> objects;
  };
  // Writes each object of `text` to CONFIG-DIR/applied/KIND.NAMESPACE.NAME.yaml and takes it into force at once; all or
  // nothing. InvalidArgument: `problems` (when not null) has every one, the message the first. FailedPrecondition: an
  // object is declared in another file, which the message names. Internal: the disk says no, nothing changed. With
  // `dry_run` everything but the writing.
  absl::StatusOr<ApplyResult> Apply(std::string_view text, bool dry_run = false, std::vector<Problem>* problems = nullptr);
  // NotFound, FailedPrecondition (declared in another file, named) or Internal. Returns the generation without it.
  absl::StatusOr<uint64_t> Delete(const ObjectKey& key);

  // The file that Apply writes for `key`.
  std::string AppliedPath(const ObjectKey& key) const;

 private:
  class State;
  void Refresh();

  std::unique_ptr<State> state_;
  std::shared_ptr<const StoreSnapshot> snapshot_;
};

}  // namespace outrigger::control
