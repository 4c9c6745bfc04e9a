// Events on their way to the owner. What one Feed can produce is bounded by the bytes it is given, so the queue is, too; its
// memory stays for the next Feed unless it grew beyond the ordinary. A value; not thread-safe.
#pragma once

#include <cstddef>
#include <vector>

#include "proxy/http/stream_event.h"

namespace outrigger::codec {

class EventQueue {
 public:
  using Kind = http::StreamEvent::Kind;
  struct Entry {
    Kind kind;
    uint32_t index;  // which informational head
    http::StreamId stream;
    Bytes data;
  };

  void Push(Kind kind, http::StreamId stream, Bytes data = {}, uint32_t index = 0) { entries_.push_back({kind, index, stream, data}); }

  const Entry* Pop() {
    if (next_ < entries_.size()) return &entries_[next_++];
    next_ = 0;
    if (entries_.capacity() > kOrdinary) {
      entries_ = {};
    } else {
      entries_.clear();
    }
    return nullptr;
  }
  bool empty() const { return next_ == entries_.size(); }

 private:
  static constexpr size_t kOrdinary = 64;

  std::vector<Entry> entries_;
  size_t next_ = 0;
};

}  // namespace outrigger::codec
