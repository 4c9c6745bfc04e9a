// A TLS server straight on BoringSSL, for tests that need a peer that breaks our rules. Test code only.
#pragma once

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "proxy/tls/testing.h"

namespace outrigger::tls::testing {

// A server that shows whatever chain it is given and asks its client for nothing: what ours would refuse to be.
class RawServer {
 public:
  RawServer(const Credentials& credentials, uint16_t max_version, const uint16_t* only_group = nullptr) : ctx_(SSL_CTX_new(TLS_method())) {
    SSL_CTX_set_max_proto_version(ctx_.get(), max_version);
    if (only_group != nullptr) SSL_CTX_set1_group_ids(ctx_.get(), only_group, 1);
    std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> owned;
    std::vector<CRYPTO_BUFFER*> chain;
    for (const Der& der : credentials.chain) {
      owned.emplace_back(CRYPTO_BUFFER_new(der.data(), der.size(), nullptr));
      chain.push_back(owned.back().get());
    }
    if (!SSL_CTX_set_chain_and_key(ctx_.get(), chain.data(), chain.size(), credentials.key->get(), nullptr)) std::abort();
    ssl_.reset(SSL_new(ctx_.get()));
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_accept_state(ssl_.get());
  }

  // Takes what the session has to send, gives back what this end answers.
  std::string Answer(Buffer* from) {
    BIO_write(in_, from->view().data(), static_cast<int>(from->size()));
    from->Clear();
    SSL_do_handshake(ssl_.get());
    const uint8_t* data = nullptr;
    size_t size = 0;
    BIO_mem_contents(out_, &data, &size);
    std::string answer(AsText({data, size}));
    BIO_reset(out_);
    return answer;
  }

 private:
  bssl::UniquePtr<SSL_CTX> ctx_;
  bssl::UniquePtr<SSL> ssl_;
  BIO* in_;  // owned by ssl_, as is out_
  BIO* out_;
};

// Until neither has anything to say, or the session failed.
inline Outcome MeetRaw(Session* session, RawServer* server) {
  Buffer ignored;
  Outcome outcome = session->Feed({}, kNow, &ignored);
  while (outcome.ok() && !session->output().empty()) {
    const std::string answer = server->Answer(&session->output());
    outcome = session->Feed(AsBytes(answer), kNow, &ignored);
  }
  return outcome;
}

}  // namespace outrigger::tls::testing
