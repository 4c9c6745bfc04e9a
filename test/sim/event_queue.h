// What the simulation still has to do, by virtual time. Events of the same instant come in an order drawn from the seed: that is the
// scheduler that looks for races. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "proxy/base/random.h"
#include "proxy/base/time.h"

namespace outrigger::sim {

class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void OnEvent(uint32_t op, uint64_t argument) = 0;
};

struct Event {
  Instant at{};
  uint64_t tie = 0;
  std::shared_ptr<EventSink> sink;
  uint32_t op = 0;
  uint64_t argument = 0;
};

class EventQueue {
 public:
  explicit EventQueue(uint64_t seed) : random_(seed) {}

  void Push(Instant at, std::shared_ptr<EventSink> sink, uint32_t op, uint64_t argument) {
    heap_.push_back(Event{at, random_.Next(), std::move(sink), op, argument});
    std::push_heap(heap_.begin(), heap_.end(), Later);
  }
  Event Pop() {
    std::pop_heap(heap_.begin(), heap_.end(), Later);
    Event event = std::move(heap_.back());
    heap_.pop_back();
    return event;
  }
  bool empty() const { return heap_.empty(); }
  Instant next() const { return heap_.front().at; }
  void Clear() {
    while (!heap_.empty()) heap_.pop_back();
  }

 private:
  static bool Later(const Event& a, const Event& b) { return a.at != b.at ? a.at > b.at : a.tie > b.tie; }

  Random random_;
  std::vector<Event> heap_;
};

}  // namespace outrigger::sim
