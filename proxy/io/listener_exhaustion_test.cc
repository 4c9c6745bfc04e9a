// A program of its own, not run under sanitizers: theirs for undefined behaviour opens a pipe to look at an object's type and takes
// the object for broken when there are no descriptors left.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proxy/io/test_support.h"

namespace outrigger::io {
namespace {

TEST(UvListener, WithoutDescriptorsConnectionsWaitAndTheLoopDoesNotSpin) {
  UvLoop loop(1);
  Acceptor acceptor;
  std::vector<std::unique_ptr<net::Connection>> taken;
  acceptor.on_accept = [&](std::unique_ptr<net::Connection> connection) { taken.push_back(std::move(connection)); };
  auto listener = ListenOn(loop, net::Address::Loopback(0), &acceptor);
  listener->SetAccepting(false);
  std::vector<std::unique_ptr<End>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<End>());
    clients.back()->connection = loop.Connect({.address = listener->local(), .timeout = 30s}, clients.back().get());
  }
  TurnUntil(loop, [&] { return clients[0]->connected && clients[1]->connected && clients[2]->connected; });
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next_free = dup(0);
  close(next_free);
  const rlimit none{static_cast<rlim_t>(next_free), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  listener->SetAccepting(true);
  struct Wait {
    void Fire() { fired = true; }
    bool fired = false;
    CallbackTimer<Wait, &Wait::Fire> timer{this};
  } wait;
  loop.Arm(&wait.timer, 250ms);
  int turns = 0;
  for (; !wait.fired; ++turns) loop.RunTurn();
  EXPECT_LT(turns, 50);
  EXPECT_TRUE(taken.empty());
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  TurnUntil(loop, [&] { return taken.size() == 3; });
  for (const auto& client : clients) EXPECT_FALSE(client->eof || client->closed) << "a waiting connection was shed";
}

}  // namespace
}  // namespace outrigger::io
