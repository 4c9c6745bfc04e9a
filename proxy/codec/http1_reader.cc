#include "proxy/codec/http1_reader.h"

#include <algorithm>
#include <cstring>

namespace outrigger::codec {
namespace {

// CRLF after the data before, size, extensions and CRLF. Nothing legitimate comes near it (a signed chunk takes 90 bytes).
constexpr uint32_t kMaxChunkLine = 256;

}  // namespace

struct Callbacks {
  static MessageReader* Of(llhttp_t* parser) { return static_cast<MessageReader*>(parser->data); }

  static int OnName(llhttp_t* parser, const char* at, size_t size) {
    MessageReader* reader = Of(parser);
    if (reader->in_name_) {  // a name cut by the end of the last piece goes on
      reader->fields_.back().name_size += static_cast<uint32_t>(size);
      return 0;
    }
    if (reader->fields_.size() == reader->limits_.head_fields) {
      reader->refusal_ = {431, "too many header fields"};
      return HPE_USER;
    }
    reader->in_name_ = true;
    reader->fields_.push_back({reader->Offset(at), static_cast<uint32_t>(size), 0, 0});
    return 0;
  }

  static int OnValue(llhttp_t* parser, const char* at, size_t size) {
    MessageReader* reader = Of(parser);
    FieldSpan& field = reader->fields_.back();
    if (reader->in_name_) {
      reader->in_name_ = false;
      field.value_at = reader->Offset(at);
    }
    field.value_size += static_cast<uint32_t>(size);
    return 0;
  }

  static int OnHeadersComplete(llhttp_t*) { return HPE_PAUSED; }

  static int OnChunkHeader(llhttp_t* parser) {
    if (parser->content_length > 0) return 0;
    Of(parser)->pause_ = MessageReader::Pause::kLastChunk;
    return HPE_PAUSED;
  }

  static int OnBody(llhttp_t* parser, const char* at, size_t size) {
    if (size == 0) return 0;
    MessageReader* reader = Of(parser);
    reader->data_ = {reinterpret_cast<const uint8_t*>(at), size};
    reader->pause_ = MessageReader::Pause::kData;
    return HPE_PAUSED;
  }

  static int OnMessageComplete(llhttp_t*) { return HPE_PAUSED; }

