// Calls each library we link, so that a missing archive, a wrong link order or a mixed-up header shows here first.
#include <CLI/CLI.hpp>
#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>
#include <absl/strings/cord.h>
#include <absl/strings/str_format.h>
#include <absl/time/time.h>
#include <ares.h>
#include <brotli/encode.h>
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <llhttp.h>
#include <ncurses.h>
#include <nghttp2/nghttp2.h>
#include <nlohmann/json.hpp>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <re2/re2.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <uv.h>
#include <xxhash.h>
#include <yaml-cpp/yaml.h>
#include <zlib.h>
#include <zstd.h>

#include <sstream>

namespace {

TEST(Link, TlsIsBoringSslAndNotOpenSsl) {
  EXPECT_THAT(OpenSSL_version(OPENSSL_VERSION), testing::HasSubstr("BoringSSL"));
  SSL_CTX* context = SSL_CTX_new(TLS_method());
  ASSERT_NE(context, nullptr);
  SSL_CTX_free(context);
}

TEST(Link, LlhttpIsTheOneWithTheSmugglingFixes) {
  EXPECT_EQ(LLHTTP_VERSION_MAJOR, 9);
  EXPECT_GE(LLHTTP_VERSION_MINOR, 3);
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  llhttp_t parser;
  llhttp_init(&parser, HTTP_REQUEST, &settings);
  const std::string request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
  EXPECT_EQ(llhttp_execute(&parser, request.data(), request.size()), HPE_OK);
}

TEST(Link, Nghttp2HasItsRateLimitOptions) {
  nghttp2_option* option = nullptr;
  ASSERT_EQ(nghttp2_option_new(&option), 0);
  nghttp2_option_set_stream_reset_rate_limit(option, 1000, 33);
  nghttp2_option_set_max_continuations(option, 8);
  nghttp2_option_del(option);
}

TEST(Link, LoopTurns) {
  uv_loop_t loop;
  ASSERT_EQ(uv_loop_init(&loop), 0);
  EXPECT_EQ(uv_run(&loop, UV_RUN_NOWAIT), 0);
  EXPECT_EQ(uv_loop_close(&loop), 0);
}

TEST(Link, ResolverStarts) { EXPECT_EQ(ares_library_init(ARES_LIB_INIT_ALL), ARES_SUCCESS); }

TEST(Link, ProtobufPrintsJson) {
  google::protobuf::Struct message;
  (*message.mutable_fields())["a"].set_bool_value(true);
  std::string json;
  ASSERT_TRUE(google::protobuf::util::MessageToJsonString(message, &json).ok());
  EXPECT_EQ(json, R"({"a":true})");
}

TEST(Link, AbseilMapsStatusCordAndTime) {
  absl::flat_hash_map<std::string, int> map = {{"a", 1}};
  EXPECT_EQ(map.at("a"), 1);
  const absl::StatusOr<int> result = absl::NotFoundError(absl::StrFormat("no %s", "b"));
  EXPECT_EQ(result.status().message(), "no b");
  EXPECT_EQ(std::string(absl::Cord("c")), "c");
  EXPECT_EQ(absl::FormatDuration(absl::Seconds(1)), "1s");
}

TEST(Link, YamlThrowsAndIsCaught) { EXPECT_THROW(YAML::Load("a: [1"), YAML::Exception); }

TEST(Link, LogLineIsFormatted) {
  std::ostringstream out;
  spdlog::logger log("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  log.set_pattern("%v");
  log.info("{} and {:.1f}", 1, 2.0);
  EXPECT_EQ(out.str(), "1 and 2.0\n");
}

TEST(Link, TheRest) {
  EXPECT_TRUE(RE2::FullMatch("ab12", "[a-z]+\\d+"));
  EXPECT_EQ(XXH64("", 0, 0), 0xef46db3751d8e999ULL);
  EXPECT_EQ(nlohmann::json::parse("[1]").size(), 1u);
  EXPECT_NE(zlibVersion(), nullptr);
  EXPECT_GT(ZSTD_versionNumber(), 0u);
  EXPECT_GT(BrotliEncoderVersion(), 0u);
  EXPECT_NE(curses_version(), nullptr);
  CLI::App app;
  EXPECT_NO_THROW(app.parse("", false));
}

}  // namespace
