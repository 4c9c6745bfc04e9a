#include "control/store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/model/parse.h"
#include "control/source/testing.h"

namespace outrigger::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const ObjectKey kA{Kind::kService, "default", "a"}, kB{Kind::kService, "default", "b"};

std::string Service(const std::string& name, const std::string& port) {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec: {ports: [{port: " + port + "}]}\n";
}

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    disk.MakeFolder("/cfg", 0755).ok();
    disk.MakeFolder("/data", 0755).ok();
    Open();
  }

  void Open() {
    subscription.reset();
    StoreOptions options;
    options.config_dir = "/cfg/";
    options.last_good_file = "/data/last-good";
    store = std::make_unique<Store>(&disk, options);
    subscription = store->Subscribe([this](const Change& change) { changes.push_back(change); });
  }

  // The folder holds exactly these files.
  void Update(const std::map<std::string, std::string>& files) {
    SourceSnapshot snapshot;
    for (const auto& [path, text] : files) {
      ParseResult parsed = ParseYaml(text, path);
      auto file = std::make_shared<SourceFile>();
      file->path = path;
      file->objects = parsed.objects;
      file->problems = parsed.problems;
      file->complete = parsed.complete;
      snapshot.files.push_back(std::move(file));
    }
    store->Update(snapshot);
  }

  uint16_t PortOf(const ObjectKey& key) const {
    auto found = store->snapshot()->objects.find(key);
    return found == store->snapshot()->objects.end() ? 0 : found->second->As<control::Service>()->ports.at(0).port;
  }
  std::vector<std::string> Rejected() const {
    std::vector<std::string> out;
    for (const Rejection& r : store->snapshot()->rejected) out.push_back((r.previous_in_force ? "kept: " : "") + r.problem.ToString());
    return out;
  }

  testing::FakeFiles disk;
  std::vector<Change> changes;
  std::unique_ptr<Store> store;
  std::unique_ptr<Store::Subscription> subscription;
};

TEST_F(StoreTest, BeginsEmptyAndCountsGenerations) {
  EXPECT_EQ(store->snapshot()->generation, 1u);
  Update({});
  EXPECT_EQ(store->snapshot()->generation, 1u);
  Update({{"/cfg/a.yaml", Service("a", "80")}});
  EXPECT_EQ(store->snapshot()->generation, 2u);
  Update({{"/cfg/a.yaml", Service("a", "81") + "---\n" + Service("b", "80")}});
  EXPECT_EQ(store->snapshot()->generation, 3u);
  Update({{"/cfg/a.yaml", Service("b", "80")}});
  ASSERT_THAT(changes, SizeIs(3));
  EXPECT_THAT(changes[0].changed, ElementsAre(kA));
  EXPECT_THAT(changes[1].changed, ElementsAre(kA, kB));
  EXPECT_THAT(changes[2].changed, ElementsAre(kA)) << "removed";
  EXPECT_EQ(changes[2].generation, 4u);
}

TEST_F(StoreTest, WhatMeansTheSameIsNoChange) {
  Update({{"/cfg/a.yaml", Service("a", "80")}});
  Update({{"/cfg/a.yaml", "# a comment\n\n" + Service("a", "80")}});
  EXPECT_THAT(changes, SizeIs(1));
  EXPECT_EQ(store->snapshot()->generation, 2u);
  EXPECT_EQ(store->snapshot()->objects.at(kA)->origin.line, 3) << "but its place is known";
  Update({{"/cfg/moved.yaml", Service("a", "80")}});
  EXPECT_THAT(changes, SizeIs(1));
}

TEST_F(StoreTest, TheLastGoodVersionStaysWhileTheNewOneIsBad) {
  Update({{"/cfg/a.yaml", Service("a", "80") + "---\n" + Service("b", "80")}});
  Update({{"/cfg/a.yaml", Service("a", "0") + "---\n" + Service("b", "81")}});
  EXPECT_EQ(PortOf(kA), 80);
  EXPECT_EQ(PortOf(kB), 81) << "its neighbour is not held up";
  EXPECT_THAT(Rejected(), ElementsAre(HasSubstr("kept: /cfg/a.yaml:4: Service default/a: spec.ports[0].port")));
  Update({{"/cfg/a.yaml", Service("a", "82")}});
  EXPECT_EQ(PortOf(kA), 82);
  EXPECT_THAT(Rejected(), IsEmpty());
}

