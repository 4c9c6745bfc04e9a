// Keys, certificates and what the authority signs.
#include "proxy/tls/authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/tls/certificate_builder.h"
#include "proxy/tls/testing.h"

namespace outrigger::tls {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::kNow;

class AuthorityTest : public ::testing::Test {
 protected:
  Result<Der> Sign(std::string_view id, Duration lifetime = kDefaultLeafLifetime, WallTime now = kNow) const {
    return authority_->Sign(request_, id, now, lifetime);
  }

  const std::shared_ptr<const Authority> authority_ = *Authority::Create("cluster.local", kNow);
  const std::shared_ptr<const PrivateKey> key_ = *PrivateKey::Generate();
  const Der request_ = *MakeCertificateRequest(*key_);
};

TEST_F(AuthorityTest, TheRootIsTheTrustDomainsForTenYears) {
  const CertificateInfo root = *ParseCertificate(authority_->root());
  EXPECT_EQ(root.spiffe_id, "spiffe://cluster.local");
  EXPECT_TRUE(root.authority);
  EXPECT_EQ(root.not_before, kNow - 1min);
  EXPECT_EQ(root.not_after, kNow + kDefaultRootLifetime);
  EXPECT_EQ(authority_->root_spki_sha256(), *SpkiSha256(authority_->root()));
}

TEST_F(AuthorityTest, SignsTheIdItIsToldForADay) {
  const CertificateInfo leaf = *ParseCertificate(*Sign("spiffe://cluster.local/ns/default/sa/web"));
  EXPECT_EQ(leaf.spiffe_id, "spiffe://cluster.local/ns/default/sa/web");
  EXPECT_FALSE(leaf.authority);
  EXPECT_EQ(leaf.not_before, kNow - 1min);
  EXPECT_EQ(leaf.not_after, kNow + 24h);
  EXPECT_EQ(leaf.serial_hex.size(), 32u);
  EXPECT_EQ(leaf.sha256_hex.size(), 64u);
}

TEST_F(AuthorityTest, BindsTheKeyOfTheRequest) {
  EXPECT_EQ(*SpkiSha256(*Sign("spiffe://cluster.local/ns/default/sa/web")), key_->SpkiSha256());
}

TEST_F(AuthorityTest, EachCertificateHasItsOwnSerial) {
  const std::string id = "spiffe://cluster.local/ns/default/sa/web";
  EXPECT_NE(ParseCertificate(*Sign(id))->serial_hex, ParseCertificate(*Sign(id))->serial_hex);
}

TEST_F(AuthorityTest, NoLeafOutlivesTheRoot) {
  const auto brief = *Authority::Create("cluster.local", kNow, 1h);
  const CertificateInfo leaf = *ParseCertificate(*brief->Sign(request_, "spiffe://cluster.local/ns/default/sa/web", kNow));
  EXPECT_EQ(leaf.not_after, kNow + 1h);
  const Result<Der> late = brief->Sign(request_, "spiffe://cluster.local/ns/default/sa/web", kNow + 1h);
  ASSERT_FALSE(late.ok());
  EXPECT_THAT(late.error().detail, HasSubstr("the root is valid from"));
}

TEST_F(AuthorityTest, RefusesIdsThatAreNotItsOwn) {
  EXPECT_THAT(Sign("spiffe://other.org/ns/default/sa/web").error().detail, HasSubstr("is not of trust domain cluster.local"));
  EXPECT_THAT(Sign("spiffe://cluster.local").error().detail, HasSubstr("names the trust domain"));
  EXPECT_THAT(Sign("spiffe://cluster.local/ns//sa/web").error().detail, HasSubstr("no valid path"));
  EXPECT_THAT(Sign("cluster.local/ns/default/sa/web").error().detail, HasSubstr("is not a SPIFFE id"));
  EXPECT_FALSE(Sign("spiffe://cluster.local/ns/default/sa/web", 0s).ok());
}

TEST_F(AuthorityTest, RefusesARequestWithAForgedSignature) {
  Der forged = request_;
  forged.back() ^= 1;
  EXPECT_THAT(authority_->Sign(forged, "spiffe://cluster.local/ns/a/sa/b", kNow).error().detail, HasSubstr("certificate request"));
}

TEST_F(AuthorityTest, RefusesARequestThatIsCutOrLengthened) {
  const auto sign = [&](Bytes request) { return authority_->Sign(request, "spiffe://cluster.local/ns/a/sa/b", kNow).ok(); };
  EXPECT_TRUE(sign(request_));
  for (size_t size = 0; size < request_.size(); ++size) EXPECT_FALSE(sign(Bytes(request_).first(size))) << size;
  Der longer = request_;
  longer.push_back(0);
  EXPECT_FALSE(sign(longer));
  EXPECT_FALSE(sign(Der(100'000, 0x30)));
}

// An RSA request (2048 bits), made once with openssl(1).
constexpr char kRsaRequest[] =
    "MIICRTCCAS0CAQAwADCCASIwDQYJKoZIhvcNAQEBBQADggEPADCCAQoCggEBAM+FACiNYRHjD/+Nll6OEbnbRn7pv+OEn2Z/jLp4EyGvv26mP2"
    "cx3QAA/BHWgxhym2JEzRRtHgMt8XMLpOlff0WX1s/VPOkIdrZFsJfv+QUUF23ETbc3K03ihTxpKHKzLBhcYMQyRudm7ryYWc3H2MkRMSdX2AAx"
    "Mp3MQSY8yoA0hIq7dx8vYqeB6LGOoiSgozhxuIBnQUl3W5hTNbX8P1IFxR0B5R3rSezedgNWAprtMxC0HaVVy4WavRZbvUq2jO8K/z4ph1+1Gw"
    "5ZkUt435ByKtGqoAODLprLEymHs0v55Mj0byN5ve8DXJd/YuaiIt9rr4ZwptFgrtfWt2tsZdcCAwEAAaAAMA0GCSqGSIb3DQEBCwUAA4IBAQCZ"
    "a5o4ecj7RNtCM96vxAQ3V+vDiD1zVS8tfnp/q1JF/z94FbcU6+yaPPN1dHbOnFcMuGJjYQkWrVZPCbpN060N8t8nuQuAi/rCnT70a79To4Gwdw"
    "uhFjcOkovgq3vTQ50G+xzRlQ/Et+gIHmUMNpeHQKGkrC8/qZWbaj6rhvYmeEkO6bsytis4L3z2wiMiPw99/35eog0NeLXJJxBlwhOVgVbT1Q4g"
    "Vyitj5ojx6on8sxuzKNI2jkXEUBeigNehtD4IUt3iu57PULPeEN2mjhLkKrfS0FK9CQnrBgTOVrmRU8AWJiFgNvc9JChKeXdQU/zZZBuM6fPWr"
    "QY9xNtE8yk";

TEST_F(AuthorityTest, RefusesARequestWithAnotherKindOfKey) {
  // The PEM of a request is the base64 of its DER; ChainFromPem's decoder serves certificates only, so it is decoded here.
  Der der;
  uint32_t bits = 0;
  int have = 0;
  for (const char* c = kRsaRequest; *c != '\0' && *c != '='; ++c) {
    constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bits = bits << 6 | static_cast<uint32_t>(kAlphabet.find(*c));
    have += 6;
    if (have >= 8) der.push_back(static_cast<uint8_t>(bits >> (have -= 8)));
  }
  EXPECT_THAT(authority_->Sign(der, "spiffe://cluster.local/ns/a/sa/b", kNow).error().detail, HasSubstr("key is not ECDSA"));
}

TEST_F(AuthorityTest, ComesBackFromItsFiles) {
  const auto again = Authority::FromPem(authority_->key_pem(), authority_->root_pem());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ((*again)->trust_domain(), "cluster.local");
  EXPECT_EQ((*again)->root(), authority_->root());
  // A leaf that it signs now leads to the root of before.
  Credentials credentials;
  credentials.key = key_;
  credentials.chain = {*(*again)->Sign(request_, "spiffe://cluster.local/ns/default/sa/web", kNow)};
  credentials.roots = {authority_->root()};
  credentials.trust_domain = "cluster.local";
  EXPECT_TRUE(MakeContext(credentials).ok());
}

TEST_F(AuthorityTest, RefusesFilesThatDoNotBelongTogether) {
  const auto other = *Authority::Create("cluster.local", kNow);
  EXPECT_THAT(Authority::FromPem(other->key_pem(), authority_->root_pem()).error().detail, HasSubstr("do not belong together"));
  const Der leaf = *Sign("spiffe://cluster.local/ns/default/sa/web");
  EXPECT_THAT(Authority::FromPem(key_->ToPem(), ChainToPem({leaf})).error().detail, HasSubstr("not the authority of a trust domain"));
  EXPECT_FALSE(Authority::FromPem("", authority_->root_pem()).ok());
  EXPECT_FALSE(Authority::FromPem(authority_->key_pem(), "").ok());
}

TEST(Authority, RefusesABadTrustDomain) {
  for (const char* name : {"", "Cluster.local", "cluster local", "a/b", "a:1"}) EXPECT_FALSE(Authority::Create(name, kNow).ok()) << name;
}

TEST(PrivateKeyTest, ComesBackFromPem) {
  const auto key = *PrivateKey::Generate();
  const std::string pem = key->ToPem();
  EXPECT_THAT(pem, HasSubstr("-----BEGIN PRIVATE KEY-----"));
  EXPECT_EQ((*PrivateKey::FromPem(pem))->SpkiSha256(), key->SpkiSha256());
  EXPECT_NE((*PrivateKey::Generate())->SpkiSha256(), key->SpkiSha256());
}

TEST(PrivateKeyTest, RefusesWhatIsNoKeyWithoutShowingIt) {
  const std::string pem = (*PrivateKey::Generate())->ToPem();
  for (const std::string& bad : {std::string(), std::string("secret"), pem.substr(0, pem.size() / 2), pem + pem}) {
    const auto key = PrivateKey::FromPem(bad);
    ASSERT_FALSE(key.ok());
    EXPECT_THAT(key.error().detail, Not(HasSubstr("secret")));
    EXPECT_THAT(key.error().detail, Not(HasSubstr("MIG")));
  }
}

TEST(PrivateKeyTest, RefusesAnEncryptedKeyWithoutAsking) {
  const auto key = PrivateKey::FromPem(
      "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END EC PRIVATE KEY-----\n");
  EXPECT_FALSE(key.ok());
}

TEST(CertificateTest, ChainsGoToPemAndBack) {
  const testing::TestMesh mesh;
  const std::vector<Der> chain = mesh.Workload("default", "web").chain;
  const std::string pem = ChainToPem(chain);
  EXPECT_EQ(*ChainFromPem(pem), chain);
  EXPECT_EQ(*ChainFromPem("a comment\n" + pem + "\nanother\n"), chain);
}

TEST(CertificateTest, RefusesPemThatIsNotAllCertificates) {
  const testing::TestMesh mesh;
  const Credentials web = mesh.Workload("default", "web");
  const std::string pem = ChainToPem(web.chain);
  EXPECT_THAT(ChainFromPem("").error().detail, HasSubstr("no certificate"));
  EXPECT_THAT(ChainFromPem(pem + web.key->ToPem()).error().detail, HasSubstr("found 'PRIVATE KEY'"));
  EXPECT_THAT(ChainFromPem(pem.substr(0, pem.size() - 40)).error().detail, HasSubstr("damaged PEM after 1"));
  EXPECT_FALSE(ChainFromPem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").ok());
}

TEST(CertificateTest, RefusesEveryTruncationOfACertificate) {
  const testing::TestMesh mesh;
  const Der& root = mesh.authority().root();
  for (size_t size = 0; size < root.size(); ++size) EXPECT_FALSE(ParseCertificate(Bytes(root).first(size)).ok()) << size;
  EXPECT_TRUE(ParseCertificate(root).ok());
}

TEST(SpiffeIdTest, TakesWhatTheStandardAllows) {
  const SpiffeId id = *ParseSpiffeId("spiffe://cluster.local/ns/default/sa/web");
  EXPECT_EQ(id.trust_domain, "cluster.local");
  EXPECT_EQ(id.path, "/ns/default/sa/web");
  EXPECT_EQ(id.ToString(), "spiffe://cluster.local/ns/default/sa/web");
  EXPECT_EQ(ParseSpiffeId("spiffe://cluster.local")->path, "");
  EXPECT_TRUE(ParseSpiffeId("spiffe://a_b-c.9/A.b_c-9").ok());
  EXPECT_EQ(WorkloadId("cluster.local", "default", "web"), id.ToString());
}

TEST(SpiffeIdTest, RefusesEverythingElse) {
  for (const char* bad :
       {"", "spiffe:", "spiffe://", "spiffe:///path", "SPIFFE://cluster.local/a", "https://cluster.local/a", "spiffe://Cluster.local/a",
        "spiffe://cluster.local:80/a", "spiffe://user@cluster.local/a", "spiffe://cluster.local/", "spiffe://cluster.local/a/",
        "spiffe://cluster.local//a", "spiffe://cluster.local/./a", "spiffe://cluster.local/../a", "spiffe://cluster.local/a?b",
        "spiffe://cluster.local/a#b", "spiffe://cluster.local/a%41", "spiffe://cluster.local/a b", "spiffe://cluster.local/\xc3\xa9"}) {
    EXPECT_FALSE(ParseSpiffeId(bad).ok()) << bad;
  }
  EXPECT_FALSE(ParseSpiffeId("spiffe://" + std::string(256, 'a') + "/b").ok());
  EXPECT_FALSE(ParseSpiffeId("spiffe://a/" + std::string(2048, 'b')).ok());
}

TEST(FormatTimeTest, ReadsAsIso8601) {
  EXPECT_EQ(FormatTime(kNow), "2026-11-21T10:00:00Z");
  EXPECT_EQ(FormatTime(WallTime{}), "1970-01-01T00:00:00Z");
}

}  // namespace
}  // namespace outrigger::tls
