#include "proxy/http/header_map.h"

#include <algorithm>
#include <cstring>

namespace outrigger::http {
namespace {

constexpr std::string_view kNames[] = {
    "", "accept-encoding", "authorization", "connection", "content-length", "content-type", "cookie", "date", "expect",
    "forwarded", "grpc-message", "grpc-status", "grpc-timeout", "host", "idempotency-key", "keep-alive", "location", "origin",
    "proxy-authenticate", "proxy-authorization", "proxy-connection", "retry-after", "server", "te", "traceparent", "tracestate",
    "trailer", "transfer-encoding", "upgrade", "user-agent", "via",
    "x-forwarded-client-cert", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id",
    "x-outrigger-attempt", "x-outrigger-explain", "x-outrigger-protocol", "x-outrigger-reason", "x-outrigger-receipt",
    "x-outrigger-timeout-ms"};
static_assert(std::size(kNames) == static_cast<size_t>(Known::kCount));

constexpr char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Known names by length and first letter: at most a few candidates each, so one comparison nearly always decides.
constexpr size_t kBuckets = 64;
constexpr size_t BucketOf(std::string_view name) { return (name.size() * 7 + (static_cast<size_t>(name[0]) | 0x20)) % kBuckets; }

struct Table {
  uint8_t head[kBuckets] = {};
  uint8_t next[std::size(kNames)] = {};
};
constexpr Table MakeTable() {
  Table table;
  for (size_t i = 1; i < std::size(kNames); ++i) {
    const size_t bucket = BucketOf(kNames[i]);
    table.next[i] = table.head[bucket];
    table.head[bucket] = static_cast<uint8_t>(i);
  }
  return table;
}
constexpr Table kTable = MakeTable();

template <typename Word>
Word Load(const char* at) {
  Word word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

// The bytes of a name in lower case, given that it consists of letters and hyphens: setting bit 5 does that to both. The one byte that
// this takes for another, CR for a hyphen, is no part of a name that a codec lets in or out.
template <typename Word>
bool SameWords(const char* name, const char* lower, size_t size) {
  constexpr Word kBit5 = static_cast<Word>(0x2020202020202020ull);
  size_t at = 0;
  for (; at + sizeof(Word) < size; at += sizeof(Word)) {
    if ((Load<Word>(name + at) | kBit5) != Load<Word>(lower + at)) return false;
  }
  at = size - sizeof(Word);  // the last word overlaps
  return (Load<Word>(name + at) | kBit5) == Load<Word>(lower + at);
}

// Is `name`, in any case, the known name `lower` of the same length (two at least)?
bool IsKnown(std::string_view name, std::string_view lower) {
  if (name.size() >= 8) return SameWords<uint64_t>(name.data(), lower.data(), name.size());
  if (name.size() >= 4) return SameWords<uint32_t>(name.data(), lower.data(), name.size());
  return SameWords<uint16_t>(name.data(), lower.data(), name.size());
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

Known Recognise(std::string_view name) {
  if (name.empty()) return Known::kOther;
  for (uint8_t i = kTable.head[BucketOf(name)]; i != 0; i = kTable.next[i]) {
    if (name.size() == kNames[i].size() && IsKnown(name, kNames[i])) return static_cast<Known>(i);
  }
  return Known::kOther;
}

std::string_view KnownName(Known known) { return kNames[static_cast<size_t>(known)]; }

HeaderMap& HeaderMap::operator=(const HeaderMap& other) {
  if (this == &other) return *this;
  Clear();
  for (const Field& field : other.fields_) fields_.push_back({Store(field.name), Store(field.value), field.known});
  present_ = other.present_;
  return *this;
}

std::string_view HeaderMap::Store(std::string_view text) {
  if (text.empty()) return {};
  if (chunks_.empty() || chunks_.back().size - chunks_.back().used < text.size()) {
    const size_t size = std::max<size_t>(text.size(), chunks_.empty() ? 1024 : chunks_.back().size * 2);
    chunks_.push_back({std::make_unique_for_overwrite<char[]>(size), size, 0});
  }
  Chunk& chunk = chunks_.back();
  char* at = chunk.memory.get() + chunk.used;
  std::memcpy(at, text.data(), text.size());
  chunk.used += text.size();
  return {at, text.size()};
}

void HeaderMap::Add(std::string_view name, std::string_view value) {
  const Known known = Recognise(name);
  fields_.push_back({Store(name), Store(value), known});
  present_ |= 1ull << static_cast<int>(known);
}

void HeaderMap::Add(Known known, std::string_view value) {
  fields_.push_back({KnownName(known), Store(value), known});
  present_ |= 1ull << static_cast<int>(known);
}

void HeaderMap::Set(std::string_view name, std::string_view value) {
  Remove(name);
  Add(name, value);
}

void HeaderMap::Set(Known known, std::string_view value) {
  Remove(known);
  Add(known, value);
}

size_t HeaderMap::Remove(std::string_view name) {
  const Known known = Recognise(name);
  if (known != Known::kOther) return Remove(known);
  return std::erase_if(fields_, [&](const Field& f) { return f.known == Known::kOther && EqualsIgnoreCase(f.name, name); });
}

size_t HeaderMap::Remove(Known known) {
  if (!Has(known)) return 0;
  present_ &= ~(1ull << static_cast<int>(known));
  return std::erase_if(fields_, [&](const Field& f) { return f.known == known; });
}

std::optional<std::string_view> HeaderMap::Get(std::string_view name) const {
  const Known known = Recognise(name);
  if (known != Known::kOther) return Get(known);
  for (const Field& field : fields_) {
    if (field.known == Known::kOther && EqualsIgnoreCase(field.name, name)) return field.value;
  }
  return std::nullopt;
}

std::optional<std::string_view> HeaderMap::Get(Known known) const {
  if (!Has(known)) return std::nullopt;
  for (const Field& field : fields_) {
    if (field.known == known) return field.value;
  }
  return std::nullopt;
}

size_t HeaderMap::Count(Known known) const {
  if (!Has(known)) return 0;
  return static_cast<size_t>(std::count_if(fields_.begin(), fields_.end(), [&](const Field& f) { return f.known == known; }));
}

bool HeaderMap::HasToken(Known known, std::string_view token) const {
  if (!Has(known)) return false;
  for (const Field& field : fields_) {
    if (field.known != known) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const size_t comma = rest.find(',');
      if (EqualsIgnoreCase(Trim(rest.substr(0, comma)), token)) return true;
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return false;
}

size_t HeaderMap::WireSize() const {
  size_t size = 0;
  for (const Field& field : fields_) size += field.name.size() + field.value.size() + 32;
  return size;
}

void HeaderMap::Clear() {
  fields_.clear();
  present_ = 0;
  // Keep one chunk of ordinary size, the largest: a connection that saw one huge head must not hold it for ever, and one whose
  // heads are all a little larger than the first chunk must not allocate for each.
  constexpr size_t kKeep = 8192;
  while (!chunks_.empty() && chunks_.back().size > kKeep) chunks_.pop_back();
  if (chunks_.empty()) return;
  if (chunks_.size() > 1) chunks_.erase(chunks_.begin(), chunks_.end() - 1);
  chunks_.front().used = 0;
}

void HeaderMap::Reindex() {
  present_ = 0;
  for (const Field& field : fields_) present_ |= 1ull << static_cast<int>(field.known);
}

}  // namespace outrigger::http
