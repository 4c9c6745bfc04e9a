#include "control/identity/tokens.h"

#include <utility>

#include "control/identity/secret.h"
#include "nlohmann/json.hpp"

namespace outrigger::control {

Result<TokenStore> TokenStore::Open(net::Files* files, std::string path) {
  TokenStore store(files, path);
  Result<std::string> text = files->Read(path);
  if (!text.ok()) {
    if (text.error().code == ErrorCode::kNotFound) return store;
    return text.error();
  }
  if (Result<uint32_t> mode = files->Mode(path); !mode.ok() || (*mode & 077) != 0) {
    return Error::Make(ErrorCode::kInvalid, path + " may be read by others: chmod 600 it");
  }
  if (Outcome parsed = store.Parse(*text); !parsed.ok()) return parsed.error();
  return store;
}

Outcome TokenStore::Parse(const std::string& text) {
  const Error damaged = Error::Make(ErrorCode::kInvalid, path_ + " is damaged: remove it, and create new join tokens");
  const nlohmann::json root = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object() || !root.contains("tokens") || !root["tokens"].is_array()) return damaged;
  for (const nlohmann::json& item : root["tokens"]) {
    if (!item.is_object() || !item.contains("sha256") || !item.contains("workload") || !item.contains("expires")) return damaged;
    if (!item["sha256"].is_string() || !item["workload"].is_string() || !item["expires"].is_number_integer()) return damaged;
    tokens_[item["sha256"].get<std::string>()] = {item["workload"].get<std::string>(),
                                                   WallTime(std::chrono::seconds(item["expires"].get<int64_t>()))};
  }
  return {};
}

std::string TokenStore::Format() const {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [hash, token] : tokens_) {
    list.push_back({{"sha256", hash}, {"workload", token.workload}, {"expires", UnixSeconds(token.expires)}});
  }
  return nlohmann::json{{"tokens", list}}.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Result<std::string> TokenStore::Create(const std::string& workload, Duration lifetime, WallTime now) {
  if (lifetime < 1s || lifetime > kMaxLifetime) {
    return Error::Make(ErrorCode::kInvalid, "a join token lasts between 1 second and 365 days");
  }
  std::erase_if(tokens_, [now](const auto& item) { return item.second.expires <= now; });
  if (tokens_.size() >= kMaxTokens) {
    return Error::Make(ErrorCode::kOverload, "there are " + std::to_string(kMaxTokens) + " join tokens in force: wait until some expire");
  }
  std::string secret = MakeSecret();
  const std::string hash = SecretHash(secret);
  // Whole seconds on disk; rounded up so that it lasts at least as long as was asked for.
  tokens_[hash] = {workload, WallTime(std::chrono::ceil<std::chrono::seconds>((now + lifetime).time_since_epoch()))};
  if (Outcome written = files_->Replace(path_, Format(), 0600); !written.ok()) {
    tokens_.erase(hash);
    return written.error();
  }
  return secret;
}

TokenStore::Verdict TokenStore::Check(std::string_view secret, std::string_view workload, WallTime now) const {
  // Looked up by hash: how long that takes says nothing about the secret.
  auto it = tokens_.find(SecretHash(secret));
  if (it == tokens_.end()) return Verdict::kUnknown;
  if (it->second.expires <= now) return Verdict::kExpired;
  if (it->second.workload != workload) return Verdict::kOtherWorkload;
  return Verdict::kGood;
}

}  // namespace outrigger::control
