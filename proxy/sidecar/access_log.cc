#include "proxy/sidecar/access_log.h"

#include <algorithm>
#include <utility>

namespace outrigger::sidecar {

using observe::AccessLogBatch;
using observe::ExchangeRecord;

// ---------------------------------------------------------------- worker

void AccessLogSink::OnExchange(const ExchangeRecord& record) {
  if (lane_ == nullptr || !observe::Wanted(record)) return;
  if (batch_.bytes() + static_cast<size_t>(lane_->bytes_under_way.load()) >= kMostBytes) {
    lane_->dropped.Add(1);
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
  const auto bytes = static_cast<int64_t>(batch_.bytes());
  lane_->bytes_under_way.Add(bytes);
  lane_->main->Post([lane = lane_, bytes, batch = std::make_shared<const AccessLogBatch>(std::exchange(batch_, {}))] {
    if (lane->writer != nullptr) lane->writer->OnBatch(*batch);
    lane->bytes_under_way.Add(-bytes);
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
  for (const std::shared_ptr<AccessLogLane>& lane : lanes_) dropped += static_cast<uint64_t>(lane->dropped.load());
  return dropped;
}

void AccessLogWriter::OnBatch(const AccessLogBatch& batch) {
  if (pending_.size() >= kMostPendingBytes) {
    dropped_ += batch.records();
    return;
  }
  batch.ForEach([this](const ExchangeRecord& record) {
    if (format_ == AccessLogFormat::kJson) {
      observe::AppendJsonLine(record, &pending_);
    } else {
      observe::AppendTextLine(record, &pending_);
    }
  });
  lines_ += batch.records();
  Push();
}

void AccessLogWriter::Push() {
  if (pending_.empty()) return;
  const std::optional<size_t> taken = output_(pending_);
  if (!taken) {
    dropped_ += static_cast<uint64_t>(std::count(pending_.begin(), pending_.end(), '\n'));
    pending_.clear();
    return;
  }
  pending_.erase(0, std::min(*taken, pending_.size()));
  if (!pending_.empty()) {
    loop_->Arm(&retry_timer_, kRetryDelay);
  } else if (pending_.capacity() > AccessLogSink::kFlushBytes * 4) {
    pending_.shrink_to_fit();  // a burst leaves nothing behind
  }
}

}  // namespace outrigger::sidecar
