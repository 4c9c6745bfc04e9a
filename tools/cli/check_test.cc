// `outrigger check`: what is good, what is worth a warning, what is bad, and what to do about it.
#include "tools/cli/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace outrigger::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A mesh in which all is well.
Json Well() {
  return Json::parse(R"({"version": "0.1.0", "now": "2026-11-21T10:00:00Z", "generation": 7, "objects": {"Service": 2, "Workload": 1},
    "rejected": [], "problems": [],
    "certificates": {"root_expires": "2036-11-21T10:00:00Z", "serving_expires": "2026-11-22T10:00:00Z"},
    "proxies": [{"workload": "default/a", "state": "READY", "connected": true, "program": "outrigger-proxy 0.1.0",
                 "certificate_expires": "2026-11-22T10:00:00Z", "types": {"routes": {"accepted": 7}}}],
    "workloads": [{"workload": "default/a"}]})");
}
std::string Text(const Json& status) { return FormatCheck(CheckStatus(status, "0.1.0", "127.0.0.1:15014"), false); }
bool Bad(const Json& status) { return AnyBad(CheckStatus(status, "0.1.0", "127.0.0.1:15014")); }

TEST(Check, AMeshInWhichAllIsWell) {
  EXPECT_EQ(Text(Well()),
            "control plane\n"
            "-------------\n"
            "√ the control plane at 127.0.0.1:15014 answers\n"
            "√ command and control plane are both version 0.1.0\n"
            "\n"
            "certificates\n"
            "------------\n"
            "√ the signing root is valid for 3653d\n"
            "√ the control plane's own certificate is valid for 1d\n"
            "√ the certificates of 1 connected proxies are valid\n"
            "\n"
            "proxies\n"
            "-------\n"
            "√ all 1 connected proxies run generation 7\n"
            "\n"
            "objects\n"
            "-------\n"
            "√ all 3 objects are accepted\n"
            "\n"
            "Status check results are √\n");
}

TEST(Check, WhatIsOddIsAWarningAndNotBad) {
  Json status = Well();
  status["version"] = "0.2.0";
  status["certificates"]["root_expires"] = "2026-12-01T10:00:00Z";
  status["workloads"].push_back({{"workload", "default/b"}});
  status["proxies"].push_back({{"workload", "default/c"}, {"connected", false}, {"state", "GONE"}});
  status["problems"].push_back({{"file", "m.yaml"}, {"line", 3}, {"reason", "there is no Service default/x"}});
  const std::string text = Text(status);
  EXPECT_FALSE(Bad(status)) << text;
  for (const char* line : {"‼ the control plane is version 0.2.0, this command is 0.1.0\n    use the same version of both",
                           "‼ a proxy is of another version: default/a (outrigger-proxy 0.1.0)\n    update it to 0.2.0",
                           "‼ the signing root ends in 10d", "‼ default/b has never connected", "‼ default/c is not connected any more",
                           "‼ m.yaml:3: there is no Service default/x"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(Check, ARejectedObjectIsBadWithItsPlaceAndThatTheLastGoodVersionHolds) {
  Json status = Well();
  status["rejected"].push_back({{"file", "m.yaml"}, {"line", 4}, {"kind", "Service"}, {"namespace", "default"}, {"name", "a"},
                                {"field", "spec.ports[0].port"}, {"reason", "must be a number"}, {"previous_in_force", true}});
  EXPECT_TRUE(Bad(status));
  EXPECT_THAT(Text(status), HasSubstr("× rejected: m.yaml:4: Service default/a: spec.ports[0].port: must be a number\n"
                                      "    its last good version is in force\n"));
  EXPECT_THAT(Text(status), Not(HasSubstr("objects are accepted")));
  EXPECT_FALSE(OnlyTransient(CheckStatus(status, "0.1.0", "c"))) << "waiting does not mend it";
}

TEST(Check, AProxyThatCatchesUpIsBadForNowOnly) {
  Json status = Well();
  status["proxies"][0]["state"] = "PENDING";
  EXPECT_TRUE(Bad(status));
  EXPECT_TRUE(OnlyTransient(CheckStatus(status, "0.1.0", "c")));
  EXPECT_THAT(Text(status), Not(HasSubstr("run generation")));
}

TEST(Check, AProxyThatRefusesIsBadWithItsReason) {
  Json status = Well();
  status["proxies"][0]["state"] = "REFUSED";
  status["proxies"][0]["types"]["routes"]["refused"] = "bad regex";
  EXPECT_THAT(Text(status),
              HasSubstr("× default/a refuses routes: bad regex\n    change the object it names; the last good version is in force"));
  EXPECT_FALSE(OnlyTransient(CheckStatus(status, "0.1.0", "c")));
}

TEST(Check, EndedCertificatesAreBad) {
  for (const char* which : {"root_expires", "serving_expires"}) {
    Json status = Well();
    status["certificates"][which] = "2026-11-21T09:59:59Z";
    EXPECT_TRUE(Bad(status)) << which;
  }
  Json status = Well();
  status["proxies"][0]["certificate_expires"] = "2026-11-21T09:00:00Z";
  EXPECT_THAT(Text(status), HasSubstr("× the certificate of default/a has expired\n    look at that proxy's log: its renewal fails"));
}

TEST(Check, AnAnswerThatIsNoStatusIsNotAllWell) { EXPECT_TRUE(Bad(Json("nonsense"))); }

TEST(Check, AControlPlaneThatDoesNotAnswer) {
  const auto lines = CheckUnreachable("127.0.0.1:1", "connection refused");
  EXPECT_TRUE(AnyBad(lines));
  EXPECT_THAT(FormatCheck(lines, false), HasSubstr("× the control plane at 127.0.0.1:1 does not answer: connection refused\n    start "));
}

TEST(Check, ColoursOnlyWhenAsked) {
  const auto lines = CheckStatus(Well(), "0.1.0", "c");
  EXPECT_THAT(FormatCheck(lines, true), HasSubstr("\x1b[32m√\x1b[0m"));
  EXPECT_THAT(FormatCheck(lines, false), Not(HasSubstr("\x1b")));
}

TEST(Check, AsJsonItSaysTheSame) {
  Json status = Well();
  status["workloads"].push_back({{"workload", "default/b"}});
  const Json json = CheckJson(CheckStatus(status, "0.1.0", "c"));
  EXPECT_EQ(json["success"], true);
  bool found = false;
  for (const Json& check : json["checks"]) {
    if (check["text"] != "default/b has never connected") continue;
    found = true;
    EXPECT_EQ(check["section"], "proxies");
    EXPECT_EQ(check["result"], "warning");
    EXPECT_EQ(check["hint"], "start its proxy: outrigger-proxy --workload default/b");
  }
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace outrigger::cli
