// The workload's key and certificate on its own disk, and the join token.
#include "proxy/discovery/identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/tls/testing.h"
#include "test/sim/world.h"

namespace outrigger::discovery {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class IdentityStoreTest : public ::testing::Test {
 protected:
  sim::Disk& disk() { return world_.machines()[0]->disk(); }
  void Overwrite(const std::string& file, std::string_view text) {
    ASSERT_TRUE(disk().Replace("/data/" + file, text, 0600, world_.wall_now()).ok());
  }
  std::shared_ptr<const tls::PrivateKey> MustKey() { return store_.Key().value(); }
  // A leaf for the key, signed by the mesh.
  tls::Credentials Signed(const std::shared_ptr<const tls::PrivateKey>& key) {
    const auto request = tls::MakeCertificateRequest(*key).value();
    tls::Credentials credentials;
    credentials.key = key;
    credentials.chain = {mesh_.authority().Sign(request, mesh_.Id("default", "web"), world_.wall_now()).value()};
    credentials.roots = {mesh_.authority().root()};
    credentials.trust_domain = "cluster.local";
    return credentials;
  }

  sim::World world_{1};
  sim::SimLoop& loop_ = world_.AddLoop("proxy");
  tls::testing::TestMesh mesh_{"cluster.local", world_.wall_now()};
  IdentityStore store_{&loop_.files(), "/data"};
};

TEST_F(IdentityStoreTest, AKeyIsMadeOnceAndKeptPrivate) {
  const auto key = MustKey();
  EXPECT_EQ(MustKey()->ToPem(), key->ToPem());
  EXPECT_EQ(*disk().Mode("/data"), 0700u);
  EXPECT_EQ(*disk().Mode("/data/key.pem"), 0600u);
}

TEST_F(IdentityStoreTest, AKeyThatCannotBeKeptIsNotUsed) {
  disk().SetCapacity(10);
  EXPECT_FALSE(store_.Key().ok());
}

TEST_F(IdentityStoreTest, AKeyThatOthersCanReadIsRefusedWithWhatToDo) {
  const std::string pem = MustKey()->ToPem();
  ASSERT_TRUE(disk().Replace("/data/key.pem", pem, 0640, world_.wall_now()).ok());
  const auto key = store_.Key();
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(key.error().detail, HasSubstr("/data/key.pem can be read by others: run `chmod 600 /data/key.pem`"));
}

TEST_F(IdentityStoreTest, ADamagedKeyIsOneClearErrorAndNotReplaced) {
  const std::string pem = MustKey()->ToPem();
  for (const std::string& bad : {std::string(), std::string("garbage"), pem.substr(0, pem.size() / 2)}) {
    Overwrite("key.pem", bad);
    const auto key = store_.Key();
    ASSERT_FALSE(key.ok()) << bad;
    EXPECT_EQ(key.error().detail, "/data/key.pem holds no usable key; remove it to get a new identity");
    EXPECT_EQ(*disk().Read("/data/key.pem", 1 << 20), bad);
  }
}

TEST_F(IdentityStoreTest, LeafAndRootsComeBackWithTheKey) {
  const auto key = MustKey();
  EXPECT_EQ(store_.Load(key).error().code, ErrorCode::kNotFound);
  const tls::Credentials saved = Signed(key);
  ASSERT_TRUE(store_.Save(saved).ok());
  EXPECT_EQ(*disk().Mode("/data/leaf.pem"), 0600u);
  EXPECT_EQ(*disk().Mode("/data/roots.pem"), 0600u);
  const auto loaded = store_.Load(MustKey());
  ASSERT_TRUE(loaded.ok()) << loaded.error().detail;
  EXPECT_EQ(loaded->chain, saved.chain);
  EXPECT_EQ(loaded->roots, saved.roots);
  EXPECT_EQ(loaded->trust_domain, "cluster.local");
  const auto context = tls::MakeContext(*loaded);
  ASSERT_TRUE(context.ok()) << context.error().detail;
  EXPECT_EQ((*context)->own_id(), "spiffe://cluster.local/ns/default/sa/web");
}

TEST_F(IdentityStoreTest, NothingButTheKeyFileHoldsTheKey) {
  const auto key = MustKey();
  ASSERT_TRUE(store_.Save(Signed(key)).ok());
  for (const char* file : {"leaf.pem", "roots.pem"}) {
    EXPECT_THAT(*disk().Read(std::string("/data/") + file, 1 << 20), Not(HasSubstr("PRIVATE KEY"))) << file;
  }
}

TEST_F(IdentityStoreTest, ADamagedFileIsNamed) {
  const auto key = MustKey();
  for (const char* file : {"leaf.pem", "roots.pem"}) {
    ASSERT_TRUE(store_.Save(Signed(key)).ok());
    Overwrite(file, "-----BEGIN CERTIFICATE-----\nMII\n");
    const auto loaded = store_.Load(key);
    ASSERT_FALSE(loaded.ok()) << file;
    EXPECT_EQ(loaded.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(loaded.error().detail, HasSubstr(std::string("/data/") + file + " is damaged: "));
  }
}

TEST_F(IdentityStoreTest, ALeafOfAnotherKeyIsNoIdentity) {
  ASSERT_TRUE(store_.Save(Signed(MustKey())).ok());
  ASSERT_TRUE(disk().Remove("/data/key.pem").ok());
  const auto loaded = store_.Load(MustKey());
  ASSERT_TRUE(loaded.ok());
  EXPECT_FALSE(tls::MakeContext(*loaded).ok());
}

TEST(JoinToken, IsASecretAndTheHashOfARoot) {
  const std::string hash(64, 'a');
  const auto token = ParseJoinToken("s3cret-_." + hash + "\n");
  ASSERT_TRUE(token.ok()) << token.error().detail;
  EXPECT_EQ(token->secret, "s3cret-_");
  EXPECT_EQ(token->root_spki_sha256, std::string(32, '\xaa'));
}

TEST(JoinToken, AnythingElseIsRefusedWithoutShowingIt) {
  const std::string hash(64, 'a');
  for (const std::string& bad : {std::string(), std::string("secret"), "." + hash, "secret." + hash.substr(2), "secret." + hash + "aa",
                                 "secret." + std::string(63, 'a') + "g", "secret." + std::string(64, 'A')}) {
    const auto token = ParseJoinToken(bad);
    ASSERT_FALSE(token.ok()) << bad;
    EXPECT_EQ(token.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(token.error().detail, HasSubstr("SECRET.ROOT-SPKI-SHA256"));
    EXPECT_THAT(token.error().detail, Not(HasSubstr("secret.")));
  }
}

}  // namespace
}  // namespace outrigger::discovery
