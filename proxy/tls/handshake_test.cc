// Who may talk to whom: every way in which a handshake must succeed or fail, and what each side is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>

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

// Certificates that the root did sign, but that are no X509-SVIDs. MakeContext would not take them, so they are told apart by the peer:
// the server is played by BoringSSL itself.
struct OddCase {
  const char* name;
  void (*change)(CertificateSpec*);
  const char* reason;
};

class OddCertificate : public ::testing::TestWithParam<OddCase> {};

// Plays a server with any chain until it has nothing more to say; true when it thinks that it is through.
class RawServer {
 public:
  RawServer(const Credentials& credentials, uint16_t max_version) : ctx_(SSL_CTX_new(TLS_method())) {
    SSL_CTX_set_max_proto_version(ctx_.get(), max_version);
    std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> owned;
    std::vector<CRYPTO_BUFFER*> chain;
    for (const Der& der : credentials.chain) {
      owned.emplace_back(CRYPTO_BUFFER_new(der.data(), der.size(), nullptr));
      chain.push_back(owned.back().get());
    }
    EXPECT_TRUE(SSL_CTX_set_chain_and_key(ctx_.get(), chain.data(), chain.size(), credentials.key->get(), nullptr));
    ssl_.reset(SSL_new(ctx_.get()));
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_accept_state(ssl_.get());
  }

  // Takes what the session has to send, gives back what this end answers.
  std::string Answer(Buffer* from) {
    BIO_write(in_, from->view().data(), static_cast<int>(from->size()));
    from->Clear();
    SSL_do_handshake(ssl_.get());
    const uint8_t* data = nullptr;
    size_t size = 0;
    BIO_mem_contents(out_, &data, &size);
    std::string answer(AsText({data, size}));
    BIO_reset(out_);
    return answer;
  }

 private:
  bssl::UniquePtr<SSL_CTX> ctx_;
  bssl::UniquePtr<SSL> ssl_;
  BIO* in_;   // owned by ssl_
  BIO* out_;
};

Outcome MeetRaw(Session* session, RawServer* server) {
  Buffer ignored;
  Outcome outcome = session->Feed({}, kNow, &ignored);
  while (outcome.ok() && !session->output().empty()) {
    const std::string answer = server->Answer(&session->output());
    outcome = session->Feed(AsBytes(answer), kNow, &ignored);
  }
  return outcome;
}

TEST_P(OddCertificate, IsRefused) {
  const TestMesh mesh;
  RawServer server(mesh.Odd(GetParam().change), TLS1_3_VERSION);
  const auto client = MakeClient(MustMakeContext(mesh.Workload("default", "web")), {});
  const Outcome outcome = MeetRaw(client.get(), &server);
  ASSERT_FALSE(outcome.ok());
  EXPECT_THAT(outcome.error().detail, HasSubstr(GetParam().reason));
}

TEST_P(OddCertificate, CannotBeOurs) {
  const TestMesh mesh;
  const auto context = MakeContext(mesh.Odd(GetParam().change));
  ASSERT_FALSE(context.ok());
  EXPECT_EQ(context.error().code, ErrorCode::kTls);
  EXPECT_THAT(context.error().detail, HasSubstr(GetParam().reason));
}

