// A workload's identity on its own disk: key, leaf and roots as PEM in --data-dir, mode 0600, made once and used again, so that a
// restart needs neither token nor control plane. The key never leaves the folder but into memory. Main loop only.
#pragma once

#include <memory>
#include <string>

#include "proxy/base/error.h"
#include "proxy/net/files.h"
#include "proxy/tls/key.h"
#include "proxy/tls/tls.h"

namespace outrigger::discovery {

class IdentityStore {
 public:
  IdentityStore(net::Files* files, std::string data_dir) : files_(files), folder_(std::move(data_dir)) {}

  // The key that is kept, or a new one, kept before it is used. kInvalid when the file is readable by others or damaged.
  Result<std::shared_ptr<const tls::PrivateKey>> Key();
  // Leaf and roots that were kept with the key; kNotFound when there are none, kInvalid when one is damaged. Not checked for expiry.
  Result<tls::Credentials> Load(const std::shared_ptr<const tls::PrivateKey>& key);
  Outcome Save(const tls::Credentials& credentials);

 private:
  std::string Path(const char* name) const { return folder_ + "/" + name; }

  net::Files* const files_;
  const std::string folder_;
};

// "SECRET.ROOT-SPKI-SHA256": what `outrigger token create` prints.
struct JoinToken {
  std::string secret;
  std::string root_spki_sha256;  // 32 bytes
};
Result<JoinToken> ParseJoinToken(std::string_view text);

}  // namespace outrigger::discovery
