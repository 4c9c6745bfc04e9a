#include <gmock/gmock.h>

#include <set>

#include "test/sidecar/fixture.h"

namespace outrigger {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using PagesTest = OneSidecar;

TEST_F(PagesTest, ReadySaysWhatItWaitsForAndThenLive) {
  env_.Stop(mesh_.control());
  env_.Start(mesh_.control());
  StartProxy();
  admin::HttpReply reply = Get("/ready");
  EXPECT_EQ(reply.status, 503);
  EXPECT_THAT(reply.body, StartsWith("INITIALIZING\n"));
  EXPECT_EQ(Telemetry("/ready").status, 503);
  EXPECT_EQ(Telemetry("/live").status, 200);
  ASSERT_TRUE(env_.RunUntil([this] { return sidecar().ready(); }, 60s));
  reply = Get("/ready");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "LIVE\n");
  EXPECT_EQ(Telemetry("/ready").status, 200);
}

TEST_F(PagesTest, ReadySaysWhyTheControlPlaneIsAway) {
  StartProxy();
  env_.Stop(mesh_.control());
  env_.RunFor(30s);
  EXPECT_THAT(Get("/ready").body, AllOf(HasSubstr("no certificate yet"), HasSubstr("the control plane is away: ")));
}

TEST_F(PagesTest, DrainTakesReadinessAwayAndTheProcessStays) {
  StartReadyProxy();
  EXPECT_EQ(Get("/drain").status, 405);
  EXPECT_EQ(Get("/ready").status, 200);
  EXPECT_EQ(Post("/drain").body, "OK\n");
  EXPECT_EQ(Get("/ready").status, 503);
  EXPECT_THAT(Get("/ready").body, StartsWith("DRAINING\n"));
  env_.RunFor(60s);
  EXPECT_EQ(Get("/server_info").status, 200);
  EXPECT_THAT(Get("/listeners").body, Not(HasSubstr("inbound::10.")));
}

TEST_F(PagesTest, HealthcheckFailTakesReadinessAwayAndOkGivesItBack) {
  StartReadyProxy();
  EXPECT_EQ(Post("/healthcheck/fail").status, 200);
  EXPECT_EQ(Get("/ready").status, 503);
  EXPECT_EQ(Post("/healthcheck/ok").status, 200);
  EXPECT_EQ(Get("/ready").status, 200);
}

TEST_F(PagesTest, MetricsAddUpTheWorkersWithoutASeriesTwice) {
  StartReadyProxy();
  for (int i = 0; i < 20; ++i) ASSERT_EQ(Wait(BeginOrders("/fast")).status, 200);
  const admin::HttpReply reply = Get("/stats/prometheus");
  EXPECT_EQ(reply.content_type, "text/plain; version=0.0.4; charset=utf-8");
  std::set<std::string> series, families;
  std::string_view rest = reply.body;
  double outbound = 0;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() + 1);
    if (line.starts_with("# HELP ")) {
      const std::string_view name = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(families.insert(std::string(name)).second) << name;
      EXPECT_TRUE(rest.starts_with("# TYPE " + std::string(name) + " ")) << name;
    } else if (!line.starts_with("# ")) {
      const std::string_view labels = line.substr(0, line.rfind(' '));
      EXPECT_TRUE(series.insert(std::string(labels)).second) << labels;
      if (!labels.starts_with("outrigger_requests_total{direction=\"outbound\"")) continue;
      outbound += std::stod(std::string(line.substr(labels.size())));
    }
  }
  EXPECT_EQ(outbound, 20);
  EXPECT_TRUE(series.contains("outrigger_workers"));
  EXPECT_EQ(Get("/metrics").status, 200);
  EXPECT_EQ(Telemetry("/metrics").status, 200);
}

TEST_F(PagesTest, MetricsTellOfTheAccessLog) {
  admin::PagesOptions options;
  options.access_log = [] { return admin::AccessLogFacts{12, 3}; };
  StartReadyProxy(std::move(options));
  EXPECT_THAT(Get("/metrics").body, AllOf(HasSubstr("\noutrigger_access_log_lines_total 12\n"),
                                          HasSubstr("\noutrigger_access_log_dropped_total 3\n")));
}

TEST_F(PagesTest, ConfigDumpShowsWhatIsInForceAfterARestartOfTheControlPlane) {
  StartReadyProxy();
  const admin::HttpReply before = Get("/config_dump");
  EXPECT_THAT(before.body, HasSubstr("outbound|80||orders.default"));
  env_.Stop(mesh_.control());
  env_.RunFor(10s);
  EXPECT_EQ(Get("/config_dump").body, before.body);
}

TEST_F(PagesTest, TheLogLevelChangesWhenThereIsOne) {
  admin::PagesOptions options;
  options.log_level = std::make_shared<SharedLogLevel>(LogLevel::kInfo);
  const std::shared_ptr<SharedLogLevel> level = options.log_level;
  StartReadyProxy(std::move(options));
  EXPECT_EQ(Post("/logging").body, "active loggers:\n  outrigger: info\n");
  EXPECT_EQ(Post("/logging?level=debug").body, "active loggers:\n  outrigger: debug\n");
  EXPECT_EQ(level->load(), LogLevel::kDebug);
  EXPECT_EQ(Post("/logging?level=shout").status, 400);
  EXPECT_EQ(Post("/logging?http=debug").status, 400);
  EXPECT_EQ(level->load(), LogLevel::kDebug);
}

TEST_F(PagesTest, WhatThisProcessCannotDoIsSaid) {
  StartReadyProxy();
  EXPECT_EQ(Post("/logging").status, 501);
  EXPECT_EQ(Post("/quitquitquit").status, 501);
  EXPECT_EQ(Get("/ready").status, 200);
}

TEST_F(PagesTest, QuitAnswersFirst) {
  auto quits = std::make_shared<int>(0);
  admin::PagesOptions options;
  options.quit = [quits] { ++*quits; };
  StartReadyProxy(std::move(options));
  EXPECT_EQ(Get("/quitquitquit").status, 405);
  EXPECT_EQ(*quits, 0);
  EXPECT_EQ(Post("/quitquitquit").body, "OK\n");
  EXPECT_EQ(*quits, 1);
}

TEST_F(PagesTest, ReopenLogsIsPassedOn) {
  auto calls = std::make_shared<int>(0);
  admin::PagesOptions options;
  options.reopen_logs = [calls] { ++*calls; };
  StartReadyProxy(std::move(options));
  EXPECT_EQ(Post("/reopen_logs").body, "OK\n");
  EXPECT_EQ(*calls, 1);
}

TEST_F(PagesTest, ManyAtOnceAreAnsweredAllWithoutAskingTheWorkersForEach) {
  StartReadyProxy();
  std::vector<std::shared_ptr<Call>> calls;
  for (int i = 0; i < 50; ++i) calls.push_back(Begin(net::Address::Loopback(kAdmin), "/stats"));
  for (const auto& call : calls) {
    EXPECT_EQ(Wait(call).status, 200);
  }
}

}  // namespace
}  // namespace outrigger
