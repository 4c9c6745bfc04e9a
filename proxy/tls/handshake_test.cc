// Who may talk to whom: every way in which a handshake must succeed or fail, and what each side is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>

#include "proxy/tls/raw_server.h"
#include "proxy/tls/testing.h"

namespace outrigger::tls {
namespace {

using ::testing::HasSubstr;
using testing::Connect;
using testing::kNow;
using testing::MeetRaw;
using testing::MustMakeContext;
using testing::Pair;
using testing::RawServer;
using testing::TestMesh;
using State = Session::State;

class Handshake : public ::testing::Test {
 protected:
  // What the connection of `client` to `server` comes to when neither asks for anything special.
  Pair Meet(Credentials client, Credentials server, WallTime now = kNow) {
    return Connect(MustMakeContext(std::move(client)), {}, MustMakeContext(std::move(server)), {}, now);
  }

  const TestMesh mesh_;
  const TestMesh foreign_{"other.org"};
};

TEST_F(Handshake, TwoWorkloadsLearnWhoTheOtherIs) {
  const Credentials web = mesh_.Workload("default", "web"), orders = mesh_.Workload("default", "orders");
  Pair pair = Connect(MustMakeContext(web),
                      {.sni = "80.orders.default.svc.outrigger.internal",
                       .alpn = {"h2", "http/1.1"},
                       .accepted_ids = {mesh_.Id("default", "orders")}},
                      MustMakeContext(orders), {.alpn = {"h2", "http/1.1"}});
  EXPECT_EQ(pair.client_outcome.error().ToString(), "ok");
  EXPECT_EQ(pair.server_outcome.error().ToString(), "ok");
  EXPECT_EQ(pair.client->state(), State::kOpen);
  EXPECT_EQ(pair.server->state(), State::kOpen);
  EXPECT_EQ(pair.client->peer().spiffe_id, "spiffe://cluster.local/ns/default/sa/orders");
  EXPECT_EQ(pair.server->peer().spiffe_id, "spiffe://cluster.local/ns/default/sa/web");
  EXPECT_EQ(pair.client->peer().not_after, kNow + kDefaultLeafLifetime);
  EXPECT_EQ(pair.client->peer().leaf_sha256_hex, Hex(AsBytes(Sha256(orders.chain[0]))));
  EXPECT_EQ(pair.client->alpn(), "h2");
  EXPECT_EQ(pair.server->alpn(), "h2");
  EXPECT_EQ(pair.server->sni(), "80.orders.default.svc.outrigger.internal");
  EXPECT_FALSE(pair.client->resumed());
}

TEST_F(Handshake, TheServersPreferenceDecidesTheProtocol) {
  const auto context = MustMakeContext(mesh_.Workload("default", "web"));
  const Pair pair = Connect(context, {.alpn = {"h2", "http/1.1", "outrigger-tcp"}}, context, {.alpn = {"outrigger-tcp", "http/1.1"}});
  EXPECT_EQ(pair.client->alpn(), "outrigger-tcp");
  EXPECT_EQ(pair.server->alpn(), "outrigger-tcp");
}

TEST_F(Handshake, NoProtocolInCommonFailsBothSidesWithTheReason) {
  const auto context = MustMakeContext(mesh_.Workload("default", "web"));
  const Pair pair = Connect(context, {.alpn = {"h2"}}, context, {.alpn = {"http/1.1", "outrigger-tcp"}});
  EXPECT_EQ(pair.server_outcome.error().code, ErrorCode::kTls);
  EXPECT_THAT(pair.server_outcome.error().detail, HasSubstr("no application protocol (ALPN) in common, we speak http/1.1, outrigger-tcp"));
  EXPECT_THAT(pair.client_outcome.error().detail, HasSubstr("no application protocol"));
  EXPECT_TRUE(pair.client_outcome.error().unseen);
}

TEST_F(Handshake, AClientThatOffersNoProtocolGetsNone) {
  const auto context = MustMakeContext(mesh_.Workload("default", "web"));
  const Pair pair = Connect(context, {}, context, {.alpn = {"h2"}});
  EXPECT_EQ(pair.server->state(), State::kOpen);
  EXPECT_EQ(pair.server->alpn(), "");
}

TEST_F(Handshake, AServerWithoutPreferenceAgreesOnNone) {
  const auto context = MustMakeContext(mesh_.Workload("default", "web"));
  const Pair pair = Connect(context, {.alpn = {"h2"}}, context, {});
  EXPECT_EQ(pair.client->state(), State::kOpen);
  EXPECT_EQ(pair.client->alpn(), "");
}

TEST_F(Handshake, ACalleeThatIsSomebodyElseIsRefusedByName) {
  const auto context = MustMakeContext(mesh_.Workload("default", "web"));
  const auto impostor = MustMakeContext(mesh_.Workload("default", "impostor"));
  const Pair pair = Connect(context, {.accepted_ids = {mesh_.Id("default", "orders")}}, impostor, {});
  const Error& error = pair.client_outcome.error();
  EXPECT_EQ(error.code, ErrorCode::kTls);
  EXPECT_EQ(error.fault, Fault::kUpstream);
  EXPECT_TRUE(error.unseen);
  EXPECT_THAT(error.detail,
              HasSubstr("peer is spiffe://cluster.local/ns/default/sa/impostor, expected spiffe://cluster.local/ns/default/sa/orders"));
  EXPECT_THAT(pair.server_outcome.error().detail, HasSubstr("peer refused with TLS alert 'access denied'"));
  EXPECT_EQ(pair.server_outcome.error().fault, Fault::kDownstream);
  EXPECT_EQ(pair.client->state(), State::kFailed);
  EXPECT_EQ(pair.server->state(), State::kFailed);
}

TEST_F(Handshake, AnyOfSeveralAcceptedIdsWillDo) {
  const auto context = MustMakeContext(mesh_.Workload("default", "web"));
  const Pair pair = Connect(context, {.accepted_ids = {mesh_.Id("default", "orders"), mesh_.Id("default", "web")}}, context, {});
  EXPECT_EQ(pair.client->state(), State::kOpen);
}

TEST_F(Handshake, AnotherTrustDomainIsRefused) {
  const Pair pair = Meet(mesh_.Workload("default", "web"), foreign_.Workload("default", "orders"));
  EXPECT_THAT(pair.client_outcome.error().detail,
              HasSubstr("peer is spiffe://other.org/ns/default/sa/orders, expected one of trust domain cluster.local"));
  EXPECT_FALSE(pair.server_outcome.ok());
}

TEST_F(Handshake, OurTrustDomainsNameSignedByAnotherRootIsRefused) {
  const TestMesh double_ganger;
  const Pair pair = Meet(mesh_.Workload("default", "web"), double_ganger.Workload("default", "orders"));
  EXPECT_THAT(pair.client_outcome.error().detail, HasSubstr("certificate does not lead to a root of cluster.local that we trust"));
  EXPECT_THAT(pair.server_outcome.error().detail, HasSubstr("unknown CA"));
}

TEST_F(Handshake, TheServerRefusesAClientSignedByAnotherRoot) {
  const TestMesh double_ganger;
  Credentials client = double_ganger.Workload("default", "web");
  client.roots = {double_ganger.authority().root(), mesh_.authority().root()};  // so that it accepts the server
  Credentials server = mesh_.Workload("default", "orders");
  const Pair pair = Meet(std::move(client), std::move(server));
  EXPECT_THAT(pair.server_outcome.error().detail, HasSubstr("certificate does not lead to a root"));
  EXPECT_EQ(pair.server->state(), State::kFailed);
  // In TLS 1.3 the client is through before the server has looked: it learns by alert, and knows that nothing it sent was read.
  EXPECT_EQ(pair.client->state(), State::kFailed);
  EXPECT_THAT(pair.client_outcome.error().detail, HasSubstr("peer refused with TLS alert 'unknown CA'"));
  EXPECT_TRUE(pair.client_outcome.error().unseen);
}

TEST_F(Handshake, AnExpiredCertificateIsRefusedWithItsDate) {
  const Credentials web = mesh_.Workload("default", "web", 48h);
  const Pair pair = Meet(web, mesh_.Workload("default", "orders", 1h), kNow + 2h);
  EXPECT_THAT(pair.client_outcome.error().detail, HasSubstr("certificate expired at 2026-11-21T11:00:00Z"));
  EXPECT_THAT(pair.server_outcome.error().detail, HasSubstr("certificate expired"));
}

TEST_F(Handshake, ACertificateIsGoodUpToItsLastSecond) {
  const auto web = MustMakeContext(mesh_.Workload("default", "web"));
  const auto orders = MustMakeContext(mesh_.Workload("default", "orders", 1h));
  EXPECT_EQ(Connect(web, {}, orders, {}, kNow + 1h - 1s).client->state(), State::kOpen);
  // The chain was remembered, and is looked at again.
  EXPECT_EQ(Connect(web, {}, orders, {}, kNow + 1h).client->state(), State::kFailed);
}

TEST_F(Handshake, ACertificateThatIsNotYetValidIsRefused) {
  const Pair pair = Meet(mesh_.Workload("default", "web"), mesh_.WithId(mesh_.Id("default", "orders"), kNow + 2h));
  EXPECT_THAT(pair.client_outcome.error().detail, HasSubstr("certificate is not valid before 2026-11-21T11:59:00Z"));
}

TEST_F(Handshake, AClientWithoutCertificateIsRefused) {
  Credentials nobody;
  nobody.roots = {mesh_.authority().root()};
  nobody.trust_domain = "cluster.local";
  const Pair pair = Meet(std::move(nobody), mesh_.Workload("default", "orders"));
  EXPECT_THAT(pair.server_outcome.error().detail, HasSubstr("peer showed no certificate"));
  EXPECT_EQ(pair.client->state(), State::kFailed);
  EXPECT_TRUE(pair.client_outcome.error().unseen);
}

TEST_F(Handshake, AServerWithoutCertificateSaysSo) {
  const Pair pair = Meet(mesh_.Workload("default", "web"), TestMesh::FirstContact());
  EXPECT_THAT(pair.server_outcome.error().detail, HasSubstr("we have no certificate to show"));
}

TEST_F(Handshake, ASelfSignedLeafIsRefused) {
  Credentials self = mesh_.Odd([](CertificateSpec*) {});
  CertificateSpec spec;
  spec.uris = {mesh_.Id("default", "orders")};
  spec.not_before = kNow - 1h;
  spec.not_after = kNow + 1h;
  self.chain = {*BuildCertificate(spec, self.key->get(), {.certificate = nullptr, .key = self.key.get()})};
  RawServer server(self, TLS1_3_VERSION);
  const auto client = MakeClient(MustMakeContext(mesh_.Workload("default", "web")), {});
  EXPECT_THAT(MeetRaw(client.get(), &server).error().detail, HasSubstr("certificate does not lead to a root"));
}

TEST_F(Handshake, AServerOfTls12IsRefused) {
  RawServer server(mesh_.Workload("default", "orders"), TLS1_2_VERSION);
  const auto client = MakeClient(MustMakeContext(mesh_.Workload("default", "web")), {});
  const Outcome outcome = MeetRaw(client.get(), &server);
  ASSERT_FALSE(outcome.ok());
  EXPECT_THAT(outcome.error().detail, HasSubstr("protocol version"));
}

TEST_F(Handshake, AServerThatInsistsOnTheHybridKeyExchangeGetsIt) {
  const uint16_t hybrid = SSL_GROUP_X25519_MLKEM768;
  RawServer server(mesh_.Workload("default", "orders"), TLS1_3_VERSION, &hybrid);
  const auto client = MakeClient(MustMakeContext(mesh_.Workload("default", "web")), {});
  EXPECT_EQ(MeetRaw(client.get(), &server).error().ToString(), "ok");
  EXPECT_EQ(client->state(), State::kOpen);
}

TEST_F(Handshake, AClientOfTls12IsRefused) {
  bssl::UniquePtr<SSL_CTX> ctx(SSL_CTX_new(TLS_method()));
  SSL_CTX_set_max_proto_version(ctx.get(), TLS1_2_VERSION);
  bssl::UniquePtr<SSL> ssl(SSL_new(ctx.get()));
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), in, out);
  SSL_set_connect_state(ssl.get());
  SSL_do_handshake(ssl.get());
  const uint8_t* hello = nullptr;
  size_t size = 0;
  ASSERT_TRUE(BIO_mem_contents(out, &hello, &size));
  ASSERT_GT(size, 0u);
  const auto server = MakeServer(MustMakeContext(mesh_.Workload("default", "orders")), {});
  Buffer ignored;
  const Outcome outcome = server->Feed({hello, size}, kNow, &ignored);
  ASSERT_FALSE(outcome.ok());
  EXPECT_THAT(outcome.error().detail, HasSubstr("peer does not speak TLS 1.3"));
  EXPECT_FALSE(server->output().empty());  // the alert
}

