// A trust domain of its own for a test: a throw-away authority and workloads with certificates, good ones and bad ones.
// Test code only. Failure to make something ends the process: a test cannot go on without it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/tls/authority.h"
#include "proxy/tls/certificate_builder.h"
#include "proxy/tls/tls.h"

namespace outrigger::tls::testing {

// 2026-11-21T10:00:00Z: some time for tests that only need one.
inline constexpr WallTime kNow{std::chrono::seconds(1795255200)};

class TestMesh {
 public:
  explicit TestMesh(std::string_view trust_domain = "cluster.local", WallTime now = kNow);

  const Authority& authority() const { return *authority_; }
  std::string Id(std::string_view name_space, std::string_view service_account) const;

  // Key, [leaf, root] and roots of spiffe://TRUST-DOMAIN/ns/NS/sa/SA.
  Credentials Workload(std::string_view name_space, std::string_view service_account, Duration lifetime = kDefaultLeafLifetime) const;
  Credentials WithId(std::string_view spiffe_id, WallTime now, Duration lifetime = kDefaultLeafLifetime) const;
  // What a workload without identity has on its first contact: nothing.
  static Credentials FirstContact() { return {}; }
  // A leaf as Workload's, changed by `change` before it is signed by the root: for making bad ones.
  Credentials Odd(const std::function<void(CertificateSpec*)>& change) const;

 private:
  const WallTime now_;
  std::shared_ptr<const Authority> authority_;
  std::shared_ptr<const PrivateKey> root_key_;
};

// MakeContext that must succeed.
std::shared_ptr<const Context> MustMakeContext(Credentials credentials);

// Carries ciphertext both ways between two sessions until neither has anything to say. What is decrypted is appended to the buffers.
// False when one of them failed; the alert has then been delivered.
struct Pair {
  std::unique_ptr<Session> client;
  std::unique_ptr<Session> server;
  Buffer at_client;
  Buffer at_server;
  Outcome client_outcome;
  Outcome server_outcome;

  bool Exchange(WallTime now = kNow);
};
// Client and server that have shaken hands, or failed to.
Pair Connect(const std::shared_ptr<const Context>& client, ClientOptions client_options, const std::shared_ptr<const Context>& server,
             ServerOptions server_options, WallTime now = kNow);

}  // namespace outrigger::tls::testing
