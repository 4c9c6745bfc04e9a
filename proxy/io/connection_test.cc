#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/io/test_support.h"

namespace outrigger::io {
namespace {

using ::testing::HasSubstr;

constexpr size_t kMebibyte = 1 << 20;

TEST(UvConnection, EchoesBothWays) {
  UvLoop loop(1);
  Pair pair(loop);
  pair.client.Send("hello");
  TurnUntil(loop, [&] { return pair.server.received == "hello"; });
  pair.server.Send("good day");
  TurnUntil(loop, [&] { return pair.client.received == "good day"; });
  EXPECT_EQ(pair.client.connection->pending(), 0u);
  EXPECT_EQ(pair.client.drained, 0) << "everything was taken at once: there was nothing to drain";
}

TEST(UvConnection, KnowsItsAddresses) {
  UvLoop loop(1);
  Pair pair(loop);
  EXPECT_EQ(pair.server.connection->local(), pair.listener->local());
  EXPECT_EQ(pair.client.connection->remote(), pair.listener->local());
  EXPECT_EQ(pair.server.connection->remote(), pair.client.connection->local());
  EXPECT_EQ(pair.server.connection->original_destination(), std::nullopt);
  EXPECT_EQ(pair.client.connection->original_destination(), std::nullopt);
}

TEST(UvConnection, SpeaksIpv6) {
  UvLoop loop(1);
  Pair pair(loop, net::Address::Parse("[::1]:0").value());
  EXPECT_THAT(pair.server.connection->remote().ToString(), HasSubstr("[::1]:"));
  EXPECT_EQ(pair.server.connection->original_destination(), std::nullopt);
}

TEST(UvConnection, AnIpv4PeerOfAnIpv6SocketIsIpv4) {
  UvLoop loop(1);
  Acceptor acceptor;
  auto listener = ListenOn(loop, net::Address::Parse("[::]:0").value(), &acceptor);
  End client;
  client.connection = loop.Connect({.address = net::Address::Loopback(listener->local().port())}, &client);
  TurnUntil(loop, [&] { return acceptor.last != nullptr && client.connected; });
  EXPECT_EQ(acceptor.last->remote(), client.connection->local());
  EXPECT_EQ(acceptor.last->local(), client.connection->remote());
  EXPECT_EQ(acceptor.last->original_destination(), std::nullopt);
}

TEST(UvConnection, WritesBeforeTheConnectionIsThereWait) {
  UvLoop loop(1);
  Acceptor acceptor;
  auto listener = ListenOn(loop, net::Address::Loopback(0), &acceptor);
  End client;
  client.connection = loop.Connect({.address = listener->local()}, &client);
  client.Send("early ");
  EXPECT_EQ(client.connection->pending(), 6u);
  client.on_connected = [&] { client.Send("bird"); };
  TurnUntil(loop, [&] { return acceptor.last != nullptr && client.drained == 1; });
  End server;
  server.connection = std::move(acceptor.last);
  server.connection->SetHandler(&server);
  TurnUntil(loop, [&] { return server.received == "early bird"; });
}

TEST(UvConnection, CarriesHundredMebibytesWithBackPressure) {
  UvLoop loop(1);
  Pair pair(loop);
  constexpr size_t kTotal = 100 * kMebibyte;
  // Bytes that count up, round and round: any 64 KiB of the stream lie in here.
  std::string pattern(65 << 10, '\0');
  for (size_t i = 0; i < pattern.size(); ++i) pattern[i] = static_cast<char>(i);
  size_t sent = 0;
  const auto fill = [&] {
    while (sent < kTotal && pair.client.connection->pending() < kMebibyte) {
      Buffer out;
      const size_t size = std::min<size_t>((64 << 10) - 7, kTotal - sent);
      out.Append(std::string_view(pattern).substr(sent % 256, size));
      sent += size;
      pair.client.connection->Write(&out);
    }
    if (sent == kTotal) pair.client.connection->ShutdownWrite();
  };
  pair.client.on_drained = fill;
  // The reader stops now and then, for a turn or many.
  struct Checker final : net::Connection::Handler {
    void OnRead(Bytes bytes) override {
      wrong += AsText(bytes) != std::string_view(*pattern).substr(total % 256, bytes.size());
      total += bytes.size();
      if (++reads % 7 == 0) {
        connection->SetReading(false);
        loop->Arm(&resume, 1ms);
        ++pauses;
      }
      ASSERT_FALSE(paused);
      paused = reads % 7 == 0;
    }
    void OnEof() override { eof = true; }
    void OnClosed(Error error) override { FAIL() << error.ToString(); }
    void Resume() {
      paused = false;
      connection->SetReading(true);
    }
    UvLoop* loop = nullptr;
    std::unique_ptr<net::Connection> connection;
    CallbackTimer<Checker, &Checker::Resume> resume{this};
    const std::string* pattern = nullptr;
    size_t total = 0, wrong = 0, reads = 0, pauses = 0;
    bool eof = false, paused = false;
  } checker;
  checker.loop = &loop;
  checker.pattern = &pattern;
  checker.connection = std::move(pair.server.connection);
  checker.connection->SetHandler(&checker);
  fill();
  TurnUntil(loop, [&] { return checker.eof; });
  EXPECT_EQ(checker.total, kTotal);
  EXPECT_EQ(checker.wrong, 0u);
  EXPECT_GT(checker.pauses, 10u);
  EXPECT_GT(pair.client.drained, 0);
}

TEST(UvConnection, APausedReaderHearsNothingAndLosesNothing) {
  UvLoop loop(1);
  Pair pair(loop);
  pair.server.connection->SetReading(false);
  pair.client.Send("later");
  pair.client.connection->ShutdownWrite();
  for (int i = 0; i < 5; ++i) {
    loop.mailbox()->Post([] {});
    loop.RunTurn();
  }
  EXPECT_EQ(pair.server.received, "");
  EXPECT_FALSE(pair.server.eof);
  pair.server.connection->SetReading(true);
  TurnUntil(loop, [&] { return pair.server.eof; });
  EXPECT_EQ(pair.server.received, "later");
}

TEST(UvConnection, AfterTheClientsFinTheServerStillAnswers) {
  UvLoop loop(1);
  Pair pair(loop);
  pair.client.Send("question");
  pair.client.connection->ShutdownWrite();
  TurnUntil(loop, [&] { return pair.server.eof; });
  EXPECT_EQ(pair.server.received, "question");
  pair.server.Send("answer");
  pair.server.connection->ShutdownWrite();
  TurnUntil(loop, [&] { return pair.client.eof; });
  EXPECT_EQ(pair.client.received, "answer");
  EXPECT_FALSE(pair.client.closed);
  EXPECT_FALSE(pair.server.closed);
}

TEST(UvConnection, AfterTheServersFinTheClientStillSends) {
  UvLoop loop(1);
  Pair pair(loop);
  pair.server.connection->ShutdownWrite();
  TurnUntil(loop, [&] { return pair.client.eof; });
  pair.client.Send("still here");
  TurnUntil(loop, [&] { return pair.server.received == "still here"; });
  pair.client.connection->ShutdownWrite();
  TurnUntil(loop, [&] { return pair.server.eof; });
}

TEST(UvConnection, TheFinComesAfterWhatWasPending) {
  UvLoop loop(1);
  Pair pair(loop);
  const std::string bulk(16 * kMebibyte, 'x');
  pair.server.connection->SetReading(false);
  pair.client.Send(bulk);
  ASSERT_GT(pair.client.connection->pending(), 0u);
  pair.client.connection->ShutdownWrite();
  pair.server.keep_bytes = false;
  pair.server.connection->SetReading(true);
  TurnUntil(loop, [&] { return pair.server.eof; });
  EXPECT_EQ(pair.server.received_size, bulk.size());
}

TEST(UvConnection, AnAbortIsSeenAsReset) {
  UvLoop loop(1);
  Pair pair(loop);
  pair.client.connection->Abort();
  pair.client.connection.reset();
  TurnUntil(loop, [&] { return pair.server.closed.has_value(); });
  EXPECT_EQ(pair.server.closed->code, ErrorCode::kReset);
  EXPECT_EQ(pair.server.closed->fault, Fault::kDownstream);
  EXPECT_FALSE(pair.server.eof);
}

TEST(UvConnection, AResetThatComesWithDataIsNoOrderlyEnd) {
  UvLoop loop(1);
  Pair pair(loop);
  // Both are there before the loop looks: the data is handed on, then the truth.
  pair.server.Send("half an answ");
  pair.server.connection->Abort();
  pair.server.connection.reset();
  TurnUntil(loop, [&] { return pair.client.closed.has_value(); });
  EXPECT_EQ(pair.client.received, "half an answ");
  EXPECT_FALSE(pair.client.eof);
  EXPECT_EQ(pair.client.closed->code, ErrorCode::kReset);
  EXPECT_EQ(pair.client.closed->fault, Fault::kUpstream);
}

TEST(UvConnection, AnEarlyAnswerSurvivesAWriteThatFails) {
  UvLoop loop(1);
  Pair pair(loop);
  // The server answers and closes with unread input, which makes its kernel send RST.
  pair.client.Send("a long upload");
  pair.server.Send("413 too much");
  pair.server.connection.reset();
  bool wrote = false;
  while (!pair.client.closed) {
    if (!wrote) pair.client.Send(std::string(1000, 'x'));
    wrote = pair.client.closed.has_value();
    loop.RunTurn();
  }
  EXPECT_EQ(pair.client.received, "413 too much");
  EXPECT_FALSE(pair.client.eof);
  EXPECT_EQ(pair.client.closed->code, ErrorCode::kReset);
}

TEST(UvConnection, APausedReaderLearnsOfAReset) {
  UvLoop loop(1);
  Pair pair(loop);
  pair.server.connection->SetReading(false);
  loop.mailbox()->Post([] {});
  loop.RunTurn();
  pair.client.connection->Abort();
  TurnUntil(loop, [&] { return pair.server.closed.has_value(); });
  EXPECT_EQ(pair.server.closed->code, ErrorCode::kReset);
}

TEST(UvConnection, APausedReaderGetsItsBytesBeforeTheReset) {
  UvLoop loop(1);
  Pair pair(loop);
  pair.server.connection->SetReading(false);
  loop.mailbox()->Post([] {});
  loop.RunTurn();
  pair.client.Send("last words");
  pair.client.connection->Abort();
  for (int i = 0; i < 5; ++i) {
    loop.mailbox()->Post([] {});
    loop.RunTurn();
  }
  EXPECT_FALSE(pair.server.closed);
  pair.server.connection->SetReading(true);
  TurnUntil(loop, [&] { return pair.server.closed.has_value(); });
  EXPECT_EQ(pair.server.received, "last words");
  EXPECT_EQ(pair.server.closed->code, ErrorCode::kReset);
}

TEST(UvConnection, AHalfClosedPeerThatDiesIsNoticed) {
  UvLoop loop(1);
  Pair pair(loop);
  pair.client.connection->ShutdownWrite();
  TurnUntil(loop, [&] { return pair.server.eof; });
  pair.client.connection->Abort();
  TurnUntil(loop, [&] { return pair.server.closed.has_value(); });
  EXPECT_EQ(pair.server.closed->code, ErrorCode::kReset);
}

TEST(UvConnection, AWriteErrorIsNeverReportedInsideWrite) {
  UvLoop loop(1);
  Pair pair(loop);
  pair.server.connection->Abort();
  bool inside = false;
  pair.client.on_closed = [&] { EXPECT_FALSE(inside); };
  inside = true;
  pair.client.Send("x");
  pair.client.Send("y");
  inside = false;
  TurnUntil(loop, [&] { return pair.client.closed.has_value(); });
  EXPECT_EQ(pair.client.closed->code, ErrorCode::kReset);
  pair.client.Send("nobody reads this");
  EXPECT_EQ(pair.client.connection->pending(), 0u);
}

TEST(UvConnection, PeekTakesNothing) {
  UvLoop loop(1);
  Acceptor acceptor;
  auto listener = ListenOn(loop, net::Address::Loopback(0), &acceptor);
  End client;
  client.connection = loop.Connect({.address = listener->local()}, &client);
  TurnUntil(loop, [&] { return acceptor.last != nullptr && client.connected; });
  uint8_t peeked[8];
  EXPECT_EQ(acceptor.last->Peek(peeked), 0u);
  client.Send("PRI * HTTP/2.0");
  TurnUntil(loop, [&] { return acceptor.last->Peek(peeked) > 0 || (loop.mailbox()->Post([] {}), false); });
  EXPECT_EQ(AsText(peeked), "PRI * HT");
  End server;
  server.connection = std::move(acceptor.last);
  server.connection->SetHandler(&server);
  TurnUntil(loop, [&] { return server.received == "PRI * HTTP/2.0"; });
}

TEST(UvConnection, ARefusedConnectSaysSo) {
  UvLoop loop(1);
  Acceptor acceptor;
  auto listener = ListenOn(loop, net::Address::Loopback(0), &acceptor);
  const net::Address free = listener->local();
  listener.reset();
  End client;
  client.connection = loop.Connect({.address = free}, &client);
  client.Send("never arrives");
  EXPECT_FALSE(client.closed) << "it must come in a later turn";
  TurnUntil(loop, [&] { return client.closed.has_value(); });
  EXPECT_EQ(client.closed->code, ErrorCode::kConnectRefused);
  EXPECT_EQ(client.closed->fault, Fault::kUpstream);
  EXPECT_TRUE(client.closed->unseen);
  EXPECT_THAT(client.closed->detail, HasSubstr(free.ToString()));
  EXPECT_FALSE(client.connected);
}

TEST(UvConnection, AConnectThatNobodyAnswersTimesOut) {
  UvLoop loop(1);
  // A listener that never accepts, with a backlog of one that is full, drops further SYNs.
  Acceptor acceptor;
  Result<std::unique_ptr<net::Listener>> listener = loop.Listen({.address = net::Address::Loopback(0), .backlog = 1}, &acceptor);
  ASSERT_TRUE(listener.ok());
  (*listener)->SetAccepting(false);
  std::vector<std::unique_ptr<End>> fillers;
  for (int i = 0; i < 8; ++i) {
    fillers.push_back(std::make_unique<End>());
    fillers.back()->connection = loop.Connect({.address = (*listener)->local(), .timeout = 1h}, fillers.back().get());
  }
  End client;
  const Instant start = loop.now();
  client.connection = loop.Connect({.address = (*listener)->local(), .timeout = 30ms}, &client);
  TurnUntil(loop, [&] { return client.closed.has_value(); });
  EXPECT_EQ(client.closed->code, ErrorCode::kConnectTimeout);
  EXPECT_TRUE(client.closed->unseen);
  EXPECT_GE(loop.now() - start, 30ms);
}

TEST(UvConnection, AnImpossibleAddressFailsInALaterTurn) {
  UvLoop loop(1);
  End nowhere;
  nowhere.connection = loop.Connect({.address = net::Address()}, &nowhere);
  End no_socket;
  no_socket.connection = loop.Connect({.address = net::Address::Unix("/nonexistent/socket")}, &no_socket);
  EXPECT_FALSE(nowhere.closed || no_socket.closed);
  TurnUntil(loop, [&] { return nowhere.closed && no_socket.closed; });
  EXPECT_EQ(nowhere.closed->code, ErrorCode::kInvalid);
  EXPECT_EQ(no_socket.closed->code, ErrorCode::kConnectRefused);
}

// Destroying in every call: of the very connection, with the other side still talking.

TEST(UvConnection, UnixSocketsWorkTheSame) {
  UvLoop loop(1);
  const TemporaryFolder folder;
  const net::Address address = net::Address::Unix(folder / "s");
  Pair pair(loop, address);
  EXPECT_EQ(pair.server.connection->local(), address);
  pair.client.Send("hello");
  TurnUntil(loop, [&] { return pair.server.received == "hello"; });
  pair.server.Send("bye");
  pair.server.connection->ShutdownWrite();
  TurnUntil(loop, [&] { return pair.client.eof; });
  EXPECT_EQ(pair.client.received, "bye");
  pair.client.connection.reset();
  TurnUntil(loop, [&] { return pair.server.eof; });
  EXPECT_EQ(pair.server.connection->original_destination(), std::nullopt);
}

}  // namespace
}  // namespace outrigger::io
