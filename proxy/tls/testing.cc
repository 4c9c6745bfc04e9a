#include "proxy/tls/testing.h"

#include <cstdio>
#include <cstdlib>

namespace outrigger::tls::testing {
namespace {

template <typename T>
T Must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "test credentials: %s\n", result.error().ToString().c_str());
    std::abort();
  }
  return std::move(result).value();
}

}  // namespace

TestMesh::TestMesh(std::string_view trust_domain, WallTime now)
    : now_(now),
      authority_(Must(Authority::Create(trust_domain, now))),
      root_key_(Must(PrivateKey::FromPem(authority_->key_pem()))) {}

std::string TestMesh::Id(std::string_view name_space, std::string_view service_account) const {
  return WorkloadId(authority_->trust_domain(), name_space, service_account);
}

Credentials TestMesh::Workload(std::string_view name_space, std::string_view service_account, Duration lifetime) const {
  return WithId(Id(name_space, service_account), now_, lifetime);
}

Credentials TestMesh::WithId(std::string_view spiffe_id, WallTime now, Duration lifetime) const {
  Credentials credentials;
  credentials.key = Must(PrivateKey::Generate());
  const Der request = Must(MakeCertificateRequest(*credentials.key));
  credentials.chain = {Must(authority_->Sign(request, spiffe_id, now, lifetime)), authority_->root()};
  credentials.roots = {authority_->root()};
  credentials.trust_domain = authority_->trust_domain();
  return credentials;
}

Credentials TestMesh::Odd(const std::function<void(CertificateSpec*)>& change) const {
  CertificateSpec spec;
  spec.uris = {Id("default", "odd")};
  spec.not_before = now_ - kLeafBackdate;
  spec.not_after = now_ + kDefaultLeafLifetime;
  change(&spec);
  Credentials credentials;
  credentials.key = Must(PrivateKey::Generate());
  const Der& root = authority_->root();
  credentials.chain = {Must(BuildCertificate(spec, credentials.key->get(), {.certificate = &root, .key = root_key_.get()})), root};
  credentials.roots = {root};
  credentials.trust_domain = authority_->trust_domain();
  return credentials;
}

std::shared_ptr<const Context> MustMakeContext(Credentials credentials) { return Must(MakeContext(std::move(credentials))); }

bool Pair::Exchange(WallTime now) {
  bool first = client->state() == Session::State::kHandshake;
  while (first || !client->output().empty() || !server->output().empty()) {
    first = false;
    Buffer wire;
    wire.Swap(client->output());
    if (server->state() != Session::State::kFailed) server_outcome = server->Feed(wire.view(), now, &at_server);
    wire.Clear();
    wire.Swap(server->output());
    if (client->state() != Session::State::kFailed) client_outcome = client->Feed(wire.view(), now, &at_client);
  }
  return client_outcome.ok() && server_outcome.ok();
}

Pair Connect(const std::shared_ptr<const Context>& client, ClientOptions client_options, const std::shared_ptr<const Context>& server,
             ServerOptions server_options, WallTime now) {
  Pair pair;
  pair.client = MakeClient(client, std::move(client_options));
  pair.server = MakeServer(server, std::move(server_options));
  pair.Exchange(now);
  return pair;
}

}  // namespace outrigger::tls::testing
