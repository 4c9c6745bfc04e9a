#include "proxy/guard/retry.h"

#include "gtest/gtest.h"
#include "proxy/guard/retry_budget.h"

namespace outrigger::guard {
namespace {

using Kind = RetryVerdict::Kind;

config::RetryPolicy Policy() {
  config::RetryPolicy policy;
  policy.max_retries = 2;
  policy.on_connect_failure = policy.on_refused = policy.on_reset = policy.on_gateway_error = true;
  return policy;
}

struct Case {
  config::RetryPolicy policy = Policy();
  RetryInput input;
  Case() { input.policy = &policy; }
  Case(const Case&) = delete;
  Kind Ask() const { return DecideRetry(input).kind; }
};

Error Failure(ErrorCode code, bool unseen) { return Error::Make(code, "x", Fault::kUpstream, unseen); }

TEST(DecideRetry, RepeatsAnyMethodWhenNothingWasConnected) {
  Case post;
  post.input.failed.error = Failure(ErrorCode::kConnectRefused, true);
  EXPECT_EQ(post.Ask(), Kind::kBackOff);
}

TEST(DecideRetry, RepeatsAnyMethodWhenTheCalleesSidecarSaysNotForwarded) {
  Case post;
  post.input.failed.status = 503;
  EXPECT_EQ(post.Ask(), Kind::kNo);
  post.input.failed.not_forwarded = true;
  EXPECT_EQ(post.Ask(), Kind::kBackOff);
}

TEST(DecideRetry, NeverRepeatsAnUnsafeRequestThatMayHaveBeenSeen) {
  for (const ErrorCode code : {ErrorCode::kReset, ErrorCode::kClosed, ErrorCode::kTimeout, ErrorCode::kTls}) {
    Case post;
    post.input.failed.error = Failure(code, false);
    EXPECT_EQ(post.Ask(), Kind::kNo);
    EXPECT_EQ(DecideRetry(post.input).reason, "unsafe");
    post.input.failed.reused_connection = true;
    EXPECT_EQ(post.Ask(), Kind::kNo) << "a stale connection does not make it safe";
  }
}

TEST(DecideRetry, RepeatsSafeAndKeyedRequestsOnResetAndGatewayErrors) {
  for (const bool safe : {true, false}) {
    Case request;
    request.input.safe_method = safe;
    request.input.has_idempotency_key = !safe;
    request.input.failed.error = Failure(ErrorCode::kReset, false);
    EXPECT_EQ(request.Ask(), Kind::kBackOff);
    for (const int status : {502, 503, 504}) {
      request.input.failed = {};
      request.input.failed.status = status;
      EXPECT_EQ(request.Ask(), Kind::kBackOff) << status;
    }
    request.input.failed.status = 500;
    EXPECT_EQ(request.Ask(), Kind::kNo);
  }
}

TEST(DecideRetry, RepeatsASafeRequestAtOnceWhenAPooledConnectionWasStale) {
  Case get;
  get.input.safe_method = true;
  get.input.policy = nullptr;
  get.input.failed.error = Failure(ErrorCode::kClosed, false);
  get.input.failed.reused_connection = true;
  EXPECT_EQ(get.Ask(), Kind::kAtOnce) << "without any policy";
  get.input.failed.response_started = true;
  EXPECT_EQ(get.Ask(), Kind::kNo);
}

TEST(DecideRetry, StopsAtTheLimit) {
  Case get;
  get.input.safe_method = true;
  get.input.failed.error = Failure(ErrorCode::kConnectRefused, true);
  get.input.retries_done = 2;
  EXPECT_EQ(DecideRetry(get.input).reason, "attempts-exhausted");
}

TEST(DecideRetry, StopsWhenTheBodyOrTheResponseIsGone) {
  Case get;
  get.input.safe_method = true;
  get.input.failed.error = Failure(ErrorCode::kConnectRefused, true);
  get.input.body_replayable = false;
  EXPECT_EQ(DecideRetry(get.input).reason, "body-not-replayable");
  get.input.body_replayable = true;
  get.input.response_sent = true;
  EXPECT_EQ(DecideRetry(get.input).reason, "response-started");
}

TEST(DecideRetry, AsksThePolicyWhetherARetryIsWanted) {
  Case get;
  get.input.safe_method = true;
  get.policy = {};
  get.policy.max_retries = 5;
  get.input.failed.error = Failure(ErrorCode::kConnectRefused, true);
  EXPECT_EQ(DecideRetry(get.input).reason, "not-retriable");
  get.policy.on_status = {429};
  get.input.failed = {};
  get.input.failed.status = 429;
  EXPECT_EQ(get.Ask(), Kind::kBackOff);
}

TEST(Backoff, IsJitteredBelowADoublingCeiling) {
  config::RetryPolicy policy;
  policy.backoff_base = 100ms;
  policy.backoff_max = 1s;
  Random random(7);
  const Duration ceilings[] = {100ms, 200ms, 400ms, 800ms, 1s, 1s};
  for (uint32_t retry = 0; retry < std::size(ceilings); ++retry) {
    Duration largest{};
    for (int i = 0; i < 2000; ++i) {
      const Duration backoff = Backoff(policy, retry, random);
      ASSERT_GE(backoff, Duration::zero());
      ASSERT_LT(backoff, ceilings[retry]);
      largest = std::max(largest, backoff);
    }
    EXPECT_GT(largest, ceilings[retry] * 9 / 10);
  }
}

TEST(RetryBudget, IsFundedBySuccessesAndByAFloor) {
  RetryBudget budget({.ratio = 0.5, .floor_per_second = 1, .capacity = 2});
  const Instant start{std::chrono::hours(1)};
  EXPECT_TRUE(budget.TryTake(start));
  EXPECT_TRUE(budget.TryTake(start));
  EXPECT_FALSE(budget.TryTake(start)) << "spent";
  budget.OnSuccess();
  EXPECT_FALSE(budget.TryTake(start)) << "half a retry is none";
  budget.OnSuccess();
  EXPECT_TRUE(budget.TryTake(start));
  EXPECT_FALSE(budget.TryTake(start + 500ms));
  EXPECT_TRUE(budget.TryTake(start + 1s)) << "one a second whatever succeeds";
}

TEST(RetryBudget, SavesUpNoMoreThanItsCapacity) {
  RetryBudget budget({.ratio = 1, .floor_per_second = 100, .capacity = 3});
  const Instant start{std::chrono::hours(1)};
  EXPECT_TRUE(budget.TryTake(start));
  for (int i = 0; i < 100; ++i) budget.OnSuccess();
  int taken = 0;
  while (budget.TryTake(start + 1min)) ++taken;
  EXPECT_EQ(taken, 3);
}

TEST(RetryBudget, NewSettingsHoldFromNowOnAndKeepWhatIsSaved) {
  RetryBudget budget({.ratio = 1, .floor_per_second = 1, .capacity = 10});
  const Instant start{std::chrono::hours(1)};
  budget.Configure({.ratio = 0, .floor_per_second = 0, .capacity = 2});
  EXPECT_EQ(budget.tokens(), 2);
  EXPECT_TRUE(budget.TryTake(start));
  EXPECT_TRUE(budget.TryTake(start));
  budget.OnSuccess();
  EXPECT_FALSE(budget.TryTake(start + 1min)) << "neither successes nor time give any more";
  budget.Configure({.ratio = 1, .floor_per_second = 0, .capacity = 5});
  budget.OnSuccess();
  EXPECT_TRUE(budget.TryTake(start + 1min));
  EXPECT_FALSE(budget.TryTake(start + 1min)) << "a new budget is not a full one";
}

TEST(RetryBudget, OfNothingAllowsNothing) {
  RetryBudget budget;
  budget.Configure({.ratio = 0, .floor_per_second = 0, .capacity = 0});
  EXPECT_FALSE(budget.TryTake(Instant{std::chrono::hours(1)}));
}

}  // namespace
}  // namespace outrigger::guard
