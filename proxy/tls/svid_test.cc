// Certificates that the root did sign, but that are no X509-SVIDs: no peer of ours takes them, and none of ours can be one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/tls/raw_server.h"
#include "proxy/tls/testing.h"

namespace outrigger::tls {
namespace {

using ::testing::HasSubstr;
using testing::kNow;
using testing::MeetRaw;
using testing::MustMakeContext;
using testing::RawServer;
using testing::TestMesh;

struct OddCase {
  const char* name;
  void (*change)(CertificateSpec*);
  const char* reason;
};

class OddCertificate : public ::testing::TestWithParam<OddCase> {};

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

TEST(OddCertificateControl, AGoodOneOfTheSameMakingIsAccepted) {  // so that the cases above fail for their own reason
  const TestMesh mesh;
  RawServer server(mesh.Odd([](CertificateSpec*) {}), TLS1_3_VERSION);
  const auto client = MakeClient(MustMakeContext(mesh.Workload("default", "web")), {});
  EXPECT_EQ(MeetRaw(client.get(), &server).error().ToString(), "ok");
  EXPECT_EQ(client->state(), Session::State::kOpen);
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