TEST_F(StoreTest, AnObjectThatWasNeverGoodIsNotInForce) {
  Update({{"/cfg/a.yaml", Service("a", "0")}});
  EXPECT_EQ(PortOf(kA), 0);
  EXPECT_THAT(Rejected(), ElementsAre(HasSubstr("/cfg/a.yaml:4: ")));
  ASSERT_THAT(changes, SizeIs(1)) << "told, because the rejections changed";
  EXPECT_THAT(changes[0].changed, IsEmpty());
  EXPECT_EQ(changes[0].generation, 1u);
  Update({{"/cfg/a.yaml", Service("a", "0")}});
  EXPECT_THAT(changes, SizeIs(1)) << "once";
}

TEST_F(StoreTest, AFileWithASyntaxErrorKeepsWhatItHeld) {
  Update({{"/cfg/a.yaml", Service("a", "80") + "---\n" + Service("b", "80")}, {"/cfg/c.yaml", Service("c", "80")}});
  Update({{"/cfg/a.yaml", "kind: [\n---\n" + Service("b", "81")}});
  EXPECT_EQ(PortOf(kA), 80) << "the broken document may have been it";
  EXPECT_EQ(PortOf(kB), 81);
  EXPECT_FALSE(store->snapshot()->objects.contains({Kind::kService, "default", "c"})) << "another file, and removed";
  EXPECT_THAT(Rejected(), ElementsAre(HasSubstr("kept: /cfg/a.yaml:1: not valid YAML")));
  Update({{"/cfg/a.yaml", Service("b", "81")}});
  EXPECT_EQ(PortOf(kA), 0) << "whole again, and without it";
}

TEST_F(StoreTest, OfTwoDeclarationsTheOneInForceStays) {
  Update({{"/cfg/m.yaml", Service("a", "80")}});
  Update({{"/cfg/b.yaml", Service("a", "81")}, {"/cfg/m.yaml", Service("a", "80")}});
  EXPECT_EQ(PortOf(kA), 80);
  EXPECT_THAT(Rejected(), ElementsAre("kept: /cfg/b.yaml:1: Service default/a: metadata.name: is declared in "
                                      "/cfg/m.yaml:1 too, which stays in force"));
  Update({{"/cfg/b.yaml", Service("a", "81")}, {"/cfg/m.yaml", Service("a", "82")}});
  EXPECT_EQ(PortOf(kA), 82) << "and may change";
  Update({{"/cfg/b.yaml", Service("a", "81")}});
  EXPECT_EQ(PortOf(kA), 81);
  EXPECT_THAT(Rejected(), IsEmpty());
}

TEST_F(StoreTest, OfTwoNewDeclarationsTheFirstFileHolds) {
  Update({{"/cfg/b.yaml", Service("a", "81")}, {"/cfg/m.yaml", Service("a", "80")}});
  EXPECT_EQ(PortOf(kA), 81);
  EXPECT_THAT(Rejected(), ElementsAre(HasSubstr("/cfg/m.yaml:1: ")));
}

TEST_F(StoreTest, WhatIsKeptOutlivesARestart) {
  Update({{"/cfg/a.yaml", Service("a", "80") + "---\n" + Service("b", "80")}});
  EXPECT_FALSE(disk.files.contains("/data/last-good")) << "nothing to keep";
  Update({{"/cfg/a.yaml", Service("a", "0") + "---\n" + Service("b", "80")}});
  ASSERT_TRUE(disk.files.contains("/data/last-good"));
  Open();
  Update({{"/cfg/a.yaml", Service("a", "0") + "---\n" + Service("b", "80")}});
  EXPECT_EQ(PortOf(kA), 80);
  EXPECT_THAT(Rejected(), ElementsAre(HasSubstr("kept: ")));
  Update({{"/cfg/a.yaml", Service("b", "80")}});
  EXPECT_EQ(PortOf(kA), 0) << "removed by the operator";
  EXPECT_FALSE(disk.files.contains("/data/last-good"));
}

