#include "proxy/observe/access_log.h"

#include <algorithm>
#include <utility>

namespace outrigger::observe {

bool Wanted(const ExchangeRecord& record) {
  switch (record.access_log) {
    case config::AccessLog::kAll: return true;
    case config::AccessLog::kNone: return false;
    case config::AccessLog::kErrors: break;
  }
  const int grpc = record.grpc_status;
  return record.status == 0 || record.status >= 500 || record.flags != 0 || grpc == 2 || grpc == 4 || (grpc >= 12 && grpc <= 15);
}

// ---------------------------------------------------------------- batch

const std::array<std::string_view ExchangeRecord::*, AccessLogBatch::kTexts> AccessLogBatch::kMembers = {
    &ExchangeRecord::method_text,
    &ExchangeRecord::authority,
    &ExchangeRecord::path,
    &ExchangeRecord::request_id,
    &ExchangeRecord::traceparent,
    &ExchangeRecord::user_agent,
    &ExchangeRecord::forwarded_for,
    &ExchangeRecord::reason,
    &ExchangeRecord::source_identity,
    &ExchangeRecord::source_workload,
    &ExchangeRecord::source_namespace,
    &ExchangeRecord::destination_service,
    &ExchangeRecord::destination_service_namespace,
    &ExchangeRecord::destination_workload,
    &ExchangeRecord::destination_namespace,
    &ExchangeRecord::destination_identity,
    &ExchangeRecord::upstream_address,
    &ExchangeRecord::downstream_address,
    &ExchangeRecord::route,
    &ExchangeRecord::cluster,
};

void AccessLogBatch::Add(const ExchangeRecord& record) {
  Entry& entry = entries_.emplace_back(Entry{record, {}});
  for (size_t i = 0; i < kTexts; ++i) {
    const std::string_view text = (record.*kMembers[i]).substr(0, kLongestText);
    entry.lengths[i] = static_cast<uint16_t>(text.size());
    texts_ += text;
    entry.numbers.*kMembers[i] = {};
  }
}

void AccessLogBatch::ForEach(const std::function<void(const ExchangeRecord&)>& visit) const {
  std::string_view rest = texts_;
  for (const Entry& entry : entries_) {
    ExchangeRecord record = entry.numbers;
    for (size_t i = 0; i < kTexts; ++i) {
      record.*kMembers[i] = rest.substr(0, entry.lengths[i]);
      rest.remove_prefix(entry.lengths[i]);
    }
    visit(record);
  }
}

// ---------------------------------------------------------------- worker

void AccessLogSink::OnExchange(const ExchangeRecord& record) {
  if (!Wanted(record)) return;
  if (batch_.bytes() + lane_->bytes_under_way.load(std::memory_order_relaxed) >= kMostBytes) {
    lane_->dropped.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  batch_.Add(record);
  if (batch_.bytes() >= kFlushBytes) {
    loop_->AtTurnEnd(this);
  } else if (!timer_.armed()) {
    loop_->Arm(&timer_, kFlushDelay);
  }
}

void AccessLogSink::Flush() {
  timer_.Disarm();
  if (batch_.empty()) return;
  lane_->bytes_under_way.fetch_add(batch_.bytes(), std::memory_order_relaxed);
  lane_->main->Post([lane = lane_, batch = std::make_shared<const AccessLogBatch>(std::exchange(batch_, {}))] {
    if (lane->writer != nullptr) lane->writer->OnBatch(*batch);
    lane->bytes_under_way.fetch_sub(batch->bytes(), std::memory_order_relaxed);
  });
}

// ---------------------------------------------------------------- main loop

AccessLogWriter::~AccessLogWriter() {
  for (const std::shared_ptr<AccessLogLane>& lane : lanes_) lane->writer = nullptr;
}

std::shared_ptr<AccessLogLane> AccessLogWriter::MakeLane() {
  auto lane = std::make_shared<AccessLogLane>();
  lane->main = loop_->mailbox();
  lane->writer = this;
  lanes_.push_back(lane);
  return lane;
}

uint64_t AccessLogWriter::dropped() const {
  uint64_t dropped = dropped_;
  for (const std::shared_ptr<AccessLogLane>& lane : lanes_) dropped += lane->dropped.load(std::memory_order_relaxed);
  return dropped;
}

void AccessLogWriter::OnBatch(const AccessLogBatch& batch) {
  if (pending_.size() >= kMostPendingBytes) {
    dropped_ += batch.records();
    return;
  }
  batch.ForEach([this](const ExchangeRecord& record) {
    if (format_ == AccessLogFormat::kJson) {
      AppendJsonLine(record, &pending_);
    } else {
      AppendTextLine(record, &pending_);
    }
  });
  written_ += batch.records();
  Push();
}

void AccessLogWriter::Push() {
  const size_t taken = std::min(output_(pending_), pending_.size());
  pending_.erase(0, taken);
  if (!pending_.empty() && !retry_timer_.armed()) loop_->Arm(&retry_timer_, kRetryDelay);
}

}  // namespace outrigger::observe