TEST_F(Handshake, PlainHttpOnATlsPortIsNamed) {
  const auto server = MakeServer(MustMakeContext(mesh_.Workload("default", "orders")), {});
  Buffer ignored;
  const Outcome outcome = server->Feed(AsBytes("GET / HTTP/1.1\r\nHost: orders\r\n\r\n"), kNow, &ignored);
  EXPECT_THAT(outcome.error().detail, HasSubstr("plain HTTP where TLS is expected"));
}

TEST_F(Handshake, GarbageFailsAndStaysFailed) {
  const auto server = MakeServer(MustMakeContext(mesh_.Workload("default", "orders")), {});
  Buffer ignored;
  const std::string garbage(100, '\x7f');
  const Outcome first = server->Feed(AsBytes(garbage), kNow, &ignored);
  ASSERT_FALSE(first.ok());
  EXPECT_EQ(server->Feed(AsBytes(garbage), kNow, &ignored).error().detail, first.error().detail);
  EXPECT_FALSE(server->Write(AsBytes("x")).ok());
}

TEST_F(Handshake, AnUnspeakableServerNameFailsWithAReason) {
  const auto client = MakeClient(MustMakeContext(mesh_.Workload("default", "web")), {.sni = std::string(300, 'a')});
  Buffer ignored;
  EXPECT_THAT(client->Feed({}, kNow, &ignored).error().detail, HasSubstr("server name"));
}

}  // namespace
}  // namespace outrigger::tls
