// The pure part of the access log: which requests get a line, what the line says, and copies of records that travel to whoever writes
// them. proxy/sidecar/access_log.h carries batches from workers to the main loop.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/observe/record.h"

namespace outrigger::observe {

// Does the policy of the record's listener want it? An error is a 5xx, any response flag, no answer at all, or a gRPC status that means
// what a 5xx means (unknown, deadline exceeded, unimplemented, internal, unavailable, data loss).
bool Wanted(const ExchangeRecord& record);

// One line with its line feed. The query of a path is left out, since secrets travel there: "/search?...". Control characters never
// get through, so that no client can write a line of its own.
void AppendJsonLine(const ExchangeRecord& record, std::string* out);  // empty fields are left out
// Envoy's default format, then direction, reason, attempts, source and destination.
void AppendTextLine(const ExchangeRecord& record, std::string* out);

// Copies of records, packed. A plain value, made by one worker, read by the main loop.
class AccessLogBatch {
 public:
  static constexpr size_t kLongestText = 2048;  // of one field; the rest is cut off

  void Add(const ExchangeRecord& record);
  bool empty() const { return entries_.empty(); }
  size_t records() const { return entries_.size(); }
  size_t bytes() const { return entries_.size() * sizeof(Entry) + texts_.size(); }
  // In order; the views of a record last as long as the batch.
  void ForEach(const std::function<void(const ExchangeRecord&)>& visit) const;

 private:
  static constexpr size_t kTexts = 20;
  struct Entry {
    ExchangeRecord numbers;  // without its views
    std::array<uint16_t, kTexts> lengths;
  };
  static const std::array<std::string_view ExchangeRecord::*, kTexts> kMembers;

  std::vector<Entry> entries_;
  std::string texts_;
};

}  // namespace outrigger::observe
