#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/identity/identity_service.h"
#include "control/identity/secret.h"
#include "control/identity/tokens.h"
#include "control/identity/trust.h"
#include "proxy/tls/testing.h"
#include "test/sim/machine.h"
#include "test/sim/world.h"

namespace outrigger::control {
namespace {

using outrigger::v1::IssueCertificateRequest;
using outrigger::v1::IssueCertificateResponse;
using ::testing::HasSubstr;
using ::testing::Not;

class IdentityTest : public ::testing::Test {
 protected:
  IdentityTest() {
    EXPECT_TRUE(files().MakeFolder("/data", 0700).ok());
    Start();
    Declare("default", "orders-1", "orders");
    Declare("default", "web-1", "web");
  }

  void Start(Duration lifetime = 24h) {
    service_.reset();
    trust_.reset();
    auto trust = Trust::Open(&loop_, {"/data", "cluster.local", lifetime});
    ASSERT_TRUE(trust.ok()) << trust.error().detail;
    trust_ = std::move(*trust);
    auto tokens = TokenStore::Open(&files(), "/data/tokens.json");
    ASSERT_TRUE(tokens.ok()) << tokens.error().detail;
    tokens_.emplace(std::move(*tokens));
    service_.emplace(
        &loop_, trust_.get(), &*tokens_,
        [this](const ProxyId& id) -> const WorkloadInfo* {
          auto it = workloads_.find(id);
          return it == workloads_.end() ? nullptr : &it->second;
        },
        [this](LogLevel, std::string_view message, const LogFields& fields) {
          log_ += std::string(message);
          for (const auto& [name, value] : fields) log_ += " " + std::string(name) + "=" + value;
          log_ += "\n";
        });
  }

  void Declare(const std::string& name_space, const std::string& name, const std::string& account) {
    WorkloadInfo info;
    info.id = {name_space, name};
    info.service_account = account;
    info.identity = tls::WorkloadId("cluster.local", name_space, account);
    workloads_[info.id] = info;
  }

  std::string Token(const std::string& workload, Duration lifetime = 24h) {
    auto secret = tokens_->Create(workload, lifetime, world_.wall_now());
    EXPECT_TRUE(secret.ok());
    return *secret;
  }
  static Proof WithToken(const std::string& secret) { return {true, "", "Bearer " + secret}; }
  static Proof WithLeaf(const std::string& id) { return {true, id, ""}; }

  rpc::Status Issue(const Proof& proof, const std::string& workload) {
    auto key = tls::PrivateKey::Generate();
    auto csr = tls::MakeCertificateRequest(**key);
    IssueCertificateRequest request;
    request.set_csr_der(csr->data(), csr->size());
    request.set_workload(workload);
    response_.Clear();
    return service_->Issue(proof, request, &response_);
  }
  tls::CertificateInfo Leaf() { return *tls::ParseCertificate(AsBytes(response_.chain_der(0))); }

  net::Files& files() { return loop_.files(); }

