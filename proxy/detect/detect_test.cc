#include "proxy/detect/detect.h"

#include "gtest/gtest.h"

namespace outrigger::detect {
namespace {

TEST(Detect, KnowsATlsHandshakeByItsFirstByte) {
  EXPECT_EQ(Detect(AsBytes("\x16")), Protocol::kTls);
  EXPECT_EQ(Detect(AsBytes("\x16\x03\x01\x02")), Protocol::kTls);
}

TEST(Detect, TakesEverythingElseForPlaintext) {
  for (const char* text : {"G", "GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n", "\r\n", "\x15\x03\x01", "\x17\x03\x03", "\x80\x2e\x01",
                           " \x16"}) {
    EXPECT_EQ(Detect(AsBytes(text)), Protocol::kPlaintext) << text;
  }
}

TEST(Detect, NoMethodBeginsLikeAHandshake) {
  for (int c = 0; c < 256; ++c) {
    const char byte = static_cast<char>(c);
    EXPECT_EQ(Detect(AsBytes({&byte, 1})) == Protocol::kTls, c == 0x16) << c;
  }
}

}  // namespace
}  // namespace outrigger::detect
