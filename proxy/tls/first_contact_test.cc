// First contact: the workload has no identity and no roots, only the pin that came with its token.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

class FirstContact : public ::testing::Test {
 protected:
  Pair Contact(const Credentials& control, std::string pin, bool require_client = false, WallTime now = kNow) {
    return Connect(MustMakeContext(TestMesh::FirstContact()), {.alpn = {"h2"}, .pinned_root_spki_sha256 = std::move(pin)},
                   MustMakeContext(control), {.alpn = {"h2"}, .require_client_certificate = require_client}, now);
  }
  const TestMesh mesh_;
  const TestMesh foreign_{"other.org"};
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

}  // namespace
}  // namespace outrigger::tls
