// For tests of the HTTP/1 codecs: drives one with an input cut in a chosen way and writes down everything it says as text, data spans
// put together, so that two runs can be compared. Every piece lies in memory of exactly its size (a sanitizer sees any overread).
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/codec/codec.h"

namespace outrigger::codec::testing {

inline std::string DescribeFields(const http::HeaderMap& headers) {
  std::string text;
  for (const http::Field& field : headers.fields()) text.append(" [").append(field.name).append("=").append(field.value).append("]");
  return text;
}

inline std::string DescribeLength(const std::optional<uint64_t>& length) { return length ? std::to_string(*length) : "?"; }

// One line per event.
class Journal {
 public:
  void Add(const StreamEvent& event) {
    using Kind = StreamEvent::Kind;
    const std::string id = std::to_string(event.stream);
    if (event.kind == Kind::kData) {
      if (lines_.empty() || !lines_.back().starts_with("data " + id + " ")) lines_.push_back("data " + id + " ");
      lines_.back().append(AsText(event.data));
      return;
    }
    switch (event.kind) {
      case Kind::kRequest: lines_.push_back("request " + id + " " + DescribeRequest(*event.request)); break;
      case Kind::kInformational: lines_.push_back("informational " + id + " " + DescribeResponse(*event.response)); break;
      case Kind::kResponse: lines_.push_back("response " + id + " " + DescribeResponse(*event.response)); break;
      case Kind::kUpgraded:
        lines_.push_back("upgraded " + id + (event.response == nullptr ? "" : " " + DescribeResponse(*event.response)));
        break;
      case Kind::kTrailers: lines_.push_back("trailers " + id + DescribeFields(*event.trailers)); break;
      case Kind::kEnd: lines_.push_back("end " + id); break;
      case Kind::kReset: lines_.push_back("reset " + id + " " + std::string(ErrorCodeName(event.error.code))); break;
      case Kind::kFailed: lines_.push_back("failed " + std::string(ErrorCodeName(event.error.code))); break;
      default: lines_.push_back("other"); break;
    }
  }

  static std::string DescribeRequest(const http::RequestHead& head) {
    std::string text = std::string(head.method_text) + " " + std::string(head.path) + " at " + std::string(head.authority) +
                       " length " + DescribeLength(head.content_length);
    if (head.version == http::Version::kHttp10) text += " 1.0";
    if (!head.scheme.empty()) text += " scheme " + std::string(head.scheme);
    if (!head.protocol.empty()) text += " protocol " + std::string(head.protocol);
    if (head.expect_continue) text += " expects";
    return text + DescribeFields(head.headers);
  }
  static std::string DescribeResponse(const http::ResponseHead& head) {
    return std::to_string(head.status) + " " + std::string(head.reason) + " length " + DescribeLength(head.content_length) +
           DescribeFields(head.headers);
  }

  std::string text() const {
    std::string all;
    for (const std::string& line : lines_) all.append(line).append("\n");
    return all;
  }

 private:
  std::vector<std::string> lines_;
};

struct Seen {
  std::string events;
  std::string output;
  bool should_close = false;
  bool can_start = false;

  bool operator==(const Seen&) const = default;
};

using React = std::function<void(Codec&, const StreamEvent&)>;

// Feeds a codec as its owners do: what it does not take is kept, and fed again when it wants input.
class Driver {
 public:
  Driver(Codec* codec, React react) : codec_(codec), react_(std::move(react)) {}

  void Feed(std::string_view piece) {
    held_.append(piece);
    Pump();
  }
  void FeedEof() {
    codec_->FeedEof();
    Drain();
  }
  void Drain() {
    StreamEvent event;
    while (codec_->Next(&event)) {
      journal.Add(event);
      if (react_) react_(*codec_, event);
    }
  }
  void Pump() {
    Drain();
    while (!held_.empty() && codec_->wants_input()) {
      const auto exact = std::make_unique<uint8_t[]>(held_.size());
      std::memcpy(exact.get(), held_.data(), held_.size());
      const size_t taken = codec_->Feed(Bytes(exact.get(), held_.size()), Instant{});
      Drain();
      held_.erase(0, taken);
      if (taken == 0) break;
    }
  }
  const std::string& held() const { return held_; }

  Journal journal;

 private:
  Codec* const codec_;
  const React react_;
  std::string held_;
};

// How an input is cut: into pieces of `size` bytes after a first of `first` (0: none).
struct Cut {
  size_t first = 0;
  size_t size = static_cast<size_t>(-1);
};

inline void FeedCut(Driver* driver, std::string_view input, Cut cut) {
  if (cut.first > 0) driver->Feed(input.substr(0, cut.first));
  for (size_t at = std::min(cut.first, input.size()); at < input.size();) {
    const size_t size = std::min(cut.size, input.size() - at);
    driver->Feed(input.substr(at, size));
    at += size;
  }
}

// Answers every complete request with 200 and a short body; a body that is being read is not answered early.
inline void AnswerOk(Codec& codec, const StreamEvent& event) {
  if (event.kind != StreamEvent::Kind::kEnd) return;
  auto& server = static_cast<ServerCodec&>(codec);
  http::ResponseHead head;
  head.content_length = 2;
  server.SendResponse(event.stream, head, false);
  server.SendData(event.stream, AsBytes("ok"));
  server.SendEnd(event.stream);
}

inline Seen RunServer(std::string_view input, Cut cut, bool eof, const React& react, const Limits& limits = {}) {
  const std::unique_ptr<ServerCodec> codec = MakeHttp1Server(limits);
  Driver driver(codec.get(), react);
  FeedCut(&driver, input, cut);
  if (eof) driver.FeedEof();
  return {driver.journal.text(), std::string(codec->output().text()), codec->should_close(), false};
}

// One request goes out, then `input` comes in.
inline Seen RunClient(const http::RequestHead& request, std::string_view input, Cut cut, bool eof, const Limits& limits = {}) {
  const std::unique_ptr<ClientCodec> codec = MakeHttp1Client(limits);
  codec->SendRequest(request, true);
  codec->output().Clear();
  Driver driver(codec.get(), {});
  FeedCut(&driver, input, cut);
  if (eof) driver.FeedEof();
  return {driver.journal.text(), std::string(codec->output().text()), codec->should_close(), codec->can_start()};
}

}  // namespace outrigger::codec::testing
