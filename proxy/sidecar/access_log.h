// The access log's way from the workers to the outside. Workers only copy fields into a batch; the main loop makes the text and hands
// it out, so neither formatting nor a slow disk or pipe ever holds a request up.
//
//   Exchange -> AccessLogSink (worker) --batch, mailbox--> AccessLogWriter (main loop) --bytes--> output (stdout, a file)
//
// Everything is bounded: what does not fit is dropped and counted. No timer is armed while nothing waits.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/shared_count.h"
#include "proxy/net/loop.h"
#include "proxy/observe/access_log.h"

namespace outrigger::sidecar {

class AccessLogWriter;

// Between one worker and the writer. The counts are thread-safe; `writer` belongs to the main loop.
struct AccessLogLane {
  std::shared_ptr<net::Mailbox> main;
  AccessLogWriter* writer = nullptr;  // null when it is gone
  SharedCount bytes_under_way;        // posted and not yet taken
  SharedCount dropped;                // records
};

// On a worker: the `next` of its WorkerMetrics. One thread.
class AccessLogSink final : public observe::Sink, private net::TurnTask {
 public:
  static constexpr size_t kFlushBytes = 64 << 10;
  static constexpr Duration kFlushDelay = std::chrono::milliseconds(200);
  static constexpr size_t kMostBytes = 1 << 20;  // waiting here and under way together

  // A null lane: there is no access log.
  AccessLogSink(net::Loop* loop, std::shared_ptr<AccessLogLane> lane) : loop_(loop), lane_(std::move(lane)) {}
  ~AccessLogSink() override { Flush(); }

  void OnExchange(const observe::ExchangeRecord& record) override;
  // What waits goes to the main loop now.
  void Flush();

 private:
  void OnTurnEnd() override { Flush(); }

  net::Loop* const loop_;
  const std::shared_ptr<AccessLogLane> lane_;
  observe::AccessLogBatch batch_;
  CallbackTimer<AccessLogSink, &AccessLogSink::Flush> timer_{this};
};

enum class AccessLogFormat : uint8_t { kJson, kText };

// Main loop only.
class AccessLogWriter {
 public:
  // Takes what it can of the bytes without waiting and says how many; 0: try later. Nullopt: it will never take these; they are
  // dropped and counted.
  using Output = std::function<std::optional<size_t>(std::string_view)>;
  static constexpr size_t kMostPendingBytes = 4 << 20;
  static constexpr Duration kRetryDelay = std::chrono::milliseconds(50);

  AccessLogWriter(net::Loop* loop, AccessLogFormat format, Output output) : loop_(loop), format_(format), output_(std::move(output)) {}
  ~AccessLogWriter();
  AccessLogWriter(const AccessLogWriter&) = delete;
  AccessLogWriter& operator=(const AccessLogWriter&) = delete;

  // For one more worker.
  std::shared_ptr<AccessLogLane> MakeLane();
  void OnBatch(const observe::AccessLogBatch& batch);
  // Hands out what waits, as far as the output takes it.
  void Push();

  uint64_t lines() const { return lines_; }  // made, whether handed out yet or not
  uint64_t dropped() const;                  // records that got no line, and lines that nobody took
  size_t pending_bytes() const { return pending_.size(); }

 private:
  net::Loop* const loop_;
  const AccessLogFormat format_;
  const Output output_;
  std::vector<std::shared_ptr<AccessLogLane>> lanes_;
  std::string pending_;  // whole lines but for the first, which may have been taken in part
  uint64_t lines_ = 0;
  uint64_t dropped_ = 0;
  CallbackTimer<AccessLogWriter, &AccessLogWriter::Push> retry_timer_{this};
};

}  // namespace outrigger::sidecar
