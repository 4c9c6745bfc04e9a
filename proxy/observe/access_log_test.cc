#include "proxy/observe/access_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nlohmann/json.hpp"

namespace outrigger::observe {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// 2026-01-02T03:04:05.678Z
constexpr WallTime kStarted{std::chrono::seconds(1767323045) + std::chrono::milliseconds(678)};

ExchangeRecord SomeRecord() {
  ExchangeRecord record;
  record.direction = config::Direction::kOutbound;
  record.started = kStarted;
  record.duration = std::chrono::microseconds(12'345);
  record.upstream_duration = std::chrono::microseconds(9'001);
  record.method_text = "GET";
  record.authority = "orders";
  record.path = "/orders/7";
  record.request_id = "3f2c";
  record.user_agent = "curl/8";
  record.forwarded_for = "10.0.0.1";
  record.status = 200;
  record.request_bytes = 3;
  record.response_bytes = 99;
  record.source_identity = "spiffe://cluster.local/ns/default/sa/web";
  record.source_workload = "web-1";
  record.source_namespace = "default";
  record.destination_service = "orders";
  record.destination_service_namespace = "default";
  record.destination_port = 80;
  record.destination_identity = "spiffe://cluster.local/ns/default/sa/orders";
  record.upstream_address = "127.0.0.1:21006";
  record.attempts = 2;
  record.mutual_tls = true;
  return record;
}

std::string JsonLine(const ExchangeRecord& record) {
  std::string line;
  AppendJsonLine(record, &line);
  return line;
}
std::string TextLine(const ExchangeRecord& record) {
  std::string line;
  AppendTextLine(record, &line);
  return line;
}

// ---------------------------------------------------------------- policy

TEST(AccessLogPolicy, AllTakesEverythingAndNoneNothing) {
  ExchangeRecord record = SomeRecord();
  record.access_log = config::AccessLog::kAll;
  EXPECT_TRUE(Wanted(record));
  record.access_log = config::AccessLog::kNone;
  record.status = 503;
  record.flags = 0 | Flag::kUF;
  EXPECT_FALSE(Wanted(record));
}

TEST(AccessLogPolicy, ErrorsIsWhatARecordHasWithoutBeingTold) {
  const ExchangeRecord record = SomeRecord();
  EXPECT_EQ(record.access_log, config::AccessLog::kErrors);
  EXPECT_FALSE(Wanted(record));
}

TEST(AccessLogPolicy, ErrorsAreServerErrorsFlagsAndRequestsWithoutAnswer) {
  for (const int status : {200, 304, 404, 499, 500, 503, 0}) {
    ExchangeRecord record = SomeRecord();
    record.status = status;
    EXPECT_EQ(Wanted(record), status == 0 || status >= 500) << status;
  }
  ExchangeRecord flagged = SomeRecord();
  flagged.status = 404;
  flagged.flags = 0 | Flag::kNR;
  EXPECT_TRUE(Wanted(flagged));
}

TEST(AccessLogPolicy, GrpcStatusesThatMeanAServerErrorAreErrorsThoughTheStatusIs200) {
  for (int status = 0; status <= 16; ++status) {
    ExchangeRecord record = SomeRecord();
    record.grpc_status = status;
    // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS
    const bool wanted = status == 2 || status == 4 || status == 12 || status == 13 || status == 14 || status == 15;
    EXPECT_EQ(Wanted(record), wanted) << status;
  }
}

// ---------------------------------------------------------------- lines

TEST(AccessLogLine, TextIsEnvoysFormatAndThenWhatAMeshKnows) {
  EXPECT_EQ(TextLine(SomeRecord()),
            "[2026-01-02T03:04:05.678Z] \"GET /orders/7 HTTP/1.1\" 200 - 3 99 12 9 \"10.0.0.1\" \"curl/8\" \"3f2c\" \"orders\" "
            "\"127.0.0.1:21006\" outbound reason=- attempts=2 source=spiffe://cluster.local/ns/default/sa/web "
            "destination=spiffe://cluster.local/ns/default/sa/orders\n");
}

TEST(AccessLogLine, TextWritesADashForWhatIsMissing) {
  ExchangeRecord record;
  record.started = kStarted;
  record.method_text = "GET";
  record.path = "/";
  record.status = 503;
  record.flags = 0 | Flag::kUF | Flag::kURX;
  record.reason = "connect-refused";
  EXPECT_EQ(TextLine(record),
            "[2026-01-02T03:04:05.678Z] \"GET / HTTP/1.1\" 503 UF,URX 0 0 0 - \"-\" \"-\" \"-\" \"-\" \"-\" outbound "
            "reason=connect-refused attempts=0 source=- destination=-\n");
}

TEST(AccessLogLine, JsonHasEachFactUnderItsName) {
  const std::string line = JsonLine(SomeRecord());
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json, nlohmann::json::parse(R"({
    "time": "2026-01-02T03:04:05.678Z", "direction": "outbound", "method": "GET", "authority": "orders", "path": "/orders/7",
    "protocol": "HTTP/1.1", "status": 200, "duration_ms": 12.345, "upstream_duration_ms": 9.001, "request_bytes": 3,
    "response_bytes": 99, "attempts": 2, "request_id": "3f2c", "source_workload": "default/web-1",
    "source_identity": "spiffe://cluster.local/ns/default/sa/web", "destination_service": "default/orders", "destination_port": 80,
    "destination_identity": "spiffe://cluster.local/ns/default/sa/orders", "mutual_tls": true,
    "upstream_address": "127.0.0.1:21006", "user_agent": "curl/8", "forwarded_for": "10.0.0.1"})"));
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

TEST(AccessLogLine, JsonTellsFlagsReasonAndGrpcStatusWhenThereAreAny) {
  ExchangeRecord record = SomeRecord();
  record.flags = 0 | Flag::kUT;
  record.reason = "deadline";
  record.grpc_status = 14;
  const auto json = nlohmann::json::parse(JsonLine(record));
  EXPECT_EQ(json["flags"], "UT");
  EXPECT_EQ(json["reason"], "deadline");
  EXPECT_EQ(json["grpc_status"], 14);
}

TEST(AccessLogLine, TheQueryIsLeftOutBecauseSecretsTravelThere) {
  ExchangeRecord record = SomeRecord();
  record.path = "/login?password=hunter2&x=1";
  EXPECT_THAT(TextLine(record), HasSubstr("\"GET /login?... HTTP/1.1\""));
  EXPECT_EQ(nlohmann::json::parse(JsonLine(record))["path"], "/login?...");
  for (const std::string& line : {TextLine(record), JsonLine(record)}) EXPECT_THAT(line, Not(HasSubstr("hunter2")));
}

// Every text a client can choose, with every byte there is, before and after a newline of the client's own.
TEST(AccessLogLine, NoControlCharacterOfAClientGetsThrough) {
  std::string evil = "a\n[2026] \"GET /forged\" 200\r\n\x1b[31m\xC2\x9B" "31m\xFF\xC0\xAF\xED\xA0\x80\"\\";
  for (int c = 0; c < 256; ++c) evil += static_cast<char>(c);
  for (const auto member : {&ExchangeRecord::method_text, &ExchangeRecord::authority, &ExchangeRecord::path, &ExchangeRecord::request_id,
                            &ExchangeRecord::traceparent, &ExchangeRecord::user_agent, &ExchangeRecord::forwarded_for,
                            &ExchangeRecord::source_identity}) {
    ExchangeRecord record = SomeRecord();
    record.*member = evil;
    const std::string json = JsonLine(record), text = TextLine(record);
    for (const std::string& line : {json, text}) {
      EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
      for (const char c : line.substr(0, line.size() - 1)) {
        ASSERT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7F) << line;
      }
      EXPECT_THAT(line, Not(HasSubstr("\xC2\x9B")));
    }
    // Valid UTF-8 and one object, whatever came in.
    EXPECT_TRUE(nlohmann::json::accept(json)) << json;
  }
}

TEST(AccessLogLine, TimesBeforeNineteenSeventyAndNegativeDurationsDoNotBreakTheLine) {
  ExchangeRecord record = SomeRecord();
  record.started = WallTime(std::chrono::milliseconds(-1));
  record.duration = std::chrono::seconds(-5);
  EXPECT_THAT(TextLine(record), HasSubstr("[1969-12-31T23:59:59.999Z]"));
  EXPECT_EQ(nlohmann::json::parse(JsonLine(record))["duration_ms"], 0.0);
}

// ---------------------------------------------------------------- batches

TEST(AccessLogBatch, GivesBackWhatWasAddedInOrderAfterTheOriginalsAreGone) {
  AccessLogBatch batch;
  EXPECT_TRUE(batch.empty());
  std::vector<std::string> expected;
  for (int i = 0; i < 3; ++i) {
    std::string path = "/path/" + std::to_string(i);
    ExchangeRecord record = SomeRecord();
    record.path = path;
    expected.push_back(JsonLine(record));
    batch.Add(record);
    path.assign(path.size(), 'x');
  }
  EXPECT_EQ(batch.records(), 3u);
  std::vector<std::string> lines;
  batch.ForEach([&](const ExchangeRecord& record) { lines.push_back(JsonLine(record)); });
  EXPECT_EQ(lines, expected);
}

TEST(AccessLogBatch, CutsOffTextsThatAreTooLong) {
  const std::string longest(AccessLogBatch::kLongestText + 100, 'a');
  ExchangeRecord record = SomeRecord();
  record.user_agent = longest;
  record.request_id = "after";
  AccessLogBatch batch;
  batch.Add(record);
  batch.ForEach([&](const ExchangeRecord& copy) {
    EXPECT_EQ(copy.user_agent.size(), AccessLogBatch::kLongestText);
    EXPECT_EQ(copy.request_id, "after");
  });
}

TEST(AccessLogBatch, CountsItsBytesTextsIncluded) {
  AccessLogBatch batch;
  ExchangeRecord record = SomeRecord();
  batch.Add(record);
  const size_t one = batch.bytes();
  const std::string path(1000, 'p');
  record.path = path;
  batch.Add(record);
  EXPECT_GE(batch.bytes(), 2 * one + 900);
}

}  // namespace
}  // namespace outrigger::observe