INSTANTIATE_TEST_SUITE_P(
    All, OddCertificate,
    ::testing::Values(
        OddCase{"TwoUriNames", [](CertificateSpec* s) { s->uris.push_back("spiffe://cluster.local/ns/default/sa/other"); },
                "carries 2 URI names, exactly one is allowed"},
        OddCase{"TwiceTheSameUriName", [](CertificateSpec* s) { s->uris.push_back(s->uris[0]); }, "carries 2 URI names"},
        OddCase{"NoUriName", [](CertificateSpec* s) { s->uris.clear(), s->dns_names = {"orders"}; }, "carries no SPIFFE id"},
        OddCase{"NoNameAtAll", [](CertificateSpec* s) { s->uris.clear(), s->common_name = "orders"; }, "carries no SPIFFE id"},
        OddCase{"NotSpiffe", [](CertificateSpec* s) { s->uris = {"https://cluster.local/ns/default/sa/web"}; }, "is not a SPIFFE id"},
        OddCase{"NoPath", [](CertificateSpec* s) { s->uris = {"spiffe://cluster.local"}; }, "names a trust domain, not a workload"},
        OddCase{"CertificateAuthority", [](CertificateSpec* s) { s->authority = true; }, "is a CA's, not a workload's"},
        OddCase{"MaySignCertificates", [](CertificateSpec* s) { s->certificate_sign = true; }, "may sign certificates"},
        OddCase{"NoDigitalSignature", [](CertificateSpec* s) { s->digital_signature = false; }, "lacks the critical key usage"},
        OddCase{"KeyUsageNotCritical", [](CertificateSpec* s) { s->key_usage_critical = false; }, "lacks the critical key usage"},
        OddCase{"OnlyForServers", [](CertificateSpec* s) { s->client_auth = false; }, "is not for both server and client"},
        OddCase{"OnlyForClients", [](CertificateSpec* s) { s->server_auth = false; }, "is not for both server and client"}),
    [](const auto& test) { return test.param.name; });

