// What a well-meaning client sends, and what we answer (RFC 9112). Every input is also run cut in two at every byte, and byte by
// byte, and must mean the same. What ill-meaning ones send is in http1_smuggling_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "proxy/codec/http1_testing.h"

namespace outrigger::codec::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Kind = StreamEvent::Kind;

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
constexpr std::string_view kOkClose = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

struct Case {
  std::string name;
  std::string input;
  std::string events;
  std::string output;
  bool eof = false;
  bool closes = false;
};

std::string Times(std::string_view text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

const std::vector<Case>& Cases() {
  static const auto* cases = new std::vector<Case>{
      {"a plain GET", "GET /a?b=c HTTP/1.1\r\nHost: example\r\n\r\n",
       "request 1 GET /a?b=c at example length 0\nend 1\n", std::string(kOk)},
      {"fields keep order, case and inner spaces, and lose the outer ones",
       "GET / HTTP/1.1\r\nHost: h\r\nX-A:1\r\nx-b: \t two  words \t \r\nX-Empty:\r\nX-Blank:   \r\nX-A: again\r\n\r\n",
       "request 1 GET / at h length 0 [X-A=1] [x-b=two  words] [X-Empty=] [X-Blank=] [X-A=again]\nend 1\n",
       std::string(kOk)},
      {"a field value may hold bytes above 127", "GET / HTTP/1.1\r\nHost: h\r\nX: caf\xc3\xa9\r\n\r\n",
       "request 1 GET / at h length 0 [X=caf\xc3\xa9]\nend 1\n", std::string(kOk)},
      {"a fixed body", "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world",
       "request 1 POST /p at h length 11\ndata 1 hello world\nend 1\n", std::string(kOk)},
      {"an empty fixed body", "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
       "request 1 POST /p at h length 0\nend 1\n", std::string(kOk)},
      {"a chunked body of unknown length",
       "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
       "6\r\n world\r\n0\r\n\r\n",
       "request 1 POST /p at h length ?\ndata 1 hello world\nend 1\n", std::string(kOk)},
      {"chunk extensions are read over, sizes may have zeros in front and any case",

       "POST / HTTP/1.1\r\nHost: h\r\ntransfer-encoding: CHUNKED\r\n\r\n00A;name=value;q=\"a \\\" "
       "b\"\r\n0123456789\r\n0b\r\nabcdefghijk\r\n000;last\r\n\r\n",
       "request 1 POST / at h length ?\ndata 1 0123456789abcdefghijk\nend 1\n", std::string(kOk)},
      {"trailers",
       "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n1\r\na\r\n0\r\n"
       "X-Sum: 1 \r\nY:\r\n\r\n",
       "request 1 POST / at h length ? [Trailer=X-Sum]\ndata 1 a\ntrailers 1 [X-Sum=1] [Y=]\nend 1\n",
       std::string(kOk)},
      {"a body that is only the last chunk",
       "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "request 1 POST / at h length ?\nend 1\n", std::string(kOk)},
      {"three requests in a pipeline are answered in order",
       "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /3 "
       "HTTP/1.1\r\nHost: h\r\n\r\n",
       "request 1 GET /1 at h length 0\nend 1\nrequest 2 POST /2 at h length 3\ndata 2 abc\nend 2\nrequest 3 GET /3 at "
       "h length 0\nend 3\n",
       Times(kOk, 3)},
      {"one empty line before a request is forgiven",
       "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
       "request 1 GET / at h length 0\nend 1\nrequest 2 GET / at h length 0\nend 2\n", Times(kOk, 2)},
      {"the connection's own fields go, and all that Connection names",
       "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: "
       "timeout=3\r\nProxy-Connection: close\r\n"
       "TE: trailers, deflate\r\nProxy-Authorization: Basic eA==\r\nX-End: 2\r\n\r\n",
       "request 1 GET / at h length 0 [Proxy-Authorization=Basic eA==] [X-End=2] [te=trailers]\nend 1\n",
       std::string(kOk)},
      {"Connection cannot take Host or the framing away",
       "POST / HTTP/1.1\r\nHost: h\r\nConnection: host, content-length\r\nContent-Length: 2\r\n\r\nab",
       "request 1 POST / at h length 2\ndata 1 ab\nend 1\n", std::string(kOk)},
      {"Connection: close ends the connection", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
       "request 1 GET / at h length 0\nend 1\n", std::string(kOkClose), false, true},
      {"what follows a request that says close is not read",
       "GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
       "request 1 GET / at h length 0\nend 1\n", std::string(kOkClose), false, true},
      {"HTTP/1.0 closes by itself, and needs no Host", "GET / HTTP/1.0\r\n\r\n",
       "request 1 GET / at  length 0 1.0\nend 1\n", std::string(kOkClose), false, true},
      {"HTTP/1.0 stays when asked to",
       "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\nHost: h\r\n\r\n",
       "request 1 GET / at  length 0 1.0\nend 1\nrequest 2 GET / at h length 0 1.0\nend 2\n",
       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok" + std::string(kOkClose), false, true},
      {"expectations of HTTP/1.0 are ignored", "POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\na",
       "request 1 POST / at  length 1 1.0\ndata 1 a\nend 1\n", std::string(kOkClose), false, true},
      {"end of input after a complete request: answer, then close", "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
       "request 1 GET / at h length 0\nend 1\n", std::string(kOk), true, true},
      {"end of input on an idle connection", "", "", "", true, true},
      {"end of input after an empty line", "\r\n", "", "", true, true},
      {"an absolute target names the authority, whatever Host says",
       "GET http://other:81/p?q HTTP/1.1\r\nHost: h\r\n\r\n",
       "request 1 GET /p?q at other:81 length 0 scheme http\nend 1\n", std::string(kOk)},
      {"an absolute target without a path", "GET https://other HTTP/1.1\r\nHost: h\r\n\r\n",
       "request 1 GET / at other length 0 scheme https\nend 1\n", std::string(kOk)},
      {"an absolute target with a query only", "GET HTTP://other?q=/ HTTP/1.1\r\nHost: h\r\n\r\n",
       "request 1 GET /?q=/ at other length 0 scheme http\nend 1\n", std::string(kOk)},
      {"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "request 1 OPTIONS * at h length 0\nend 1\n",
       std::string(kOk)},
      {"OPTIONS of a whole server by URL", "OPTIONS http://h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
       "request 1 OPTIONS * at h:1 length 0 scheme http\nend 1\n", std::string(kOk)},
      {"methods that nobody registered", "M-SEARCH2.x /a HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
       "request 1 M-SEARCH2.x /a at [::1]:8080 length 0\nend 1\n", std::string(kOk)},
      {"methods are case-sensitive", "get / HTTP/1.1\r\nHost: h\r\n\r\n", "request 1 get / at h length 0\nend 1\n",
       std::string(kOk)},
      {"odd but legal hosts", "GET / HTTP/1.1\r\nHost: a_b-c.%41~!$&'()*+,;=:\r\n\r\n",
       "request 1 GET / at a_b-c.%41~!$&'()*+,;=: length 0\nend 1\n", std::string(kOk)},
      {"an upgrade of a request with a body is ignored",
       "POST / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\na",
       "request 1 POST / at h length 1\ndata 1 a\nend 1\n", std::string(kOk)},
      {"h2c is not offered further",
       "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
       "AAMAAABkAAQAAP__\r\n\r\n",
       "request 1 GET / at h length 0\nend 1\n", std::string(kOk)},
      {"Upgrade without Connection: upgrade is nothing", "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
       "request 1 GET / at h length 0\nend 1\n", std::string(kOk)},
      {"an expectation that we do not know is passed on", "GET / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n",
       "request 1 GET / at h length 0 [Expect=x]\nend 1\n", std::string(kOk)},
      {"end of input inside a fixed body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc",
       "request 1 POST / at h length 5\ndata 1 abc\nreset 1 closed\n", "", true, true},
      {"end of input inside a chunked body", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
       "request 1 POST / at h length ?\ndata 1 abc\nreset 1 closed\n", "", true, true},
      {"end of input inside trailers", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n",
       "request 1 POST / at h length ?\nreset 1 closed\n", "", true, true},
  };
  return *cases;
}

TEST(Http1Server, ReadsEveryCaseAndAnswers) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.name);
    const Seen run = RunServer(c.input, {}, c.eof, AnswerOk);
    EXPECT_EQ(run.events, c.events);
    EXPECT_EQ(run.output, c.output);
    EXPECT_EQ(run.should_close, c.closes);
  }
}

