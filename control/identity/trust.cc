#include "control/identity/trust.h"

#include <algorithm>
#include <utility>

#include "proxy/tls/key.h"

namespace outrigger::control {

Result<std::unique_ptr<Trust>> Trust::Open(net::Loop* loop, TrustOptions options) {
  std::unique_ptr<Trust> trust(new Trust(loop, std::move(options)));
  if (Outcome loaded = trust->Load(); !loaded.ok()) return loaded.error();
  if (Outcome renewed = trust->Renew(); !renewed.ok()) return renewed.error();
  return trust;
}

Outcome Trust::Load() {
  net::Files& files = loop_->files();
  const std::string path = options_.data_dir + "/authority.pem";
  Result<std::string> text = files.Read(path, 1 << 20);
  if (!text.ok() && text.error().code != ErrorCode::kNotFound) return text.error();
  if (text.ok()) {
    if (Result<uint32_t> mode = files.Mode(path); !mode.ok() || (*mode & 077) != 0) {
      return Error::Make(ErrorCode::kInvalid, path + " holds the signing key and may be read by others: chmod 600 it");
    }
    const size_t certificate = text->find("-----BEGIN CERTIFICATE");
    if (certificate == std::string::npos) return Error::Make(ErrorCode::kInvalid, path + " is damaged: it holds no certificate");
    auto authority = tls::Authority::FromPem(std::string_view(*text).substr(0, certificate), std::string_view(*text).substr(certificate));
    if (!authority.ok()) return Error::Make(ErrorCode::kInvalid, path + " is damaged: " + authority.error().detail);
    authority_ = *authority;
  } else {
    auto authority = tls::Authority::Create(options_.trust_domain, loop_->wall_now());
    if (!authority.ok()) return authority.error();
    authority_ = *authority;
    if (Outcome written = files.Replace(path, authority_->key_pem() + authority_->root_pem(), 0600); !written.ok()) return written;
    created_ = true;
  }
  if (authority_->trust_domain() != options_.trust_domain) {
    return Error::Make(ErrorCode::kInvalid, path + " is of trust domain " + authority_->trust_domain() + ", not " + options_.trust_domain +
                                                ": use another --data-dir or --trust-domain");
  }
  // A disk that is full keeps nobody from starting with what stands there.
  const std::string root_path = options_.data_dir + "/root.pem";
  if (Result<std::string> there = files.Read(root_path, 1 << 20); there.ok() && *there == authority_->root_pem()) return {};
  return files.Replace(root_path, authority_->root_pem(), 0644);
}

Outcome Trust::Renew() {
  auto key = tls::PrivateKey::Generate();
  if (!key.ok()) return key.error();
  auto request = tls::MakeCertificateRequest(**key);
  if (!request.ok()) return request.error();
  auto leaf = authority_->Sign(*request, tls::WorkloadId(options_.trust_domain, "outrigger-system", "control"), loop_->wall_now(),
                               options_.certificate_lifetime);
  if (!leaf.ok()) return leaf.error();
  tls::Credentials credentials;
  credentials.key = *key;
  // With the root: a proxy that joins has only the root's hash.
  credentials.chain = {*leaf, authority_->root()};
  credentials.roots = {authority_->root()};
  credentials.trust_domain = options_.trust_domain;
  auto context = tls::MakeContext(std::move(credentials));
  if (!context.ok()) return context.error();
  context_ = *context;
  loop_->Arm(&renewal_, options_.certificate_lifetime * 2 / 3);
  return {};
}

void Trust::OnRenewal() {
  // What can fail here is memory; the old one serves meanwhile, and its end shows in /status.
  if (!Renew().ok()) loop_->Arm(&renewal_, std::max<Duration>(options_.certificate_lifetime / 20, 1s));
}

std::string Trust::root_spki_hex() const { return tls::Hex(AsBytes(authority_->root_spki_sha256())); }

}  // namespace outrigger::control
