// What servers answer, rightly and wrongly, and what the client's side makes of it (RFC 9112). As in http1_server_test.cc every input
// is also run cut at every byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "proxy/codec/http1_testing.h"

namespace outrigger::codec::testing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using Method = http::Method;

http::RequestHead Request(std::string_view method = "GET") {
  http::RequestHead head;
  head.method_text = method;
  head.method = http::ParseMethod(method);
  head.authority = "h";
  head.path = method == "CONNECT" ? "" : "/";
  return head;
}

enum class After { kReusable, kOpen, kClosed };

struct Case {
  std::string name;
  std::string method;
  std::string input;
  std::string events;
  After after = After::kReusable;
  bool eof = false;
};

const std::vector<Case>& Cases() {
  static const auto* cases = new std::vector<Case>{
      {"a fixed body", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: s\r\n\r\nhello",
       "response 1 200 OK length 5 [Server=s]\ndata 1 hello\nend 1\n"},
      {"an empty body", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "response 1 200 OK length 0\nend 1\n"},
      {"a chunked body with trailers", "GET",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n2\r\nde\r\n0\r\ngrpc-status: 0\r\n\r\n",
       "response 1 200 OK length ?\ndata 1 abcde\ntrailers 1 [grpc-status=0]\nend 1\n"},
      {"no reason phrase", "GET", "HTTP/1.1 204\r\n\r\n", "response 1 204  length ?\nend 1\n"},
      {"an empty reason phrase", "GET", "HTTP/1.1 204 \r\n\r\n", "response 1 204  length ?\nend 1\n"},
      {"a reason phrase of many words", "GET", "HTTP/1.1 299 It's \t fine \xc3\xa9\r\nContent-Length: 0\r\n\r\n",
       "response 1 299 It's \t fine \xc3\xa9 length 0\nend 1\n"},
      {"HEAD has no body, whatever the head says", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
       "response 1 200 OK length 5\nend 1\n"},
      {"HEAD and chunked", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "response 1 200 OK length ?\nend 1\n"},
      {"HEAD without any length", "HEAD", "HTTP/1.1 200 OK\r\n\r\n", "response 1 200 OK length ?\nend 1\n"},
      {"304 has no body", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "response 1 304 Not Modified length 5\nend 1\n"},
      {"204 has no body", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "response 1 204 No Content length ?\nend 1\n"},
      {"informational responses come first", "GET",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: b\r\n\r\n"
       "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
       "informational 1 100 Continue length ?\ninformational 1 103 Early Hints length ? [Link=a]\n"
       "informational 1 103 Early Hints length ? [Link=b]\nresponse 1 200 OK length 1\ndata 1 x\nend 1\n"},
      {"Connection: close is honoured", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
       "response 1 200 OK length 1\ndata 1 x\nend 1\n", After::kClosed},
      {"a body that ends with the connection", "GET", "HTTP/1.1 200 OK\r\n\r\nhello",
       "response 1 200 OK length ?\ndata 1 hello\nend 1\n", After::kClosed, true},
      {"an empty body that ends with the connection", "GET", "HTTP/1.1 200 OK\r\n\r\n", "response 1 200 OK length ?\nend 1\n",
       After::kClosed, true},
      {"a body that ends with the connection, before it does", "GET", "HTTP/1.1 200 OK\r\n\r\nhello",
       "response 1 200 OK length ?\ndata 1 hello\n", After::kOpen},
      {"HTTP/1.0 closes by itself", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
       "response 1 200 OK length 1\ndata 1 x\nend 1\n", After::kClosed},
      {"HTTP/1.0 stays when it says so", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: Keep-Alive\r\n\r\nx",
       "response 1 200 OK length 1\ndata 1 x\nend 1\n"},
      {"HTTP/1.0 with a body until the end", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nx",
       "response 1 200 OK length ?\ndata 1 x\nend 1\n", After::kClosed, true},
      {"hop-by-hop fields go", "GET",
       "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nContent-Length: 0\r\nA: b\r\n\r\n",
       "response 1 200 OK length 0 [A=b]\nend 1\n"},
      {"an ordinary answer to CONNECT", "CONNECT", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
       "response 1 403 Forbidden length 2\ndata 1 no\nend 1\n"},
      {"a tunnel", "CONNECT", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nanything",
       "upgraded 1 200 OK length ?\ndata 1 anything\n", After::kOpen},
      {"a tunnel that the server ends", "CONNECT", "HTTP/1.1 200 OK\r\n\r\nx", "upgraded 1 200 OK length ?\ndata 1 x\nend 1\n",
       After::kOpen, true},
      // Connections that end too early.
      {"nothing at all", "GET", "", "reset 1 closed\n", After::kClosed, true},
      {"half a head", "GET", "HTTP/1.1 200 OK\r\nContent-", "reset 1 closed\n", After::kClosed, true},
      {"half a fixed body", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
       "he", "response 1 200 OK length 5\ndata 1 he\nreset 1 closed\n",
       After::kClosed, true},
      {"half a chunked body", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
       "response 1 200 OK length ?\ndata 1 hello\nreset 1 closed\n", After::kClosed, true},
      {"no final response after 100", "GET", "HTTP/1.1 100 Continue\r\n\r\n", "informational 1 100 Continue length ?\nreset 1 closed\n",
       After::kClosed, true},
      // More than an answer.
      {"bytes after the response", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
       "response 1 200 OK length 1\ndata 1 x\nend 1\nfailed protocol\n", After::kClosed},
      {"a body after 204", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\nx",
       "response 1 204 No Content length ?\nend 1\nfailed protocol\n", After::kClosed},
      {"a body after HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "response 1 200 OK length 1\nend 1\nfailed protocol\n",
       After::kClosed},
  };
  return *cases;
}

