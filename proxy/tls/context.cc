#include "proxy/tls/context.h"

#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>

#include <algorithm>

#include "proxy/tls/key.h"

namespace outrigger::tls {
namespace {

// How long a session may be resumed. Short: what resumption saves is a burst of reconnects, and each full handshake proves possession
// of the key anew.
constexpr uint32_t kResumptionSeconds = 2 * 60 * 60;
constexpr size_t kMaxChainBytes = 16 << 10;

thread_local WallTime thread_now{};

Callbacks* CallbacksOf(const SSL* ssl) { return static_cast<Callbacks*>(SSL_get_app_data(ssl)); }

ssl_verify_result_t VerifyPeer(SSL* ssl, uint8_t* alert) {
  return CallbacksOf(ssl)->OnPeerChain(alert) ? ssl_verify_ok : ssl_verify_invalid;
}

int SelectAlpn(SSL* ssl, const uint8_t** out, uint8_t* out_size, const uint8_t* in, unsigned in_size, void*) {
  Bytes chosen;
  if (!CallbacksOf(ssl)->OnSelectAlpn({in, in_size}, &chosen)) return SSL_TLSEXT_ERR_ALERT_FATAL;
  if (chosen.empty()) return SSL_TLSEXT_ERR_NOACK;
  *out = chosen.data();
  *out_size = static_cast<uint8_t>(chosen.size());
  return SSL_TLSEXT_ERR_OK;
}

int NewSession(SSL* ssl, SSL_SESSION* session) {
  CallbacksOf(ssl)->OnNewSession(bssl::UniquePtr<SSL_SESSION>(session));
  return 1;  // taken
}

void CurrentTime(const SSL*, timeval* out) {
  out->tv_sec = UnixSeconds(thread_now);
  out->tv_usec = 0;
}

std::string FirstReason(uint32_t code) {
  switch (ERR_GET_REASON(code)) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return "peer showed no certificate";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_VERSION_NUMBER: return "peer does not speak TLS 1.3";
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST: return "peer speaks plain HTTP where TLS is expected";
    case SSL_R_NO_APPLICATION_PROTOCOL: return "no application protocol (ALPN) in common";
    default: break;
  }
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "TLS failed";
}

}  // namespace

void SetTimeForThread(WallTime now) { thread_now = now; }

std::string ExplainFailure(int* alert) {
  *alert = -1;
  const uint32_t code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "TLS failed";
  if (ERR_GET_LIB(code) != ERR_LIB_SSL) return "TLS failed: " + FirstReason(code);
  const int reason = ERR_GET_REASON(code);
  if (reason < SSL_AD_REASON_OFFSET || reason > SSL_AD_REASON_OFFSET + 255) return FirstReason(code);
  *alert = reason - SSL_AD_REASON_OFFSET;
  return std::string("peer refused with TLS alert '") + SSL_alert_desc_string_long(*alert) + "'";
}

Result<std::shared_ptr<const ContextImpl>> ContextImpl::Make(Credentials credentials) {
  std::shared_ptr<ContextImpl> context(new ContextImpl());
  context->credentials_ = std::move(credentials);
  const Credentials& own = context->credentials_;
  if (!own.trust_domain.empty() && !IsTrustDomain(own.trust_domain)) {
    return Error::Make(ErrorCode::kTls, "'" + own.trust_domain + "' is not a trust domain");
  }
  Result<std::unique_ptr<const Verifier>> verifier = Verifier::Make(own.roots, own.trust_domain);
  if (!verifier) return verifier.error();
  context->verifier_ = std::move(*verifier);
  if (Outcome outcome = context->TakeIdentity(); !outcome) return outcome.error();
  context->pool_.reset(CRYPTO_BUFFER_POOL_new());
  context->scope_ = context->verifier_->roots_digest() + context->own_.sha256_hex;
  if (Outcome outcome = context->Configure(&context->client_); !outcome) return outcome.error();
  if (Outcome outcome = context->Configure(&context->server_); !outcome) return outcome.error();

  SSL_CTX* client = context->client_.get();
  SSL_CTX_set_custom_verify(client, SSL_VERIFY_PEER, VerifyPeer);
  SSL_CTX_set_reverify_on_resume(client, 1);
  SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(client, NewSession);

  SSL_CTX* server = context->server_.get();
  SSL_CTX_set_custom_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, VerifyPeer);
  SSL_CTX_set_alpn_select_cb(server, SelectAlpn, nullptr);
  SSL_CTX_set_session_cache_mode(server, SSL_SESS_CACHE_OFF);  // tickets only: no state here
  // A ticket each time: every connection leaves its client one for the next.
  SSL_CTX_set_num_tickets(server, 1);
  return std::shared_ptr<const ContextImpl>(std::move(context));
}