TEST_F(StoreTest, WhatWasKeptDoesNotComeBackOnceItsFileIsGood) {
  Update({{"/cfg/a.yaml", Service("a", "80")}});
  Update({{"/cfg/a.yaml", Service("a", "0")}});
  Open();
  Update({{"/cfg/a.yaml", Service("b", "80")}});
  EXPECT_EQ(PortOf(kA), 0);
  EXPECT_EQ(PortOf(kB), 80);
}

TEST_F(StoreTest, ASpoiltSpareCopyIsLeftOut) {
  for (const char* text : {"last-good 99999 1 /cfg/a.yaml\nshort", "last-good x", "last-good 5",
                           "last-good 18446744073709551615 1 f\n", "garbage"}) {
    disk.Write("/data/last-good", text);
    Open();
    Update({{"/cfg/a.yaml", Service("a", "0")}});
    EXPECT_EQ(PortOf(kA), 0) << text;
  }
}

TEST_F(StoreTest, AFullDiskIsReportedButDoesNotStopTheMesh) {
  Update({{"/cfg/a.yaml", Service("a", "80")}});
  disk.full = "/data/last-good";
  Update({{"/cfg/a.yaml", Service("a", "0")}});
  EXPECT_EQ(PortOf(kA), 80);
  EXPECT_THAT(Rejected(), ElementsAre(HasSubstr("/cfg/a.yaml"), HasSubstr("what is in force would be lost by a restart")));
}

TEST_F(StoreTest, FolderProblemsAreShown) {
  SourceSnapshot snapshot;
  snapshot.problems.push_back(Problem{"/cfg", 0, "", "vanished", std::nullopt});
  store->Update(snapshot);
  EXPECT_THAT(Rejected(), ElementsAre("kept: /cfg: vanished"));
}

TEST_F(StoreTest, ApplyWritesOneFileAnObjectAndHoldsAtOnce) {
  auto result = store->Apply(Service("a", "80") + "---\n" + Service("b", "80"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->generation, 2u);
  ASSERT_THAT(result->objects, SizeIs(2));
  EXPECT_EQ(result->objects[0].action, Store::Applied::Action::kCreated);
  EXPECT_EQ(disk.files["/cfg/applied/Service.default.a.yaml"].contents, Service("a", "80"));
  EXPECT_EQ(PortOf(kA), 80);
  EXPECT_EQ(store->snapshot()->objects.at(kA)->origin.ToString(), "/cfg/applied/Service.default.a.yaml:1");
  ASSERT_THAT(changes, SizeIs(1));

  // What the watch then reports is what is in force already.
  Update({{"/cfg/applied/Service.default.a.yaml", Service("a", "80")}, {"/cfg/applied/Service.default.b.yaml", Service("b", "80")}});
  EXPECT_THAT(changes, SizeIs(1));

  result = store->Apply(Service("a", "81") + "---\n" + Service("b", "80"));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->objects[0].action, Store::Applied::Action::kConfigured);
  EXPECT_EQ(result->objects[1].action, Store::Applied::Action::kUnchanged);
  EXPECT_EQ(result->generation, 3u);
  EXPECT_EQ(store->AppliedPath({Kind::kMeshPolicy, "", "mesh"}), "/cfg/applied/MeshPolicy.mesh.yaml");
}

TEST_F(StoreTest, ApplyIsAllOrNothing) {
  std::vector<Problem> problems;
  auto result = store->Apply(Service("a", "80") + "---\n" + Service("b", "0"), false, &problems);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  ASSERT_THAT(problems, SizeIs(1));
  EXPECT_EQ(problems[0].line, 9);
  EXPECT_THAT(disk.files, IsEmpty());

  ASSERT_TRUE(store->Apply(Service("a", "80")).ok());
  disk.full = "/cfg/applied/Service.default.b.yaml";
  result = store->Apply(Service("a", "81") + "---\n" + Service("b", "80"));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("no space left"));
  EXPECT_EQ(disk.files["/cfg/applied/Service.default.a.yaml"].contents, Service("a", "80")) << "put back";
  EXPECT_EQ(PortOf(kA), 80);

  EXPECT_EQ(store->Apply("# nothing\n").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(StoreTest, ADryRunChecksAndChangesNothing) {
  auto result = store->Apply(Service("a", "80"), /*dry_run=*/true);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->objects[0].action, Store::Applied::Action::kCreated);
  EXPECT_THAT(disk.files, IsEmpty());
  EXPECT_THAT(changes, IsEmpty());
}