TEST_F(Handshake, AGoodCertificateOfTheSameMakingIsAccepted) {  // so that the cases above fail for their own reason
  RawServer server(mesh_.Odd([](CertificateSpec*) {}), TLS1_3_VERSION);
  const auto client = MakeClient(MustMakeContext(mesh_.Workload("default", "web")), {});
  EXPECT_EQ(MeetRaw(client.get(), &server).error().ToString(), "ok");
  EXPECT_EQ(client->state(), State::kOpen);
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

// First contact: the workload has no identity and no roots, only the pin that came with its token.
class FirstContact : public Handshake {
 protected:
  Pair Contact(const Credentials& control, std::string pin, bool require_client = false, WallTime now = kNow) {
    return Connect(MustMakeContext(TestMesh::FirstContact()), {.alpn = {"h2"}, .pinned_root_spki_sha256 = std::move(pin)},
                   MustMakeContext(control), {.alpn = {"h2"}, .require_client_certificate = require_client}, now);
  }
  const Credentials control_ = mesh_.Workload("outrigger-system", "control");
};

TEST_F(FirstContact, ThePinnedRootIsEnough) {
  const Pair pair = Contact(control_, mesh_.authority().root_spki_sha256());
  EXPECT_EQ(pair.client_outcome.error().ToString(), "ok");
  EXPECT_EQ(pair.client->peer().spiffe_id, "spiffe://cluster.local/ns/outrigger-system/sa/control");
  EXPECT_EQ(pair.server->state(), State::kOpen);
  EXPECT_EQ(pair.server->peer().spiffe_id, "");
}

TEST_F(FirstContact, AnotherRootIsRefused) {
  const Pair pair = Contact(control_, foreign_.authority().root_spki_sha256());
  EXPECT_THAT(pair.client_outcome.error().detail, HasSubstr("is the root that the token pins"));
}

TEST_F(FirstContact, ThePinnedRootMustHaveSignedTheLeaf) {
  Credentials liar = mesh_.Workload("outrigger-system", "control");
  const TestMesh real;
  liar.chain[1] = real.authority().root();  // shows the right root, but its leaf is another's
  RawServer server(liar, TLS1_3_VERSION);
  const auto client = MakeClient(MustMakeContext(TestMesh::FirstContact()),
                                 {.pinned_root_spki_sha256 = real.authority().root_spki_sha256()});
  EXPECT_THAT(MeetRaw(client.get(), &server).error().detail, HasSubstr("does not lead to a root"));
}

TEST_F(FirstContact, AServerThatHidesItsRootIsRefused) {
  Credentials control = control_;
  control.chain.pop_back();
  const Pair pair = Contact(control, mesh_.authority().root_spki_sha256());
  EXPECT_THAT(pair.client_outcome.error().detail, HasSubstr("is the root that the token pins"));
}

TEST_F(FirstContact, ThePinnedLeafItselfIsNoRoot) {
  const Pair pair = Contact(control_, *SpkiSha256(control_.chain[0]));
  EXPECT_THAT(pair.client_outcome.error().detail, HasSubstr("is the root that the token pins"));
}

TEST_F(FirstContact, AnExpiredServerIsRefusedAllTheSame) {
  const Pair pair = Contact(control_, mesh_.authority().root_spki_sha256(), false, kNow + 25h);
  EXPECT_THAT(pair.client_outcome.error().detail, HasSubstr("certificate expired at"));
}

TEST_F(FirstContact, WithoutPinAndRootsNobodyIsTrusted) {
  const Pair pair = Contact(control_, "");
  EXPECT_THAT(pair.client_outcome.error().detail, HasSubstr("no roots to verify the peer with"));
}

TEST_F(FirstContact, ThePortForWorkloadsAsksForACertificate) {
  const Pair pair = Contact(control_, mesh_.authority().root_spki_sha256(), true);
  EXPECT_THAT(pair.server_outcome.error().detail, HasSubstr("peer showed no certificate"));
}

TEST_F(FirstContact, AnOptionalCertificateIsVerifiedWhenItIsShown) {
  const auto control = MustMakeContext(control_);
  const ServerOptions optional{.require_client_certificate = false};
  const Pair good = Connect(MustMakeContext(mesh_.Workload("default", "web")), {}, control, optional);
  EXPECT_EQ(good.server->peer().spiffe_id, mesh_.Id("default", "web"));
  Credentials stranger = foreign_.Workload("default", "web");
  stranger.trust_domain = "";
  const TestMesh double_ganger;
  Credentials client = double_ganger.Workload("default", "web");
  client.roots.push_back(mesh_.authority().root());
  const Pair bad = Connect(MustMakeContext(std::move(client)), {}, control, optional);
  EXPECT_EQ(bad.server->state(), State::kFailed);
}

TEST(MakeContext, RefusesAKeyThatIsNotTheLeafs) {
  const TestMesh mesh;
  Credentials credentials = mesh.Workload("default", "web");
  credentials.key = *PrivateKey::Generate();
  EXPECT_THAT(MakeContext(credentials).error().detail, HasSubstr("private key does not belong to the certificate of"));
}

TEST(MakeContext, RefusesALeafThatItsOwnRootsDoNotVouchFor) {
  const TestMesh mesh, other;
  Credentials credentials = mesh.Workload("default", "web");
  credentials.roots = {other.authority().root()};
  credentials.chain.pop_back();
  EXPECT_THAT(MakeContext(credentials).error().detail, HasSubstr("own credentials do not fit together"));
}

TEST(MakeContext, RefusesALeafOfAnotherTrustDomain) {
  const TestMesh mesh;
  Credentials credentials = mesh.Workload("default", "web");
  credentials.trust_domain = "other.org";
  EXPECT_THAT(MakeContext(credentials).error().detail, HasSubstr("expected one of trust domain other.org"));
}

TEST(MakeContext, RefusesALeafAmongTheRoots) {
  const TestMesh mesh;
  Credentials credentials = mesh.Workload("default", "web");
  credentials.roots.push_back(credentials.chain[0]);
  EXPECT_THAT(MakeContext(credentials).error().detail, HasSubstr("may sign certificates"));
}

TEST(MakeContext, RefusesACertificateWithoutKey) {
  const TestMesh mesh;
  Credentials credentials = mesh.Workload("default", "web");
  credentials.key = nullptr;
  EXPECT_THAT(MakeContext(credentials).error().detail, HasSubstr("without its private key"));
}

TEST(MakeContext, TellsWhoItIsAndForHowLong) {
  const TestMesh mesh;
  const auto context = MustMakeContext(mesh.Workload("default", "web", 1h));
  EXPECT_EQ(context->own_id(), mesh.Id("default", "web"));
  EXPECT_EQ(context->not_before(), kNow - kLeafBackdate);
  EXPECT_EQ(context->not_after(), kNow + 1h);
}

}  // namespace
}  // namespace outrigger::tls
