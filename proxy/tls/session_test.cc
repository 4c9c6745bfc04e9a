// Bytes through an open session: any cut of the ciphertext, large data, resumption, renewal, endings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/base/random.h"
#include "proxy/tls/testing.h"

namespace outrigger::tls {
namespace {

using ::testing::HasSubstr;
using testing::Connect;
using testing::kNow;
using testing::MustMakeContext;
using testing::Pair;
using testing::TestMesh;
using State = Session::State;

class Records : public ::testing::Test {
 protected:
  Pair Open(ClientOptions options = {}) {
    Pair pair = Connect(web_, std::move(options), orders_, {});
    EXPECT_EQ(pair.client->state(), State::kOpen);
    EXPECT_EQ(pair.server->state(), State::kOpen);
    return pair;
  }

  const TestMesh mesh_;
  const std::shared_ptr<const Context> web_ = MustMakeContext(mesh_.Workload("default", "web"));
  const std::shared_ptr<const Context> orders_ = MustMakeContext(mesh_.Workload("default", "orders"));
};

std::string Noise(size_t size, uint64_t seed) {
  Random random(seed);
  std::string noise(size, '\0');
  for (char& c : noise) c = static_cast<char>(random.Next());
  return noise;
}

// Moves everything that waits in `from` to `to`, in pieces of at most `piece` bytes.
Outcome MoveInPieces(Session* from, Session* to, size_t piece, Buffer* plaintext) {
  Buffer wire;
  wire.Swap(from->output());
  while (!wire.empty()) {
    const Bytes part = wire.view().first(std::min(piece, wire.size()));
    if (Outcome outcome = to->Feed(part, kNow, plaintext); !outcome) return outcome;
    wire.Consume(part.size());
  }
  return {};
}

TEST_F(Records, TheWholeConversationSurvivesDeliveryByteByByte) {
  const auto client = MakeClient(web_, {.sni = "orders", .alpn = {"h2"}});
  const auto server = MakeServer(orders_, {.alpn = {"h2"}});
  Buffer at_client, at_server;
  ASSERT_TRUE(client->Feed({}, kNow, &at_client).ok());
  while (!client->output().empty() || !server->output().empty()) {
    ASSERT_TRUE(MoveInPieces(client.get(), server.get(), 1, &at_server).ok());
    ASSERT_TRUE(MoveInPieces(server.get(), client.get(), 1, &at_client).ok());
  }
  ASSERT_EQ(client->state(), State::kOpen);
  ASSERT_EQ(server->state(), State::kOpen);
  ASSERT_TRUE(client->Write(AsBytes("question")).ok());
  ASSERT_TRUE(MoveInPieces(client.get(), server.get(), 1, &at_server).ok());
  ASSERT_TRUE(server->Write(AsBytes("answer")).ok());
  ASSERT_TRUE(MoveInPieces(server.get(), client.get(), 1, &at_client).ok());
  EXPECT_EQ(at_server.text(), "question");
  EXPECT_EQ(at_client.text(), "answer");
}

// Runs a conversation for every k in which the k-th byte that the client receives (handshake and data) begins a new read.
TEST_F(Records, TheHandshakeSurvivesACutAtEveryByte) {
  size_t total = 2;
  for (size_t cut = 1; cut < total; ++cut) {
    const auto client = MakeClient(web_, {.sni = "orders", .resumption_scope = std::to_string(cut)});
    const auto server = MakeServer(orders_, {});
    Buffer at_client, at_server;
    size_t seen = 0;
    ASSERT_TRUE(client->Feed({}, kNow, &at_client).ok());
    bool answered = false;
    while (!client->output().empty() || !server->output().empty()) {
      ASSERT_TRUE(MoveInPieces(client.get(), server.get(), SIZE_MAX, &at_server).ok());
      if (server->state() == State::kOpen && !std::exchange(answered, true)) {
        ASSERT_TRUE(server->Write(AsBytes("answer")).ok());
      }
      Buffer wire;
      wire.Swap(server->output());
      const size_t first = cut > seen && cut < seen + wire.size() ? cut - seen : wire.size();
      seen += wire.size();
      ASSERT_TRUE(client->Feed(wire.view().first(first), kNow, &at_client).ok()) << cut;
      ASSERT_TRUE(client->Feed(wire.view().subspan(first), kNow, &at_client).ok()) << cut;
    }
    total = seen;
    ASSERT_EQ(client->state(), State::kOpen) << cut;
    ASSERT_EQ(at_client.text(), "answer") << cut;
  }
  EXPECT_GT(total, 1000u);
}

// Whatever is changed on the way, a client that opens knows its peer, and nothing crashes.
TEST_F(Records, AHandshakeChangedAtAnyByteNeverOpensToAStranger) {
  size_t refused = 0, size = 1;
  for (size_t at = 0; at < size; ++at) {
    const auto client = MakeClient(web_, {.resumption_scope = "never"});
    const auto server = MakeServer(orders_, {});
    Buffer ignored;
    ASSERT_TRUE(client->Feed({}, kNow, &ignored).ok());
    ASSERT_TRUE(server->Feed(client->output().view(), kNow, &ignored).ok());
    std::string flight(server->output().text());
    size = flight.size();
    flight[at] = static_cast<char>(flight[at] ^ 0x20);
    const Outcome outcome = client->Feed(AsBytes(flight), kNow, &ignored);
    if (client->state() == State::kOpen) {
      EXPECT_EQ(client->peer().spiffe_id, mesh_.Id("default", "orders")) << at;
    }
    refused += outcome.ok() ? 0 : 1;
  }
  EXPECT_GT(refused, size * 9 / 10);
}

TEST_F(Records, SixteenMebibytesGoBothWaysUnharmed) {
  Pair pair = Open();
  const std::string up = Noise(16 << 20, 1), down = Noise(16 << 20, 2);
  size_t up_sent = 0, down_sent = 0;
  Random random(3);
  while (up_sent < up.size() || down_sent < down.size()) {
    const auto send = [&random](Session* session, const std::string& data, size_t* sent) {
      const size_t part = std::min<size_t>(1 + random.Below(200'000), data.size() - *sent);
      ASSERT_TRUE(session->Write(AsBytes(std::string_view(data).substr(*sent, part))).ok());
      *sent += part;
    };
    send(pair.client.get(), up, &up_sent);
    send(pair.server.get(), down, &down_sent);
    ASSERT_TRUE(MoveInPieces(pair.client.get(), pair.server.get(), 1 + random.Below(65536), &pair.at_server).ok());
    ASSERT_TRUE(MoveInPieces(pair.server.get(), pair.client.get(), 1 + random.Below(65536), &pair.at_client).ok());
  }
  EXPECT_TRUE(pair.at_server.text() == up);
  EXPECT_TRUE(pair.at_client.text() == down);
}

TEST_F(Records, OneWriteMakesOneRecordAndALargeOneMakesFullRecords) {
  Pair pair = Open();
  pair.server->output().Clear();
  ASSERT_TRUE(pair.client->Write(AsBytes(std::string(1000, 'x'))).ok());
  EXPECT_EQ(pair.client->output().size(), 1000u + 22);
  pair.client->output().Clear();
  ASSERT_TRUE(pair.client->Write(AsBytes(std::string(40'000, 'x'))).ok());
  EXPECT_EQ(pair.client->output().size(), 40'000u + 3 * 22);
}

TEST_F(Records, NothingIsHeldWhileNothingIsInFlight) {
  Pair pair = Open();
  ASSERT_TRUE(pair.client->Write(AsBytes("x")).ok());
  pair.Exchange();
  EXPECT_EQ(pair.client->output().capacity(), 0u);
  EXPECT_EQ(pair.server->output().capacity(), 0u);
  Buffer plaintext;
  ASSERT_TRUE(pair.server->Feed({}, kNow, &plaintext).ok());
  EXPECT_EQ(plaintext.capacity(), 0u);
}

TEST_F(Records, AFlippedBitIsFinalAndThePeerIsTold) {
  Pair pair = Open();
  ASSERT_TRUE(pair.client->Write(AsBytes("pay 10")).ok());
  std::string wire(pair.client->output().text());
  pair.client->output().Clear();
  wire[wire.size() / 2] = static_cast<char>(wire[wire.size() / 2] ^ 1);
  const Outcome outcome = pair.server->Feed(AsBytes(wire), kNow, &pair.at_server);
  EXPECT_EQ(outcome.error().code, ErrorCode::kTls);
  EXPECT_EQ(pair.server->state(), State::kFailed);
  EXPECT_TRUE(pair.at_server.empty());
  const Outcome told = pair.client->Feed(pair.server->output().view(), kNow, &pair.at_client);
  EXPECT_THAT(told.error().detail, HasSubstr("bad record mac"));
  EXPECT_FALSE(told.error().unseen);
}

TEST_F(Records, CloseNotifyIsAnEndThatIsNoTruncation) {
  Pair pair = Open();
  ASSERT_TRUE(pair.client->Write(AsBytes("last words")).ok());
  pair.client->CloseNotify();
  pair.client->CloseNotify();  // once is enough
  EXPECT_FALSE(pair.server->peer_closed());
  EXPECT_TRUE(pair.Exchange());
  EXPECT_EQ(pair.at_server.text(), "last words");
  EXPECT_TRUE(pair.server->peer_closed());
  EXPECT_FALSE(pair.client->peer_closed());
  EXPECT_FALSE(pair.client->Write(AsBytes("more")).ok());
  // The other direction goes on.
  ASSERT_TRUE(pair.server->Write(AsBytes("answer")).ok());
  EXPECT_TRUE(pair.Exchange());
  EXPECT_EQ(pair.at_client.text(), "answer");
  // What comes after close_notify is not looked at.
  EXPECT_TRUE(pair.server->Feed(AsBytes("garbage"), kNow, &pair.at_server).ok());
  EXPECT_EQ(pair.at_server.text(), "last words");
}

TEST_F(Records, WritingBeforeTheHandshakeIsDoneIsAnError) {
  const auto client = MakeClient(web_, {});
  EXPECT_FALSE(client->Write(AsBytes("x")).ok());
}

class Resumption : public Records {};

TEST_F(Resumption, TheSecondConnectionResumesAndKnowsThePeerAgain) {
  const ClientOptions options{.sni = "orders", .accepted_ids = {mesh_.Id("default", "orders")}};
  Pair first = Open(options);
  EXPECT_FALSE(first.client->resumed());
  ASSERT_TRUE(first.server->Write(AsBytes("x")).ok());  // the ticket leaves with the first bytes
  first.Exchange();
  Pair second = Open(options);
  EXPECT_TRUE(second.client->resumed());
  EXPECT_TRUE(second.server->resumed());
  EXPECT_EQ(second.client->peer().spiffe_id, mesh_.Id("default", "orders"));
  EXPECT_EQ(second.server->peer().spiffe_id, mesh_.Id("default", "web"));
  EXPECT_EQ(second.server->peer().not_after, kNow + kDefaultLeafLifetime);
}

// Leaves a session in the client's store.
void LeaveTicket(Pair pair) {
  ASSERT_TRUE(pair.server->Write(AsBytes("x")).ok());
  ASSERT_TRUE(pair.Exchange());
}

TEST_F(Resumption, ATicketIsUsedOnce) {
  LeaveTicket(Open({.sni = "once"}));
  Pair second = Open({.sni = "once"});  // whose own ticket stays with the server
  EXPECT_TRUE(second.client->resumed());
  EXPECT_FALSE(Open({.sni = "once"}).client->resumed());
}

TEST_F(Resumption, OnlyTheSameQuestionResumes) {
  const auto resumes = [&](const ClientOptions& first, const ClientOptions& second) {
    LeaveTicket(Open(first));
    return Open(second).client->resumed();
  };
  const std::string orders = mesh_.Id("default", "orders"), other = mesh_.Id("default", "other");
  EXPECT_TRUE(resumes({.sni = "a"}, {.sni = "a"}));
  EXPECT_FALSE(resumes({.sni = "b"}, {.sni = "c"}));
  EXPECT_FALSE(resumes({.sni = "d"}, {.sni = "d", .accepted_ids = {orders}}));
  EXPECT_FALSE(resumes({.sni = "e", .accepted_ids = {orders, other}}, {.sni = "e", .accepted_ids = {orders}}));
  EXPECT_FALSE(resumes({.sni = "f", .alpn = {"h2"}}, {.sni = "f"}));
  EXPECT_FALSE(resumes({.sni = "g", .resumption_scope = "10.0.0.1:80"}, {.sni = "g", .resumption_scope = "10.0.0.2:80"}));
}

TEST_F(Resumption, NewCredentialsOfTheClientStartAnew) {
  LeaveTicket(Open({.sni = "renewed"}));
  const auto renewed = MustMakeContext(mesh_.Workload("default", "web"));
  const Pair pair = Connect(renewed, {.sni = "renewed"}, orders_, {});
  EXPECT_EQ(pair.client->state(), State::kOpen);
  EXPECT_FALSE(pair.client->resumed());
}

TEST_F(Resumption, NewCredentialsOfTheServerStartAnew) {
  LeaveTicket(Open({.sni = "rotated"}));
  const auto renewed = MustMakeContext(mesh_.Workload("default", "orders"));
  const Pair pair = Connect(web_, {.sni = "rotated"}, renewed, {});
  EXPECT_EQ(pair.client->state(), State::kOpen);
  EXPECT_FALSE(pair.client->resumed());
}

TEST_F(Resumption, AServersExpiredCertificateIsNotResumed) {
  const auto brief = MustMakeContext(mesh_.Workload("default", "orders", 1h));
  LeaveTicket(Connect(web_, {.sni = "brief"}, brief, {}));
  const Pair pair = Connect(web_, {.sni = "brief"}, brief, {}, kNow + 61min);
  EXPECT_FALSE(pair.client->resumed());
  EXPECT_THAT(pair.client_outcome.error().detail, HasSubstr("certificate expired at"));
}

// The client would not offer such a session by itself, so its own clock is behind.
TEST_F(Resumption, TheServerLooksAtTheClientsCertificateAgain) {
  const auto brief = MustMakeContext(mesh_.Workload("default", "web", 1h));
  LeaveTicket(Connect(brief, {.sni = "behind"}, orders_, {}));
  const auto client = MakeClient(brief, {.sni = "behind"});
  const auto server = MakeServer(orders_, {});
  Buffer ignored;
  ASSERT_TRUE(client->Feed({}, kNow, &ignored).ok());
  ASSERT_TRUE(server->Feed(client->output().view(), kNow + 61min, &ignored).ok());
  client->output().Clear();
  ASSERT_TRUE(client->Feed(server->output().view(), kNow, &ignored).ok());
  server->output().Clear();
  ASSERT_TRUE(client->resumed());
  ASSERT_TRUE(client->Write(AsBytes("a request")).ok());
  const Outcome outcome = server->Feed(client->output().view(), kNow + 61min, &ignored);
  EXPECT_THAT(outcome.error().detail, HasSubstr("certificate expired at 2026-11-21T11:00:00Z"));
  EXPECT_TRUE(ignored.empty());
  const Outcome told = client->Feed(server->output().view(), kNow, &ignored);
  EXPECT_THAT(told.error().detail, HasSubstr("certificate expired"));
  EXPECT_TRUE(told.error().unseen);
}

TEST_F(Resumption, ASessionIsForgottenAfterTwoHours) {
  LeaveTicket(Open({.sni = "old"}));
  const Pair pair = Connect(web_, {.sni = "old"}, orders_, {}, kNow + 2h + 1min);
  EXPECT_EQ(pair.client->state(), State::kOpen);
  EXPECT_FALSE(pair.client->resumed());
}

TEST_F(Resumption, TheFirstContactLeavesNothingToResume) {
  const auto nobody = MustMakeContext(TestMesh::FirstContact());
  const ClientOptions options{.pinned_root_spki_sha256 = mesh_.authority().root_spki_sha256()};
  const ServerOptions optional{.require_client_certificate = false};
  for (int round = 0; round < 2; ++round) {
    Pair pair = Connect(nobody, options, orders_, optional);
    ASSERT_TRUE(pair.server->Write(AsBytes("x")).ok());
    pair.Exchange();
    EXPECT_EQ(pair.client->state(), State::kOpen);
    EXPECT_FALSE(pair.client->resumed());
  }
}

TEST_F(Resumption, TheStoreIsBounded) {
  for (int i = 0; i < 300; ++i) LeaveTicket(Open({.sni = "bounded-" + std::to_string(i)}));
  EXPECT_FALSE(Open({.sni = "bounded-0"}).client->resumed());  // the oldest had to go
  EXPECT_TRUE(Open({.sni = "bounded-299"}).client->resumed());
}

TEST_F(Records, OldSessionsGoOnWhenCredentialsAreRenewed) {
  Pair old = Open();
  std::shared_ptr<const Context> web = MustMakeContext(mesh_.Workload("default", "web", 1h));
  Pair on_old_context = Connect(web, {}, orders_, {});
  web = MustMakeContext(mesh_.WithId(mesh_.Id("default", "web"), kNow + 40min, 1h));  // the old one is gone but for its session
  const Pair on_new_context = Connect(web, {}, orders_, {}, kNow + 2h - 21min);
  EXPECT_EQ(on_new_context.client->state(), State::kOpen);
  // Expiry alone cuts nothing that is open.
  ASSERT_TRUE(on_old_context.client->Write(AsBytes("still here")).ok());
  EXPECT_TRUE(on_old_context.Exchange(kNow + 3h));
  EXPECT_EQ(on_old_context.at_server.text(), "still here");
}

TEST_F(Records, RootsRotateWithoutABreak) {
  const TestMesh next;  // the same trust domain, a new root
  const auto both = [&](Credentials credentials) {
    credentials.roots = {mesh_.authority().root(), next.authority().root()};
    return MustMakeContext(std::move(credentials));
  };
  const auto old_leaf = both(mesh_.Workload("default", "web")), new_leaf = both(next.Workload("default", "orders"));
  EXPECT_EQ(Connect(old_leaf, {}, new_leaf, {}).client->state(), State::kOpen);
  EXPECT_EQ(Connect(new_leaf, {}, old_leaf, {}).client->state(), State::kOpen);
  // When the old root is taken away, its leaves are refused: what was remembered about them does not count.
  const auto only_new = MustMakeContext(next.Workload("default", "orders"));
  EXPECT_THAT(Connect(old_leaf, {}, only_new, {}).server_outcome.error().detail, HasSubstr("does not lead to a root"));
}

}  // namespace
}  // namespace outrigger::tls
