#include "proxy/discovery/identity.h"

#include "proxy/tls/certificate.h"

namespace outrigger::discovery {
namespace {

constexpr uint32_t kPrivate = 0600;
constexpr char kKeyFile[] = "key.pem";
constexpr char kLeafFile[] = "leaf.pem";
constexpr char kRootsFile[] = "roots.pem";

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

Result<std::shared_ptr<const tls::PrivateKey>> IdentityStore::Key() {
  const std::string path = Path(kKeyFile);
  if (Result<std::string> pem = files_->Read(path, 64 * 1024)) {
    Result<uint32_t> mode = files_->Mode(path);
    if (mode && (*mode & 077) != 0) {
      return Error::Make(ErrorCode::kInvalid, path + " can be read by others: run `chmod 600 " + path +
                                                  "`, or remove it to get a new identity");
    }
    auto key = tls::PrivateKey::FromPem(*pem);
    if (!key) return Error::Make(ErrorCode::kInvalid, path + " holds no usable key; remove it to get a new identity");
    return key;
  } else if (pem.error().code != ErrorCode::kNotFound) {
    return pem.error();
  }
  if (Outcome made = files_->MakeFolder(folder_, 0700); !made) return made.error();
  auto key = tls::PrivateKey::Generate();
  if (!key) return key.error();
  if (Outcome written = files_->Replace(path, (*key)->ToPem(), kPrivate); !written) return written.error();
  return key;
}

Result<tls::Credentials> IdentityStore::Load(const std::shared_ptr<const tls::PrivateKey>& key) {
  Result<std::string> leaf = files_->Read(Path(kLeafFile), 1 << 20);
  if (!leaf) return leaf.error();
  Result<std::string> roots = files_->Read(Path(kRootsFile), 1 << 20);
  if (!roots) return roots.error();
  const auto damaged = [this](const char* file, const Error& why) {
    return Error::Make(ErrorCode::kInvalid, Path(file) + " is damaged: " + why.detail);
  };
  auto chain = tls::ChainFromPem(*leaf);
  if (!chain) return damaged(kLeafFile, chain.error());
  auto trusted = tls::ChainFromPem(*roots);
  if (!trusted) return damaged(kRootsFile, trusted.error());
  auto info = tls::ParseCertificate((*chain)[0]);
  if (!info) return damaged(kLeafFile, info.error());
  auto id = tls::ParseSpiffeId(info->spiffe_id);
  if (!id) return damaged(kLeafFile, id.error());
  tls::Credentials credentials;
  credentials.key = key;
  credentials.chain = std::move(chain).value();
  credentials.roots = std::move(trusted).value();
  credentials.trust_domain = id->trust_domain;
  return credentials;
}

Outcome IdentityStore::Save(const tls::Credentials& credentials) {
  // Roots first: a leaf is never there without the roots that it came with.
  if (Outcome written = files_->Replace(Path(kRootsFile), tls::ChainToPem(credentials.roots), kPrivate); !written) return written;
  return files_->Replace(Path(kLeafFile), tls::ChainToPem(credentials.chain), kPrivate);
}

Result<JoinToken> ParseJoinToken(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  const size_t dot = text.rfind('.');
  const std::string_view hex = dot == std::string_view::npos ? std::string_view() : text.substr(dot + 1);
  JoinToken token;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    const int high = HexDigit(hex[i]);
    const int low = HexDigit(hex[i + 1]);
    if (high < 0 || low < 0) break;
    token.root_spki_sha256.push_back(static_cast<char>(high * 16 + low));
  }
  if (dot == 0 || hex.size() != 64 || token.root_spki_sha256.size() != 32) {
    return Error::Make(
        ErrorCode::kInvalid,
        "the join token is not of the form SECRET.ROOT-SPKI-SHA256: make one with `outrigger token create`");
  }
  token.secret = std::string(text.substr(0, dot));
  return token;
}

}  // namespace outrigger::discovery
