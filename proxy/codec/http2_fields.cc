#include "proxy/codec/http2_fields.h"

#include <algorithm>
#include <charconv>

namespace outrigger::codec {
namespace {

using http::Known;

// Decoded beyond this many times the limits, a header block is an attack on memory or time (an indexed field costs its
// sender one byte), and the connection ends.
constexpr size_t kAbuseFactor = 8;

// Fields that frame or route a message mean nothing in trailers (RFC 9110 section 6.5.1).
bool ForbiddenInTrailers(Known known) {
  switch (known) {
    case Known::kAuthorization:
    case Known::kContentLength:
    case Known::kExpect:
    case Known::kHost:
    case Known::kTe:
    case Known::kTrailer: return true;
    default: return false;
  }
}

bool ConnectionSpecific(Known known) {
  switch (known) {
    case Known::kConnection:
    case Known::kKeepAlive:
    case Known::kProxyConnection:
    case Known::kTransferEncoding:
    case Known::kUpgrade: return true;
    default: return false;
  }
}

std::optional<uint64_t> ParseLength(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void AddTo(http::HeaderMap* map, Known known, std::string_view name, std::string_view value) {
  if (known != Known::kOther) {
    map->Add(known, value);  // names are lower-case in HTTP/2, so the static text is the same
  } else {
    map->Add(name, value);
  }
}

nghttp2_nv MakeField(std::string_view name, std::string_view value) {
  // nghttp2 copies both, and does not write through these pointers.
  return {const_cast<uint8_t*>(AsBytes(name).data()), const_cast<uint8_t*>(AsBytes(value).data()), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NONE};
}

bool HasUpper(std::string_view name) {
  return std::any_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

}  // namespace

// ---------------------------------------------------------------- in

void FieldReader::Restart() {
  request_ = nullptr;
  response_ = nullptr;
  trailers_ = nullptr;
  cookies_.clear();
  host_ = {};
  size_ = fields_ = 0;
  too_large_ = path_too_long_ = false;
}

void FieldReader::BeginRequest(http::RequestHead* head) {
  Restart();
  request_ = head;
  head->Clear();
  head->version = http::Version::kHttp2;
  head->method_text = {};
}

void FieldReader::BeginResponse(http::ResponseHead* head) {
  Restart();
  response_ = head;
  head->Clear();
  head->version = http::Version::kHttp2;
}

void FieldReader::BeginTrailers(http::HeaderMap* trailers) {
  Restart();
  trailers_ = trailers;
  trailers->Clear();
}

bool FieldReader::Add(std::string_view name, std::string_view value) {
  size_ += name.size() + value.size() + 32;
  ++fields_;
  const size_t limit = trailers_ != nullptr ? limits_.trailer_bytes : limits_.head_bytes;
  // The announced MAX_HEADER_LIST_SIZE counts 32 a field; a field of HTTP/1 does not, and both limits mean the same text.
  if (size_ - 32 * fields_ > limit || fields_ > limits_.head_fields + 5) too_large_ = true;  // 5 pseudo header fields
  if (too_large_) return size_ <= kAbuseFactor * (limit + 32 * limits_.head_fields);

  if (!name.empty() && name[0] == ':') {
    AddPseudo(name, value);
    return true;
  }
  const Known known = http::Recognise(name);
  if (request_ != nullptr) {
    AddRequestField(known, name, value);
  } else if (response_ != nullptr) {
    if (known == Known::kContentLength) {
      response_->content_length = ParseLength(value);
    } else {
      AddTo(&response_->headers, known, name, value);
    }
  } else if (trailers_ != nullptr && !ForbiddenInTrailers(known)) {
    AddTo(trailers_, known, name, value);
  }
  return true;
}

void FieldReader::AddPseudo(std::string_view name, std::string_view value) {
  if (response_ != nullptr) {
    if (name == ":status") std::from_chars(value.data(), value.data() + value.size(), response_->status);
    return;
  }
  if (request_ == nullptr) return;  // nghttp2 refuses pseudo header fields in trailers
  if (name == ":path" && value.size() > limits_.request_line_bytes) {
    path_too_long_ = true;
    return;
  }
  const std::string_view stored = request_->headers.Store(value);
  if (name == ":method") {
    request_->method_text = stored;
    request_->method = http::ParseMethod(stored);
  } else if (name == ":scheme") {
    request_->scheme = stored;
  } else if (name == ":authority") {
    request_->authority = stored;
  } else if (name == ":path") {
    request_->path = stored;
  } else if (name == ":protocol") {
    request_->protocol = stored;
  }
}

void FieldReader::AddRequestField(Known known, std::string_view name, std::string_view value) {
  switch (known) {
    case Known::kContentLength: request_->content_length = ParseLength(value); return;
    case Known::kHost: host_ = request_->headers.Store(value); return;
    case Known::kCookie:
      if (!cookies_.empty()) cookies_ += "; ";
      cookies_ += value;
      return;
    case Known::kExpect:
      if (http::EqualsIgnoreCase(value, "100-continue")) {
        request_->expect_continue = true;
        return;
      }
      break;
    default: break;
  }
  AddTo(&request_->headers, known, name, value);
}

FieldReader::Verdict FieldReader::Finish() {
  if (path_too_long_) return Verdict::kPathTooLong;
  if (too_large_) return Verdict::kTooLarge;
  return request_ != nullptr ? FinishRequest() : Verdict::kGood;
}

FieldReader::Verdict FieldReader::FinishRequest() {
  http::RequestHead& head = *request_;
  if (!cookies_.empty()) head.headers.Add(Known::kCookie, cookies_);
  cookies_.clear();
  if (head.authority.empty()) {
    head.authority = host_;
  } else if (!host_.empty() && !http::EqualsIgnoreCase(host_, head.authority)) {
    return Verdict::kMalformed;  // two names for one target (RFC 9113 section 8.3.1)
  }
  if (head.authority.find('@') != std::string_view::npos) return Verdict::kMalformed;  // userinfo, section 8.3.1
  if (head.path.find('#') != std::string_view::npos) return Verdict::kMalformed;       // a fragment is no part of a request
  const bool plain_connect = head.method == http::Method::kConnect && head.protocol.empty();
  if (!plain_connect && !head.path.starts_with('/') && !(head.path == "*" && head.method == http::Method::kOptions)) {
    return Verdict::kMalformed;  // nghttp2 checks this for the schemes http and https only
  }
  return Verdict::kGood;
}

// ---------------------------------------------------------------- out

const std::vector<nghttp2_nv>& FieldWriter::Request(const http::RequestHead& head) {
  Begin(head.headers);
  const bool extended = !head.protocol.empty();
  const bool connect = head.method == http::Method::kConnect || extended;
  Add(":method", connect ? std::string_view("CONNECT") : head.method_text);
  if (!connect || extended) {
    Add(":scheme", head.scheme.empty() ? std::string_view("http") : head.scheme);
    Add(":path", head.path.empty() ? std::string_view("/") : head.path);
  }
  if (!head.authority.empty()) Add(":authority", head.authority);
  if (extended) Add(":protocol", head.protocol);
  if (head.content_length && !connect) AddNumber("content-length", *head.content_length);
  if (head.expect_continue) Add("expect", "100-continue");
  AddAll(head.headers, /*trailers=*/false);
  return fields_;
}

const std::vector<nghttp2_nv>& FieldWriter::Response(const http::ResponseHead& head, int status) {
  Begin(head.headers);
  AddNumber(":status", static_cast<uint64_t>(status));
  if (head.content_length && status >= 200 && status != 204) AddNumber("content-length", *head.content_length);
  AddAll(head.headers, /*trailers=*/false);
  return fields_;
}

const std::vector<nghttp2_nv>& FieldWriter::Trailers(const http::HeaderMap& trailers) {
  Begin(trailers);
  AddAll(trailers, /*trailers=*/true);
  return fields_;
}

void FieldWriter::Begin(const http::HeaderMap& map) {
  fields_.clear();
  scratch_.clear();
  size_t needed = 64;  // numbers
  for (const http::Field& field : map.fields()) {
    if (field.known == Known::kOther && HasUpper(field.name)) needed += field.name.size();
  }
  scratch_.reserve(needed);
}

void FieldWriter::Add(std::string_view name, std::string_view value) { fields_.push_back(MakeField(name, value)); }

void FieldWriter::AddNumber(std::string_view name, uint64_t value) {
  const size_t at = scratch_.size();
  char text[20];
  scratch_.append(text, std::to_chars(text, text + sizeof text, value).ptr);
  Add(name, std::string_view(scratch_).substr(at));
}

void FieldWriter::AddAll(const http::HeaderMap& map, bool trailers) {
  for (const http::Field& field : map.fields()) {
    if (field.known == Known::kHost || field.known == Known::kContentLength || ConnectionSpecific(field.known)) continue;
    if (field.known == Known::kTe && !http::EqualsIgnoreCase(field.value, "trailers")) continue;
    if (trailers && ForbiddenInTrailers(field.known)) continue;
    if (field.name.empty() || field.name[0] == ':') continue;
    if (field.known != Known::kOther) {
      Add(http::KnownName(field.known), field.value);
      continue;
    }
    if (!HasUpper(field.name)) {
      Add(field.name, field.value);
      continue;
    }
    const size_t at = scratch_.size();
    for (char c : field.name) scratch_ += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    Add(std::string_view(scratch_).substr(at), field.value);
  }
}

}  // namespace outrigger::codec
