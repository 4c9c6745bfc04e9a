#include "proxy/net/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/base/random.h"

namespace outrigger::net {
namespace {

using ::testing::HasSubstr;

Address Parsed(std::string_view text) {
  Result<Address> result = Address::Parse(text);
  EXPECT_TRUE(result.ok()) << text;
  return result.ok() ? result.value() : Address();
}

std::string Refusal(std::string_view text) {
  Result<Address> result = Address::Parse(text);
  EXPECT_FALSE(result.ok()) << text << " became " << (result.ok() ? result->ToString() : "");
  if (result.ok()) return {};
  EXPECT_EQ(result.error().code, ErrorCode::kInvalid);
  return result.error().detail;
}

TEST(Address, ReadsIpv4WithPort) {
  EXPECT_EQ(Parsed("127.0.0.1:80"), Address::Ipv4({127, 0, 0, 1}, 80));
  EXPECT_EQ(Parsed("255.255.255.255:65535"), Address::Ipv4({255, 255, 255, 255}, 65535));
  EXPECT_EQ(Parsed("10.0.0.1:0").port(), 0);
}

TEST(Address, APortAloneMeansAllIpv4Addresses) {
  EXPECT_EQ(Parsed(":15006"), Address::Ipv4({0, 0, 0, 0}, 15006));
  EXPECT_TRUE(Parsed(":15006").any());
}

TEST(Address, ReadsIpv6InBrackets) {
  EXPECT_EQ(Parsed("[::1]:443"), Address::Ipv6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 443));
  EXPECT_EQ(Parsed("[::]:1"), Address::Ipv6({}, 1));
  EXPECT_EQ(Parsed("[2001:DB8:0:0:8:800:200C:417A]:1").ToString(), "[2001:db8::8:800:200c:417a]:1");
}

TEST(Address, ReadsUnixPaths) {
  EXPECT_EQ(Parsed("unix:/run/x.sock"), Address::Unix("/run/x.sock"));
  EXPECT_THAT(Refusal("unix:"), HasSubstr("path"));
  EXPECT_TRUE(Address::Parse("unix:" + std::string(107, 'a')).ok());
  EXPECT_THAT(Refusal("unix:" + std::string(108, 'a')), HasSubstr("107"));
  EXPECT_THAT(Refusal(std::string_view("unix:/a\0b", 9)), HasSubstr("zero byte"));
}

TEST(Address, SaysWhatIsWrong) {
  EXPECT_THAT(Refusal(""), HasSubstr("port is missing"));
  EXPECT_THAT(Refusal("127.0.0.1"), HasSubstr("port is missing"));
  EXPECT_THAT(Refusal("[::1]"), HasSubstr("port is missing"));
  EXPECT_THAT(Refusal("localhost:80"), HasSubstr("'localhost' is not a numeric IP address"));
  EXPECT_THAT(Refusal("::1:80"), HasSubstr("brackets"));
  EXPECT_THAT(Refusal("127.0.0.1:65536"), HasSubstr("port"));
}

TEST(Address, TakesNothingAmbiguous) {
  for (const char* text : {"127.1:80", "127.0.0.01:80", "0x7f.0.0.1:80", "1.2.3.4.5:80", "1.2.3.:80", "1..2.3:80", " 1.2.3.4:80",
                           "1.2.3.4:080", "1.2.3.4:+80", "1.2.3.4:", "1.2.3.4: 80", "256.1.1.1:80", "[1.2.3.4]:80", "[]:80", "[:80",
                           "]:80", "[::1:80", "[::1]x:80", "[fe80::1%eth0]:80", "[1::2::3]:80", "[:::]:80", "[1:2:3:4:5:6:7]:80",
                           "[1:2:3:4:5:6:7:8:9]:80", "[1:2:3:4::5:6:7:8]:80", "[12345::]:80", "[1:]:80", "[:1]:80", "[1.2.3.4::]:80",
                           "[::1.2.3]:80", "[g::]:80", "[::-1]:80"}) {
    Refusal(text);
  }
}

TEST(Address, WritesIpv6AsRfc5952Says) {
  const auto canonical = [](std::string_view text) {
    Result<Address> result = Address::ParseIp(text, 0);
    return result.ok() ? result->Ip() : "refused";
  };
  EXPECT_EQ(canonical("2001:0db8::0001"), "2001:db8::1");
  EXPECT_EQ(canonical("2001:db8:0:0:0:0:2:1"), "2001:db8::2:1");
  EXPECT_EQ(canonical("2001:db8:0:1:1:1:1:1"), "2001:db8:0:1:1:1:1:1");
  EXPECT_EQ(canonical("2001:0:0:1:0:0:0:1"), "2001:0:0:1::1");
  EXPECT_EQ(canonical("2001:db8:0:0:1:0:0:1"), "2001:db8::1:0:0:1");
  EXPECT_EQ(canonical("1:2:3:4:5:6:7::"), "1:2:3:4:5:6:7:0");
  EXPECT_EQ(canonical("::2:3:4:5:6:7:8"), "0:2:3:4:5:6:7:8");
  EXPECT_EQ(canonical("1::"), "1::");
  EXPECT_EQ(canonical("::"), "::");
  EXPECT_EQ(canonical("::ffff:192.0.2.1"), "::ffff:192.0.2.1");
  EXPECT_EQ(canonical("64:ff9b::192.0.2.33"), "64:ff9b::c000:221");
  EXPECT_EQ(canonical("1:2:3:4:5:6:1.2.3.4"), "1:2:3:4:5:6:102:304");
}

TEST(Address, WhatItWritesItReads) {
  Random random(7);
  for (int i = 0; i < 20000; ++i) {
    std::array<uint8_t, 16> ip{};
    // Many zeros, so that every place of the gap comes up.
    for (uint8_t& byte : ip) byte = random.Chance(0.6) ? 0 : static_cast<uint8_t>(random.Next());
    const uint16_t port = static_cast<uint16_t>(random.Next());
    const Address six = Address::Ipv6(ip, port);
    ASSERT_EQ(Parsed(six.ToString()), six);
    const Address four = Address::Ipv4({ip[0], ip[1], ip[2], ip[3]}, port);
    ASSERT_EQ(Parsed(four.ToString()), four);
  }
  EXPECT_EQ(Parsed(Address::Unix("/a").ToString()), Address::Unix("/a"));
}

TEST(Address, NoRandomTextCrashesTheParser) {
  Random random(8);
  constexpr std::string_view kAlphabet = "0123456789abcdef:.[]%x/-";
  int taken = 0;
  for (int i = 0; i < 200000; ++i) {
    std::string text;
    for (uint64_t n = random.Below(24); n > 0; --n) text += kAlphabet[random.Below(kAlphabet.size())];
    const Result<Address> result = Address::ParseIp(text, 9);
    if (!result.ok()) continue;
    ++taken;
    const Result<Address> again = Address::ParseIp((*result).Ip(), 9);
    ASSERT_TRUE(again.ok());
    ASSERT_EQ(*again, *result);
  }
  EXPECT_GT(taken, 0);
}

TEST(Address, ParseIpTakesNoPortAndNoBrackets) {
  EXPECT_EQ(Address::ParseIp("10.1.2.3", 7).value(), Address::Ipv4({10, 1, 2, 3}, 7));
  EXPECT_EQ(Address::ParseIp("::1", 7).value().ToString(), "[::1]:7");
  for (const char* text : {"", "[::1]", "10.1.2.3:7", "name"}) EXPECT_FALSE(Address::ParseIp(text, 7).ok()) << text;
}

TEST(Address, KnowsLoopback) {
  for (const char* text : {"127.0.0.1:1", "127.255.0.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "unix:/x"}) {
    EXPECT_TRUE(Parsed(text).loopback()) << text;
  }
  for (const char* text : {":1", "10.0.0.1:1", "128.0.0.1:1", "[::]:1", "[::2]:1", "[fe80::1]:1", "[::ffff:10.0.0.1]:1"}) {
    EXPECT_FALSE(Parsed(text).loopback()) << text;
  }
  EXPECT_FALSE(Address().loopback());
}

TEST(Address, KnowsTheAnyAddress) {
  EXPECT_TRUE(Parsed(":1").any());
  EXPECT_TRUE(Parsed("[::]:1").any());
  EXPECT_FALSE(Parsed("127.0.0.1:1").any());
  EXPECT_FALSE(Parsed("unix:/x").any());
  EXPECT_FALSE(Address().any());
}

TEST(Address, ChangesThePortOnlyWhereThereIsOne) {
  EXPECT_EQ(Parsed("10.0.0.1:80").WithPort(81), Parsed("10.0.0.1:81"));
  EXPECT_EQ(Parsed("[::1]:80").WithPort(81), Parsed("[::1]:81"));
  EXPECT_EQ(Address::Unix("/x").WithPort(81), Address::Unix("/x"));
}

TEST(Address, ComparesByFamilyPortAndBytes) {
  EXPECT_EQ(Parsed("10.0.0.1:80"), Parsed("10.0.0.1:80"));
  EXPECT_NE(Parsed("10.0.0.1:80"), Parsed("10.0.0.1:81"));
  EXPECT_NE(Parsed("10.0.0.1:80"), Parsed("10.0.0.2:80"));
  EXPECT_NE(Address::Ipv4({1, 2, 3, 4}, 5), Address::Ipv6({1, 2, 3, 4}, 5));
  EXPECT_LT(Parsed("10.0.0.1:80"), Parsed("10.0.0.2:80"));
  EXPECT_EQ(Address().ToString(), "none");
}

}  // namespace
}  // namespace outrigger::net
