// A worker's own handle on a Snapshot: counted without atomics, so that pinning one for a request costs an increment. When the last
// handle goes, so does the worker's share of the snapshot. Belongs to one worker.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "proxy/snapshot/snapshot.h"

namespace outrigger::snapshot {

class Epoch {
 public:
  Epoch() = default;
  explicit Epoch(std::shared_ptr<const Snapshot> snapshot) : shared_(new Shared{std::move(snapshot), 1}) {}
  Epoch(const Epoch& other) : shared_(other.shared_) {
    if (shared_ != nullptr) ++shared_->holders;
  }
  Epoch(Epoch&& other) noexcept : shared_(std::exchange(other.shared_, nullptr)) {}
  Epoch& operator=(Epoch other) noexcept {
    std::swap(shared_, other.shared_);
    return *this;
  }
  ~Epoch() {
    if (shared_ != nullptr && --shared_->holders == 0) delete shared_;
  }

  explicit operator bool() const { return shared_ != nullptr; }
  const Snapshot& operator*() const { return *shared_->snapshot; }
  const Snapshot* operator->() const { return shared_->snapshot.get(); }

 private:
  struct Shared {
    std::shared_ptr<const Snapshot> snapshot;
    uint32_t holders;
  };
  Shared* shared_ = nullptr;
};

}  // namespace outrigger::snapshot
