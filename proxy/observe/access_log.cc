#include "proxy/observe/access_log.h"

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

}  // namespace outrigger::observe