TEST_F(StoreTest, ApplyRefusesWhatAnotherFileDeclaresEvenABrokenOne) {
  Update({{"/cfg/mesh.yaml", Service("a", "80") + "---\n" + Service("b", "0")}});
  absl::Status status = store->Apply(Service("a", "81")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(std::string(status.message()), "Service default/a is declared in /cfg/mesh.yaml:1; change it there");
  EXPECT_EQ(store->Apply(Service("b", "81")).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(PortOf(kA), 80);
}

TEST_F(StoreTest, DeleteRemovesWhatWasApplied) {
  ASSERT_TRUE(store->Apply(Service("a", "80")).ok());
  auto generation = store->Delete(kA);
  ASSERT_TRUE(generation.ok()) << generation.status();
  EXPECT_EQ(*generation, 3u);
  EXPECT_THAT(disk.files, IsEmpty());
  EXPECT_EQ(PortOf(kA), 0);
  EXPECT_EQ(store->Delete(kA).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(StoreTest, DeleteRefusesWhatTheOperatorsFilesDeclare) {
  Update({{"/cfg/mesh.yaml", Service("a", "80")}});
  absl::Status status = store->Delete(kA).status();
  EXPECT_EQ(std::string(status.message()), "Service default/a is declared in /cfg/mesh.yaml:1; remove it there");
  Update({{"/cfg/applied/Service.default.a.yaml", Service("a", "80") + "---\n" + Service("b", "80")}});
  EXPECT_THAT(std::string(store->Delete(kA).status().message()), HasSubstr("holds Service default/b, too"));
  EXPECT_EQ(PortOf(kB), 80);
}

TEST_F(StoreTest, DeleteWorksOnABrokenAppliedFile) {
  ASSERT_TRUE(store->Apply(Service("a", "80")).ok());
  disk.Write("/cfg/applied/Service.default.a.yaml", Service("a", "0"));
  Update({{"/cfg/applied/Service.default.a.yaml", Service("a", "0")}});
  EXPECT_EQ(PortOf(kA), 80) << "the last good one";
  ASSERT_TRUE(store->Delete(kA).ok());
  EXPECT_EQ(PortOf(kA), 0);
  EXPECT_THAT(Rejected(), IsEmpty());
}

TEST_F(StoreTest, SubscriptionsEndWithTheirHandle) {
  int calls = 0;
  auto other = store->Subscribe([&](const Change&) { ++calls; });
  Update({{"/cfg/a.yaml", Service("a", "80")}});
  EXPECT_EQ(calls, 1);
  other.reset();
  Update({});
  EXPECT_EQ(calls, 1);
  EXPECT_THAT(changes, SizeIs(2));
  auto outlives = store->Subscribe([](const Change&) {});
  store.reset();
  outlives.reset();
}

TEST_F(StoreTest, AFolderAndAStoreWorkTogether) {
  testing::FakeLoop loop;
  loop.disk.MakeFolder("/cfg", 0755).ok();
  StoreOptions options;
  options.config_dir = "/cfg";
  Store live(&loop.disk, options);
  loop.disk.Write("/cfg/mesh.yaml", Service("a", "80"));
  auto source = MakeFolderSource(&loop, "/cfg");
  ASSERT_TRUE(source->Start([&](const SourceSnapshot& snapshot) { live.Update(snapshot); }).ok());
  ASSERT_TRUE(live.Apply(Service("b", "80")).ok());
  const uint64_t generation = live.snapshot()->generation;
  loop.RunFor(1s);
  EXPECT_EQ(live.snapshot()->generation, generation) << "the watch found what was in force";
  EXPECT_TRUE(live.snapshot()->objects.contains(kB));
  loop.disk.Delete("/cfg/applied/Service.default.b.yaml");
  loop.RunFor(100ms);
  EXPECT_FALSE(live.snapshot()->objects.contains(kB));
  EXPECT_TRUE(live.snapshot()->objects.contains(kA));
}

}  // namespace
}  // namespace outrigger::control
