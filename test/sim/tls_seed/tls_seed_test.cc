// The same seed makes the same keys, certificates and handshakes, byte for byte; another seed makes others.
#include "test/sim/tls_seed/tls_seed.h"

#include <string>

#include <gtest/gtest.h>

#include "proxy/tls/testing.h"

namespace outrigger::sim {
namespace {

// Everything that two workloads of a fresh trust domain put on the wire: handshake, a request, an answer, and a resumed second round.
std::string Transcript(uint64_t seed) {
  std::string wire;
  RunSeeded(seed, [&] {
    const tls::testing::TestMesh mesh;
    const auto web = tls::testing::MustMakeContext(mesh.Workload("default", "web"));
    const auto orders = tls::testing::MustMakeContext(mesh.Workload("default", "orders"));
    for (int round = 0; round < 2; ++round) {
      const auto client = tls::MakeClient(web, {.sni = "orders", .alpn = {"h2"}});
      const auto server = tls::MakeServer(orders, {.alpn = {"h2"}});
      Buffer ignored;
      ASSERT_TRUE(client->Feed({}, tls::testing::kNow, &ignored).ok());
      bool request_sent = false;
      while (!client->output().empty() || !server->output().empty()) {
        wire += client->output().text();
        ASSERT_TRUE(server->Feed(client->output().view(), tls::testing::kNow, &ignored).ok());
        client->output().Clear();
        if (server->state() == tls::Session::State::kOpen && !request_sent) {
          request_sent = true;
          ASSERT_TRUE(server->Write(AsBytes("an answer")).ok());
        }
        wire += server->output().text();
        ASSERT_TRUE(client->Feed(server->output().view(), tls::testing::kNow, &ignored).ok());
        server->output().Clear();
      }
      EXPECT_EQ(client->state(), tls::Session::State::kOpen);
      EXPECT_EQ(client->resumed(), round == 1);
    }
  });
  return wire;
}

TEST(TlsSeed, TheSameSeedGivesTheSameBytes) {
  const std::string first = Transcript(7);
  EXPECT_GT(first.size(), 2000u);
  EXPECT_TRUE(first == Transcript(7));  // not EQ: nobody wants to read two pages of bytes
}

TEST(TlsSeed, AnotherSeedGivesOtherBytes) { EXPECT_FALSE(Transcript(7) == Transcript(8)); }

TEST(TlsSeed, TheSameSeedGivesTheSameKey) {
  const auto key = [](uint64_t seed) {
    std::string pem;
    RunSeeded(seed, [&] { pem = (*tls::PrivateKey::Generate())->ToPem(); });
    return pem;
  };
  EXPECT_EQ(key(1), key(1));
  EXPECT_NE(key(1), key(2));
}

// The generator takes fresh entropy every 4096 draws: that too comes from the seed.
TEST(TlsSeed, ALongRunStaysTheSame) {
  const auto run = [] {
    std::string pem;
    RunSeeded(3, [&] {
      for (int i = 0; i < 5000; ++i) pem = (*tls::PrivateKey::Generate())->ToPem();
    });
    return pem;
  };
  EXPECT_EQ(run(), run());
}

}  // namespace
}  // namespace outrigger::sim
