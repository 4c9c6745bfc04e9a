// Service-level metrics of one worker: a series for each combination of labels that occurs, plain counters in it, found by hash. The main
// loop collects copies and prints the sum (Prometheus exposition format 0.0.4). Labels come from configuration, verified identities and
// bounded enumerations only, never from paths or hosts; above kMaxSeries new combinations share one series labelled "other".
// WorkerMetrics: one worker. Samples: values.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "proxy/observe/histogram.h"
#include "proxy/observe/record.h"

namespace outrigger::observe {

struct Labels {
  std::string direction, source_workload, source_namespace, destination_service, destination_workload, destination_namespace, protocol,
      method_class, response_code, grpc_status, response_flags, security;
  auto operator<=>(const Labels&) const = default;
};

struct Series {
  uint64_t requests = 0;
  uint64_t request_bytes = 0;
  uint64_t response_bytes = 0;
  Histogram duration;
};

using Samples = std::map<Labels, Series>;
void Merge(const Samples& from, Samples* into);

class WorkerMetrics final : public Sink {
 public:
  static constexpr size_t kMaxSeries = 5000;

  // `next` (may be null) gets every record as well: the access log.
  explicit WorkerMetrics(Sink* next = nullptr) : next_(next) {}
  void OnExchange(const ExchangeRecord& record) override;
  Samples Collect() const;

 private:
  struct Entry {
    Labels labels;
    Series series;
  };
  static uint64_t HashOf(const ExchangeRecord& record);
  static Labels LabelsOf(const ExchangeRecord& record);

  Sink* const next_;
  absl::flat_hash_map<uint64_t, Entry> series_;  // by hash of the labels; printed sorted
};

// outrigger_requests_total, outrigger_request_duration_seconds, outrigger_request_bytes_total, outrigger_response_bytes_total.
void PrintPrometheus(const Samples& samples, std::string* out);

// For the proxy's internals: # HELP and # TYPE of a metric; a="b",c="d" with values escaped; one line.
void PrintHeader(std::string_view name, std::string_view type, std::string_view help, std::string* out);
std::string LabelText(std::initializer_list<std::pair<std::string_view, std::string_view>> labels);
void PrintLine(std::string_view name, std::string_view labels, double value, std::string* out);

}  // namespace outrigger::observe