  sim::World world_{1};
  sim::SimLoop& loop_ = world_.AddLoop("control");
  std::unique_ptr<Trust> trust_;
  std::optional<TokenStore> tokens_;
  std::optional<IdentityService> service_;
  std::map<ProxyId, WorkloadInfo> workloads_;
  IssueCertificateResponse response_;
  std::string log_;
};

// ---------------------------------------------------------------- first contact

TEST_F(IdentityTest, ATokenGetsTheCertificateOfItsWorkloadsServiceAccount) {
  ASSERT_TRUE(Issue(WithToken(Token("default/orders-1")), "default/orders-1").ok());
  EXPECT_EQ(Leaf().spiffe_id, "spiffe://cluster.local/ns/default/sa/orders");
  EXPECT_FALSE(Leaf().authority);
  EXPECT_EQ(Leaf().not_after, WallTime(std::chrono::seconds(response_.not_after_unix())));
  EXPECT_EQ(Leaf().not_after - world_.wall_now(), 24h);
  ASSERT_EQ(response_.roots_der_size(), 1);
  EXPECT_EQ(tls::Hex(AsBytes(*tls::SpkiSha256(AsBytes(response_.roots_der(0))))), trust_->root_spki_hex());
  EXPECT_EQ(response_.trust_domain(), "cluster.local");
  EXPECT_EQ(service_->Expiry({"default", "orders-1"}), Leaf().not_after);
}

TEST_F(IdentityTest, ATokenMayBeUsedAgainBecauseAnAnswerMayBeLost) {
  const Proof proof = WithToken(Token("default/orders-1"));
  EXPECT_TRUE(Issue(proof, "default/orders-1").ok());
  EXPECT_TRUE(Issue(proof, "default/orders-1").ok());
}

TEST_F(IdentityTest, AWrongTokenIsUnauthenticated) {
  Token("default/orders-1");
  EXPECT_EQ(Issue(WithToken(MakeSecret()), "default/orders-1").code, rpc::Code::kUnauthenticated);
  EXPECT_EQ(Issue(WithToken(""), "default/orders-1").code, rpc::Code::kUnauthenticated);
  EXPECT_EQ(Issue({true, "", "Basic abc"}, "default/orders-1").code, rpc::Code::kUnauthenticated);
  EXPECT_EQ(response_.chain_der_size(), 0);
}

TEST_F(IdentityTest, AnExpiredTokenIsUnauthenticatedAndTheReasonSaysWhatToDo) {
  const Proof proof = WithToken(Token("default/orders-1", 1min));
  world_.RunFor(61s);
  const rpc::Status status = Issue(proof, "default/orders-1");
  EXPECT_EQ(status.code, rpc::Code::kUnauthenticated);
  EXPECT_THAT(status.message, HasSubstr("expired"));
  EXPECT_THAT(status.message, HasSubstr("outrigger token create --workload default/orders-1"));
}

TEST_F(IdentityTest, ATokenOfAnotherWorkloadIsDenied) {
  EXPECT_EQ(Issue(WithToken(Token("default/web-1")), "default/orders-1").code, rpc::Code::kPermissionDenied);
}

TEST_F(IdentityTest, AWorkloadThatNobodyDeclaredIsNotFoundUntilItIsDeclared) {
  const Proof proof = WithToken(Token("default/new-1"));
  EXPECT_EQ(Issue(proof, "default/new-1").code, rpc::Code::kNotFound);
  Declare("default", "new-1", "default");
  EXPECT_TRUE(Issue(proof, "default/new-1").ok());
}

TEST_F(IdentityTest, NothingIsIssuedWithoutTls) {
  Proof proof = WithToken(Token("default/orders-1"));
  proof.secure = false;
  EXPECT_EQ(Issue(proof, "default/orders-1").code, rpc::Code::kUnauthenticated);
}

TEST_F(IdentityTest, NothingIsIssuedWithoutAnyProof) {
  EXPECT_EQ(Issue({true, "", ""}, "default/orders-1").code, rpc::Code::kUnauthenticated);
}

// ---------------------------------------------------------------- renewal

TEST_F(IdentityTest, ALeafOfTheWorkloadsServiceAccountRenews) {
  ASSERT_TRUE(Issue(WithLeaf("spiffe://cluster.local/ns/default/sa/orders"), "default/orders-1").ok());
  EXPECT_EQ(Leaf().spiffe_id, "spiffe://cluster.local/ns/default/sa/orders");
}

TEST_F(IdentityTest, ALeafOfAnotherServiceAccountDoesNot) {
  for (const char* other : {"spiffe://cluster.local/ns/default/sa/web", "spiffe://cluster.local/ns/other/sa/orders",
                            "spiffe://other.domain/ns/default/sa/orders", "spiffe://cluster.local/ns/outrigger-system/sa/control"}) {
    EXPECT_EQ(Issue(WithLeaf(other), "default/orders-1").code, rpc::Code::kPermissionDenied) << other;
  }
}

TEST_F(IdentityTest, AWrongTokenIsNotMadeGoodByALeaf) {
  Proof proof = WithLeaf("spiffe://cluster.local/ns/default/sa/orders");
  proof.authorization = "Bearer " + MakeSecret();
  EXPECT_EQ(Issue(proof, "default/orders-1").code, rpc::Code::kUnauthenticated);
}

TEST_F(IdentityTest, RenewalFollowsTheDeclaredServiceAccount) {
  Declare("default", "orders-1", "renamed");
  EXPECT_EQ(Issue(WithLeaf("spiffe://cluster.local/ns/default/sa/orders"), "default/orders-1").code, rpc::Code::kPermissionDenied);
  workloads_.erase({"default", "orders-1"});
  EXPECT_EQ(Issue(WithLeaf("spiffe://cluster.local/ns/default/sa/orders"), "default/orders-1").code, rpc::Code::kNotFound);
}

// ---------------------------------------------------------------- bad requests

TEST_F(IdentityTest, ABadRequestIsAnInvalidArgument) {
  const Proof proof = WithLeaf("spiffe://cluster.local/ns/default/sa/orders");
  for (const char* workload : {"", "orders-1", "/", "default/", "/orders-1", "default/orders-1/x", "Default/orders-1", "default/../x"}) {
    EXPECT_EQ(Issue(proof, workload).code, rpc::Code::kInvalidArgument) << workload;
  }
  IssueCertificateRequest request;
  request.set_workload("default/orders-1");
  request.set_csr_der("not a request");
  EXPECT_EQ(service_->Issue(proof, request, &response_).code, rpc::Code::kInvalidArgument);
}

TEST_F(IdentityTest, TheLogNamesTheWorkloadAndNeverTheSecret) {
  const std::string secret = Token("default/orders-1");
  Issue(WithToken(secret), "default/orders-1");
  Issue(WithToken(secret), "default/web-1");
  EXPECT_THAT(log_, HasSubstr("certificate issued workload=default/orders-1"));
  EXPECT_THAT(log_, HasSubstr("certificate refused workload=default/web-1"));
  EXPECT_THAT(log_, Not(HasSubstr(secret)));
}

TEST_F(IdentityTest, AShortLifetimeIsKept) {
  Start(10s);
  ASSERT_TRUE(Issue(WithToken(Token("default/orders-1")), "default/orders-1").ok());
  EXPECT_EQ(Leaf().not_after - world_.wall_now(), 10s);
}

// ---------------------------------------------------------------- what is kept

TEST_F(IdentityTest, ARestartKeepsTheRootAndTheTokens) {
  const std::string root = trust_->root_spki_hex();
  EXPECT_TRUE(trust_->created());
  const std::string secret = Token("default/orders-1");
  Start();
  EXPECT_FALSE(trust_->created());
  EXPECT_EQ(trust_->root_spki_hex(), root);
  EXPECT_TRUE(Issue(WithToken(secret), "default/orders-1").ok());
}

TEST_F(IdentityTest, KeysAndTokensAreForTheOwnerOnlyAndSecretsAreKeptAsHashes) {
  const std::string secret = Token("default/orders-1");
  EXPECT_EQ(*files().Mode("/data/authority.pem"), 0600u);
  EXPECT_EQ(*files().Mode("/data/tokens.json"), 0600u);
  EXPECT_THAT(*files().Read("/data/tokens.json"), Not(HasSubstr(secret)));
  EXPECT_THAT(*files().Read("/data/tokens.json"), HasSubstr(SecretHash(secret)));
  EXPECT_THAT(*files().Read("/data/root.pem"), Not(HasSubstr("PRIVATE")));
}

TEST_F(IdentityTest, ADamagedOrOpenRootIsAnErrorAndIsNeverReplaced) {
  const std::string good = *files().Read("/data/authority.pem");
  const auto refuses = [this](const std::string& contents, uint32_t mode) {
    EXPECT_TRUE(files().Replace("/data/authority.pem", contents, mode).ok());
    auto trust = Trust::Open(&loop_, {"/data", "cluster.local", 24h});
    EXPECT_EQ(*files().Read("/data/authority.pem"), contents);
    return trust.ok() ? std::string() : trust.error().detail;
  };
  EXPECT_THAT(refuses("", 0600), HasSubstr("damaged"));
  EXPECT_THAT(refuses(good.substr(0, good.size() / 2), 0600), HasSubstr("damaged"));
  EXPECT_THAT(refuses(good, 0644), HasSubstr("chmod 600"));
  EXPECT_EQ(refuses(good, 0600), "");
}

TEST_F(IdentityTest, AnotherTrustDomainsDataFolderIsRefused) {
  auto trust = Trust::Open(&loop_, {"/data", "other.domain", 24h});
  ASSERT_FALSE(trust.ok());
  EXPECT_THAT(trust.error().detail, HasSubstr("cluster.local"));
}

TEST_F(IdentityTest, AFullDiskMakesNoTokenAndKeepsTheOldOnes) {
  const std::string secret = Token("default/orders-1");
  loop_.process().machine().disk().SetCapacity(1);
  EXPECT_FALSE(tokens_->Create("default/web-1", 24h, world_.wall_now()).ok());
  loop_.process().machine().disk().SetCapacity(0);
  Start();
  EXPECT_EQ(tokens_->size(), 1u);
  EXPECT_EQ(tokens_->Check(secret, "default/orders-1", world_.wall_now()), TokenStore::Verdict::kGood);
}

TEST_F(IdentityTest, AFullDiskKeepsNoControlPlaneFromStartingAgain) {
  const std::string root = trust_->root_spki_hex();
  loop_.process().machine().disk().SetCapacity(1);
  ASSERT_FALSE(files().Replace("/data/probe", "full?", 0600).ok());
  const auto trust = Trust::Open(&loop_, {"/data", "cluster.local", 24h});
  ASSERT_TRUE(trust.ok()) << trust.error().detail;
  EXPECT_EQ((*trust)->root_spki_hex(), root);
}

TEST_F(IdentityTest, ARootFileThatIsGoneOrWrongIsWrittenAnew) {
  const std::string root = *files().Read("/data/root.pem");
  ASSERT_TRUE(files().Replace("/data/root.pem", "another", 0644).ok());
  ASSERT_TRUE(Trust::Open(&loop_, {"/data", "cluster.local", 24h}).ok());
  EXPECT_EQ(*files().Read("/data/root.pem"), root);
  ASSERT_TRUE(files().Remove("/data/root.pem").ok());
  ASSERT_TRUE(Trust::Open(&loop_, {"/data", "cluster.local", 24h}).ok());
  EXPECT_EQ(*files().Read("/data/root.pem"), root);
}

TEST_F(IdentityTest, ADamagedTokenFileIsAnErrorThatSaysWhatToDo) {
  for (const char* text : {"", "{", "[]", "{\"tokens\": 1}", "{\"tokens\": [1]}", "{\"tokens\": [{\"sha256\": 1}]}"}) {
    ASSERT_TRUE(files().Replace("/data/tokens.json", text, 0600).ok());
    auto tokens = TokenStore::Open(&files(), "/data/tokens.json");
    ASSERT_FALSE(tokens.ok()) << text;
    EXPECT_THAT(tokens.error().detail, HasSubstr("create new join tokens"));
  }
}

TEST_F(IdentityTest, TokenLifetimesAreBounded) {
  EXPECT_FALSE(tokens_->Create("default/orders-1", 0s, world_.wall_now()).ok());
  EXPECT_FALSE(tokens_->Create("default/orders-1", 24h * 366, world_.wall_now()).ok());
}

// ---------------------------------------------------------------- the control plane's own certificate

TEST_F(IdentityTest, TheServingCertificateIsTheControlPlanesAndBringsTheRootAlong) {
  EXPECT_EQ(trust_->context()->own_id(), "spiffe://cluster.local/ns/outrigger-system/sa/control");
  ASSERT_EQ(trust_->context()->credentials().chain.size(), 2u);
  EXPECT_EQ(trust_->context()->credentials().chain[1], trust_->authority().root());
}

TEST_F(IdentityTest, TheServingCertificateIsRenewedAtTwoThirdsOfItsLife) {
  Start(9s);
  const auto first = trust_->context();
  world_.RunFor(5900ms);
  EXPECT_EQ(trust_->context(), first);
  world_.RunFor(200ms);
  EXPECT_NE(trust_->context(), first);
  EXPECT_GT(trust_->context()->not_after(), first->not_after());
}

TEST_F(IdentityTest, ATokenIsAllAClientNeedsToVerifyTheControlPlane) {
  tls::Credentials none;
  none.trust_domain = "cluster.local";
  auto client_context = tls::MakeContext(tls::testing::TestMesh::FirstContact());
  ASSERT_TRUE(client_context.ok()) << client_context.error().detail;
  tls::ClientOptions options;
  options.alpn = {"h2"};
  options.pinned_root_spki_sha256 = trust_->authority().root_spki_sha256();
  tls::ServerOptions server;
  server.alpn = {"h2"};
  server.require_client_certificate = false;
  auto good = tls::testing::Connect(*client_context, options, trust_->context(), server, world_.wall_now());
  EXPECT_EQ(good.client->state(), tls::Session::State::kOpen);
  EXPECT_EQ(good.client->peer().spiffe_id, "spiffe://cluster.local/ns/outrigger-system/sa/control");

  options.pinned_root_spki_sha256 = std::string(32, 'x');
  auto bad = tls::testing::Connect(*client_context, options, trust_->context(), server, world_.wall_now());
  EXPECT_EQ(bad.client->state(), tls::Session::State::kFailed);
}

TEST(MakeSecret, IsLongPrintableAndNeverTheSame) {
  const std::string a = MakeSecret(), b = MakeSecret();
  EXPECT_EQ(a.size(), 43u);
  EXPECT_NE(a, b);
  EXPECT_EQ(a.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), std::string::npos);
}

TEST(SecretsEqual, ComparesWholeStrings) {
  EXPECT_TRUE(SecretsEqual("abc", "abc"));
  EXPECT_FALSE(SecretsEqual("abc", "abd"));
  EXPECT_FALSE(SecretsEqual("abc", "abcd"));
  EXPECT_FALSE(SecretsEqual("", "a"));
}

}  // namespace
}  // namespace outrigger::control
