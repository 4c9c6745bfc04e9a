#include "proxy/rpc/wire.h"

#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

namespace outrigger::rpc {
namespace {

std::string Framed(std::string_view body, char flag = 0) {
  std::string text(1, flag);
  for (int shift : {24, 16, 8, 0}) text += static_cast<char>(body.size() >> shift);
  return text + std::string(body);
}

std::vector<std::string> ReadAll(std::string_view bytes, size_t cut, size_t limit, Status* status) {
  MessageReader reader(limit);
  std::vector<std::string> messages;
  for (size_t at = 0; at < bytes.size(); at += cut) {
    const std::string copy(bytes.substr(at, cut));
    Bytes piece = AsBytes(copy), message;
    while (reader.Next(&piece, &message)) messages.emplace_back(AsText(message));
  }
  *status = reader.status();
  if (status->ok()) {
    EXPECT_FALSE(reader.inside_message());
  }
  return messages;
}

TEST(MessageReader, TakesMessagesOutOfAnyCut) {
  const std::vector<std::string> messages = {"", "a", std::string(1000, 'b'), "", "last"};
  std::string bytes;
  for (const std::string& message : messages) bytes += Framed(message);
  for (size_t cut = 1; cut <= bytes.size(); ++cut) {
    Status status;
    EXPECT_EQ(ReadAll(bytes, cut, 1000, &status), messages) << "cut at " << cut;
    EXPECT_TRUE(status.ok());
  }
}

TEST(MessageReader, RefusesLargeCompressedAndNonsense) {
  for (size_t cut : {1, 3, 100}) {
    Status status;
    EXPECT_EQ(ReadAll(Framed("ok") + Framed(std::string(11, 'x')), cut, 10, &status).size(), 1u);
    EXPECT_EQ(status.code, Code::kResourceExhausted);
    ReadAll(Framed("x", 1), cut, 10, &status);
    EXPECT_EQ(status.code, Code::kUnimplemented);
    ReadAll(Framed("x", 2), cut, 10, &status);
    EXPECT_EQ(status.code, Code::kInternal);
  }
}

TEST(MessageReader, KnowsThatItIsInsideAMessage) {
  MessageReader reader(100);
  const std::string text = Framed("hello");
  Bytes piece = AsBytes(text).first(7), message;
  EXPECT_FALSE(reader.Next(&piece, &message));
  EXPECT_TRUE(reader.inside_message());
}

TEST(MessageReader, ReadsWhatAppendMessageWrote) {
  google::protobuf::BytesValue value;
  value.set_value("abc");
  Buffer buffer;
  ASSERT_TRUE(AppendMessage(value, &buffer).ok());
  ASSERT_TRUE(AppendMessage(google::protobuf::BytesValue(), &buffer).ok());
  MessageReader reader(100);
  Bytes piece = buffer.view(), message;
  ASSERT_TRUE(reader.Next(&piece, &message));
  google::protobuf::BytesValue copy;
  ASSERT_TRUE(copy.ParseFromArray(message.data(), static_cast<int>(message.size())));
  EXPECT_EQ(copy.value(), "abc");
  ASSERT_TRUE(reader.Next(&piece, &message));
  EXPECT_TRUE(message.empty());
  EXPECT_FALSE(reader.Next(&piece, &message));
}

TEST(Timeout, IsWrittenInTheFinestUnitThatFitsAndNeverShortened) {
  EXPECT_EQ(FormatTimeout(0ns), "0n");
  EXPECT_EQ(FormatTimeout(-5s), "0n");
  EXPECT_EQ(FormatTimeout(99999999ns), "99999999n");
  EXPECT_EQ(FormatTimeout(100000000ns), "100000u");
  EXPECT_EQ(FormatTimeout(100000001ns), "100001u");
  EXPECT_EQ(FormatTimeout(10s), "10000000u");
  EXPECT_EQ(FormatTimeout(1h), "3600000m");
  for (Duration d : std::initializer_list<Duration>{0ns, 1ns, 999ms, 1s, 61s, 3h, std::chrono::hours(24 * 400)}) {
    ASSERT_TRUE(ParseTimeout(FormatTimeout(d)));
    EXPECT_GE(*ParseTimeout(FormatTimeout(d)), d);
  }
}

TEST(Timeout, ParsesUnitsAndRefusesTheRest) {
  EXPECT_EQ(ParseTimeout("5n"), 5ns);
  EXPECT_EQ(ParseTimeout("5u"), 5us);
  EXPECT_EQ(ParseTimeout("5m"), 5ms);
  EXPECT_EQ(ParseTimeout("5S"), 5s);
  EXPECT_EQ(ParseTimeout("5M"), 5min);
  EXPECT_EQ(ParseTimeout("5H"), 5h);
  EXPECT_GT(*ParseTimeout("99999999H"), std::chrono::hours(24 * 365));
  for (const char* bad : {"", "5", "S", "-5S", "5s", "5.0S", "123456789S", " 5S", "5 S"}) EXPECT_FALSE(ParseTimeout(bad)) << bad;
}

TEST(StatusMessage, SurvivesAnyBytes) {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  EXPECT_EQ(PercentDecode(PercentEncode(all)), all);
  EXPECT_EQ(PercentEncode("50% off\n"), "50%25 off%0A");
  EXPECT_EQ(PercentDecode("%"), "%");
  EXPECT_EQ(PercentDecode("%4"), "%4");
  EXPECT_EQ(PercentDecode("%zz%41"), "%zzA");
}

TEST(StatusFields, RoundTripAndTolerateNonsense) {
  http::HeaderMap headers;
  AppendStatus({Code::kNotFound, "no “x”"}, &headers);
  EXPECT_EQ(headers.Get("grpc-status"), "5");
  const auto status = ReadStatus(headers);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, Code::kNotFound);
  EXPECT_EQ(status->message, "no “x”");
  EXPECT_EQ(status->ToString(), "NOT_FOUND: no “x”");
  for (const char* bad : {"", "x", "17", "-1", "99999999999"}) {
    http::HeaderMap map;
    map.Add("grpc-status", bad);
    ASSERT_TRUE(ReadStatus(map)) << bad;
    EXPECT_EQ(ReadStatus(map)->code, Code::kUnknown) << bad;
  }
  EXPECT_FALSE(ReadStatus(http::HeaderMap()));
}

TEST(MetadataOnTheWire, BinaryValuesAreBase64AndProtocolFieldsAreTakenOut) {
  Metadata metadata;
  metadata.Add("x-text", "plain ~ text");
  metadata.Add("x-bin", std::string_view("\0\xff\x80", 3));
  http::HeaderMap headers;
  headers.Add("content-type", "application/grpc");
  ASSERT_TRUE(AppendMetadata(metadata, &headers).ok());
  EXPECT_EQ(headers.Get("x-bin"), "AP+A");
  headers.Add("te", "trailers");
  headers.Add("grpc-timeout", "1S");
  headers.Add("padded-bin", "AA==,AQ");
  ASSERT_TRUE(TakeMetadata(&headers).ok());
  ASSERT_EQ(headers.size(), 4u);
  EXPECT_EQ(headers.Get("x-text"), "plain ~ text");
  EXPECT_EQ(headers.Get("x-bin"), std::string_view("\0\xff\x80", 3));
  EXPECT_EQ(headers.fields()[2].value, std::string_view("\0", 1));
  EXPECT_EQ(headers.fields()[3].value, std::string_view("\1", 1));
}

TEST(MetadataOnTheWire, WhatCannotTravelIsNamed) {
  for (const auto& [name, value] : {std::pair("x", "a\nb"), std::pair("x", "\xc3\xa4"), std::pair("X", "a"), std::pair("", "a"),
                                    std::pair(":path", "/"), std::pair("grpc-status", "0"), std::pair("te", "x"), std::pair("x", " a")}) {
    Metadata metadata;
    metadata.Add(name, value);
    http::HeaderMap headers;
    EXPECT_FALSE(AppendMetadata(metadata, &headers).ok()) << name << "=" << value;
  }
  http::HeaderMap headers;
  headers.Add("x-bin", "!!!");
  EXPECT_FALSE(TakeMetadata(&headers).ok());
}

TEST(ContentType, IsGrpcOrNot) {
  for (const auto& [type, good] : {std::pair("application/grpc", true), std::pair("application/grpc+proto", true),
                                   std::pair("application/grpc;charset=utf-8", true), std::pair("Application/gRPC", true),
                                   std::pair("application/grpc-web", false), std::pair("application/grpc+json", false),
                                   std::pair("text/html", false), std::pair("", false)}) {
    http::HeaderMap headers;
    headers.Add("content-type", type);
    EXPECT_EQ(IsGrpcContentType(headers), good) << type;
  }
  EXPECT_FALSE(IsGrpcContentType(http::HeaderMap()));
}

}  // namespace
}  // namespace outrigger::rpc
