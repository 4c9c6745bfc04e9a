#include "proxy/observe/metrics.h"

#include <cmath>
#include <cstdio>

#include <xxhash.h>

namespace outrigger::observe {
namespace {

std::string_view MethodClass(http::Method method) {
  if (http::IsSafe(method)) return "safe";
  return http::IsIdempotent(method) ? "idempotent" : "unsafe";
}

std::string_view Protocol(const ExchangeRecord& record) {
  if (record.grpc_status >= 0) return "grpc";
  return record.version == http::Version::kHttp2 ? "http2" : "http";
}

// Label values: backslash, quote and line feed are escaped (exposition format 0.0.4).
void AppendLabel(std::string_view name, std::string_view value, bool first, std::string* out) {
  if (!first) *out += ',';
  *out += name;
  *out += "=\"";
  for (const char c : value) {
    if (c == '\\' || c == '"') *out += '\\';
    if (c == '\n') {
      *out += "\\n";
    } else {
      *out += c;
    }
  }
  *out += '"';
}

std::string Text(const Labels& labels) {
  std::string out;
  AppendLabel("direction", labels.direction, true, &out);
  AppendLabel("source_workload", labels.source_workload, false, &out);
  AppendLabel("source_namespace", labels.source_namespace, false, &out);
  AppendLabel("destination_service", labels.destination_service, false, &out);
  AppendLabel("destination_workload", labels.destination_workload, false, &out);
  AppendLabel("destination_namespace", labels.destination_namespace, false, &out);
  AppendLabel("protocol", labels.protocol, false, &out);
  AppendLabel("method_class", labels.method_class, false, &out);
  AppendLabel("response_code", labels.response_code, false, &out);
  AppendLabel("grpc_status", labels.grpc_status, false, &out);
  AppendLabel("response_flags", labels.response_flags, false, &out);
  AppendLabel("security", labels.security, false, &out);
  return out;
}

}  // namespace

void PrintHeader(std::string_view name, std::string_view type, std::string_view help, std::string* out) {
  *out += "# HELP ";
  *out += name;
  *out += ' ';
  *out += help;
  *out += "\n# TYPE ";
  *out += name;
  *out += ' ';
  *out += type;
  *out += '\n';
}

std::string LabelText(std::initializer_list<std::pair<std::string_view, std::string_view>> labels) {
  std::string out;
  for (const auto& [name, value] : labels) AppendLabel(name, value, out.empty(), &out);
  return out;
}

std::string_view FlagsText(uint32_t flags, char (&into)[64]) {
  static constexpr std::string_view kLetters[] = {"UF", "UO", "UH",  "NR",  "NC", "URX",  "UT", "UC",
                                                  "UR", "DC", "DPE", "UPE", "RL", "UAEX", "SI", "LR"};
  size_t at = 0;
  for (size_t i = 0; i < std::size(kLetters); ++i) {
    if (((flags >> i) & 1) == 0) continue;
    if (at > 0) into[at++] = ',';
    for (const char c : kLetters[i]) into[at++] = c;
  }
  if (at == 0) into[at++] = '-';
  return {into, at};
}

uint64_t WorkerMetrics::HashOf(const ExchangeRecord& record) {
  // Names of configuration and identities by content, the bounded rest as numbers.
  uint64_t hash = static_cast<uint64_t>(record.direction == config::Direction::kInbound) | static_cast<uint64_t>(record.method) << 1 |
                  static_cast<uint64_t>(record.version) << 6 | static_cast<uint64_t>(record.mutual_tls) << 9 |
                  static_cast<uint64_t>(record.status) << 10 | static_cast<uint64_t>(record.grpc_status + 1) << 24 |
                  static_cast<uint64_t>(record.flags) << 32;
  for (const std::string_view text : {record.source_workload, record.source_namespace, record.destination_service,
                                      record.destination_service_namespace, record.destination_workload, record.destination_namespace}) {
    hash = XXH64(text.data(), text.size(), hash);
  }
  return hash;
}

Labels WorkerMetrics::LabelsOf(const ExchangeRecord& record) {
  char flags[64];
  const bool inbound = record.direction == config::Direction::kInbound;
  Labels labels;
  labels.direction = inbound ? "inbound" : "outbound";
  labels.source_workload = record.source_workload;
  labels.source_namespace = record.source_namespace;
  labels.destination_service = record.destination_service;
  if (!record.destination_service_namespace.empty()) {
    labels.destination_service += "." + std::string(record.destination_service_namespace);
  }
  labels.destination_workload = record.destination_workload;
  labels.destination_namespace = record.destination_namespace;
  labels.protocol = Protocol(record);
  labels.method_class = MethodClass(record.method);
  labels.response_code = std::to_string(record.status);
  labels.grpc_status = record.grpc_status < 0 ? "" : std::to_string(record.grpc_status);
  labels.response_flags = FlagsText(record.flags, flags);
  labels.security = record.mutual_tls ? "mutual_tls" : "none";
  return labels;
}

void WorkerMetrics::OnExchange(const ExchangeRecord& record) {
  uint64_t hash = HashOf(record);
  auto it = series_.find(hash);
  if (it == series_.end()) {
    Entry entry;
    if (series_.size() < kMaxSeries) {
      entry.labels = LabelsOf(record);
    } else {
      hash = 0;
      entry.labels.direction = "other";
    }
    it = series_.try_emplace(hash, std::move(entry)).first;
  }
  Series& series = it->second.series;
  ++series.requests;
  series.request_bytes += record.request_bytes;
  series.response_bytes += record.response_bytes;
  series.duration.Record(record.duration);
  if (next_ != nullptr) next_->OnExchange(record);
}

Samples WorkerMetrics::Collect() const {
  Samples samples;
  for (const auto& [hash, entry] : series_) Merge({{entry.labels, entry.series}}, &samples);
  return samples;
}

void Merge(const Samples& from, Samples* into) {
  for (const auto& [labels, series] : from) {
    Series& sum = (*into)[labels];
    sum.requests += series.requests;
    sum.request_bytes += series.request_bytes;
    sum.response_bytes += series.response_bytes;
    sum.duration.Merge(series.duration);
  }
}

void PrintLine(std::string_view name, std::string_view labels, double value, std::string* out) {
  *out += name;
  if (!labels.empty()) {
    *out += '{';
    *out += labels;
    *out += '}';
  }
  char number[40];
  if (value == std::floor(value) && std::abs(value) < 1e15) {
    std::snprintf(number, sizeof number, " %.0f\n", value);
  } else {
    std::snprintf(number, sizeof number, " %.9g\n", value);
  }
  *out += number;
}

void PrintPrometheus(const Samples& samples, std::string* out) {
  std::vector<std::pair<std::string, const Series*>> lines;
  lines.reserve(samples.size());
  for (const auto& [labels, series] : samples) lines.emplace_back(Text(labels), &series);

  PrintHeader("outrigger_requests_total", "counter", "Requests that have ended.", out);
  for (const auto& [labels, series] : lines) PrintLine("outrigger_requests_total", labels, static_cast<double>(series->requests), out);
  PrintHeader("outrigger_request_bytes_total", "counter", "Bytes of request bodies.", out);
  for (const auto& [labels, series] : lines)
    PrintLine("outrigger_request_bytes_total", labels, static_cast<double>(series->request_bytes), out);
  PrintHeader("outrigger_response_bytes_total", "counter", "Bytes of response bodies.", out);
  for (const auto& [labels, series] : lines)
    PrintLine("outrigger_response_bytes_total", labels, static_cast<double>(series->response_bytes), out);

  PrintHeader("outrigger_request_duration_seconds", "histogram", "From the first byte of a request to the last of its response.", out);
  for (const auto& [labels, series] : lines) {
    uint64_t cumulative = 0;
    for (size_t i = 0; i < series->duration.buckets().size(); ++i) {
      cumulative += series->duration.buckets()[i];
      char bound[32];
      if (i < Histogram::kBoundsUs.size()) {
        std::snprintf(bound, sizeof bound, ",le=\"%g\"", static_cast<double>(Histogram::kBoundsUs[i]) * 1e-6);
      } else {
        std::snprintf(bound, sizeof bound, ",le=\"+Inf\"");
      }
      PrintLine("outrigger_request_duration_seconds_bucket", labels + bound, static_cast<double>(cumulative), out);
    }
    PrintLine("outrigger_request_duration_seconds_sum", labels, series->duration.sum_seconds(), out);
    PrintLine("outrigger_request_duration_seconds_count", labels, static_cast<double>(cumulative), out);
  }
}

}  // namespace outrigger::observe
