// What the command prints: tables, YAML, sentences. Pure functions of the control plane's JSON.
#include "tools/cli/views.h"

#include <gtest/gtest.h>

namespace outrigger::cli {
namespace {

TEST(Table, ColumnsAreAsWideAsTheirWidestCellAndLinesEndWithoutBlanks) {
  EXPECT_EQ(Table({{"NAME", "STATE"}, {"default/orders-1", "READY"}, {"x", ""}}),
            "NAME              STATE\n"
            "default/orders-1  READY\n"
            "x\n");
}

TEST(Table, WidthsAreCharactersNotBytes) { EXPECT_EQ(Table({{"größer", "b"}, {"ab", "c"}}), "größer  b\nab      c\n"); }

TEST(ToYaml, KeepsTheOrderAndQuotesWhatWouldReadAsSomethingElse) {
  const Json json = Json::parse(R"({"b": 1, "a": {"list": ["x", {"k": "v", "l": []}], "empty": {}},
                                    "text": ["yes", "12", "1e3", "", "a: b", "-x", "plain text", "10.0.0.1:80",
                                             "true", "tail:"], "no": null})");
  EXPECT_EQ(ToYaml(json),
            "b: 1\n"
            "a:\n"
            "  list:\n"
            "  - x\n"
            "  - k: v\n"
            "    l: []\n"
            "  empty: {}\n"
            "text:\n"
            "- \"yes\"\n"
            "- \"12\"\n"
            "- \"1e3\"\n"
            "- \"\"\n"
            "- \"a: b\"\n"
            "- \"-x\"\n"
            "- plain text\n"
            "- 10.0.0.1:80\n"
            "- \"true\"\n"
            "- \"tail:\"\n"
            "\"no\": null\n");
}

TEST(ToYaml, OfNothingIsNothing) {
  EXPECT_EQ(ToYaml(Json::object()), "{}\n");
  EXPECT_EQ(ToYaml(Json("line\nbreak")), "\"line\\nbreak\"\n");
}

TEST(ParseTime, ReadsTheOneFormAndNothingElse) {
  EXPECT_EQ(ParseTime("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(ParseTime("2026-11-21T10:00:00Z"), 1795255200);
  for (const char* bad : {"", "-", "2026-11-21", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
                          "2026-11-21T10:00:00+01", "2026-11-21 10:00:00Z"}) {
    EXPECT_EQ(ParseTime(bad), -1) << bad;
  }
}

TEST(Remaining, ShowsTheTwoLargestUnits) {
  EXPECT_EQ(Remaining(0), "0s");
  EXPECT_EQ(Remaining(59), "59s");
  EXPECT_EQ(Remaining(90), "1m30s");
  EXPECT_EQ(Remaining(3600), "1h");
  EXPECT_EQ(Remaining(86399), "23h59m");
  EXPECT_EQ(Remaining(93600), "1d2h");
  EXPECT_EQ(Remaining(86400 + 59), "1d");
  EXPECT_EQ(Remaining(-1), "expired");
}

TEST(ProblemText, IsAPlaceAndAReason) {
  const Json whole = {{"file", "mesh.yaml"}, {"line", 12}, {"kind", "Service"}, {"namespace", "default"}, {"name", "orders"},
                      {"field", "spec.ports"}, {"reason", "is missing"}};
  EXPECT_EQ(ProblemText(whole, "?"), "mesh.yaml:12: Service default/orders: spec.ports: is missing");
  EXPECT_EQ(ProblemText({{"line", 0}, {"reason", "cannot be read"}}, "x.yaml"), "x.yaml: cannot be read");
  EXPECT_EQ(ProblemText({{"file", "m"}, {"line", 1}, {"kind", "MeshPolicy"}, {"name", "mesh"}, {"reason", "r"}}, "?"),
            "m:1: MeshPolicy mesh: r");
}

TEST(ProblemText, IsOneLineThatNoTerminalObeys) {
  EXPECT_EQ(ProblemText({{"file", "a\nb\x1b[31m.yaml"}, {"line", 1}, {"reason", "r"}}, "?"), "a?b?[31m.yaml:1: r");
}

TEST(StatusTable, ShowsEachProxyItsRefusalsAndWhoIsAbsent) {
  const Json status = Json::parse(R"({"generation": 7, "objects": {"Service": 2, "Workload": 3}, "rejected": [{}], "mtls": "strict",
    "trust_domain": "cluster.local", "now": "2026-11-21T10:00:00Z",
    "proxies": [
      {"workload": "default/a", "state": "READY", "generation": 7, "program": "outrigger-proxy 0.1.0",
       "certificate_expires": "2026-11-21T11:30:00Z", "types": {"clusters": {"accepted": 7, "sent": 7, "pending": false},
       "endpoints": {"accepted": 5, "sent": 7, "pending": true}, "routes": {"accepted": 6, "refused": "bad regex"}}}],
    "workloads": [{"workload": "default/a"}, {"workload": "default/b"}]})");
  EXPECT_EQ(StatusTable(status),
            "generation 7, 5 objects, 1 rejected, mTLS strict, trust domain cluster.local\n"
            "\n"
            "PROXY      STATE   GENERATION  CLUSTERS  ENDPOINTS   LISTENERS  ROUTES   CERTIFICATE  PROGRAM\n"
            "default/a  READY   7           7         5 (7 sent)  -          REFUSED  1h30m        outrigger-proxy 0.1.0\n"
            "default/b  ABSENT  -           -         -           -          -        -            -\n"
            "\n"
            "default/a refuses routes: bad regex\n");
}

TEST(StatusTable, OfAnEmptyMeshSaysSo) {
  EXPECT_EQ(StatusTable(Json::object()), "generation -, 0 objects, 0 rejected, mTLS -, trust domain -\n\nNo workload is declared.\n");
}

TEST(ObjectsTable, TakesAListOrOneObject) {
  const Json one = {{"kind", "Service"}, {"namespace", "default"}, {"name", "orders"}, {"origin", "mesh.yaml:1"}};
  const std::string table = "KIND     NAMESPACE  NAME    DECLARED IN\nService  default    orders  mesh.yaml:1\n";
  EXPECT_EQ(ObjectsTable(one), table);
  EXPECT_EQ(ObjectsTable({{"items", Json::array({one})}}), table);
  EXPECT_EQ(ObjectsTable({{"items", Json::array()}}), "Nothing of that kind is declared.\n");
}

TEST(ConfigTables, ShowTheFourKinds) {
  const Json config = Json::parse(R"({"workload": "default/web-1", "generation": 3,
    "listeners": [{"name": "outbound", "filter_chains": [{}],
                   "address": {"socket_address": {"address": "127.0.0.1", "port_value": 15001}}}],
    "routes": [{"name": "outbound", "virtual_hosts": [{"domains": ["orders"], "routes": [
      {"match": {"path": "/a", "headers": [{}]}, "redirect": {}},
      {"match": {"safe_regex": {"regex": "/b.*"}}, "direct_response": {"status": 500}},
      {"match": {"prefix": "/"},
       "route": {"weighted_clusters": {"clusters": [{"name": "x", "weight": 9}, {"name": "y", "weight": 1}]}}}]}]}],
    "clusters": [{"name": "x", "type": "EDS", "lb_policy": "RANDOM", "connect_timeout": "1s"}, {"name": "inbound|80"}],
    "endpoints": [{"cluster_name": "x", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address":
      {"address": "10.0.0.1", "port_value": 15006}}}, "health_status": "HEALTHY", "load_balancing_weight": 1,
      "metadata": {"filter_metadata": {"outrigger.dev": {"identity": "spiffe://a/b"}}}}]}]}, {"cluster_name": "y"}]})");
  EXPECT_EQ(ConfigTables(config),
            "default/web-1, generation 3\n"
            "\n"
            "LISTENER  ADDRESS          CHAINS\n"
            "outbound  127.0.0.1:15001  1\n"
            "\n"
            "ROUTES    HOST    PATH   CONDITIONS  TO\n"
            "outbound  orders  /a     1           redirect\n"
            "outbound  orders  ~/b.*  -           reply 500\n"
            "outbound  orders  /*     -           x x9, y x1\n"
            "\n"
            "CLUSTER     TYPE    BALANCING    CONNECT TIMEOUT\n"
            "x           EDS     RANDOM       1s\n"
            "inbound|80  STATIC  ROUND_ROBIN  -\n"
            "\n"
            "ENDPOINTS OF  ADDRESS         HEALTH   WEIGHT  IDENTITY\n"
            "x             10.0.0.1:15006  HEALTHY  1       spiffe://a/b\n"
            "y             none            -        -       -\n");
}

TEST(ApplyText, SaysWhatHappenedAndWhereItIsInForce) {
  Json answer = Json::parse(R"({"objects": [{"kind": "Service", "namespace": "default", "name": "a", "action": "created"},
                                            {"kind": "MeshPolicy", "name": "m", "action": "unchanged"}]})");
  const std::string objects = "Service default/a created\nMeshPolicy m unchanged\n";
  EXPECT_EQ(ApplyText(answer), objects);
  answer["in_force"] = true;
  answer["proxies"] = 3;
  answer["waited_ms"] = 12;
  answer["behind"] = Json::array();
  EXPECT_EQ(ApplyText(answer), objects + "in force in all 3 connected proxies after 12 ms\n");
  answer["in_force"] = false;
  answer["behind"] = Json::parse(R"([{"workload": "default/x", "generation": 4},
                                    {"workload": "default/y", "generation": 5, "reason": "routes: bad"}])");
  EXPECT_EQ(ApplyText(answer), objects +
                                   "accepted, and after 12 ms not yet in force in 2 of 3 connected proxies:\n"
                                   "  default/x is at generation 4\n"
                                   "  default/y is at generation 5: it refuses routes: bad\n");
}

}  // namespace
}  // namespace outrigger::cli
