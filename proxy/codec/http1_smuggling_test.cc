// Requests that two implementations could read differently, or that want more than their share: each is answered with its status and
// the connection closed, and nothing of it, nor of what hides behind it, reaches the owner as a request. In the manner of
// RFC 9112 section 11.2, the corpora of llhttp and HAProxy, and "HTTP Desync Attacks" (Kettle, 2019 to 2025).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/codec/http1_testing.h"

namespace outrigger::codec::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

struct Attack {
  std::string name;
  int status;
  std::string input;
};

constexpr std::string_view kHidden = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";

std::string Post(std::string_view fields, std::string_view body = "0\r\n\r\n") {
  return "POST / HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n" + std::string(body) + std::string(kHidden);
}
std::string Get(std::string_view fields) { return "GET / HTTP/1.1\r\n" + std::string(fields) + "\r\n" + std::string(kHidden); }
std::string Line(std::string_view line) { return std::string(line) + "\r\nHost: h\r\n\r\n" + std::string(kHidden); }

std::string ManyFields(int count) {
  std::string fields = "Host: h\r\n";
  for (int i = 1; i < count; ++i) fields += "x" + std::to_string(i) + ": 1\r\n";
  return fields;
}

// Refused in the head: no request event at all.
const std::vector<Attack>& HeadAttacks() {
  static const auto* attacks = new std::vector<Attack>{
      // Two framings, or one that cannot be relied on.
      {"Content-Length and Transfer-Encoding", 400, Post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")},
      {"Transfer-Encoding and Content-Length", 400, Post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")},
      {"Content-Length: 0 and Transfer-Encoding", 400, Post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n")},
      {"two Content-Lengths that differ", 400, Post("Content-Length: 5\r\nContent-Length: 0\r\n")},
      {"two Content-Lengths that agree", 400, Post("Content-Length: 5\r\nContent-Length: 5\r\n")},
      {"a list of Content-Lengths", 400, Post("Content-Length: 5, 5\r\n")},
      {"an empty Content-Length", 400, Post("Content-Length:\r\n")},
      {"a signed Content-Length", 400, Post("Content-Length: +5\r\n")},
      {"a negative Content-Length", 400, Post("Content-Length: -5\r\n")},
      {"a hexadecimal Content-Length", 400, Post("Content-Length: 0x5\r\n")},
      {"a fractional Content-Length", 400, Post("Content-Length: 5.0\r\n")},
      {"two numbers in Content-Length", 400, Post("Content-Length: 5 0\r\n")},
      {"a Content-Length that overflows", 400, Post("Content-Length: 18446744073709551621\r\n")},
      {"a Content-Length of twenty digits", 400, Post("Content-Length: 00000000000000000005\r\n")},
      {"a tab in Content-Length", 400, Post("Content-Length: 5\t5\r\n")},
      {"two Transfer-Encodings", 400, Post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
      {"Transfer-Encoding twice, one unknown", 400, Post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n")},
      {"Transfer-Encoding twice, chunked last", 400, Post("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n")},
      {"chunked twice", 400, Post("Transfer-Encoding: chunked, chunked\r\n")},
      {"chunked not last", 400, Post("Transfer-Encoding: chunked, gzip\r\n")},
      {"identity", 400, Post("Transfer-Encoding: identity\r\n")},
      {"chunked, identity", 400, Post("Transfer-Encoding: chunked, identity\r\n")},
      {"only a coding that is not chunked", 400, Post("Transfer-Encoding: gzip\r\n")},
      {"nearly chunked", 400, Post("Transfer-Encoding: xchunked\r\n")},
      {"chunked and more", 400, Post("Transfer-Encoding: chunkedx\r\n")},
      {"chunked with a parameter", 400, Post("Transfer-Encoding: chunked;q=1\r\n")},
      {"quoted chunked", 400, Post("Transfer-Encoding: \"chunked\"\r\n")},
      {"chunked and a tab", 400, Post("Transfer-Encoding: chunked\t\r\n")},
      {"chunked after a vertical tab", 400, Post("Transfer-Encoding: \vchunked\r\n")},
      {"chunked before a vertical tab", 400, Post("Transfer-Encoding: chunked\v\r\n")},
      {"an empty element before chunked", 400, Post("Transfer-Encoding: , chunked\r\n")},
      {"an empty element after chunked", 400, Post("Transfer-Encoding: chunked,\r\n")},
      {"an empty Transfer-Encoding", 400, Post("Transfer-Encoding:\r\n")},
      {"a non-breaking space before chunked", 400, Post("Transfer-Encoding: \xc2\xa0" "chunked\r\n")},
      {"a coding that is not known before chunked", 501, Post("Transfer-Encoding: gzip, chunked\r\n")},
      {"Transfer-Encoding in HTTP/1.0", 400,
       "POST / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + std::string(kHidden)},
      {"CONNECT with Content-Length", 400, "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\nContent-Length: 5\r\n\r\n" + std::string(kHidden)},
      {"CONNECT with chunks", 400, "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      // Field lines.
      {"a space before the colon", 400, Post("Transfer-Encoding : chunked\r\n")},
      {"a space before the colon of Content-Length", 400, Post("Content-Length : 5\r\n")},
      {"a tab before the colon", 400, Post("X-A\t: 1\r\n")},
      {"a space inside a name", 400, Post("X A: 1\r\n")},
      {"a folded line", 400, Post("X-A: 1\r\n 2\r\n")},
      {"Transfer-Encoding on a folded line", 400, Post("Transfer-Encoding:\r\n chunked\r\n")},
      {"a folded line with a tab", 400, Post("X-A: 1\r\n\tContent-Length: 5\r\n")},
      {"a space before the first field", 400, "POST / HTTP/1.1\r\n Host: h\r\n\r\n" + std::string(kHidden)},
      {"a field line without colon", 400, Post("Transfer-Encoding\r\n")},
      {"a nameless field", 400, Post(": 1\r\n")},
      {"LF instead of CRLF after a field", 400, Post("X-A: 1\nTransfer-Encoding: chunked\r\n")},
      {"LF after an empty value", 400, Post("X-A:\nTransfer-Encoding: chunked\r\n")},
      {"CR instead of CRLF after a field", 400, Post("X-A: 1\rTransfer-Encoding: chunked\r\n")},
      {"CR inside a value", 400, Post("X-A: 1\r2\r\n")},
      {"LF ends the head", 400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\n" + std::string(kHidden)},
      {"LF LF ends the head", 400, "POST / HTTP/1.1\r\nHost: h\nContent-Length: 5\n\n" + std::string(kHidden)},
      {"CR CR LF ends the head", 400, "GET / HTTP/1.1\r\nHost: h\r\n\r\r\n" + std::string(kHidden)},
      {"NUL in a value", 400, Post(std::string("X-A: 1\0002\r\n", 10))},
      {"NUL in a name", 400, Post(std::string("X\0A: 1\r\n", 8))},
      {"DEL in a value", 400, Post("X-A: \x7f\r\n")},
      {"a control character in a value", 400, Post("X-A: \x01\r\n")},
      {"bytes above 127 in a name", 400, Post("X-\xc3\xa9: 1\r\n")},
      {"a name in brackets", 400, Post("(X): 1\r\n")},
      // Host.
      {"no Host", 400, Get("X: 1\r\n")},
      {"two Hosts", 400, Get("Host: a\r\nHost: b\r\n")},
      {"two Hosts that agree", 400, Get("Host: a\r\nhost: a\r\n")},
      {"an empty Host", 400, Get("Host:\r\n")},
      {"a path in Host", 400, Get("Host: a/b\r\n")},
      {"a user in Host", 400, Get("Host: user@a\r\n")},
      {"a space in Host", 400, Get("Host: a b\r\n")},
      {"a word for a port", 400, Get("Host: a:http\r\n")},
      {"a port beyond 65535", 400, Get("Host: a:65536\r\n")},
      {"two ports", 400, Get("Host: a:1:2\r\n")},
      {"an open bracket", 400, Get("Host: [::1\r\n")},
      {"no address in brackets", 400, Get("Host: [localhost]\r\n")},
      {"bytes above 127 in Host", 400, Get("Host: \xc3\xa9\r\n")},
      {"a backslash in Host", 400, Get("Host: a\\b\r\n")},
      {"a fragment in Host", 400, Get("Host: a#b\r\n")},
      // Request lines.
      {"HTTP/2.0", 505, Line("GET / HTTP/2.0")},
      {"HTTP/1.2", 505, Line("GET / HTTP/1.2")},
      {"HTTP/0.9", 505, Line("GET / HTTP/0.9")},
      {"the preface of HTTP/2", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {"a request line of HTTP/0.9", 400, Line("GET /")},
      {"a version in lower case", 400, Line("GET / http/1.1")},
      {"a version of two digits", 400, Line("GET / HTTP/1.10")},
      {"a version of another protocol", 400, Line("GET / RTSP/1.0")},
      {"no version", 400, Line("GET / ")},
      {"two spaces before the target", 400, Line("GET  / HTTP/1.1")},
      {"two spaces before the version", 400, Line("GET /  HTTP/1.1")},
      {"a space at the end of the line", 400, Line("GET / HTTP/1.1 ")},
      {"a tab between the parts", 400, Line("GET\t/ HTTP/1.1")},
      {"a space in the target", 400, Line("GET /a b HTTP/1.1")},
      {"a fragment in the target", 400, Line("GET /a#b HTTP/1.1")},
      {"bytes above 127 in the target", 400, Line("GET /\xc3\xa9 HTTP/1.1")},
      {"NUL in the target", 400, Line(std::string("GET /\0 HTTP/1.1", 15))},
      {"CR in the target", 400, Line("GET /\rX: HTTP/1.1")},
      {"LF ends the request line", 400, "GET / HTTP/1.1\nHost: h\r\n\r\n" + std::string(kHidden)},
      {"CR ends the request line", 400, "GET / HTTP/1.1\rHost: h\r\n\r\n" + std::string(kHidden)},
      {"a bracket in the method", 400, Line("GE(T / HTTP/1.1")},
      {"a colon in the method", 400, Line("GET: / HTTP/1.1")},
      {"a space before the method", 400, Line(" GET / HTTP/1.1")},
      {"two empty lines before the request", 400, "\r\n\r\n" + Line("GET / HTTP/1.1")},
      {"LF before the request", 400, "\n" + Line("GET / HTTP/1.1")},
      {"CR before the request", 400, "\r" + Line("GET / HTTP/1.1")},
      {"a TLS handshake", 400, std::string("\x16\x03\x01\x02\x00\x01\x00\x01", 8)},
      {"a target without a slash", 400, Line("GET a HTTP/1.1")},
      {"an authority for GET", 400, Line("GET h:80 HTTP/1.1")},
      {"* for GET", 400, Line("GET * HTTP/1.1")},
      {"a URL of another scheme", 400, Line("GET ftp://h/ HTTP/1.1")},
      {"a URL without host", 400, Line("GET http:///a HTTP/1.1")},
      {"a URL with a user", 400, Line("GET http://u@h/ HTTP/1.1")},
      {"CONNECT to a path", 400, Line("CONNECT / HTTP/1.1")},
      {"CONNECT without port", 400, Line("CONNECT h HTTP/1.1")},
      {"CONNECT to a URL", 400, Line("CONNECT http://h:1/ HTTP/1.1")},
      // Limits.
      {"a request line of more than 16 KiB", 414, Line("GET /" + std::string(16 * 1024, 'a') + " HTTP/1.1")},
      {"a request line without end", 414, "GET /" + std::string(17 * 1024, 'a')},
      {"a method without end", 414, std::string(17 * 1024, 'A')},
      {"a head of more than 64 KiB", 431, Get("Host: h\r\nX: " + std::string(64 * 1024, 'a') + "\r\n")},
      {"a name without end", 431, "GET / HTTP/1.1\r\nHost: h\r\n" + std::string(65 * 1024, 'a')},
      {"a hundred and one fields", 431, Get(ManyFields(101))},
  };
  return *attacks;
}

// Refused in the body: the request was announced, and is reset.
const std::vector<Attack>& BodyAttacks() {
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  static const auto* attacks = new std::vector<Attack>{
      {"a chunk size that is no number", 400, Post(chunked, "z\r\n")},
      {"an empty chunk size", 400, Post(chunked, "\r\n\r\n")},
      {"a chunk size with 0x", 400, Post(chunked, "0x5\r\nhello\r\n0\r\n\r\n")},
      {"a signed chunk size", 400, Post(chunked, "+5\r\nhello\r\n0\r\n\r\n")},
      {"a negative chunk size", 400, Post(chunked, "-1\r\n")},
      {"a chunk size that overflows", 400, Post(chunked, "10000000000000005\r\nhello\r\n0\r\n\r\n")},
      {"a space before the chunk size", 400, Post(chunked, " 5\r\nhello\r\n0\r\n\r\n")},
      {"a space after the chunk size", 400, Post(chunked, "5 \r\nhello\r\n0\r\n\r\n")},
      {"LF after the chunk size", 400, Post(chunked, "5\nhello\r\n0\r\n\r\n")},
      {"CR after the chunk size", 400, Post(chunked, "5\rhello\r\n0\r\n\r\n")},
      {"LF after an extension", 400, Post(chunked, "5;a\nhello\r\n0\r\n\r\n")},
      {"LF in a quoted extension", 400, Post(chunked, "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n")},
      {"CR in an extension", 400, Post(chunked, "5;a\rb\r\nhello\r\n0\r\n\r\n")},
      {"an extension without end", 400, Post(chunked, "5;" + std::string(600, 'a'))},
      {"an extension of 300 bytes", 400, Post(chunked, "5;" + std::string(300, 'a') + "\r\nhello\r\n0\r\n\r\n")},
      {"300 zeros before a chunk size", 400, Post(chunked, std::string(300, '0') + "5\r\nhello\r\n0\r\n\r\n")},
      {"300 zeros for the last chunk", 400, Post(chunked, std::string(300, '0') + "\r\n\r\n")},
      {"more data than the chunk's size", 400, Post(chunked, "2\r\nhello\r\n0\r\n\r\n")},
      {"no CRLF after the data", 400, Post(chunked, "5\r\nhello0\r\n\r\n")},
      {"LF after the data", 400, Post(chunked, "5\r\nhello\n0\r\n\r\n")},
      {"CR after the data", 400, Post(chunked, "5\r\nhello\r0\r\n\r\n")},
      {"LF ends the last chunk", 400, Post(chunked, "0\n\r\n")},
      {"LF ends the trailers", 400, Post(chunked, "0\r\nX: 1\r\n\n")},
      {"LF after a trailer", 400, Post(chunked, "0\r\nX: 1\n\r\n")},
      {"a folded trailer", 400, Post(chunked, "0\r\nX: 1\r\n 2\r\n\r\n")},
      {"Content-Length in the trailers", 400, Post(chunked, "0\r\nContent-Length: 5\r\n\r\n")},
      {"Transfer-Encoding in the trailers", 400, Post(chunked, "0\r\nTransfer-Encoding: chunked\r\n\r\n")},
      {"Host in the trailers", 400, Post(chunked, "0\r\nHost: other\r\n\r\n")},
      {"a request for a trailer", 400, Post(chunked, "0\r\n")},
      {"trailers of more than 16 KiB", 431, Post(chunked, "0\r\nX: " + std::string(17 * 1024, 'a') + "\r\n\r\n")},
      {"a hundred and one trailers", 431, Post(chunked, "0\r\n" + ManyFields(101) + "\r\n")},
  };
  return *attacks;
}

void ExpectRefused(const Attack& attack, const Seen& seen) {
  EXPECT_TRUE(seen.should_close);
  EXPECT_THAT(seen.output, StartsWith("HTTP/1.1 " + std::to_string(attack.status) + " "));
  EXPECT_THAT(seen.output, HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_THAT(seen.output, HasSubstr("\r\nx-outrigger-reason: "));
  EXPECT_THAT(seen.events, Not(HasSubstr("/hidden")));
  EXPECT_THAT(seen.events, Not(HasSubstr("end 1")));
  EXPECT_THAT(seen.events, HasSubstr(attack.status == 414 || attack.status == 431 ? "failed too-large\n" : "failed protocol\n"));
}

// Long inputs are cut at some places only: near the ends, and at every hundredth byte.
void ForEachCut(const std::string& input, const std::function<void(Cut)>& run) {
  for (size_t at = 1; at < input.size(); at += (at < 300 || at + 300 > input.size()) ? 1 : 997) run({at});
  run({0, 1});
}

TEST(Http1Smuggling, IsRefusedInTheHead) {
  for (const Attack& attack : HeadAttacks()) {
    SCOPED_TRACE(attack.name);
    const Seen whole = RunServer(attack.input, {}, false, AnswerOk);
    ExpectRefused(attack, whole);
    EXPECT_THAT(whole.events, Not(HasSubstr("request")));
  }
}

TEST(Http1Smuggling, IsRefusedInTheBody) {
  for (const Attack& attack : BodyAttacks()) {
    SCOPED_TRACE(attack.name);
    const Seen whole = RunServer(attack.input, {}, false, AnswerOk);
    ExpectRefused(attack, whole);
    EXPECT_THAT(whole.events, StartsWith("request 1 "));
    EXPECT_THAT(whole.events, HasSubstr("reset 1 "));
  }
}

TEST(Http1Smuggling, IsRefusedAlikeHoweverTheInputIsCut) {
  for (const auto* attacks : {&HeadAttacks(), &BodyAttacks()}) {
    for (const Attack& attack : *attacks) {
      SCOPED_TRACE(attack.name);
      const Seen whole = RunServer(attack.input, {}, false, AnswerOk);
      ForEachCut(attack.input, [&](Cut cut) {
        const Seen seen = RunServer(attack.input, cut, false, AnswerOk);
        if (seen == whole) return;
        ADD_FAILURE() << "cut at " << cut.first << " by " << cut.size << "\n" << seen.events << seen.output
                     << "\ninstead of\n" << whole.output;
      });
    }
  }
}

TEST(Http1Smuggling, AttacksAreMany) { EXPECT_GE(HeadAttacks().size() + BodyAttacks().size(), 140u); }

TEST(Http1Smuggling, StopsAtTheFirstAttackInAPipeline) {
  const std::string good = "GET /good HTTP/1.1\r\nHost: h\r\n\r\n";
  for (const Attack& attack : HeadAttacks()) {
    SCOPED_TRACE(attack.name);
    const Seen seen = RunServer(good + attack.input, {}, false, AnswerOk);
    EXPECT_THAT(seen.events, StartsWith("request 1 GET /good at h length 0\nend 1\nfailed "));
    EXPECT_THAT(seen.output, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(seen.output, HasSubstr("okHTTP/1.1 " + std::to_string(attack.status) + " "));
    EXPECT_TRUE(seen.should_close);
  }
}

// ---------------------------------------------------------------- limits are exact

TEST(Http1Limits, ARequestLineMayHaveExactly16KiB) {
  const size_t rest = std::string_view("GET / HTTP/1.1").size();
  const std::string path = "/" + std::string(16 * 1024 - rest, 'a');
  EXPECT_THAT(RunServer("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n", {0, 1000}, false, AnswerOk).output, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(RunServer("GET " + path + "a HTTP/1.1\r\nHost: h\r\n\r\n", {0, 1000}, false, AnswerOk).output,
              StartsWith("HTTP/1.1 414 "));
}

TEST(Http1Limits, AHeadMayHaveExactly64KiB) {
  const std::string begin = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
  const std::string value(64 * 1024 - begin.size() - 4, 'a');
  for (size_t piece : {size_t{1}, size_t{1000}, size_t{64 * 1024}, size_t{1 << 20}}) {
    EXPECT_THAT(RunServer(begin + value + "\r\n\r\n", {0, piece}, false, AnswerOk).output, StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(RunServer(begin + value + "a\r\n\r\n", {0, piece}, false, AnswerOk).output, StartsWith("HTTP/1.1 431 "));
  }
}

TEST(Http1Limits, AHeadMayHaveExactly100Fields) {
  EXPECT_THAT(RunServer(Get(ManyFields(100)), {0, 13}, false, AnswerOk).output, StartsWith("HTTP/1.1 200 "));
}

TEST(Http1Limits, AreConfigured) {
  Limits limits;
  limits.head_bytes = 60;
  limits.head_fields = 2;
  limits.request_line_bytes = 20;
  limits.trailer_bytes = 10;
  const auto status = [&](std::string_view input) {
    const Seen seen = RunServer(input, {}, false, AnswerOk, limits);
    return seen.output.substr(0, 12);
  };
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: h\r\nX: 1\r\n\r\n"), "HTTP/1.1 200");
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: h\r\nX: 1\r\nY: 2\r\n\r\n"), "HTTP/1.1 431");
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: h\r\nX: 1234567890123456789012345678901234567890\r\n\r\n"), "HTTP/1.1 431");
  EXPECT_EQ(status("GET /123456789 HTTP/1.1\r\nHost: h\r\n\r\n"), "HTTP/1.1 414");
  limits.head_bytes = 200;
  EXPECT_EQ(status("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 12345\r\n\r\n"), "HTTP/1.1 431");
  EXPECT_EQ(status("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 123\r\n\r\n"), "HTTP/1.1 200");
}

TEST(Http1Limits, EndOfInputInsideAHeadIsAnswered) {
  const std::string head = "GET /path HTTP/1.1\r\nHost: example\r\nX: 1\r\n\r\n";
  for (size_t size = 1; size < head.size(); ++size) {
    const Seen seen = RunServer(head.substr(0, size), {}, true, AnswerOk);
    EXPECT_EQ(seen.events, "failed closed\n") << size;
    EXPECT_THAT(seen.output, HasSubstr("400 Bad Request: the connection ended inside a request head")) << size;
    EXPECT_TRUE(seen.should_close);
  }
}

}  // namespace
}  // namespace outrigger::codec::testing
