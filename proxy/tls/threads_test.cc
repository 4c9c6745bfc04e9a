// One Context serves several threads at once; what is remembered is each thread's own.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "proxy/tls/testing.h"

namespace outrigger::tls {
namespace {

TEST(Threads, ShareContextsWhileTheyShakeHandsAndResume) {
  const testing::TestMesh mesh;
  const auto web = testing::MustMakeContext(mesh.Workload("default", "web"));
  const auto orders = testing::MustMakeContext(mesh.Workload("default", "orders"));
  std::vector<int> opened(4), resumed(4);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < opened.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 20; ++round) {
        testing::Pair pair = testing::Connect(web, {.sni = "orders"}, orders, {});
        opened[t] += pair.server->state() == Session::State::kOpen && pair.server->peer().spiffe_id == web->own_id();
        resumed[t] += pair.client->resumed();
        if (pair.server->Write(AsBytes("x")).ok()) pair.Exchange();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(opened, std::vector<int>(4, 20));
  EXPECT_EQ(resumed, std::vector<int>(4, 19));  // each thread's first connection finds nothing to resume
}

}  // namespace
}  // namespace outrigger::tls
