#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/io/test_support.h"

namespace outrigger::io {
namespace {

using ::testing::HasSubstr;

TEST(UvListener, TakesManyConnectionsAtOnce) {
  UvLoop loop(1);
  Acceptor acceptor;
  std::vector<std::unique_ptr<net::Connection>> taken;
  acceptor.on_accept = [&](std::unique_ptr<net::Connection> connection) { taken.push_back(std::move(connection)); };
  auto listener = ListenOn(loop, net::Address::Loopback(0), &acceptor);
  std::vector<std::unique_ptr<End>> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(std::make_unique<End>());
    clients.back()->connection = loop.Connect({.address = listener->local(), .timeout = 30s}, clients.back().get());
  }
  TurnUntil(loop, [&] { return taken.size() == 200; });
}

TEST(UvListener, SaysWhenThePortIsInUse) {
  UvLoop loop(1);
  Acceptor acceptor;
  auto listener = ListenOn(loop, net::Address::Loopback(0), &acceptor);
  const Result<std::unique_ptr<net::Listener>> second = loop.Listen({.address = listener->local()}, &acceptor);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kIo);
  EXPECT_THAT(second.error().detail, HasSubstr(listener->local().ToString() + ": the port is in use"));
}

TEST(UvListener, SaysWhenTheMachineHasNoSuchAddress) {
  UvLoop loop(1);
  Acceptor acceptor;
  const Result<std::unique_ptr<net::Listener>> listener =
      loop.Listen({.address = net::Address::Parse("192.0.2.1:8080").value()}, &acceptor);
  ASSERT_FALSE(listener.ok());
  EXPECT_THAT(listener.error().detail, HasSubstr("no such address"));
}

TEST(UvListener, TwoShareAPortAndAProbeStillSeesThem) {
  UvLoop loop(1);
  int accepted[2] = {0, 0};
  Acceptor one, two;
  one.on_accept = [&](std::unique_ptr<net::Connection>) { ++accepted[0]; };
  two.on_accept = [&](std::unique_ptr<net::Connection>) { ++accepted[1]; };
  Result<std::unique_ptr<net::Listener>> first = loop.Listen({.address = net::Address::Loopback(0), .share_port = true}, &one);
  ASSERT_TRUE(first.ok());
  const net::Address address = (*first)->local();
  Result<std::unique_ptr<net::Listener>> second = loop.Listen({.address = address, .share_port = true}, &two);
  ASSERT_TRUE(second.ok());
  for (int i = 1; i <= 100; ++i) {
    End client;
    client.connection = loop.Connect({.address = address, .timeout = 30s}, &client);
    TurnUntil(loop, [&] { return accepted[0] + accepted[1] == i; });
  }
  // One of two getting all of 100 has a chance of 2^-99.
  EXPECT_GT(accepted[0], 0);
  EXPECT_GT(accepted[1], 0);
  EXPECT_FALSE(ProbeBind(address).ok());
  EXPECT_FALSE(loop.Listen({.address = address}, &one).ok());
}

TEST(UvListener, AProbeLeavesThePortFree) {
  UvLoop loop(1);
  Acceptor acceptor;
  auto listener = ListenOn(loop, net::Address::Loopback(0), &acceptor);
  const net::Address address = listener->local();
  const Outcome taken = ProbeBind(address);
  ASSERT_FALSE(taken.ok());
  EXPECT_THAT(taken.error().detail, HasSubstr("in use"));
  listener.reset();
  EXPECT_TRUE(ProbeBind(address).ok());
  EXPECT_TRUE(ProbeBind(address).ok());
  listener = ListenOn(loop, address, &acceptor);
}

TEST(UvListener, WhileItDoesNotAcceptConnectionsWait) {
  UvLoop loop(1);
  Acceptor acceptor;
  auto listener = ListenOn(loop, net::Address::Loopback(0), &acceptor);
  listener->SetAccepting(false);
  End client;
  client.connection = loop.Connect({.address = listener->local(), .timeout = 30s}, &client);
  TurnUntil(loop, [&] { return client.connected; });
  client.Send("hello");
  for (int i = 0; i < 5; ++i) {
    loop.mailbox()->Post([] {});
    loop.RunTurn();
  }
  EXPECT_EQ(acceptor.accepted, 0);
  listener->SetAccepting(true);
  TurnUntil(loop, [&] { return acceptor.accepted == 1; });
}

TEST(UvListener, MayBeDestroyedInOnAccept) {
  UvLoop loop(1);
  Acceptor acceptor;
  auto listener = ListenOn(loop, net::Address::Loopback(0), &acceptor);
  const net::Address address = listener->local();
  acceptor.on_accept = [&](std::unique_ptr<net::Connection>) { listener.reset(); };
  End one, two;
  one.connection = loop.Connect({.address = address}, &one);
  two.connection = loop.Connect({.address = address}, &two);
  TurnUntil(loop, [&] { return (one.eof || one.closed) && (two.eof || two.closed); });
  EXPECT_EQ(acceptor.accepted, 1);
}

TEST(UvListener, AConnectionThatIsDroppedInOnAcceptIsClosed) {
  UvLoop loop(1);
  Acceptor acceptor;
  acceptor.on_accept = [](std::unique_ptr<net::Connection>) {};
  auto listener = ListenOn(loop, net::Address::Loopback(0), &acceptor);
  End client;
  client.connection = loop.Connect({.address = listener->local()}, &client);
  TurnUntil(loop, [&] { return client.eof; });
}

TEST(UvListener, AUnixSocketGoesWithItsListener) {
  UvLoop loop(1);
  const TemporaryFolder folder;
  Acceptor acceptor;
  const net::Address address = net::Address::Unix(folder / "s");
  auto listener = ListenOn(loop, address, &acceptor);
  EXPECT_EQ(listener->local(), address);
  EXPECT_TRUE(std::filesystem::exists(address.path()));
  const Result<std::unique_ptr<net::Listener>> second = loop.Listen({.address = address}, &acceptor);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.error().detail, HasSubstr("another process listens"));
  listener.reset();
  EXPECT_FALSE(std::filesystem::exists(address.path()));
}

TEST(UvListener, AUnixSocketPathThatIsTooLongIsRefusedNotCut) {
  UvLoop loop(1);
  const TemporaryFolder folder;
  Acceptor acceptor;
  const auto result = loop.Listen({.address = net::Address::Unix(folder / std::string(108, 's'))}, &acceptor);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().detail, HasSubstr("too long"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(UvListener, AUnixSocketLeftBehindIsReplacedButNoOtherFileIs) {
  UvLoop loop(1);
  const TemporaryFolder folder;
  Acceptor acceptor;
  const net::Address address = net::Address::Unix(folder / "s");
  {
    auto listener = ListenOn(loop, address, &acceptor);
    ASSERT_EQ(rename((folder / "s").c_str(), (folder / "kept").c_str()), 0);
  }
  ASSERT_EQ(rename((folder / "kept").c_str(), (folder / "s").c_str()), 0);
  auto listener = ListenOn(loop, address, &acceptor);
  ASSERT_TRUE(loop.files().Replace(folder / "file", "precious").ok());
  EXPECT_FALSE(loop.Listen({.address = net::Address::Unix(folder / "file")}, &acceptor).ok());
  EXPECT_EQ(loop.files().Read(folder / "file").value(), "precious");
}

}  // namespace
}  // namespace outrigger::io
