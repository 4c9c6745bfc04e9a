#include "proxy/codec/http1_writer.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace outrigger::codec {
namespace {

using http::Field;
using http::Known;

constexpr uint64_t kOnes = 0x0101010101010101ull;
constexpr uint64_t kHighs = 0x8080808080808080ull;

uint64_t Load(const char* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

// Non-zero when a byte of `word` is below `bound` (at most 128): "Bit Twiddling Hacks", hasless.
constexpr uint64_t HasLess(uint64_t word, uint64_t bound) { return (word - kOnes * bound) & ~word & kHighs; }

// Calls `test` with all bytes of `text`, eight at a time; the last eight overlap, short text is padded with 'a'.
template <typename Test>
bool AnyWord(std::string_view text, Test&& test) {
  const char* at = text.data();
  if (text.size() < 8) {
    char padded[8] = {'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a'};
    for (size_t i = 0; i < text.size(); ++i) padded[i] = at[i];
    return test(Load(padded));
  }
  const char* const last = at + text.size() - 8;
  for (; at < last; at += 8) {
    if (test(Load(at))) return true;
  }
  return test(Load(last));
}

// A name must not end early either: no space, no colon. Names are tokens where they are received or configured; this is the net.
bool IsUnsafeName(std::string_view name) {
  return name.empty() ||
         AnyWord(name, [](uint64_t word) { return (HasLess(word, 0x21) | HasLess(word ^ (kOnes * ':'), 1)) != 0; });
}

// Method and target.
bool HasControlOrSpace(std::string_view text) {
  return AnyWord(text, [](uint64_t word) { return HasLess(word, 0x21) != 0; });
}

constexpr uint64_t Bit(Known known) { return 1ull << static_cast<int>(known); }
constexpr uint64_t kOurs = Bit(Known::kHost) | Bit(Known::kContentLength) | Bit(Known::kTransferEncoding) | Bit(Known::kConnection) |
                           Bit(Known::kKeepAlive) | Bit(Known::kProxyConnection) | Bit(Known::kUpgrade);

char* Put(char* at, std::string_view text) {
  if (text.empty()) return at;  // may be null
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

char* PutNumber(char* at, uint64_t number) { return std::to_chars(at, at + 20, number).ptr; }

// Room for the lines of WireLines but for their variable parts.
constexpr size_t kLinesRoom = 192;
constexpr size_t kChunkRoom = 24;

size_t FieldsRoom(const http::HeaderMap& headers) {
  size_t room = 0;
  for (const Field& field : headers.fields()) room += field.name.size() + field.value.size() + 4;
  return room;
}

// Do these two fields follow each other as one received them, "name: value CRLF name..."? Only then are there just two bytes
// between the parts, and those bytes are looked at.
bool IsWireForm(const Field& field) {
  const char* gap = field.name.data() + field.name.size();
  return field.value.data() == gap + 2 && gap[0] == ':' && gap[1] == ' ';
}
bool Follows(const Field& field, const Field& next) {
  const char* gap = field.value.data() + field.value.size();
  return next.name.data() == gap + 2 && gap[0] == '\r' && gap[1] == '\n';
}

// Null when a field is unsafe. Runs of fields that lie in the arena as they were received are copied in one piece.
char* PutFields(char* at, const http::HeaderMap& headers) {
  const Field* field = headers.fields().data();
  const Field* const end = field + headers.fields().size();
  while (field != end) {
    if (((kOurs >> static_cast<int>(field->known)) & 1) != 0) {
      ++field;
      continue;
    }
    const Field* const first = field;
    bool run = true;
    while (run) {
      if (IsUnsafeName(field->name) || HasControl(field->value)) return nullptr;
      const Field& done = *field++;
      run = field != end && IsWireForm(done) && Follows(done, *field) && ((kOurs >> static_cast<int>(field->known)) & 1) == 0;
    }
    const Field& last = field[-1];
    at = Put(at, {first->name.data(), static_cast<size_t>(last.name.data() - first->name.data())});
    at = Put(at, last.name);
    *at++ = ':';
    *at++ = ' ';
    at = Put(at, last.value);
    *at++ = '\r';
    *at++ = '\n';
  }
  return at;
}

char* PutLines(char* at, const WireLines& lines) {
  if (lines.chunked) {
    at = Put(at, "Transfer-Encoding: chunked\r\n");
  } else if (lines.content_length) {
    at = Put(at, "Content-Length: ");
    at = PutNumber(at, *lines.content_length);
    at = Put(at, "\r\n");
  }
  if (lines.expect_continue) at = Put(at, "Expect: 100-continue\r\n");
  if (!lines.connection.empty()) at = Put(Put(Put(at, "Connection: "), lines.connection), "\r\n");
  if (!lines.upgrade.empty()) at = Put(Put(Put(at, "Upgrade: "), lines.upgrade), "\r\n");
  return Put(at, "\r\n");
}

}  // namespace

bool HasControl(std::string_view text) {
  if (!AnyWord(text, [](uint64_t word) { return HasLess(word, 0x20) != 0; })) return false;
  for (char c : text) {  // tabs are allowed, and rare
    if (static_cast<uint8_t>(c) < 0x20 && c != '\t') return true;
  }
  return false;
}

bool WriteRequestHead(const http::RequestHead& head, const WireLines& lines, Buffer* out) {
  const std::string_view target = head.method == http::Method::kConnect ? head.authority : head.path.empty() ? "/" : head.path;
  if (head.method_text.empty() || target.empty() || HasControlOrSpace(head.method_text) || HasControlOrSpace(target) ||
      HasControlOrSpace(head.authority) || HasControl(lines.upgrade)) {
    return false;
  }
  const size_t room = head.method_text.size() + target.size() + head.authority.size() + lines.connection.size() +
                      lines.upgrade.size() + FieldsRoom(head.headers) + kLinesRoom;
  char* const begin = reinterpret_cast<char*>(out->Reserve(room).data());
  char* at = Put(begin, head.method_text);
  *at++ = ' ';
  at = Put(Put(at, target), " HTTP/1.1\r\nHost: ");
  at = Put(Put(at, head.authority), "\r\n");
  at = PutFields(at, head.headers);
  if (at == nullptr) return false;
  at = PutLines(at, lines);
  out->Commit(static_cast<size_t>(at - begin));
  return true;
}

bool WriteResponseHead(const http::ResponseHead& head, const WireLines& lines, Buffer* out) {
  if (head.status < 100 || head.status > 999 || HasControl(head.reason) || HasControl(lines.upgrade)) return false;
  const std::string_view reason = head.reason.empty() ? http::StandardReason(head.status) : head.reason;
  const size_t room =
      reason.size() + lines.connection.size() + lines.upgrade.size() + FieldsRoom(head.headers) + kLinesRoom;
  char* const begin = reinterpret_cast<char*>(out->Reserve(room).data());
  char* at = PutNumber(Put(begin, "HTTP/1.1 "), static_cast<uint64_t>(head.status));
  *at++ = ' ';
  at = Put(Put(at, reason), "\r\n");
  at = PutFields(at, head.headers);
  if (at == nullptr) return false;
  at = PutLines(at, lines);
  out->Commit(static_cast<size_t>(at - begin));
  return true;
}

bool BodyWriter::Data(Bytes data, Buffer* out) {
  if (data.empty()) return true;  // an empty chunk would end the body
  switch (framing_.kind) {
    case Framing::Kind::kNone: break;
    case Framing::Kind::kFixed: {
      const size_t size = static_cast<size_t>(std::min<uint64_t>(data.size(), framing_.length));
      out->Append(data.first(size));
      framing_.length -= size;
      return size == data.size();
    }
    case Framing::Kind::kChunked: {
      char* const begin = reinterpret_cast<char*>(out->Reserve(data.size() + kChunkRoom).data());
      char* at = std::to_chars(begin, begin + 16, data.size(), 16).ptr;
      at = Put(Put(Put(at, "\r\n"), AsText(data)), "\r\n");
      out->Commit(static_cast<size_t>(at - begin));
      break;
    }
    case Framing::Kind::kUntilClose: out->Append(data); break;
  }
  return true;
}

bool BodyWriter::End(const http::HeaderMap* trailers, Buffer* out) {
  if (framing_.kind == Framing::Kind::kFixed) return framing_.length == 0;
  if (framing_.kind != Framing::Kind::kChunked) return true;
  framing_.kind = Framing::Kind::kNone;
  if (trailers == nullptr || trailers->empty()) {
    out->Append("0\r\n\r\n");
    return true;
  }
  char* const begin = reinterpret_cast<char*>(out->Reserve(FieldsRoom(*trailers) + kChunkRoom).data());
  char* at = PutFields(Put(begin, "0\r\n"), *trailers);
  if (at == nullptr) return false;
  at = Put(at, "\r\n");
  out->Commit(static_cast<size_t>(at - begin));
  return true;
}

}  // namespace outrigger::codec
