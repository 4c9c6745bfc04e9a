// What is kept for a restart: it comes back as it was, and a damaged file is set aside with a word about it.
#include "proxy/discovery/last_good.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/discovery/testing.h"
#include "test/sim/world.h"

namespace outrigger::discovery {
namespace {

using testing::Assignment;
using testing::EdsCluster;
using testing::OutboundListener;
using testing::RoutesTo;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Packed(const google::protobuf::Message& message) {
  google::protobuf::Any any;
  any.PackFrom(message);
  return any.SerializeAsString();
}

class LastGoodTest : public ::testing::Test {
 protected:
  AdsState::Accepted Everything() {
    return {{Type::kCluster, {{"outbound|80||orders.default", Packed(EdsCluster("orders"))}}},
            {Type::kEndpoint, {{"outbound|80||orders.default", Packed(Assignment("orders", {"10.0.0.2:15006"}))}}},
            {Type::kListener, {{"outbound", Packed(OutboundListener())}}},
            {Type::kRoute, {{"outbound", Packed(RoutesTo({"orders"}))}}}};
  }
  static std::vector<std::string> Types(const std::vector<AdsState::Response>& responses) {
    std::vector<std::string> types;
    for (const auto& response : responses) types.push_back(response.type_url().substr(response.type_url().rfind('.') + 1));
    return types;
  }
  sim::Disk& disk() { return world_.machines()[0]->disk(); }

  sim::World world_{1};
  sim::SimLoop& loop_ = world_.AddLoop("proxy");
  std::string log_;
  LastGood kept_{&loop_.files(), "/data/xds", [this](LogLevel, std::string_view message, const LogFields& fields) {
                   log_ += std::string(message);
                   for (const auto& [name, value] : fields) log_ += " " + std::string(name) + "=" + value;
                 }};
};

TEST_F(LastGoodTest, ComesBackInTheOrderInWhichItShouldBeApplied) {
  kept_.Save(Everything());
  const auto responses = kept_.Load();
  EXPECT_THAT(Types(responses), ElementsAre("Cluster", "ClusterLoadAssignment", "Listener", "RouteConfiguration"));
  auto compiler = snapshot::MakeCompiler();
  AdsState ads(compiler.get(), {});
  for (const auto& response : responses) ads.Restore(response);
  const auto snapshot = compiler->Build();
  EXPECT_TRUE(snapshot->listeners.contains("outbound"));
  EXPECT_TRUE(snapshot->routes.contains("outbound"));
  EXPECT_EQ((*snapshot->FindCluster("outbound|80||orders.default")->endpoints)[0].config.address_text, "10.0.0.2:15006");
  EXPECT_EQ(log_, "");
}

TEST_F(LastGoodTest, IsReadableByItsOwnerOnly) {
  kept_.Save(Everything());
  EXPECT_EQ(*disk().Mode("/data/xds"), 0700u);
  for (const char* file : {"clusters.pb", "endpoints.pb", "listeners.pb", "routes.pb"}) {
    EXPECT_EQ(*disk().Mode(std::string("/data/xds/") + file), 0600u) << file;
  }
}

TEST_F(LastGoodTest, ChangesAreMergedAndWhatIsGoneIsTakenOut) {
  kept_.Save({{Type::kCluster, {{"outbound|80||orders.default", Packed(EdsCluster("orders"))},
                                {"outbound|80||stock.default", Packed(EdsCluster("stock"))}}}});
  auto changed = EdsCluster("stock");
  changed.mutable_connect_timeout()->set_seconds(5);
  kept_.Save({{Type::kCluster, {{"outbound|80||orders.default", ""}, {"outbound|80||stock.default", Packed(changed)},
                                {"outbound|80||bills.default", Packed(EdsCluster("bills"))}}}});
  const auto responses = kept_.Load();
  ASSERT_EQ(responses.size(), 1u);
  std::vector<std::string> names;
  for (const auto& any : responses[0].resources()) {
    envoy::config::cluster::v3::Cluster cluster;
    ASSERT_TRUE(any.UnpackTo(&cluster));
    names.push_back(cluster.name() + " " + std::to_string(cluster.connect_timeout().seconds()));
  }
  EXPECT_THAT(names, ElementsAre("outbound|80||bills.default 2", "outbound|80||stock.default 5"));
}

TEST_F(LastGoodTest, ThereMayBeNothing) {
  EXPECT_THAT(kept_.Load(), IsEmpty());
  EXPECT_EQ(log_, "") << "the first start is no mistake";
  kept_.Save({});
  EXPECT_FALSE(disk().Exists("/data"));
}

TEST_F(LastGoodTest, ATornFileIsSetAsideAndTheOthersAreUsed) {
  kept_.Save(Everything());
  const std::string whole = *disk().Read("/data/xds/routes.pb", 1 << 20);
  ASSERT_TRUE(disk().Replace("/data/xds/routes.pb", whole.substr(0, whole.size() - 3), 0600, world_.wall_now()).ok());
  EXPECT_THAT(Types(kept_.Load()), ElementsAre("Cluster", "ClusterLoadAssignment", "Listener"));
  EXPECT_THAT(log_, HasSubstr("the kept configuration is damaged and is not used file=/data/xds/routes.pb"));
}

TEST_F(LastGoodTest, AFileOfAnotherTypeOrMakeIsSetAside) {
  kept_.Save(Everything());
  const std::string clusters = *disk().Read("/data/xds/clusters.pb", 1 << 20);
  ASSERT_TRUE(disk().Replace("/data/xds/listeners.pb", clusters, 0600, world_.wall_now()).ok());
  ASSERT_TRUE(disk().Replace("/data/xds/endpoints.pb", "no protobuf at all", 0600, world_.wall_now()).ok());
  ASSERT_TRUE(disk().Replace("/data/xds/routes.pb", "", 0600, world_.wall_now()).ok());
  EXPECT_THAT(Types(kept_.Load()), ElementsAre("Cluster"));
  for (const char* file : {"endpoints.pb", "listeners.pb", "routes.pb"}) EXPECT_THAT(log_, HasSubstr(file));
}

TEST_F(LastGoodTest, ADamagedFileIsWrittenAnewByTheNextSave) {
  kept_.Save(Everything());
  ASSERT_TRUE(disk().Replace("/data/xds/listeners.pb", "torn", 0600, world_.wall_now()).ok());
  kept_.Save({{Type::kListener, {{"outbound", Packed(OutboundListener())}}}});
  EXPECT_EQ(kept_.Load().size(), 4u);
}

TEST_F(LastGoodTest, AFullDiskLeavesTheFormerFileAndSaysSo) {
  kept_.Save(Everything());
  disk().SetCapacity(disk().used_bytes() + 1);
  kept_.Save({{Type::kListener, {{"another", Packed(OutboundListener())}}}});
  EXPECT_THAT(log_, HasSubstr("the configuration cannot be kept for a restart"));
  EXPECT_EQ(kept_.Load().size(), 4u);
}

}  // namespace
}  // namespace outrigger::discovery