Seen RunCase(const Case& c, Cut cut) { return RunClient(Request(c.method), c.input, cut, c.eof); }

TEST(Http1Client, ReadsEveryCase) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.name);
    const Seen seen = RunCase(c, {});
    EXPECT_EQ(seen.events, c.events);
    EXPECT_EQ(seen.can_start, c.after == After::kReusable);
    EXPECT_EQ(seen.should_close, c.after == After::kClosed);
  }
}

TEST(Http1Client, MeansTheSameHoweverTheInputIsCut) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.name);
    const Seen whole = RunCase(c, {});
    for (size_t at = 1; at < c.input.size(); ++at) EXPECT_EQ(RunCase(c, {at}), whole) << "cut at " << at;
    EXPECT_EQ(RunCase(c, {0, 1}), whole) << "byte by byte";
  }
}

TEST(Http1Client, RefusesMalformedResponses) {
  const std::pair<std::string, std::string> cases[] = {
      {"not HTTP", "SSH-2.0-OpenSSH\r\n"},
      {"an empty line first", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
      {"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n"},
      {"ICY", "ICY 200 OK\r\n\r\n"},
      {"two digits of status", "HTTP/1.1 20 OK\r\n\r\n"},
      {"four digits of status", "HTTP/1.1 2000 OK\r\n\r\n"},
      {"a status below 100", "HTTP/1.1 099 OK\r\n\r\n"},
      {"a status of letters", "HTTP/1.1 2x0 OK\r\n\r\n"},
      {"two spaces", "HTTP/1.1  200 OK\r\n\r\n"},
      {"no space", "HTTP/1.1200 OK\r\n\r\n"},
      {"a control character in the reason", "HTTP/1.1 200 O\x01K\r\n\r\n"},
      {"LF after the status line", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"},
      {"LF after a field", "HTTP/1.1 200 OK\r\nX: 1\nContent-Length: 0\r\n\r\n"},
      {"LF ends the head", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n"},
      {"CR in a value", "HTTP/1.1 200 OK\r\nX: 1\r2\r\n\r\n"},
      {"NUL in a value", std::string("HTTP/1.1 200 OK\r\nX: 1\0\r\n\r\n", 26)},
      {"a folded line", "HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n"},
      {"a space before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"},
      {"Content-Length and Transfer-Encoding", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"Transfer-Encoding and Content-Length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"},
      {"two Content-Lengths that differ", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"},
      {"two Content-Lengths that agree", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"},
      {"a list of Content-Lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n"},
      {"a negative Content-Length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"},
      {"a coding that is not chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"},
      {"a coding before chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
      {"chunked twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n"},
      {"Transfer-Encoding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"Content-Length in 100", "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n"},
      {"Transfer-Encoding in 103", "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"101 that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"},
      {"a head of more than 64 KiB", "HTTP/1.1 200 OK\r\nX: " + std::string(65 * 1024, 'a')},
      {"a status line without end", "HTTP/1.1 200 " + std::string(17 * 1024, 'a')},
  };
  for (const auto& [name, input] : cases) {
    SCOPED_TRACE(name);
    const Seen seen = RunClient(Request(), input, {}, false);
    EXPECT_THAT(seen.events, Not(HasSubstr("response")));
    EXPECT_THAT(seen.events, HasSubstr("reset 1 "));
    EXPECT_THAT(seen.events, EndsWith(input.size() > 10000 ? "failed too-large\n" : "failed protocol\n"));
    EXPECT_TRUE(seen.should_close);
    EXPECT_FALSE(seen.can_start);
    EXPECT_EQ(seen.output, "");
    if (input.size() < 10000) {
      for (size_t at = 1; at < input.size(); ++at) EXPECT_EQ(RunClient(Request(), input, {at}, false), seen) << "cut at " << at;
    }
    EXPECT_EQ(RunClient(Request(), input, {0, 1}, false), seen) << "byte by byte";
  }
}

TEST(Http1Client, ResetsAResponseWhoseBodyIsMalformed) {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string bodies[] = {"x\r\n", "5\r\nhello0\r\n", "5\nhello\r\n", "0\r\nContent-Length: 1\r\n\r\n", "ffffffffffffffffff\r\n"};
  for (const std::string& body : bodies) {
    SCOPED_TRACE(body);
    const Seen seen = RunClient(Request(), head + body, {}, false);
    EXPECT_THAT(seen.events, EndsWith("reset 1 protocol\nfailed protocol\n"));
    EXPECT_THAT(seen.events, Not(HasSubstr("end 1")));
    EXPECT_EQ(RunClient(Request(), head + body, {0, 1}, false), seen);
  }
}

TEST(Http1Client, BlamesTheServer) {
  const auto codec = MakeHttp1Client({});
  codec->SendRequest(Request(), true);
  codec->Feed(AsBytes("HTTP/1.1 200 OK\r\nX : 1\r\n\r\n"), Instant{});
  StreamEvent event;
  ASSERT_TRUE(codec->Next(&event));
  EXPECT_EQ(event.kind, StreamEvent::Kind::kReset);
  EXPECT_EQ(event.error.code, ErrorCode::kProtocol);
  EXPECT_EQ(event.error.fault, Fault::kUpstream);
  EXPECT_FALSE(event.error.unseen);
  EXPECT_FALSE(event.error.detail.empty());
}

TEST(Http1Client, BoundsInformationalResponses) {
  std::string many;
  for (int i = 0; i < 40; ++i) many += "HTTP/1.1 102 Processing\r\n\r\n";
  EXPECT_THAT(RunClient(Request(), many, {}, false).events, EndsWith("reset 1 protocol\nfailed protocol\n"));
  EXPECT_THAT(RunClient(Request(), many, {0, 1}, false).events, EndsWith("reset 1 protocol\nfailed protocol\n"));
}

// ---------------------------------------------------------------- what goes out

class Http1ClientSteps : public ::testing::Test {
 protected:
  std::string Take() {
    std::string text(codec->output().text());
    codec->output().Clear();
    return text;
  }
  std::string Events() {
    driver.Drain();
    return std::exchange(driver.journal, {}).text();
  }

  std::unique_ptr<ClientCodec> codec = MakeHttp1Client({});
  Driver driver{codec.get(), {}};
};

constexpr std::string_view kEmptyOk = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

TEST_F(Http1ClientSteps, WritesHostFirstAndFieldsAsTheyAre) {
  http::RequestHead head = Request();
  head.path = "/a?b";
  head.authority = "example:81";
  head.headers.Add("X-One", "1");
  head.headers.Add("host", "evil");
  head.headers.Add("Connection", "close");
  head.headers.Add("content-length", "5");
  head.headers.Add("transfer-encoding", "chunked");
  head.headers.Add("X-Two", "");
  EXPECT_TRUE(codec->can_start());
  EXPECT_EQ(codec->SendRequest(head, true), 1u);
  EXPECT_FALSE(codec->can_start());
  EXPECT_EQ(Take(), "GET /a?b HTTP/1.1\r\nHost: example:81\r\nX-One: 1\r\nX-Two: \r\n\r\n");
}

TEST_F(Http1ClientSteps, FramesBodies) {
  http::RequestHead head = Request("POST");
  codec->SendRequest(head, true);
  EXPECT_EQ(Take(), "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
  driver.Feed(kEmptyOk);

  head.content_length = 3;
  codec->SendRequest(head, false);
  codec->SendData(2, AsBytes("abc"));
  codec->SendEnd(2);
  EXPECT_EQ(Take(), "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
  driver.Feed(kEmptyOk);

  head.content_length.reset();
  codec->SendRequest(head, false);
  codec->SendData(3, AsBytes("abc"));
  http::HeaderMap trailers;
  trailers.Add("X-Sum", "1");
  codec->SendTrailers(3, trailers);
  EXPECT_EQ(Take(), "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n");
  driver.Feed(kEmptyOk);

  head = Request("GET");
  head.content_length = 0;  // known to be empty: a GET does not say so
  codec->SendRequest(head, true);
  EXPECT_EQ(Take(), "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
}

TEST_F(Http1ClientSteps, SaysWhatItExpectsAndThatTeIsForThisHop) {
  http::RequestHead head = Request("PUT");
  head.expect_continue = true;
  head.content_length = 1;
  head.headers.Add("te", "trailers");
  codec->SendRequest(head, false);
  EXPECT_EQ(Take(), "PUT / HTTP/1.1\r\nHost: h\r\nte: trailers\r\nContent-Length: 1\r\nExpect: 100-continue\r\nConnection: TE\r\n\r\n");
}

TEST_F(Http1ClientSteps, IsReusableOnceBothSidesAreDone) {
  http::RequestHead head = Request("POST");
  head.content_length = 4;
  codec->SendRequest(head, false);
  codec->SendData(1, AsBytes("ab"));
  driver.Feed(kEmptyOk);
  EXPECT_EQ(Events(), "response 1 200 OK length 0\nend 1\n");
  EXPECT_FALSE(codec->can_start());
  EXPECT_FALSE(codec->should_close());
  EXPECT_EQ(codec->active_streams(), 1u);
  codec->SendData(1, AsBytes("cd"));
  codec->SendEnd(1);
  EXPECT_TRUE(codec->can_start());
  EXPECT_EQ(codec->active_streams(), 0u);
}

TEST_F(Http1ClientSteps, GivesUpWhenTheServerAnswersEarlyAndCloses) {
  http::RequestHead head = Request("POST");
  codec->SendRequest(head, false);
  driver.Feed("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(Events(), "response 1 413 Content Too Large length 0\nend 1\n");
  EXPECT_TRUE(codec->should_close());
  EXPECT_EQ(codec->active_streams(), 0u);
}

TEST_F(Http1ClientSteps, IsNotReusableAfterUnsolicitedBytes) {
  driver.Feed("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(Events(), "failed protocol\n");
  EXPECT_FALSE(codec->can_start());
  EXPECT_TRUE(codec->should_close());
}

TEST_F(Http1ClientSteps, IsNotReusableAfterEof) {
  codec->SendRequest(Request(), true);
  driver.Feed(kEmptyOk);
  EXPECT_TRUE(codec->can_start());
  driver.FeedEof();
  EXPECT_FALSE(codec->can_start());
  EXPECT_TRUE(codec->should_close());
}

TEST_F(Http1ClientSteps, KnowsWhetherTheResponseBegan) {
  codec->SendRequest(Request(), true);
  EXPECT_FALSE(codec->response_started(1));
  driver.Feed("H");
  EXPECT_TRUE(codec->response_started(1));
  EXPECT_FALSE(codec->response_started(2));
  driver.Feed(kEmptyOk.substr(1));
  codec->SendRequest(Request(), true);
  EXPECT_FALSE(codec->response_started(2));
  driver.FeedEof();
  EXPECT_FALSE(codec->response_started(2));
}

TEST_F(Http1ClientSteps, RemembersHowLongTheServerWaits) {
  EXPECT_EQ(codec->peer_keep_alive_s(), 0);
  codec->SendRequest(Request(), true);
  driver.Feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: max=100, timeout=7\r\n\r\n");
  EXPECT_EQ(codec->peer_keep_alive_s(), 7);
}

TEST_F(Http1ClientSteps, DrainsAfterTheLastResponse) {
  codec->SendRequest(Request(), true);
  codec->Drain();
  EXPECT_FALSE(codec->should_close());
  driver.Feed(kEmptyOk);
  EXPECT_TRUE(codec->should_close());
  EXPECT_FALSE(codec->can_start());
}

TEST_F(Http1ClientSteps, ClosesWhenAStreamIsReset) {
  codec->SendRequest(Request(), true);
  codec->Reset(1, ErrorCode::kCancelled);
  EXPECT_TRUE(codec->should_close());
  EXPECT_FALSE(codec->can_start());
}

TEST_F(Http1ClientSteps, RefusesRequestsThatWouldSplitAndStaysUsable) {
  const auto bad = [](auto&& change) {
    http::RequestHead head = Request();
    head.headers.Add("fine", "1");
    change(&head);
    return head;
  };
  const http::RequestHead heads[] = {
      bad([](http::RequestHead* head) { head->path = "/ HTTP/1.1\r\nX: y"; }),
      bad([](http::RequestHead* head) { head->path = "/a b"; }),
      bad([](http::RequestHead* head) { head->path = "/a\n"; }),
      bad([](http::RequestHead* head) { head->method_text = "GET /x HTTP/1.1\r\n"; }),
      bad([](http::RequestHead* head) { head->method_text = ""; }),
      bad([](http::RequestHead* head) { head->authority = "h\r\nX: y"; }),
      bad([](http::RequestHead* head) { head->headers.Add("x", "1\r\nY: 2"); }),
      bad([](http::RequestHead* head) { head->headers.Add("x", std::string_view("1\0", 2)); }),
      bad([](http::RequestHead* head) { head->headers.Add("x\n", "1"); }),
  };
  StreamId stream = 0;
  for (const http::RequestHead& head : heads) {
    ++stream;
    EXPECT_EQ(codec->SendRequest(head, true), stream);
    EXPECT_EQ(Take(), "");
    EXPECT_EQ(Events(), "reset " + std::to_string(stream) + " invalid\n");
    EXPECT_TRUE(codec->can_start());
  }
  codec->SendRequest(Request(), true);
  driver.Feed(kEmptyOk);
  EXPECT_THAT(Events(), HasSubstr("response " + std::to_string(stream + 1) + " 200 OK"));
}

TEST_F(Http1ClientSteps, CutsOffARequestThatIsShorterThanPromised) {
  http::RequestHead head = Request("POST");
  head.content_length = 4;
  codec->SendRequest(head, false);
  codec->SendData(1, AsBytes("ab"));
  codec->SendEnd(1);
  EXPECT_EQ(Events(), "reset 1 invalid\n");
  EXPECT_TRUE(codec->should_close());
}

TEST_F(Http1ClientSteps, IsNotReusedAfterMoreThanPromised) {
  http::RequestHead head = Request("POST");
  head.content_length = 2;
  codec->SendRequest(head, false);
  codec->SendData(1, AsBytes("abGET /smuggled HTTP/1.1\r\n\r\n"));
  codec->SendEnd(1);
  EXPECT_THAT(Take(), EndsWith("\r\n\r\nab"));
  driver.Feed(kEmptyOk);
  EXPECT_FALSE(codec->can_start());
}

// ---------------------------------------------------------------- tunnels

TEST_F(Http1ClientSteps, Upgrades) {
  http::RequestHead head = Request();
  head.protocol = "websocket";
  head.headers.Add("Sec-WebSocket-Key", "k");
  codec->SendRequest(head, false);
  EXPECT_EQ(Take(), "GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: k\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  driver.Feed("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: a\r\n\r\n\x81");
  EXPECT_EQ(Events(), "upgraded 1 101 Switching Protocols length ? [Sec-WebSocket-Accept=a]\ndata 1 \x81\n");
  codec->SendData(1, AsBytes("hi"));
  codec->SendEnd(1);
  EXPECT_EQ(Take(), "hi");
  EXPECT_FALSE(codec->should_close());
  driver.FeedEof();
  EXPECT_EQ(Events(), "end 1\n");
  EXPECT_TRUE(codec->should_close());
}

TEST_F(Http1ClientSteps, GoesOnAfterARefusedUpgrade) {
  http::RequestHead head = Request();
  head.protocol = "websocket";
  codec->SendRequest(head, false);
  driver.Feed("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(Events(), "response 1 426 Upgrade Required length 0\nend 1\n");
  EXPECT_TRUE(codec->can_start());
}

TEST_F(Http1ClientSteps, RefusesAnotherProtocolThanItAskedFor) {
  http::RequestHead head = Request();
  head.protocol = "websocket";
  codec->SendRequest(head, false);
  driver.Feed("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: tls/1.0\r\n\r\n");
  EXPECT_EQ(Events(), "reset 1 protocol\nfailed protocol\n");
}

TEST_F(Http1ClientSteps, Connects) {
  http::RequestHead head = Request("CONNECT");
  head.authority = "db:5432";
  codec->SendRequest(head, false);
  EXPECT_EQ(Take(), "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n");
}

}  // namespace
}  // namespace outrigger::codec::testing
