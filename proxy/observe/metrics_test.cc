#include "proxy/observe/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/observe/histogram.h"

namespace outrigger::observe {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

using std::chrono::microseconds;
using std::chrono::milliseconds;

// ---------------------------------------------------------------- histogram

TEST(Histogram, ABoundBelongsToItsBucket) {
  for (size_t i = 0; i < Histogram::kBoundsUs.size(); ++i) {
    Histogram at, above;
    at.Record(microseconds(Histogram::kBoundsUs[i]));
    above.Record(microseconds(Histogram::kBoundsUs[i] + 1));
    EXPECT_EQ(at.buckets()[i], 1u) << i;
    EXPECT_EQ(above.buckets()[i + 1], 1u) << i;
  }
}

TEST(Histogram, CountsWhatIsBelowAndAboveAllBounds) {
  Histogram histogram;
  histogram.Record(Duration::zero());
  histogram.Record(std::chrono::hours(1));
  EXPECT_EQ(histogram.buckets().front(), 1u);
  EXPECT_EQ(histogram.buckets().back(), 1u);
  EXPECT_EQ(histogram.count(), 2u);
  EXPECT_DOUBLE_EQ(histogram.sum_seconds(), 3600);
}

TEST(Histogram, ANegativeDurationCountsAsNone) {
  Histogram histogram;
  histogram.Record(milliseconds(-3));
  EXPECT_EQ(histogram.buckets().front(), 1u);
  EXPECT_EQ(histogram.sum_seconds(), 0);
}

TEST(Histogram, MergedIsAsIfAllHadBeenRecordedInOne) {
  Histogram a, b, all;
  for (int ms : {0, 1, 7, 40, 90'000}) {
    (ms % 2 == 0 ? a : b).Record(milliseconds(ms));
    all.Record(milliseconds(ms));
  }
  a.Merge(b);
  EXPECT_EQ(a.buckets(), all.buckets());
  EXPECT_DOUBLE_EQ(a.sum_seconds(), all.sum_seconds());
}

// ---------------------------------------------------------------- series

ExchangeRecord SomeRecord() {
  ExchangeRecord record;
  record.status = 200;
  record.duration = milliseconds(3);
  record.request_bytes = 10;
  record.response_bytes = 20;
  record.source_workload = "web-1";
  record.source_namespace = "default";
  record.destination_service = "orders";
  record.destination_service_namespace = "shop";
  record.destination_workload = "orders-1";
  record.destination_namespace = "shop";
  record.mutual_tls = true;
  return record;
}

TEST(WorkerMetrics, RequestsWithTheSameLabelsShareASeries) {
  WorkerMetrics metrics;
  metrics.OnExchange(SomeRecord());
  metrics.OnExchange(SomeRecord());
  const Samples samples = metrics.Collect();
  ASSERT_THAT(samples, SizeIs(1));
  const auto& [labels, series] = *samples.begin();
  EXPECT_EQ(labels.direction, "outbound");
  EXPECT_EQ(labels.destination_service, "orders.shop");
  EXPECT_EQ(labels.method_class, "safe");
  EXPECT_EQ(labels.protocol, "http");
  EXPECT_EQ(labels.response_code, "200");
  EXPECT_EQ(labels.grpc_status, "");
  EXPECT_EQ(labels.response_flags, "-");
  EXPECT_EQ(labels.security, "mutual_tls");
  EXPECT_EQ(series.requests, 2u);
  EXPECT_EQ(series.request_bytes, 20u);
  EXPECT_EQ(series.response_bytes, 40u);
  EXPECT_EQ(series.duration.count(), 2u);
}

TEST(WorkerMetrics, EachLabelMakesASeriesOfItsOwn) {
  WorkerMetrics metrics;
  metrics.OnExchange(SomeRecord());
  size_t series = 1;
  const auto differs = [&](const std::function<void(ExchangeRecord&)>& change) {
    ExchangeRecord record = SomeRecord();
    change(record);
    metrics.OnExchange(record);
    EXPECT_THAT(metrics.Collect(), SizeIs(++series));
  };
  differs([](ExchangeRecord& r) { r.direction = config::Direction::kInbound; });
  differs([](ExchangeRecord& r) { r.source_workload = "web-2"; });
  differs([](ExchangeRecord& r) { r.source_namespace = "other"; });
  differs([](ExchangeRecord& r) { r.destination_service = "inventory"; });
  differs([](ExchangeRecord& r) { r.destination_service_namespace = "x"; });
  differs([](ExchangeRecord& r) { r.destination_workload = "orders-2"; });
  differs([](ExchangeRecord& r) { r.destination_namespace = "x"; });
  differs([](ExchangeRecord& r) { r.version = http::Version::kHttp2; });
  differs([](ExchangeRecord& r) { r.grpc_status = 0; });
  differs([](ExchangeRecord& r) { r.grpc_status = 14; });
  differs([](ExchangeRecord& r) { r.method = http::Method::kPost; });
  differs([](ExchangeRecord& r) { r.method = http::Method::kPut; });
  differs([](ExchangeRecord& r) { r.status = 503; });
  differs([](ExchangeRecord& r) { r.status = 0; });
  differs([](ExchangeRecord& r) { r.flags = 0 | Flag::kUF; });
  differs([](ExchangeRecord& r) { r.mutual_tls = false; });
}

TEST(WorkerMetrics, MethodsOfOneClassAndVersionsOfOneProtocolAddUp) {
  WorkerMetrics metrics;
  for (const http::Method method : {http::Method::kGet, http::Method::kHead, http::Method::kOptions}) {
    for (const http::Version version : {http::Version::kHttp10, http::Version::kHttp11}) {
      ExchangeRecord record = SomeRecord();
      record.method = method;
      record.version = version;
      metrics.OnExchange(record);
    }
  }
  const Samples samples = metrics.Collect();
  ASSERT_THAT(samples, SizeIs(1));
  EXPECT_EQ(samples.begin()->second.requests, 6u);
}

TEST(WorkerMetrics, AboveTheLimitNewCombinationsShareOneSeries) {
  WorkerMetrics metrics;
  for (size_t i = 0; i < WorkerMetrics::kMaxSeries + 500; ++i) {
    const std::string workload = "w" + std::to_string(i);
    ExchangeRecord record = SomeRecord();
    record.source_workload = workload;
    metrics.OnExchange(record);
  }
  const Samples samples = metrics.Collect();
  EXPECT_THAT(samples, SizeIs(WorkerMetrics::kMaxSeries + 1));
  Labels other;
  other.direction = "other";
  ASSERT_TRUE(samples.contains(other));
  EXPECT_EQ(samples.at(other).requests, 500u);
}

TEST(WorkerMetrics, NeverTakesLabelsFromPathsOrHosts) {
  WorkerMetrics metrics;
  for (int i = 0; i < 10; ++i) {
    const std::string text = "/" + std::to_string(i);
    ExchangeRecord record = SomeRecord();
    record.path = record.authority = record.user_agent = record.request_id = text;
    metrics.OnExchange(record);
  }
  EXPECT_THAT(metrics.Collect(), SizeIs(1));
}

TEST(WorkerMetrics, HandsEveryRecordOn) {
  struct Counting final : Sink {
    void OnExchange(const ExchangeRecord& record) override { bytes += record.response_bytes; }
    uint64_t bytes = 0;
  } next;
  WorkerMetrics metrics(&next);
  metrics.OnExchange(SomeRecord());
  metrics.OnExchange(SomeRecord());
  EXPECT_EQ(next.bytes, 40u);
}

TEST(Samples, OfSeveralWorkersAddUp) {
  WorkerMetrics a, b;
  a.OnExchange(SomeRecord());
  b.OnExchange(SomeRecord());
  ExchangeRecord other = SomeRecord();
  other.status = 500;
  b.OnExchange(other);
  Samples all = a.Collect();
  Merge(b.Collect(), &all);
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all.begin()->second.requests, 2u);
}

// ---------------------------------------------------------------- exposition

TEST(Prometheus, EachFamilyHasHelpAndTypeOnceAndItsSamplesTogether) {
  WorkerMetrics metrics;
  metrics.OnExchange(SomeRecord());
  ExchangeRecord failed = SomeRecord();
  failed.status = 503;
  metrics.OnExchange(failed);
  std::string text;
  PrintPrometheus(metrics.Collect(), &text);
  for (const std::string family : {"outrigger_requests_total", "outrigger_request_bytes_total", "outrigger_response_bytes_total",
                                   "outrigger_request_duration_seconds"}) {
    for (const std::string& line : {"# HELP " + family + " ", "# TYPE " + family + " "}) {
      EXPECT_NE(text.find(line), std::string::npos) << line;
      EXPECT_EQ(text.find(line), text.rfind(line)) << line;
    }
  }
  EXPECT_THAT(text, HasSubstr("# TYPE outrigger_request_duration_seconds histogram\n"));
  EXPECT_THAT(text, HasSubstr("destination_service=\"orders.shop\""));
}

TEST(Prometheus, HistogramBucketsAreCumulativeAndEndInTheCount) {
  WorkerMetrics metrics;
  for (int ms : {1, 3, 20'000}) {
    ExchangeRecord record = SomeRecord();
    record.duration = milliseconds(ms);
    metrics.OnExchange(record);
  }
  std::string text;
  PrintPrometheus(metrics.Collect(), &text);
  EXPECT_THAT(text, HasSubstr(",le=\"0.0005\"} 0\n"));
  EXPECT_THAT(text, HasSubstr(",le=\"0.001\"} 1\n"));
  EXPECT_THAT(text, HasSubstr(",le=\"0.005\"} 2\n"));
  EXPECT_THAT(text, HasSubstr(",le=\"10\"} 2\n"));
  EXPECT_THAT(text, HasSubstr(",le=\"+Inf\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("security=\"mutual_tls\"} 20.004\n"));
}

TEST(Prometheus, LabelValuesAreEscaped) {
  EXPECT_EQ(LabelText({{"a", "x\"y\\z\nw"}, {"b", "plain"}}), "a=\"x\\\"y\\\\z\\nw\",b=\"plain\"");
}

TEST(Prometheus, WholeNumbersArePrintedWhole) {
  std::string out;
  PrintLine("a", "", 12345678901.0, &out);
  PrintLine("b", "x=\"1\"", 0.25, &out);
  EXPECT_EQ(out, "a 12345678901\nb{x=\"1\"} 0.25\n");
  EXPECT_THAT(out, Not(HasSubstr("e+")));
}

TEST(Flags, AreWrittenInTheirLettersAllOfThemAtOnce) {
  char into[64];
  EXPECT_EQ(FlagsText(0, into), "-");
  EXPECT_EQ(FlagsText(0 | Flag::kUF, into), "UF");
  EXPECT_EQ(FlagsText(0 | Flag::kURX | Flag::kUF, into), "UF,URX");
  EXPECT_EQ(FlagsText(0xFFFF, into), "UF,UO,UH,NR,NC,URX,UT,UC,UR,DC,DPE,UPE,RL,UAEX,SI,LR");
}

}  // namespace
}  // namespace outrigger::observe
