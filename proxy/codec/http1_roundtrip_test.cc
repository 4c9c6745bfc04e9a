// What one side says, the other hears: random exchanges from a seed go through a client and a server machine, their bytes cut at random,
// and come out as they went in.
#include <gtest/gtest.h>

#include <utility>

#include "proxy/base/random.h"
#include "proxy/codec/http1_testing.h"

namespace outrigger::codec::testing {
namespace {

constexpr int kMessages = 10'000;
constexpr int kExchangesOnAConnection = 25;

// A head with its body and trailers, and the journal that the reader of it must write.
struct Body {
  bool present = false;
  bool known_length = false;
  std::string bytes;
  http::HeaderMap trailers;
};

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  uint64_t Below(uint64_t bound) { return random_.Below(bound); }
  bool Chance(double probability) { return random_.Chance(probability); }

  std::string Text(std::string_view alphabet, size_t at_least, size_t at_most) {
    std::string text;
    const size_t size = at_least + random_.Below(at_most - at_least + 1);
    for (size_t i = 0; i < size; ++i) text += alphabet[random_.Below(alphabet.size())];
    return text;
  }

  void Fields(http::HeaderMap* headers, const char* prefix) {
    const size_t count = random_.Below(12);
    for (size_t i = 0; i < count; ++i) {
      std::string value = Text("abcXYZ019 \t,;=\"()<>@/\xc3\xa9", 0, 40);
      const size_t first = value.find_first_not_of(" \t");
      value = first == std::string::npos ? "" : value.substr(first, value.find_last_not_of(" \t") - first + 1);
      headers->Add(prefix + Text("abcdefXYZ-_.!#019", 1, 20), value);
    }
    if (Chance(0.3)) headers->Add(http::Known::kUserAgent, "agent/1.0 (x; y)");
    if (Chance(0.3)) headers->Add("Content-Type", "application/json");
    if (Chance(0.1)) headers->Add("x-long", std::string(random_.Below(12'000), 'v'));
  }

  Body MakeBody() {
    Body body;
    body.present = Chance(0.6);
    if (!body.present) return body;
    body.known_length = Chance(0.5);
    const size_t size = Chance(0.1) ? random_.Below(100'000) : random_.Below(200);
    body.bytes.resize(size);
    for (char& c : body.bytes) c = static_cast<char>(random_.Below(256));
    if (!body.known_length && Chance(0.3)) Fields(&body.trailers, "t-");
    return body;
  }

 private:
  Random random_;
};

class Pair {
 public:
  explicit Pair(Generator* generator) : generator_(generator) {}

  // Moves what `from` has written to `to`, in pieces.
  void Carry(Codec* from, Driver* to) {
    Buffer bytes;
    bytes.Swap(from->output());
    while (!bytes.empty()) {
      const size_t limit = generator_->Chance(0.2) ? 1 + generator_->Below(7) : 1 + generator_->Below(70'000);
      const size_t size = std::min(limit, bytes.size());
      to->Feed(AsText(bytes.view().first(size)));
      bytes.Consume(size);
    }
  }

  // Sends the body in pieces, carried or kept back at random. Returns what the reader's journal must say of it.
  std::string SendBody(Codec* from, Driver* to, StreamId stream, const Body& body) {
    std::string_view rest = body.bytes;
    while (!rest.empty()) {
      const size_t size = std::min<size_t>(rest.size(), 1 + generator_->Below(30'000));
      from->SendData(stream, AsBytes(rest.substr(0, size)));
      rest.remove_prefix(size);
      if (generator_->Chance(0.5)) Carry(from, to);
    }
    std::string expected;
    if (!body.bytes.empty()) expected += "data " + std::to_string(stream) + " " + body.bytes + "\n";
    if (body.trailers.empty()) {
      from->SendEnd(stream);
    } else {
      from->SendTrailers(stream, body.trailers);
      expected += "trailers " + std::to_string(stream) + DescribeFields(body.trailers) + "\n";
    }
    return expected + "end " + std::to_string(stream) + "\n";
  }

  std::string Request(StreamId stream, http::RequestHead* head) {
    static constexpr std::string_view kMethods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "X-OWN"};
    method_ = kMethods[generator_->Below(std::size(kMethods))];
    head->method_text = head->headers.Store(method_);
    head->method = http::ParseMethod(method_);
    head->path = head->headers.Store("/" + generator_->Text("abc/%20?&=.-_~{}|", 0, 60));
    head->authority = head->headers.Store(generator_->Text("abc019-", 1, 20) + (generator_->Chance(0.3) ? ":8080" : ""));
    generator_->Fields(&head->headers, "r-");
    const Body body = generator_->MakeBody();
    if (!body.present) head->content_length = 0;
    if (body.known_length) head->content_length = body.bytes.size();
    head->expect_continue = body.present && (!body.known_length || !body.bytes.empty()) && generator_->Chance(0.1);
    std::string expected = "request " + std::to_string(stream) + " " + Journal::DescribeRequest(*head) + "\n";

    EXPECT_EQ(client->SendRequest(*head, !body.present), stream);
    if (generator_->Chance(0.5)) Carry(client.get(), &server_driver);
    if (head->expect_continue) {
      Carry(client.get(), &server_driver);
      http::ResponseHead go_on;
      go_on.status = 100;
      server->SendInformational(stream, go_on);
      Carry(server.get(), &client_driver);
      EXPECT_EQ(std::exchange(client_driver.journal, {}).text(), "informational " + std::to_string(stream) + " 100 Continue length ?\n");
    }
    if (body.present) {
      expected += SendBody(client.get(), &server_driver, stream, body);
    } else {
      expected += "end " + std::to_string(stream) + "\n";
    }
    Carry(client.get(), &server_driver);
    return expected;
  }

  std::string Response(StreamId stream, http::ResponseHead* head) {
    static constexpr int kStatuses[] = {200, 201, 204, 206, 302, 304, 404, 418, 500, 503, 599};
    head->status = kStatuses[generator_->Below(std::size(kStatuses))];
    head->reason = head->headers.Store(generator_->Chance(0.3) ? generator_->Text("abc xyz", 1, 20) : "");
    generator_->Fields(&head->headers, "s-");
    Body body = generator_->MakeBody();
    if (body.known_length) head->content_length = body.bytes.size();
    const bool bodyless = method_ == "HEAD" || head->status == 204 || head->status == 304;
    server->SendResponse(stream, *head, !body.present);

    // What arrives is what was sent but for what the status and the method say.
    http::ResponseHead heard = *head;
    if (heard.reason.empty()) heard.reason = http::StandardReason(heard.status);
    if (head->status == 204) heard.content_length.reset();
    if (!body.present && !bodyless) heard.content_length = 0;
    std::string expected = "response " + std::to_string(stream) + " " + Journal::DescribeResponse(heard) + "\n";
    std::string rest = "end " + std::to_string(stream) + "\n";
    if (body.present) {
      const std::string whole = SendBody(server.get(), &client_driver, stream, body);
      if (!bodyless) rest = whole;
    }
    Carry(server.get(), &client_driver);
    return expected + rest;
  }

  std::unique_ptr<ServerCodec> server = MakeHttp1Server({});
  std::unique_ptr<ClientCodec> client = MakeHttp1Client({});
  Driver server_driver{server.get(), {}};
  Driver client_driver{client.get(), {}};

 private:
  Generator* const generator_;
  std::string_view method_;
};

TEST(Http1RoundTrip, WhatOneSideSaysTheOtherHears) {
  for (int connection = 0; connection < kMessages / 2 / kExchangesOnAConnection; ++connection) {
    const uint64_t seed = 0x0417ull * 1000 + static_cast<uint64_t>(connection);
    SCOPED_TRACE("seed " + std::to_string(seed) + "");
    Generator generator(seed);
    Pair pair(&generator);
    for (StreamId stream = 1; stream <= kExchangesOnAConnection; ++stream) {
      http::RequestHead request;
      const std::string expected_request = pair.Request(stream, &request);
      ASSERT_EQ(std::exchange(pair.server_driver.journal, {}).text(), expected_request);
      http::ResponseHead response;
      const std::string expected_response = pair.Response(stream, &response);
      ASSERT_EQ(std::exchange(pair.client_driver.journal, {}).text(), expected_response);
      ASSERT_TRUE(pair.client->can_start());
      ASSERT_TRUE(pair.server->wants_input());
      ASSERT_TRUE(pair.server_driver.held().empty());
    }
  }
}

}  // namespace
}  // namespace outrigger::codec::testing
