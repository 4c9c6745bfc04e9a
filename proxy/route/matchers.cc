#include "proxy/route/matchers.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace outrigger::route {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool Equal(std::string_view a, std::string_view b, bool ignore_case) {
  return ignore_case ? http::EqualsIgnoreCase(a, b) : a == b;
}

bool Contains(std::string_view text, std::string_view part, bool ignore_case) {
  if (!ignore_case) return text.find(part) != std::string_view::npos;
  return std::search(text.begin(), text.end(), part.begin(), part.end(),
                     [](char a, char b) { return Lower(a) == Lower(b); }) != text.end();
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Percent-decoding (RFC 3986 section 2.1) and '+' as a space; malformed escapes stay as they are. `scratch` keeps the result.
std::string_view Decode(std::string_view text, std::string* scratch) {
  if (text.find_first_of("%+") == std::string_view::npos) return text;
  scratch->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 && HexDigit(text[i + 2]) >= 0) {
      scratch->push_back(static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2])));
      i += 2;
    } else {
      scratch->push_back(text[i] == '+' ? ' ' : text[i]);
    }
  }
  return *scratch;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RE2>> CompileRegex(const std::string& pattern, bool ignore_case) {
  RE2::Options options(RE2::Quiet);
  options.set_max_mem(1 << 20);
  options.set_case_sensitive(!ignore_case);
  auto regex = std::make_unique<RE2>(pattern, options);
  if (!regex->ok()) return absl::InvalidArgumentError("bad regular expression \"" + pattern + "\": " + regex->error());
  return regex;
}

absl::StatusOr<StringMatcher> StringMatcher::Make(const config::StringMatch& match) {
  StringMatcher matcher;
  matcher.match_ = match;
  if (match.kind == config::StringMatch::Kind::kRegex) {
    auto regex = CompileRegex(match.value, match.ignore_case);
    if (!regex.ok()) return regex.status();
    matcher.regex_ = *std::move(regex);
  }
  return matcher;
}

bool StringMatcher::Matches(std::string_view text) const {
  using Kind = config::StringMatch::Kind;
  const std::string& value = match_.value;
  switch (match_.kind) {
    case Kind::kPresent: return true;
    case Kind::kExact: return Equal(text, value, match_.ignore_case);
    case Kind::kPrefix: return text.size() >= value.size() && Equal(text.substr(0, value.size()), value, match_.ignore_case);
    case Kind::kSuffix:
      return text.size() >= value.size() && Equal(text.substr(text.size() - value.size()), value, match_.ignore_case);
    case Kind::kContains: return Contains(text, value, match_.ignore_case);
    case Kind::kRegex: return RE2::FullMatch(re2::StringPiece(text.data(), text.size()), *regex_);
  }
  return false;
}

absl::StatusOr<HeaderMatcher> HeaderMatcher::Make(const config::HeaderMatch& match) {
  HeaderMatcher matcher;
  auto string_matcher = StringMatcher::Make(match.match);
  if (!string_matcher.ok()) return string_matcher.status();
  matcher.name_ = match.name;
  matcher.known_ = http::Recognise(match.name);
  matcher.invert_ = match.invert;
  matcher.matcher_ = *std::move(string_matcher);
  return matcher;
}

bool HeaderMatcher::Matches(const http::RequestHead& head) const {
  std::optional<std::string_view> value;
  std::string joined;
  if (name_[0] == ':') {
    if (name_ == ":method") value = head.method_text;
    if (name_ == ":authority") value = head.authority;
    if (name_ == ":path") value = head.path;
    if (name_ == ":scheme") value = head.scheme;
  } else if (known_ == http::Known::kHost) {
    value = head.authority;
  } else {
    // Several fields of one name are one list (RFC 9110 section 5.3).
    for (const http::Field& field : head.headers.fields()) {
      const bool same = known_ != http::Known::kOther
                            ? field.known == known_
                            : field.known == http::Known::kOther && http::EqualsIgnoreCase(field.name, name_);
      if (!same) continue;
      if (!value.has_value()) {
        value = field.value;
      } else {
        if (joined.empty()) joined = std::string(*value);
        joined += ',';
        joined += field.value;
        value = joined;
      }
    }
  }
  // An absent header matches nothing; inverted, that is a match only for "present" (Envoy's HeaderMatcher).
  if (!value.has_value()) return invert_ && matcher_.presence_only();
  return matcher_.Matches(*value) != invert_;
}

absl::StatusOr<QueryMatcher> QueryMatcher::Make(const config::QueryMatch& match) {
  QueryMatcher matcher;
  auto string_matcher = StringMatcher::Make(match.match);
  if (!string_matcher.ok()) return string_matcher.status();
  matcher.name_ = match.name;
  matcher.matcher_ = *std::move(string_matcher);
  return matcher;
}

bool QueryMatcher::Matches(std::string_view query) const {
  std::string scratch;
  while (!query.empty()) {
    const size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    const size_t equals = pair.find('=');
    if (Decode(pair.substr(0, equals), &scratch) != name_) continue;
    return matcher_.Matches(Decode(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), &scratch));
  }
  return false;
}

}  // namespace outrigger::route
