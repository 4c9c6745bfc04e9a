#include <gtest/gtest.h>

#include "proxy/io/test_support.h"

namespace outrigger::io {
namespace {

constexpr size_t kMebibyte = 1 << 20;

TEST(UvConnection, MayBeDestroyedInOnConnected) {
  UvLoop loop(1);
  Acceptor acceptor;
  auto listener = ListenOn(loop, net::Address::Loopback(0), &acceptor);
  End client;
  client.connection = loop.Connect({.address = listener->local()}, &client);
  client.Send("pending");
  client.on_connected = [&] { client.connection.reset(); };
  TurnUntil(loop, [&] { return client.connected; });
  EXPECT_EQ(client.connection, nullptr);
}

TEST(UvConnection, MayBeDestroyedInOnRead) {
  UvLoop loop(1);
  Pair pair(loop);
  pair.client.Send("x");
  pair.client.connection->ShutdownWrite();
  pair.server.on_read = [&] { pair.server.connection.reset(); };
  TurnUntil(loop, [&] { return pair.server.connection == nullptr; });
  EXPECT_FALSE(pair.server.eof);
}

TEST(UvConnection, MayBeDestroyedInOnEof) {
  UvLoop loop(1);
  Pair pair(loop);
  pair.server.on_eof = [&] { pair.server.connection.reset(); };
  pair.client.connection->ShutdownWrite();
  TurnUntil(loop, [&] { return pair.server.connection == nullptr; });
  TurnUntil(loop, [&] { return pair.client.eof; });
}

TEST(UvConnection, MayBeDestroyedInOnClosed) {
  UvLoop loop(1);
  Pair pair(loop);
  pair.server.on_closed = [&] { pair.server.connection.reset(); };
  pair.client.connection->Abort();
  TurnUntil(loop, [&] { return pair.server.connection == nullptr; });
}

TEST(UvConnection, MayBeDestroyedInOnDrained) {
  UvLoop loop(1);
  Pair pair(loop);
  pair.client.on_drained = [&] { pair.client.connection.reset(); };
  pair.client.Send(std::string(16 * kMebibyte, 'x'));
  ASSERT_GT(pair.client.connection->pending(), 0u);
  pair.server.keep_bytes = false;
  TurnUntil(loop, [&] { return pair.server.eof; });
  EXPECT_EQ(pair.client.connection, nullptr);
  EXPECT_EQ(pair.server.received_size, 16 * kMebibyte);
}

TEST(UvConnection, MayBeDestroyedByTheHandlerOfAnother) {
  UvLoop loop(1);
  Pair one(loop);
  Pair two(loop);
  // Both become readable in the same turn; whoever comes first ends the other.
  one.server.on_read = [&] { two.server.connection.reset(); };
  two.server.on_read = [&] { one.server.connection.reset(); };
  one.client.Send("x");
  two.client.Send("x");
  TurnUntil(loop, [&] { return one.client.eof || two.client.eof || one.client.closed || two.client.closed; });
  EXPECT_EQ(one.server.received_size + two.server.received_size, 1u);
}

TEST(UvConnection, HandlersMayBeExchangedInACall) {
  UvLoop loop(1);
  Pair pair(loop);
  End second;
  pair.server.on_read = [&] {
    second.connection = std::move(pair.server.connection);
    second.connection->SetHandler(&second);
  };
  pair.client.Send("one");
  TurnUntil(loop, [&] { return second.connection != nullptr; });
  pair.client.Send("two");
  pair.client.connection->ShutdownWrite();
  TurnUntil(loop, [&] { return second.eof; });
  EXPECT_EQ(pair.server.received, "one");
  EXPECT_EQ(second.received, "two");
}

TEST(UvConnection, RetireDeliversTheLastBytesDespiteUnreadInput) {
  UvLoop loop(1);
  Pair pair(loop);
  pair.client.Send(std::string(100'000, 'q'));
  const std::string reply(4 * kMebibyte, 'r');
  pair.server.Send(reply);
  loop.Retire(std::move(pair.server.connection));
  pair.client.keep_bytes = false;
  TurnUntil(loop, [&] { return pair.client.eof || pair.client.closed; });
  EXPECT_FALSE(pair.client.closed);
  EXPECT_EQ(pair.client.received_size, reply.size());
  // What comes during the drain is thrown away, not answered by RST.
  pair.client.Send("afterthought");
  loop.mailbox()->Post([] {});
  loop.RunTurn();
  EXPECT_FALSE(pair.client.closed);
  EXPECT_EQ(pair.server.received, "");
}

TEST(UvConnection, RetireInsideACallOfTheHandler) {
  UvLoop loop(1);
  Pair pair(loop);
  pair.server.on_read = [&] {
    pair.server.Send("bye");
    loop.Retire(std::move(pair.server.connection));
  };
  pair.server.on_closed = [&] { loop.Retire(std::move(pair.server.connection)); };
  pair.client.Send("hello");
  TurnUntil(loop, [&] { return pair.client.eof; });
  EXPECT_EQ(pair.client.received, "bye");
}

TEST(UvConnection, RetireOfEveryState) {
  UvLoop loop(1);
  Pair reset(loop);
  reset.client.connection->Abort();
  TurnUntil(loop, [&] { return reset.server.closed.has_value(); });
  loop.Retire(std::move(reset.server.connection));
  Pair ended(loop);
  ended.client.connection->ShutdownWrite();
  TurnUntil(loop, [&] { return ended.server.eof; });
  loop.Retire(std::move(ended.server.connection));
  TurnUntil(loop, [&] { return ended.client.eof; });
  End connecting;
  loop.Retire(loop.Connect({.address = ended.listener->local()}, &connecting));
  loop.Retire(nullptr);
  EXPECT_FALSE(connecting.connected || connecting.closed);
}

TEST(UvConnection, RetireSendsWhatWaitedForTheConnect) {
  UvLoop loop(1);
  Acceptor acceptor;
  auto listener = ListenOn(loop, net::Address::Loopback(0), &acceptor);
  End client;
  client.connection = loop.Connect({.address = listener->local()}, &client);
  client.Send("fire and forget");
  loop.Retire(std::move(client.connection));
  TurnUntil(loop, [&] { return acceptor.last != nullptr; });
  End server;
  server.connection = std::move(acceptor.last);
  server.connection->SetHandler(&server);
  TurnUntil(loop, [&] { return server.eof; });
  EXPECT_EQ(server.received, "fire and forget");
}

TEST(UvConnection, ALoopMayGoWhileConnectionsRetire) {
  auto loop = std::make_unique<UvLoop>(1);
  auto pair = std::make_unique<Pair>(*loop);
  loop->Retire(std::move(pair->server.connection));
  pair.reset();
  loop.reset();
}

}  // namespace
}  // namespace outrigger::io