Outcome ContextImpl::TakeIdentity() {
  const Credentials& own = credentials_;
  if (own.chain.empty()) return {};
  if (own.key == nullptr) return Error::Make(ErrorCode::kTls, "there is a certificate without its private key");
  if (own.trust_domain.empty()) return Error::Make(ErrorCode::kTls, "there is a certificate, but no trust domain is named");
  Result<CertificateInfo> info = ParseCertificate(own.chain.front());
  if (!info) return info.error();
  own_ = std::move(*info);
  std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> buffers;
  Chain chain;
  for (const Der& der : own.chain) {
    buffers.emplace_back(CRYPTO_BUFFER_new(der.data(), der.size(), nullptr));
    chain.push_back(buffers.back().get());
  }
  Refusal refusal;
  if (verifier_->VerifyTimeless(chain, &refusal) == nullptr) {
    return Error::Make(ErrorCode::kTls, "own credentials do not fit together: " + refusal.reason);
  }
  Result<std::string> spki = SpkiSha256(own.chain.front());
  if (!spki || *spki != own.key->SpkiSha256()) {
    return Error::Make(ErrorCode::kTls, "private key does not belong to the certificate of " + own_.spiffe_id);
  }
  return {};
}

Outcome ContextImpl::Configure(bssl::UniquePtr<SSL_CTX>* context) const {
  context->reset(SSL_CTX_new(TLS_with_buffers_method()));
  SSL_CTX* ctx = context->get();
  // The post-quantum hybrid is there for peers that insist: it costs 38 % more instructions a handshake, 60 % a resumed one.
  const uint16_t groups[] = {SSL_GROUP_X25519, SSL_GROUP_X25519_MLKEM768};
  const uint16_t algorithms[] = {SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_ECDSA_SECP384R1_SHA384};
  if (ctx == nullptr || !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) || !SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) ||
      !SSL_CTX_set1_group_ids(ctx, groups, std::size(groups)) ||
      !SSL_CTX_set_verify_algorithm_prefs(ctx, algorithms, std::size(algorithms))) {
    return Error::Make(ErrorCode::kTls, "cannot prepare TLS: " + TakeErrors());
  }
  SSL_CTX_set1_buffer_pool(ctx, pool_.get());
  SSL_CTX_set_current_time_cb(ctx, CurrentTime);
  SSL_CTX_set_early_data_enabled(ctx, 0);
  SSL_CTX_set_max_cert_list(ctx, kMaxChainBytes);
  SSL_CTX_set_session_psk_dhe_timeout(ctx, kResumptionSeconds);
  if (!has_identity()) return {};
  std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> owned;
  std::vector<CRYPTO_BUFFER*> chain;
  for (const Der& der : credentials_.chain) {
    owned.emplace_back(CRYPTO_BUFFER_new(der.data(), der.size(), pool_.get()));
    chain.push_back(owned.back().get());
  }
  if (!SSL_CTX_set_chain_and_key(ctx, chain.data(), chain.size(), credentials_.key->get(), nullptr)) {
    return Error::Make(ErrorCode::kTls, "cannot use certificate and key: " + TakeErrors());
  }
  return {};
}

Result<std::shared_ptr<const Context>> MakeContext(Credentials credentials) {
  Result<std::shared_ptr<const ContextImpl>> context = ContextImpl::Make(std::move(credentials));
  if (!context) return context.error();
  return std::shared_ptr<const Context>(std::move(*context));
}

}  // namespace outrigger::tls
