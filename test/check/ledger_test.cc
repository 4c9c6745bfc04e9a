#include "test/check/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace outrigger::check {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr Instant kNow{};

TEST(LedgerTest, AnsweredOnceAndSeenOnceIsWell) {
  Ledger ledger;
  const uint64_t id = ledger.Send(Kind::kOnce, kNow);
  EXPECT_FALSE(ledger.settled());
  ledger.Seen(id, "orders", kNow);
  ledger.End(id, Ending::kAnswered, kNow);
  EXPECT_TRUE(ledger.settled());
  EXPECT_THAT(ledger.Check(), IsEmpty());
  EXPECT_EQ(ledger.counts().answered, 1u);
  EXPECT_EQ(ledger.seen_by().at("orders"), 1u);
}

TEST(LedgerTest, WithoutAnEndingItIsLostWhateverIsTolerated) {
  Ledger ledger;
  ledger.Seen(ledger.Send(Kind::kSafe, kNow), "orders", kNow);
  EXPECT_THAT(ledger.Check({.declined = Ledger::kAny, .unknown = Ledger::kAny, .broken = Ledger::kAny}),
              ElementsAre(HasSubstr("lost: request 1 (safe) was never answered, though seen by orders")));
  EXPECT_EQ(ledger.counts().lost, 1u);
}

TEST(LedgerTest, OnlyWhatMayRunOnceIsRepeatedWhenSeenTwice) {
  for (const Kind kind : {Kind::kSafe, Kind::kKeyed, Kind::kOnce}) {
    Ledger ledger;
    const uint64_t id = ledger.Send(kind, kNow);
    ledger.Seen(id, "a", kNow);
    ledger.Seen(id, "b", kNow + 5ms);
    ledger.End(id, Ending::kUnknown, kNow);
    const std::vector<std::string> findings = ledger.Check({.unknown = 1});
    if (kind == Kind::kOnce) {
      EXPECT_THAT(findings, ElementsAre(HasSubstr("repeated: request 1 (once) was seen by a after 0 ms, b after 5 ms")));
    } else {
      EXPECT_THAT(findings, IsEmpty());
    }
  }
}

TEST(LedgerTest, AnAnswerThatNoApplicationGaveIsFound) {
  Ledger ledger;
  ledger.End(ledger.Send(Kind::kSafe, kNow), Ending::kAnswered, kNow);
  EXPECT_THAT(ledger.Check(), ElementsAre(HasSubstr("no application saw it")));
}

TEST(LedgerTest, APromiseOfNotForwardedThatIsFalseIsFound) {
  Ledger ledger;
  const uint64_t id = ledger.Send(Kind::kOnce, kNow);
  ledger.Seen(id, "orders", kNow);
  ledger.End(id, Ending::kDeclined, kNow, "503");
  EXPECT_THAT(ledger.Check({.declined = 1}), ElementsAre(HasSubstr("was said to be unseen")));
}

TEST(LedgerTest, EndingsOtherThanAnswersAreToleratedUpToANumber) {
  Ledger ledger;
  for (int i = 0; i < 3; ++i) ledger.End(ledger.Send(Kind::kSafe, kNow), Ending::kBroken, kNow, "reset");
  EXPECT_THAT(ledger.Check({.broken = 3}), IsEmpty());
  EXPECT_THAT(ledger.Check({.broken = 2}), ElementsAre(HasSubstr("request 1 (safe) ended without an answer: reset"),
                                                       HasSubstr("request 2"), HasSubstr("request 3")));
}

TEST(LedgerTest, TwoAnswersAndUnknownIdsAreFound) {
  Ledger ledger;
  const uint64_t id = ledger.Send(Kind::kSafe, kNow);
  ledger.Seen(id, "orders", kNow);
  ledger.End(id, Ending::kAnswered, kNow);
  ledger.End(id, Ending::kAnswered, kNow);
  ledger.End(77, Ending::kAnswered, kNow);
  ledger.Seen(78, "orders", kNow);
  ledger.Wrong("bytes differ");
  EXPECT_THAT(ledger.Check(), ElementsAre(HasSubstr("answered 2 times"), HasSubstr("request 77"), HasSubstr("request 78"),
                                          HasSubstr("bytes differ")));
}

TEST(LedgerTest, ManyFindingsOfOneKindAreCutShort) {
  Ledger ledger;
  for (int i = 0; i < 100; ++i) ledger.Send(Kind::kSafe, kNow);
  const std::vector<std::string> findings = ledger.Check();
  ASSERT_EQ(findings.size(), 6u);
  EXPECT_THAT(findings.back(), HasSubstr("95 more"));
}

}  // namespace
}  // namespace outrigger::check
