// The access log: a line for each request that its listener's policy wants. Workers only copy fields into a batch; the main loop makes the
// text and hands it out, so neither formatting nor a slow disk or pipe ever holds a request up.
//
//   Exchange -> AccessLogSink (worker) --batch, mailbox--> AccessLogWriter (main loop) --bytes--> output (stdout, a file)
//
// Everything is bounded: what does not fit is dropped and counted. Nothing is timed while nothing waits.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/net/loop.h"
#include "proxy/observe/record.h"

namespace outrigger::observe {

// Does the policy of the record's listener want it? An error is a 5xx, any response flag, no answer at all, or a gRPC status that means
// what a 5xx means (unknown, deadline exceeded, unimplemented, internal, unavailable, data loss).
bool Wanted(const ExchangeRecord& record);

// One line with its line feed. The query of a path is left out, since secrets travel there: "/search?...". Control characters never
// get through, so that no client can write a line of its own.
void AppendJsonLine(const ExchangeRecord& record, std::string* out);  // empty fields are left out
void AppendTextLine(const ExchangeRecord& record,
                    std::string* out);  // Envoy's default format, then reason, attempts, source and destination

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

class AccessLogWriter;

// Between one worker and the writer. The counts are thread-safe; `writer` belongs to the main loop.
struct AccessLogLane {
  std::shared_ptr<net::Mailbox> main;
  AccessLogWriter* writer = nullptr;       // null when it is gone
  std::atomic<size_t> bytes_under_way{0};  // posted and not yet taken
  std::atomic<uint64_t> dropped{0};
};

// On a worker: the `next` of its WorkerMetrics.
class AccessLogSink final : public Sink, private net::TurnTask {
 public:
  static constexpr size_t kFlushBytes = 64 << 10;
  static constexpr Duration kFlushDelay = std::chrono::milliseconds(200);
  static constexpr size_t kMostBytes = 1 << 20;  // waiting here and under way together

  AccessLogSink(net::Loop* loop, std::shared_ptr<AccessLogLane> lane) : loop_(loop), lane_(std::move(lane)) {}
  ~AccessLogSink() override { Flush(); }

  void OnExchange(const ExchangeRecord& record) override;
  // What waits goes to the main loop now.
  void Flush();

 private:
  void OnTurnEnd() override { Flush(); }

  net::Loop* const loop_;
  const std::shared_ptr<AccessLogLane> lane_;
  AccessLogBatch batch_;
  CallbackTimer<AccessLogSink, &AccessLogSink::Flush> timer_{this};
};

enum class AccessLogFormat : uint8_t { kJson, kText };

// Main loop only.
class AccessLogWriter {
 public:
  // Takes what it can of the bytes without waiting and says how many; 0: try later. What it cannot ever take it drops itself.
  using Output = std::function<size_t(std::string_view)>;
  static constexpr size_t kMostPendingBytes = 4 << 20;
  static constexpr Duration kRetryDelay = std::chrono::milliseconds(50);

  AccessLogWriter(net::Loop* loop, AccessLogFormat format, Output output) : loop_(loop), format_(format), output_(std::move(output)) {}
  ~AccessLogWriter();
  AccessLogWriter(const AccessLogWriter&) = delete;
  AccessLogWriter& operator=(const AccessLogWriter&) = delete;

  // For one more worker.
  std::shared_ptr<AccessLogLane> MakeLane();
  void OnBatch(const AccessLogBatch& batch);

  uint64_t written() const { return written_; }  // records handed out as text
  uint64_t dropped() const;                      // by workers and here

 private:
  void Push();

  net::Loop* const loop_;
  const AccessLogFormat format_;
  const Output output_;
  std::vector<std::shared_ptr<AccessLogLane>> lanes_;
  std::string pending_;  // whole lines but for the first, which may have been taken in part
  uint64_t written_ = 0;
  uint64_t dropped_ = 0;
  CallbackTimer<AccessLogWriter, &AccessLogWriter::Push> retry_timer_{this};
};

}  // namespace outrigger::observe
