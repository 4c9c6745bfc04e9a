// The fields of one HTTP head (or trailer section), in order, names as received. All bytes live in the map's own arena:
// the codec copies a head in once, later edits append. Lookup is case-insensitive (RFC 9110 section 5.1); the names that
// the proxy itself acts on are recognised once, when added, and found by number.
// Clear() keeps the memory, and owners swap maps rather than copy them, so a warm connection allocates nothing.
// Not thread-safe. Views returned live until the map is cleared, assigned or destroyed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace outrigger::http {

// Names the proxy acts on. header_map.cc has the table; the order is no contract.
enum class Known : uint8_t {
  kOther,
  kAcceptEncoding, kAuthorization, kConnection, kContentLength, kContentType, kCookie, kDate, kExpect,
  kForwarded, kGrpcMessage, kGrpcStatus, kGrpcTimeout, kHost, kIdempotencyKey, kKeepAlive, kLocation, kOrigin,
  kProxyAuthenticate, kProxyAuthorization, kProxyConnection, kRetryAfter, kServer, kTe, kTraceparent, kTracestate, kTrailer,
  kTransferEncoding, kUpgrade, kUserAgent, kVia,
  kXForwardedClientCert, kXForwardedFor, kXForwardedHost, kXForwardedProto, kXRequestId,
  kXOutriggerAttempt, kXOutriggerExplain, kXOutriggerProtocol, kXOutriggerReason, kXOutriggerReceipt, kXOutriggerTimeoutMs,
  kCount,
};

Known Recognise(std::string_view name);     // any case; kOther when it is none of them
std::string_view KnownName(Known known);    // lower case
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

struct Field {
  std::string_view name;
  std::string_view value;
  Known known = Known::kOther;
};

class HeaderMap {
 public:
  HeaderMap() = default;
  HeaderMap(HeaderMap&&) noexcept = default;
  HeaderMap& operator=(HeaderMap&&) noexcept = default;
  HeaderMap(const HeaderMap& other) { *this = other; }
  HeaderMap& operator=(const HeaderMap& other);  // deep copy

  // Copies both. No validation: the codec has validated what came in, and what goes out is validated where it is configured.
  void Add(std::string_view name, std::string_view value);
  void Add(Known known, std::string_view value);
  // Adds without copying: name and value already lie in this map's arena (Store) or are static text.
  void AddStored(const Field& field) {
    fields_.push_back(field);
    present_ |= 1ull << static_cast<int>(field.known);
  }
  // Replaces all fields of that name by one.
  void Set(std::string_view name, std::string_view value);
  void Set(Known known, std::string_view value);
  // Removes all fields of that name; returns how many there were.
  size_t Remove(std::string_view name);
  size_t Remove(Known known);
  template <typename Predicate>  // bool(const Field&)
  void RemoveIf(Predicate&& predicate) {
    std::erase_if(fields_, predicate);
    Reindex();
  }

  // First value of that name; nullopt when absent.
  std::optional<std::string_view> Get(std::string_view name) const;
  std::optional<std::string_view> Get(Known known) const;
  bool Has(Known known) const { return (present_ >> static_cast<int>(known)) & 1; }
  size_t Count(Known known) const;

  // Does the comma-separated list in all fields of that name hold `token` (case-insensitive)? RFC 9110 section 5.6.1.
  bool HasToken(Known known, std::string_view token) const;

  const std::vector<Field>& fields() const { return fields_; }
  bool empty() const { return fields_.empty(); }
  size_t size() const { return fields_.size(); }
  // Sum of name and value lengths plus 32 a field (the measure of RFC 9113 section 6.5.2).
  size_t WireSize() const;

  // Copies text into the map's arena: for strings that must live as long as the head does.
  std::string_view Store(std::string_view text);

  void Clear();

 private:
  void Reindex();

  struct Chunk {
    std::unique_ptr<char[]> memory;
    size_t size = 0;
    size_t used = 0;
  };
  std::vector<Chunk> chunks_;
  std::vector<Field> fields_;
  uint64_t present_ = 0;  // a bit per Known
};
static_assert(static_cast<int>(Known::kCount) <= 64);

}  // namespace outrigger::http
