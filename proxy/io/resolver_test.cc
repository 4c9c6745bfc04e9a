#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "proxy/io/test_support.h"

namespace outrigger::io {
namespace {

using ::testing::ElementsAre;

struct Answer {
  std::optional<Result<std::vector<net::Address>>> result;
  net::ResolveCallback callback() {
    return [this](Result<std::vector<net::Address>> addresses) { result = std::move(addresses); };
  }
};

TEST(Resolver, NumericAddressesNeedNoLookupButStillComeLater) {
  UvLoop loop(1);
  Answer four, six;
  const auto resolution_four = loop.Resolve("10.1.2.3", 80, four.callback());
  const auto resolution_six = loop.Resolve("::1", 81, six.callback());
  EXPECT_FALSE(four.result || six.result);
  TurnUntil(loop, [&] { return four.result && six.result; });
  EXPECT_THAT(four.result->value(), ElementsAre(net::Address::Ipv4({10, 1, 2, 3}, 80)));
  EXPECT_THAT(six.result->value(), ElementsAre(net::Address::Parse("[::1]:81").value()));
}

TEST(Resolver, FindsLocalhost) {
  UvLoop loop(1);
  Answer answer;
  const auto resolution = loop.Resolve("localhost", 8080, answer.callback());
  TurnUntil(loop, [&] { return answer.result.has_value(); });
  ASSERT_TRUE(answer.result->ok()) << answer.result->error().ToString();
  for (const net::Address& address : answer.result->value()) {
    EXPECT_TRUE(address.loopback());
    EXPECT_EQ(address.port(), 8080);
  }
  std::vector<net::Address> unique = answer.result->value();
  std::sort(unique.begin(), unique.end());
  EXPECT_EQ(std::adjacent_find(unique.begin(), unique.end()), unique.end());
}

TEST(Resolver, SaysWhenThereIsNoSuchName) {
  UvLoop loop(1);
  Answer empty, long_name;
  const auto one = loop.Resolve("", 80, empty.callback());
  const auto two = loop.Resolve(std::string(300, 'a'), 80, long_name.callback());
  TurnUntil(loop, [&] { return empty.result && long_name.result; });
  EXPECT_EQ(empty.result->error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(long_name.result->ok());
}

TEST(Resolver, NobodyIsCalledOnceTheHandleIsGone) {
  UvLoop loop(1);
  Answer numeric, name, last;
  loop.Resolve("10.1.2.3", 80, numeric.callback()).reset();
  loop.Resolve("localhost", 80, name.callback()).reset();
  const auto resolution = loop.Resolve("localhost", 80, last.callback());
  TurnUntil(loop, [&] { return last.result.has_value(); });
  EXPECT_FALSE(numeric.result);
  EXPECT_FALSE(name.result);
}

TEST(Resolver, TheHandleMayBeDestroyedInTheCall) {
  UvLoop loop(1);
  int called = 0;
  std::unique_ptr<net::Resolution> numeric, name;
  numeric = loop.Resolve("10.1.2.3", 80, [&](Result<std::vector<net::Address>>) {
    numeric.reset();
    ++called;
  });
  name = loop.Resolve("localhost", 80, [&](Result<std::vector<net::Address>>) {
    name.reset();
    ++called;
  });
  TurnUntil(loop, [&] { return called == 2; });
}

TEST(Resolver, TheLoopMayGoDuringALookup) {
  Answer answer;
  {
    UvLoop loop(1);
    loop.Resolve("localhost", 80, answer.callback()).reset();
  }
  EXPECT_FALSE(answer.result);
}

}  // namespace
}  // namespace outrigger::io
