// Compiled string, header and query matchers. Immutable, thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <re2/re2.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proxy/config/config.h"
#include "proxy/http/message.h"

namespace outrigger::route {

// RE2 with bounded memory; fails with its own words.
absl::StatusOr<std::unique_ptr<RE2>> CompileRegex(const std::string& pattern, bool ignore_case);

class StringMatcher {
 public:
  static absl::StatusOr<StringMatcher> Make(const config::StringMatch& match);
  bool Matches(std::string_view text) const;
  bool presence_only() const { return match_.kind == config::StringMatch::Kind::kPresent; }

 private:
  config::StringMatch match_;
  std::unique_ptr<RE2> regex_;
};

class HeaderMatcher {
 public:
  static absl::StatusOr<HeaderMatcher> Make(const config::HeaderMatch& match);
  bool Matches(const http::RequestHead& head) const;

 private:
  std::string name_;
  http::Known known_ = http::Known::kOther;
  bool invert_ = false;
  StringMatcher matcher_;
};

class QueryMatcher {
 public:
  static absl::StatusOr<QueryMatcher> Make(const config::QueryMatch& match);
  // `query`: without the '?'. The first parameter of that name counts (Gateway API).
  bool Matches(std::string_view query) const;

 private:
  std::string name_;
  StringMatcher matcher_;
};

}  // namespace outrigger::route