  static llhttp_settings_t Settings() {
    llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_header_field = OnName;
    settings.on_header_value = OnValue;
    settings.on_headers_complete = OnHeadersComplete;
    settings.on_chunk_header = OnChunkHeader;
    settings.on_body = OnBody;
    settings.on_message_complete = OnMessageComplete;
    return settings;
  }
};

namespace {

// A parser that has just read a start line. llhttp is a plain struct, so copying this one begins a field section. A request
// line serves responses as well: what the framing fields mean is decided by us, and llhttp's rules for requests are stricter.
const llhttp_t& AtFieldSection() {
  static const llhttp_settings_t settings = Callbacks::Settings();
  static const llhttp_t prepared = [] {
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    constexpr std::string_view kLine = "POST / HTTP/1.1\r\n";
    llhttp_execute(&parser, kLine.data(), kLine.size());
    return parser;
  }();
  return prepared;
}

}  // namespace

void MessageReader::Begin() {
  phase_ = Phase::kBetween;
  blank_ = side_ == Side::kRequests ? 0 : 2;
  held_.Clear();
}

MessageReader::Item MessageReader::Fail(Refusal refusal) {
  refusal_ = refusal;
  phase_ = Phase::kDone;
  return Item::kRefusal;
}

MessageReader::Item MessageReader::Read(Bytes in, size_t* consumed) {
  switch (phase_) {
    case Phase::kBetween: return ReadBetween(in, consumed);
    case Phase::kStartLine: return ReadStartLine(in, consumed);
    case Phase::kFields: return ReadSection(in, 0, 0, limits_.head_bytes, consumed);
    case Phase::kFixedBody: {
      const size_t size = static_cast<size_t>(std::min<uint64_t>(in.size(), remaining_));
      data_ = in.first(size);
      remaining_ -= size;
      if (remaining_ == 0) phase_ = Phase::kDone;
      *consumed = size;
      return Item::kData;
    }
    case Phase::kOpenBody:
      data_ = in;
      *consumed = in.size();
      return Item::kData;
    case Phase::kChunks: return ReadChunks(in, consumed);
    case Phase::kTrailers: return ReadSection(in, 0, 0, limits_.trailer_bytes, consumed);
    case Phase::kDone: break;
  }
  *consumed = 0;
  return Item::kMore;
}

Refusal MessageReader::StartBody(Framing framing) {
  held_.Clear();
  switch (framing.kind) {
    case Framing::Kind::kNone: phase_ = Phase::kDone; break;
    case Framing::Kind::kFixed:
      remaining_ = framing.length;
      phase_ = remaining_ > 0 ? Phase::kFixedBody : Phase::kDone;
      break;
    case Framing::Kind::kChunked:
      if ((parser_.flags & F_CHUNKED) == 0) return {400, "malformed Transfer-Encoding"};
      chunk_line_ = 0;
      phase_ = Phase::kChunks;
      break;
    case Framing::Kind::kUntilClose: phase_ = Phase::kOpenBody; break;
  }
  return {};
}

// One empty line before a request is forgiven (RFC 9112 section 2.2); nothing is before a response.
MessageReader::Item MessageReader::ReadBetween(Bytes in, size_t* consumed) {
  size_t skipped = 0;
  while (blank_ < 2 && skipped < in.size()) {
    const uint8_t c = in[skipped];
    if (blank_ == 0 && c != '\r') {
      blank_ = 2;
      break;
    }
    if (blank_ == 1 && c != '\n') {
      *consumed = skipped;
      return Fail({400, "CR without LF before the request"});
    }
    ++blank_;
    ++skipped;
  }
  if (skipped == in.size()) {
    *consumed = skipped;
    return Item::kMore;
  }
  const char first = static_cast<char>(in[skipped]);
  if (side_ == Side::kRequests ? !IsTokenChar(first) : first != 'H') {
    phase_ = Phase::kStartLine;
    *consumed = skipped;
    return Fail({400, side_ == Side::kRequests ? "these bytes are not an HTTP request" : "these bytes are not an HTTP response"});
  }
  phase_ = Phase::kStartLine;
  const Item item = ReadStartLine(in.subspan(skipped), consumed);
  *consumed += skipped;
  return item;
}

MessageReader::Item MessageReader::ReadStartLine(Bytes in, size_t* consumed) {
  const size_t limit = limits_.request_line_bytes;
  *consumed = 0;
  const void* found = std::memchr(in.data(), '\n', in.size());
  const size_t size = found == nullptr ? in.size() : static_cast<size_t>(static_cast<const uint8_t*>(found) - in.data());
  // Up to the LF, with the CR: limit + 1.
  if (held_.size() + size > limit + 1) {
    return Fail({414, side_ == Side::kRequests ? "the request line is too long" : "the status line is too long"});
  }
  if (found == nullptr) {
    held_.Append(in);
    *consumed = in.size();
    return Item::kMore;
  }
  const size_t end = size + 1;
  size_t kept = 0;
  std::string_view line = AsText(in.first(size));
  if (!held_.empty()) {
    held_.Append(in.first(end));
    kept = end;
    line = held_.text();
    line.remove_suffix(1);
  }
  if (line.empty() || line.back() != '\r') return Fail({400, "LF without CR at the end of the first line"});
  line.remove_suffix(1);
  start_line_ = {};
  const Refusal refusal = side_ == Side::kRequests ? ParseRequestLine(line, &start_line_) : ParseStatusLine(line, &start_line_);
  if (refusal) return Fail(refusal);

  phase_ = Phase::kFields;
  parser_ = AtFieldSection();
  parser_.data = this;
  fields_.clear();
  in_name_ = false;
  return ReadSection(in, end, kept, limits_.head_bytes, consumed);
}

// in[0, at) belongs to the section and has been read before; in[0, kept) is in held_ already.
MessageReader::Item MessageReader::ReadSection(Bytes in, size_t at, size_t kept, size_t limit, size_t* consumed) {
  const bool head = phase_ == Phase::kFields;
  const size_t origin = held_.size() - kept;
  const size_t room = limit - std::min(limit, origin + at);
  const Bytes part = in.subspan(at, std::min(room, in.size() - at));
  piece_ = reinterpret_cast<const char*>(in.data());
  piece_at_ = origin;
  size_t used = 0;
  const llhttp_errno_t error = part.empty() ? HPE_OK : Execute(part, &used);
  const size_t end = at + used;
  *consumed = end;
  if (error == HPE_OK) {
    if (end < in.size()) return Fail({431, head ? "the request head is too large" : "the trailer section is too large"});
    held_.Append(in.subspan(kept));
    return Item::kMore;
  }
  if (error != HPE_PAUSED) return Fail(SyntaxRefusal(error));
  if (held_.empty()) {
    section_ = AsText(in.first(end));
  } else {
    held_.Append(in.subspan(kept, end - kept));
    section_ = held_.text();
  }
  if (head) return Item::kHead;
  phase_ = Phase::kDone;
  return fields_.empty() ? Item::kEnd : Item::kTrailers;
}

MessageReader::Item MessageReader::ReadChunks(Bytes in, size_t* consumed) {
  pause_ = Pause::kNone;
  const llhttp_errno_t error = Execute(in, consumed);
  const bool data = pause_ == Pause::kData;
  chunk_line_ += static_cast<uint32_t>(data ? static_cast<size_t>(data_.data() - in.data()) : *consumed);
  if (chunk_line_ > kMaxChunkLine) return Fail({400, "the line of a chunk's size is too long"});
  if (error == HPE_OK) return Item::kMore;
  if (error != HPE_PAUSED) return Fail(SyntaxRefusal(error));
  chunk_line_ = 0;
  if (data) return Item::kData;

  phase_ = Phase::kTrailers;
  fields_.clear();
  in_name_ = false;
  const size_t used = *consumed;
  if (used == in.size()) return Item::kMore;
  const Item item = ReadSection(in.subspan(used), 0, 0, limits_.trailer_bytes, consumed);
  *consumed += used;
  return item;
}

llhttp_errno_t MessageReader::Execute(Bytes in, size_t* used) {
  const char* begin = reinterpret_cast<const char*>(in.data());
  const llhttp_errno_t error = llhttp_execute(&parser_, begin, in.size());
  if (error == HPE_OK) {
    *used = in.size();
    return error;
  }
  *used = static_cast<size_t>(llhttp_get_error_pos(&parser_) - begin);
  if (error == HPE_PAUSED) llhttp_resume(&parser_);
  return error;
}

Refusal MessageReader::SyntaxRefusal(llhttp_errno_t error) const {
  if (error == HPE_USER) return refusal_;
  const char* reason = llhttp_get_error_reason(&parser_);
  return {400, reason != nullptr && *reason != '\0' ? reason : "malformed message"};
}

}  // namespace outrigger::codec