TEST(Http1Server, MeansTheSameHoweverTheInputIsCut) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.name);
    const Seen whole = RunServer(c.input, {}, c.eof, AnswerOk);
    for (size_t at = 1; at < c.input.size(); ++at) EXPECT_EQ(RunServer(c.input, {at}, c.eof, AnswerOk), whole) << "cut at " << at;
    EXPECT_EQ(RunServer(c.input, {0, 1}, c.eof, AnswerOk), whole) << "byte by byte";
    EXPECT_EQ(RunServer(c.input, {0, 7}, c.eof, AnswerOk), whole) << "by seven bytes";
  }
}

// ---------------------------------------------------------------- a server with its driver, step by step

class Http1ServerSteps : public ::testing::Test {
 protected:
  std::string Take() {
    std::string text(codec->output().text());
    codec->output().Clear();
    return text;
  }
  void Respond(int status, std::optional<uint64_t> length, bool end, StreamId stream = 1) {
    http::ResponseHead head;
    head.status = status;
    head.content_length = length;
    codec->SendResponse(stream, head, end);
  }
  // The events since the last call.
  std::string Events() {
    driver.Drain();
    return std::exchange(driver.journal, {}).text();
  }

  std::unique_ptr<ServerCodec> codec = MakeHttp1Server({});
  Driver driver{codec.get(), {}};
};

