#include "proxy/rpc/wire.h"

#include <absl/strings/escaping.h>
#include <absl/strings/numbers.h>

#include <algorithm>
#include <climits>
#include <vector>

namespace outrigger::rpc {
namespace {

using http::Known;

constexpr std::string_view kBinary = "-bin";

// Names that the protocol itself uses; grpc-status-details-bin, grpc-tags-bin and the like are metadata.
bool BelongsToProtocol(std::string_view name) {
  constexpr std::string_view kNames[] = {"content-type", "te",            "grpc-status",          "grpc-message",
                                         "grpc-timeout", "grpc-encoding", "grpc-accept-encoding", "grpc-message-type"};
  return std::any_of(std::begin(kNames), std::end(kNames), [&](std::string_view n) { return n == name; });
}

bool GoodName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
  });
}

bool GoodText(std::string_view value) {
  if (!value.empty() && (value.front() == ' ' || value.back() == ' ')) return false;
  return std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

codec::Limits CodecLimits() {
  codec::Limits limits;
  limits.max_streams = 1000;
  limits.stream_window = 1 << 20;
  limits.connection_window = 4 << 20;
  return limits;
}

// ---------------------------------------------------------------- messages

Outcome AppendMessage(const google::protobuf::MessageLite& message, Buffer* out) {
  const size_t size = message.ByteSizeLong();
  if (size > INT_MAX) return Error::Make(ErrorCode::kTooLarge, "message of " + std::to_string(size) + " bytes cannot be serialized");
  uint8_t* at = out->Reserve(size + 5).data();
  *at++ = 0;  // not compressed
  for (int shift : {24, 16, 8, 0}) *at++ = static_cast<uint8_t>(size >> shift);
  message.SerializeWithCachedSizesToArray(at);
  out->Commit(size + 5);
  return {};
}

bool MessageReader::CheckPrefix(const uint8_t* prefix, size_t* length) {
  *length = static_cast<size_t>(prefix[1]) << 24 | static_cast<size_t>(prefix[2]) << 16 | static_cast<size_t>(prefix[3]) << 8 | prefix[4];
  if (prefix[0] == 1) {
    status_ = {Code::kUnimplemented, "compressed messages are not supported"};
  } else if (prefix[0] != 0) {
    status_ = {Code::kInternal, "the bytes are no gRPC message"};
  } else if (*length > limit_) {
    status_ = {Code::kResourceExhausted,
               "message of " + std::to_string(*length) + " bytes, the limit is " + std::to_string(limit_)};
  }
  return status_.ok();
}

bool MessageReader::Next(Bytes* bytes, Bytes* message) {
  message_.Clear();
  if (!status_.ok()) return false;
  size_t length = 0;
  if (partial_.empty() && bytes->size() >= kPrefix) {
    if (!CheckPrefix(bytes->data(), &length)) return false;
    if (bytes->size() >= kPrefix + length) {
      *message = bytes->subspan(kPrefix, length);
      *bytes = bytes->subspan(kPrefix + length);
      return true;
    }
  }
  const auto take = [&](size_t upto) {
    const size_t n = std::min(bytes->size(), upto - partial_.size());
    partial_.Append(bytes->first(n));
    *bytes = bytes->subspan(n);
    return partial_.size() == upto;
  };
  if (bytes->empty()) return false;
  if (partial_.size() < kPrefix && !take(kPrefix)) return false;
  if (!CheckPrefix(partial_.view().data(), &length)) return false;
  if (!take(kPrefix + length)) return false;
  message_.Swap(partial_);
  *message = message_.view().subspan(kPrefix);
  return true;
}

// ---------------------------------------------------------------- timeouts

std::string FormatTimeout(Duration timeout) {
  constexpr int64_t kMost = 99999999;
  struct Unit {
    int64_t nanoseconds;
    char letter;
  };
  constexpr Unit kUnits[] = {{1, 'n'}, {1000, 'u'}, {1000000, 'm'}, {1000000000, 'S'}, {60000000000, 'M'}, {3600000000000, 'H'}};
  const int64_t ns = std::max<int64_t>(timeout.count(), 0);
  for (const Unit& unit : kUnits) {
    const int64_t value = ns / unit.nanoseconds + (ns % unit.nanoseconds != 0 ? 1 : 0);
    if (value <= kMost) return std::to_string(value) + unit.letter;
  }
  return std::to_string(kMost) + 'H';
}

std::optional<Duration> ParseTimeout(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  int64_t value = 0;
  for (char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  switch (text.back()) {
    case 'n': return Duration(value);
    case 'u': return std::chrono::microseconds(value);
    case 'm': return std::chrono::milliseconds(value);
    case 'S': return std::chrono::seconds(value);
    // Eight digits of hours are beyond what Duration can hold.
    case 'M': return std::chrono::minutes(std::min<int64_t>(value, 60 * 24 * 365 * 10));
    case 'H': return std::chrono::hours(std::min<int64_t>(value, 24 * 365 * 10));
    default: return std::nullopt;
  }
}

// ---------------------------------------------------------------- status and metadata

std::string PercentEncode(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte >= 0x20 && byte <= 0x7e && c != '%') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

std::string PercentDecode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 && HexDigit(text[i + 2]) >= 0) {
      out += static_cast<char>(HexDigit(text[i + 1]) << 4 | HexDigit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

Outcome AppendMetadata(const Metadata& metadata, http::HeaderMap* headers) {
  for (const http::Field& field : metadata.fields()) {
    if (!GoodName(field.name) || BelongsToProtocol(field.name)) {
      return Error::Make(ErrorCode::kInvalid, "metadata may not be named `" + std::string(field.name) + "`");
    }
    if (field.name.ends_with(kBinary)) {
      std::string text = absl::Base64Escape(absl::string_view(field.value.data(), field.value.size()));
      while (text.ends_with('=')) text.pop_back();  // senders should not pad
      headers->Add(field.name, text);
    } else if (GoodText(field.value)) {
      headers->Add(field.name, field.value);
    } else {
      return Error::Make(ErrorCode::kInvalid, "the value of metadata `" + std::string(field.name) + "` is not ASCII: give it a -bin name");
    }
  }
  return {};
}

Outcome TakeMetadata(http::HeaderMap* headers) {
  headers->RemoveIf([](const http::Field& field) { return BelongsToProtocol(field.name); });
  const auto is_binary = [](const http::Field& field) { return field.name.ends_with(kBinary); };
  if (std::none_of(headers->fields().begin(), headers->fields().end(), is_binary)) return {};
  http::HeaderMap decoded;
  for (const http::Field& field : headers->fields()) {
    if (!is_binary(field)) {
      decoded.Add(field.name, field.value);
      continue;
    }
    std::string_view rest = field.value;  // several values may have been joined by commas
    while (true) {
      const size_t comma = rest.find(',');
      std::string value;
      const std::string_view one = rest.substr(0, comma);
      if (!absl::Base64Unescape(absl::string_view(one.data(), one.size()), &value)) {
        return Error::Make(ErrorCode::kInvalid, "metadata `" + std::string(field.name) + "` is not base64");
      }
      decoded.Add(field.name, value);
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  *headers = std::move(decoded);
  return {};
}

void AppendStatus(const Status& status, http::HeaderMap* headers) {
  headers->Add(Known::kGrpcStatus, std::to_string(static_cast<int>(status.code)));
  if (!status.message.empty()) headers->Add(Known::kGrpcMessage, PercentEncode(status.message));
}

std::optional<Status> ReadStatus(const http::HeaderMap& headers) {
  const auto text = headers.Get(Known::kGrpcStatus);
  if (!text) return std::nullopt;
  int code = 0;
  Status status;
  if (!absl::SimpleAtoi(absl::string_view(text->data(), text->size()), &code) || code < 0 || code > 16) {
    status.code = Code::kUnknown;
  } else {
    status.code = static_cast<Code>(code);
  }
  status.message = PercentDecode(headers.Get(Known::kGrpcMessage).value_or(std::string_view()));
  return status;
}

bool IsGrpcContentType(const http::HeaderMap& headers) {
  constexpr std::string_view kType = "application/grpc";
  const std::string_view type = headers.Get(Known::kContentType).value_or(std::string_view());
  if (!http::EqualsIgnoreCase(type.substr(0, kType.size()), kType)) return false;
  std::string_view rest = type.substr(kType.size());
  if (rest.starts_with("+proto")) rest.remove_prefix(6);
  return rest.empty() || rest.front() == ';';
}

Code FromHttpStatus(int status) {
  switch (status) {
    case 400: return Code::kInternal;
    case 401: return Code::kUnauthenticated;
    case 403: return Code::kPermissionDenied;
    case 404: return Code::kUnimplemented;
    case 429:
    case 502:
    case 503:
    case 504: return Code::kUnavailable;
    default: return Code::kUnknown;
  }
}

Status FromError(const Error& error) {
  switch (error.code) {
    case ErrorCode::kCancelled: return {Code::kCancelled, error.detail};
    case ErrorCode::kTimeout: return {Code::kDeadlineExceeded, error.detail};
    case ErrorCode::kOverload:
    case ErrorCode::kTooLarge: return {Code::kResourceExhausted, error.detail};
    case ErrorCode::kReset:
    case ErrorCode::kClosed:
    case ErrorCode::kProtocol: return {Code::kInternal, error.detail};
    default: return {Code::kUnavailable, error.detail};
  }
}

}  // namespace outrigger::rpc
