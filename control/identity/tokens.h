// Join tokens: how a workload that has no certificate yet proves who it is. A token is bound to one workload and may be used again until
// it expires (a lost answer then costs nothing); only hashes are kept, in a file of mode 0600 that a restart reads.
// One thread.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "proxy/base/error.h"
#include "proxy/base/time.h"
#include "proxy/net/files.h"

namespace outrigger::control {

class TokenStore {
 public:
  static constexpr Duration kDefaultLifetime = std::chrono::hours(24);
  static constexpr Duration kMaxLifetime = std::chrono::hours(24 * 365);
  static constexpr size_t kMaxTokens = 10'000;

  enum class Verdict : uint8_t { kGood, kUnknown, kExpired, kOtherWorkload };

  // Reads `path` if it exists. kInvalid when it is damaged or readable by others: a sentence that says what to do. `files` must outlive it.
  static Result<TokenStore> Open(net::Files* files, std::string path);

  // A new secret for `workload` ("namespace/name"). kInvalid for a lifetime out of range, kOverload when there are kMaxTokens in force,
  // kIo when it cannot be kept: then it is not in force.
  Result<std::string> Create(const std::string& workload, Duration lifetime, WallTime now);
  Verdict Check(std::string_view secret, std::string_view workload, WallTime now) const;
  size_t size() const { return tokens_.size(); }

 private:
  struct Token {
    std::string workload;
    WallTime expires{};
  };
  TokenStore(net::Files* files, std::string path) : files_(files), path_(std::move(path)) {}
  Outcome Parse(const std::string& text);
  std::string Format() const;

  net::Files* files_;
  std::string path_;
  std::map<std::string, Token> tokens_;  // by the hash of the secret
};

}  // namespace outrigger::control