TEST_F(Http1ServerSteps, ReadsNoFurtherThanOneRequestUntilItIsAnswered) {
  driver.Feed("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(Events(), "request 1 GET /1 at h length 0\nend 1\n");
  EXPECT_FALSE(codec->wants_input());
  EXPECT_EQ(driver.held(), "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(codec->active_streams(), 1u);
  Respond(204, std::nullopt, true);
  EXPECT_TRUE(codec->wants_input());
  EXPECT_EQ(codec->active_streams(), 0u);
  driver.Pump();
  EXPECT_EQ(Events(), "request 2 GET /2 at h length 0\nend 2\n");
}

TEST_F(Http1ServerSteps, ChunksAResponseOfUnknownLength) {
  driver.Feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  Respond(200, std::nullopt, false);
  codec->SendData(1, AsBytes("0123456789abcdef"));
  codec->SendData(1, {});  // would end the body if it were written
  codec->SendData(1, AsBytes("x"));
  http::HeaderMap trailers;
  trailers.Add("grpc-status", "0");
  codec->SendTrailers(1, trailers);
  EXPECT_EQ(Take(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n1\r\nx\r\n0\r\ngrpc-status: 0\r\n\r\n");
  EXPECT_FALSE(codec->should_close());
}

TEST_F(Http1ServerSteps, EndsABodyOfUnknownLengthForHttp10WithTheConnection) {
  driver.Feed("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  Respond(200, std::nullopt, false);
  codec->SendData(1, AsBytes("abc"));
  EXPECT_FALSE(codec->should_close());
  http::HeaderMap trailers;
  trailers.Add("x", "1");
  codec->SendTrailers(1, trailers);
  EXPECT_EQ(Take(), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc");
  EXPECT_TRUE(codec->should_close());
}

TEST_F(Http1ServerSteps, SendsNoBodyToHead) {
  driver.Feed("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
  Respond(200, 5, false);
  codec->SendData(1, AsBytes("hello"));
  codec->SendEnd(1);
  EXPECT_EQ(Take(), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
  EXPECT_TRUE(codec->wants_input());
}

TEST_F(Http1ServerSteps, SendsNoBodyWith204And304) {
  driver.Feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  Respond(204, 0, false);
  codec->SendData(1, AsBytes("hello"));
  codec->SendEnd(1);
  EXPECT_EQ(Take(), "HTTP/1.1 204 No Content\r\n\r\n");
  driver.Feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  Respond(304, 7, false, 2);
  codec->SendData(2, AsBytes("hello"));
  codec->SendEnd(2);
  EXPECT_EQ(Take(), "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n");
  EXPECT_TRUE(codec->wants_input());
}

TEST_F(Http1ServerSteps, AnswersAnExpectationWithContinue) {
  driver.Feed("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(Events(), "request 1 PUT / at h length 2 expects\n");
  http::ResponseHead go_on;
  go_on.status = 100;
  codec->SendInformational(1, go_on);
  EXPECT_EQ(Take(), "HTTP/1.1 100 Continue\r\n\r\n");
  driver.Feed("ab");
  Respond(200, 0, true);
  EXPECT_EQ(Events(), "data 1 ab\nend 1\n");
  EXPECT_EQ(Take(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(codec->wants_input());
}

TEST_F(Http1ServerSteps, ClosesAfterAFinalAnswerToAnOpenExpectation) {
  // The client may send the body or leave it out: whatever comes next could be read as either.
  driver.Feed("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 40\r\n\r\n");
  Respond(413, 0, true);
  EXPECT_THAT(Take(), HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(codec->should_close());
  driver.Feed("GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(Events(), Not(HasSubstr("smuggled")));
}

TEST_F(Http1ServerSteps, PassesEarlyHintsButNotToHttp10) {
  http::ResponseHead hints;
  hints.status = 103;
  hints.headers.Add("Link", "</s>; rel=preload");
  driver.Feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  codec->SendInformational(1, hints);
  EXPECT_EQ(Take(), "HTTP/1.1 103 Early Hints\r\nLink: </s>; rel=preload\r\n\r\n");
  Respond(200, 0, true);
  codec->SendInformational(1, hints);  // too late
  Take();
  driver.Feed("GET / HTTP/1.0\r\n\r\n");
  codec->SendInformational(2, hints);
  EXPECT_EQ(Take(), "");
}

TEST_F(Http1ServerSteps, ReadsOnAfterAnEarlyResponse) {
  driver.Feed("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc");
  Respond(200, 0, true);
  EXPECT_EQ(Take(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(codec->wants_input());
  EXPECT_EQ(codec->active_streams(), 1u);
  driver.Feed("defGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(Events(), "request 1 POST / at h length 6\ndata 1 abcdef\nend 1\nrequest 2 GET /2 at h length 0\nend 2\n");
}

TEST_F(Http1ServerSteps, ClosesWhenTheRestOfABodyIsNotWanted) {
  driver.Feed("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc");
  Respond(413, 0, true);
  codec->Reset(1, ErrorCode::kCancelled);
  EXPECT_TRUE(codec->should_close());
  EXPECT_FALSE(codec->wants_input());
}

TEST_F(Http1ServerSteps, SaysCloseWhileDrainingButWaitsForTheNextRequest) {
  driver.Feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  Respond(200, 0, true);
  Take();
  codec->Drain();
  EXPECT_FALSE(codec->should_close());  // a request may be on its way: it is answered, not lost
  driver.Feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  Respond(200, 0, true, 2);
  EXPECT_THAT(Take(), HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(codec->should_close());
}

TEST_F(Http1ServerSteps, AnswersAfterHalfClose) {
  driver.Feed("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na");
  driver.FeedEof();
  driver.FeedEof();  // owners may say it again
  EXPECT_EQ(Events(), "request 1 POST / at h length 1\ndata 1 a\nend 1\n");
  EXPECT_FALSE(codec->should_close());
  Respond(200, std::nullopt, false);
  codec->SendEnd(1);
  EXPECT_EQ(Take(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n");
  EXPECT_TRUE(codec->should_close());
}

TEST_F(Http1ServerSteps, ClosesAfterABodyShorterThanPromised) {
  driver.Feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  Respond(200, 5, false);
  codec->SendData(1, AsBytes("abc"));
  codec->SendEnd(1);
  EXPECT_EQ(Take(), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc");
  EXPECT_TRUE(codec->should_close());
}

TEST_F(Http1ServerSteps, NeverSendsMoreThanPromised) {
  driver.Feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  Respond(200, 3, false);
  codec->SendData(1, AsBytes("abcHTTP/1.1 200 OK\r\n\r\n"));
  codec->SendEnd(1);
  EXPECT_EQ(Take(), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_TRUE(codec->should_close());
}

TEST_F(Http1ServerSteps, IgnoresWhatIsSentOnAStreamThatIsGone) {
  driver.Feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  Respond(200, 0, true);
  Take();
  Respond(200, 0, true);
  codec->SendData(1, AsBytes("x"));
  codec->SendEnd(1);
  codec->Reset(1, ErrorCode::kCancelled);
  Respond(200, 0, true, 7);
  EXPECT_EQ(Take(), "");
  EXPECT_FALSE(codec->should_close());
}

TEST_F(Http1ServerSteps, RepliesForItsOwner) {
  driver.Feed("GET / HTTP/1.1\r\nHos");
  EXPECT_TRUE(codec->head_started());
  codec->ReplyAndClose(408, "request-head-timeout", "the request head did not arrive in time");
  EXPECT_EQ(Take(),
            "HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\nx-outrigger-reason: request-head-timeout\r\n"
            "Content-Length: 61\r\nConnection: close\r\n\r\n408 Request Timeout: the request head did not arrive in time\n");
  EXPECT_TRUE(codec->should_close());
  EXPECT_FALSE(codec->head_started());
}

TEST_F(Http1ServerSteps, DoesNotReplyIntoAResponse) {
  driver.Feed("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n");
  EXPECT_FALSE(codec->head_started());
  Respond(200, 5, false);
  Take();
  codec->ReplyAndClose(408, "x", "y");
  EXPECT_EQ(Take(), "");
  EXPECT_TRUE(codec->should_close());
}

TEST_F(Http1ServerSteps, CutsOffABadBodyWithAReplyOnlyBeforeTheResponse) {
  driver.Feed("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz\r\n");
  EXPECT_EQ(Events(), "request 1 POST / at h length ?\ndata 1 a\nreset 1 protocol\nfailed protocol\n");
  EXPECT_THAT(Take(), StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_TRUE(codec->should_close());

  const auto other = MakeHttp1Server({});
  Driver second(other.get(), {});
  second.Feed("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
  other->SendResponse(1, http::ResponseHead{}, false);
  other->output().Clear();
  second.Feed("zz\r\n");
  EXPECT_THAT(second.journal.text(), HasSubstr("reset 1 protocol\nfailed protocol\n"));
  EXPECT_TRUE(other->output().empty());
  EXPECT_TRUE(other->should_close());
}

// ---------------------------------------------------------------- tunnels

TEST_F(Http1ServerSteps, BecomesATunnelBy101) {
  driver.Feed("GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n\x81\x01x");
  EXPECT_EQ(Events(), "request 1 GET /chat at h length ? protocol websocket [Sec-WebSocket-Key=k]\n");
  EXPECT_FALSE(codec->wants_input());
  http::ResponseHead head;
  head.status = 101;
  head.headers.Add("Sec-WebSocket-Accept", "a");
  codec->SendResponse(1, head, false);
  codec->SendData(1, AsBytes("hi"));
  EXPECT_EQ(Take(),
            "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi");
  driver.Pump();
  EXPECT_EQ(Events(), "upgraded 1\ndata 1 \x81\x01x\n");
  driver.Feed("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(Events(), "data 1 GET / HTTP/1.1\r\n\r\n\n");
  driver.FeedEof();
  EXPECT_EQ(Events(), "end 1\n");
  EXPECT_FALSE(codec->should_close());
  codec->SendData(1, AsBytes("bye"));
  codec->SendEnd(1);
  EXPECT_EQ(Take(), "bye");
  EXPECT_TRUE(codec->should_close());
}

TEST_F(Http1ServerSteps, BecomesATunnelByConnect) {
  driver.Feed("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n");
  EXPECT_EQ(Events(), "request 1 CONNECT  at db:5432 length ?\n");
  codec->SendResponse(1, http::ResponseHead{}, false);
  EXPECT_EQ(Take(), "HTTP/1.1 200 OK\r\n\r\n");
  codec->SendEnd(1);
  EXPECT_FALSE(codec->should_close());
  driver.Feed("x");
  driver.FeedEof();
  EXPECT_EQ(Events(), "upgraded 1\ndata 1 x\nend 1\n");
  EXPECT_TRUE(codec->should_close());
}

TEST_F(Http1ServerSteps, GoesOnAfterARefusedUpgrade) {
  driver.Feed("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: foo/2, websocket\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
  Respond(403, 0, true);
  driver.Pump();
  EXPECT_EQ(Events(), "request 1 GET / at h length ? protocol foo/2\nend 1\nrequest 2 GET /2 at h length 0\nend 2\n");
  EXPECT_FALSE(codec->should_close());
}

// ---------------------------------------------------------------- what must not go out

TEST_F(Http1ServerSteps, RefusesResponsesThatWouldSplit) {
  const std::string nul("a\0b", 3);
  const std::pair<std::string, std::string> bad[] = {
      {"x", "a\r\nSet-Cookie: b"}, {"x", "a\nb"}, {"x", "a\rb"}, {"x", nul}, {"x", "0123456789abcde\n"}, {"x\r\ny", "1"},
      {"x y", "1"}, {"x:y", "1"}, {"", "1"}, {"a-rather-long-name\n", "1"},
  };
  for (const auto& [name, value] : bad) {
    SCOPED_TRACE(name + "=" + value);
    const auto server = MakeHttp1Server({});
    Driver steps(server.get(), {});
    steps.Feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    http::ResponseHead head;
    head.headers.Add("ok", "fine");
    head.headers.Add(name, value);
    server->SendResponse(1, head, true);
    steps.Drain();
    EXPECT_THAT(std::string(server->output().text()), StartsWith("HTTP/1.1 502 Bad Gateway\r\n"));
    EXPECT_THAT(std::string(server->output().text()), Not(HasSubstr("fine")));
    EXPECT_THAT(steps.journal.text(), HasSubstr("reset 1 invalid\nfailed invalid\n"));
    EXPECT_TRUE(server->should_close());
  }
}

TEST_F(Http1ServerSteps, WritesFramingFieldsItselfWhateverTheOwnerAdds) {
  driver.Feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  http::ResponseHead head;
  head.content_length = 1;
  head.headers.Add("a", "1");
  head.headers.Add("Content-Length", "99");
  head.headers.Add("Transfer-Encoding", "chunked");
  head.headers.Add("Connection", "close");
  head.headers.Add("b", "tab\tinside");
  codec->SendResponse(1, head, false);
  EXPECT_EQ(Take(), "HTTP/1.1 200 OK\r\na: 1\r\nb: tab\tinside\r\nContent-Length: 1\r\n\r\n");
}

TEST_F(Http1ServerSteps, RefusesAnInformationalStatusAsAResponse) {
  driver.Feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  Respond(101, std::nullopt, true);
  EXPECT_THAT(Take(), StartsWith("HTTP/1.1 502 "));
}

TEST_F(Http1ServerSteps, CutsOffABodyWhoseTrailersCannotBeWritten) {
  driver.Feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  Respond(200, std::nullopt, false);
  Take();
  http::HeaderMap trailers;
  trailers.Add("x", "a\r\n\r\nHTTP/1.1 200 OK");
  codec->SendTrailers(1, trailers);
  EXPECT_EQ(Take(), "") << "without its last chunk the body is seen to be incomplete";
  EXPECT_TRUE(codec->should_close());
}

}  // namespace
}  // namespace outrigger::codec::testing
