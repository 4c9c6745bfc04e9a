// One connection's TLS: BoringSSL between the span that was fed and the output buffer.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <optional>

#include "proxy/tls/context.h"
#include "proxy/tls/resumption.h"
#include "proxy/tls/tls.h"

namespace outrigger::tls {
namespace {

constexpr size_t kMaxRecordBytes = 16 << 10;
constexpr size_t kRecordOverheadBytes = 22;  // header 5, content type 1, tag 16

// The alerts by which a peer says that it refused us in the handshake, which a TLS 1.3 client may learn only after its own end of
// the handshake is done: whatever was sent since was not read.
bool IsHandshakeRefusal(int alert) {
  switch (alert) {
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case SSL_AD_DECRYPT_ERROR:
    case SSL_AD_CERTIFICATE_REQUIRED: return true;
    default: return false;
  }
}

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// RFC 7301: each name with its length before it. Empty when a name has no place in it.
std::vector<uint8_t> AlpnWire(const std::vector<std::string>& names) {
  std::vector<uint8_t> wire;
  for (const std::string& name : names) {
    if (name.empty() || name.size() > 255) return {};
    wire.push_back(static_cast<uint8_t>(name.size()));
    wire.insert(wire.end(), name.begin(), name.end());
  }
  return wire;
}

class SessionImpl final : public Session, private Callbacks {
 public:
  SessionImpl(std::shared_ptr<const ContextImpl> context, ClientOptions options);
  SessionImpl(std::shared_ptr<const ContextImpl> context, ServerOptions options);

  Outcome Feed(Bytes ciphertext, WallTime now, Buffer* plaintext) override;
  Outcome Write(Bytes plaintext) override;
  void CloseNotify() override;
  Buffer& output() override { return output_; }

  State state() const override { return state_; }
  bool peer_closed() const override { return peer_closed_; }
  const Peer& peer() const override;
  std::string_view alpn() const override;
  std::string_view sni() const override { return sni_; }
  bool resumed() const override { return resumed_; }

 private:
  // What only the handshake needs: given back when it is done.
  struct Handshake {
    ClientOptions client;
    ServerOptions server;
    Refusal refusal;  // why our callbacks said no
  };

  void Attach();
  void PrepareClient();
  void OfferSession(WallTime now);
  Outcome DoHandshake(WallTime now);
  Outcome FinishHandshake();
  Outcome Read(Buffer* plaintext);
  Outcome Fail();
  Outcome FailWith(std::string reason, bool unseen);

  bool OnPeerChain(uint8_t* alert) override;
  bool OnSelectAlpn(Bytes offered, Bytes* chosen) override;
  void OnNewSession(bssl::UniquePtr<SSL_SESSION> session) override;

  static const BIO_METHOD* Method();
  static int BioRead(BIO* bio, char* out, int size);
  static int BioWrite(BIO* bio, const char* in, int size);
  static long BioControl(BIO* bio, int command, long number, void* pointer);

  const std::shared_ptr<const ContextImpl> context_;
  std::unique_ptr<Handshake> handshake_;
  bssl::UniquePtr<SSL> ssl_;
  Bytes input_;  // what is left of the span being fed
  Buffer output_;
  WallTime now_{};
  std::shared_ptr<const Verified> verified_;
  std::string sni_;
  std::string resumption_scope_;  // client only; empty: keep no sessions
  std::unique_ptr<Error> error_;
  State state_ = State::kHandshake;
  const bool server_;
  bool started_ = false;
  bool received_ = false;  // any application data
  bool close_sent_ = false;
  bool peer_closed_ = false;
  bool resumed_ = false;
};

SessionImpl::SessionImpl(std::shared_ptr<const ContextImpl> context, ClientOptions options)
    : context_(std::move(context)), handshake_(new Handshake()), ssl_(context_->NewClient()), server_(false) {
  sni_ = options.sni;
  handshake_->client = std::move(options);
  Attach();
  PrepareClient();
}

SessionImpl::SessionImpl(std::shared_ptr<const ContextImpl> context, ServerOptions options)
    : context_(std::move(context)), handshake_(new Handshake()), ssl_(context_->NewServer()), server_(true) {
  handshake_->server = std::move(options);
  Attach();
  if (ssl_ == nullptr) return;
  SSL_set_accept_state(ssl_.get());
  if (!handshake_->server.require_client_certificate) {
    SSL_set_custom_verify(ssl_.get(), SSL_VERIFY_PEER, [](SSL* ssl, uint8_t* alert) {
      return static_cast<Callbacks*>(SSL_get_app_data(ssl))->OnPeerChain(alert) ? ssl_verify_ok : ssl_verify_invalid;
    });
    // A session without identity must never be resumed where one is required.
    SSL_set_options(ssl_.get(), SSL_OP_NO_TICKET);
  }
}

void SessionImpl::Attach() {
  bssl::UniquePtr<BIO> bio(BIO_new(Method()));
  if (ssl_ == nullptr || bio == nullptr) {
    ssl_.reset();
    return;
  }
  BIO_set_data(bio.get(), this);
  BIO_set_init(bio.get(), 1);
  BIO* shared = bio.release();
  SSL_set_bio(ssl_.get(), shared, shared);  // takes the one reference for both directions
  SSL_set_app_data(ssl_.get(), static_cast<Callbacks*>(this));
  SSL_set_shed_handshake_config(ssl_.get(), 1);
}

void SessionImpl::PrepareClient() {
  if (ssl_ == nullptr) return;
  SSL* ssl = ssl_.get();
  const ClientOptions& options = handshake_->client;
  SSL_set_connect_state(ssl);
  // One share only: the hybrid's would double the ClientHello, and both sides prefer X25519.
  const uint16_t share = SSL_GROUP_X25519;
  const std::vector<uint8_t> alpn = AlpnWire(options.alpn);
  const bool good = (sni_.empty() || SSL_set_tlsext_host_name(ssl, sni_.c_str())) && (options.alpn.empty() || !alpn.empty()) &&
                    (alpn.empty() || SSL_set_alpn_protos(ssl, alpn.data(), alpn.size()) == 0) &&
                    SSL_set1_client_key_shares(ssl, &share, 1);
  if (!good) {
    ERR_clear_error();
    handshake_->refusal.reason = "server name or application protocols are not of a form that TLS can carry";
  }
  // The first contact leaves nothing to resume: its root is pinned, not configured, and we have no identity yet.
  if (!options.pinned_root_spki_sha256.empty() || !context_->has_identity()) return;
  std::string scope = context_->scope();
  const auto add = [&scope](std::string_view text) { scope += Sha256(AsBytes(text)); };
  add(sni_);
  add(AsText(alpn));
  add(options.resumption_scope);
  for (const std::string& id : options.accepted_ids) add(id);
  resumption_scope_ = Sha256(AsBytes(scope));
}

const BIO_METHOD* SessionImpl::Method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "session");
    BIO_meth_set_read(made, BioRead);
    BIO_meth_set_write(made, BioWrite);
    BIO_meth_set_ctrl(made, BioControl);
    return made;
  }();
  return method;
}

int SessionImpl::BioRead(BIO* bio, char* out, int size) {
  auto* self = static_cast<SessionImpl*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (self->input_.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const size_t taken = std::min(self->input_.size(), static_cast<size_t>(size));
  std::copy_n(self->input_.data(), taken, reinterpret_cast<uint8_t*>(out));
  self->input_ = self->input_.subspan(taken);
  return static_cast<int>(taken);
}

int SessionImpl::BioWrite(BIO* bio, const char* in, int size) {
  BIO_clear_retry_flags(bio);
  static_cast<SessionImpl*>(BIO_get_data(bio))->output_.Append(std::string_view(in, static_cast<size_t>(size)));
  return size;
}

long SessionImpl::BioControl(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

Outcome SessionImpl::Feed(Bytes ciphertext, WallTime now, Buffer* plaintext) {
  if (state_ == State::kFailed) return *error_;
  if (ssl_ == nullptr) return FailWith("out of memory", true);
  now_ = now;
  SetTimeForThread(now);
  input_ = ciphertext;
  Outcome outcome;
  if (state_ == State::kHandshake) outcome = DoHandshake(now);
  if (outcome.ok() && state_ == State::kOpen) outcome = Read(plaintext);
  input_ = {};
  return outcome;
}

void SessionImpl::OfferSession(WallTime now) {
  if (resumption_scope_.empty()) return;
  if (bssl::UniquePtr<SSL_SESSION> session = TakeResumable(resumption_scope_, now)) SSL_set_session(ssl_.get(), session.get());
}

Outcome SessionImpl::DoHandshake(WallTime now) {
  if (!handshake_->refusal.reason.empty()) return FailWith(handshake_->refusal.reason, true);
  if (!started_) {
    started_ = true;
    if (server_ && !context_->has_identity()) return FailWith("we have no certificate to show", true);
    if (!server_) OfferSession(now);
  }
  const int done = SSL_do_handshake(ssl_.get());
  if (done == 1) return FinishHandshake();
  return SSL_get_error(ssl_.get(), done) == SSL_ERROR_WANT_READ ? Outcome() : Fail();
}

Outcome SessionImpl::FinishHandshake() {
  resumed_ = SSL_session_reused(ssl_.get()) != 0;
  if (server_) {
    const char* name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
    if (name != nullptr) sni_ = name;
    // A server's ticket brings back what its client proved some time ago: is it still so? (The client asks in the handshake itself.)
    uint8_t alert = SSL_AD_CERTIFICATE_UNKNOWN;
    if (resumed_ && !OnPeerChain(&alert)) {
      SSL_send_fatal_alert(ssl_.get(), alert);
      return FailWith(handshake_->refusal.reason, true);
    }
  }
  handshake_.reset();
  state_ = State::kOpen;
  return {};
}

Outcome SessionImpl::Read(Buffer* plaintext) {
  // BoringSSL takes no more than one record at a time: with nothing fed and nothing decrypted there is nothing to ask for.
  while (!peer_closed_ && (!input_.empty() || SSL_pending(ssl_.get()) > 0)) {
    const size_t room = std::clamp<size_t>(input_.size(), 512, kMaxRecordBytes);
    const std::span<uint8_t> into = plaintext->Reserve(room);
    const int got = SSL_read(ssl_.get(), into.data(), static_cast<int>(std::min(into.size(), kMaxRecordBytes)));
    if (got > 0) {
      plaintext->Commit(static_cast<size_t>(got));
      received_ = true;
      continue;
    }
    switch (SSL_get_error(ssl_.get(), got)) {
      case SSL_ERROR_WANT_READ:
        if (plaintext->empty()) plaintext->Clear();  // gives the room back
        return {};
      case SSL_ERROR_ZERO_RETURN:
        peer_closed_ = true;  // what comes after close_notify is not looked at (RFC 8446, section 6.1)
        break;
      default: return Fail();
    }
  }
  return {};
}

Outcome SessionImpl::Write(Bytes plaintext) {
  if (state_ == State::kFailed) return *error_;
  if (state_ != State::kOpen || close_sent_) return Error::Make(ErrorCode::kTls, "write on a TLS session that is not open");
  const size_t records = plaintext.size() / kMaxRecordBytes + 1;
  if (!plaintext.empty()) output_.Reserve(plaintext.size() + records * kRecordOverheadBytes);
  while (!plaintext.empty()) {
    const size_t part = std::min<size_t>(plaintext.size(), 1 << 30);
    const int written = SSL_write(ssl_.get(), plaintext.data(), static_cast<int>(part));
    if (written <= 0) return Fail();
    plaintext = plaintext.subspan(static_cast<size_t>(written));
  }
  return {};
}

void SessionImpl::CloseNotify() {
  if (state_ != State::kOpen || close_sent_) return;
  close_sent_ = true;
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

const Peer& SessionImpl::peer() const {
  static const Peer nobody;
  return verified_ != nullptr ? verified_->peer : nobody;
}

std::string_view SessionImpl::alpn() const {
  if (ssl_ == nullptr) return {};
  const uint8_t* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return AsText({name, size});
}

// From BoringSSL's reasons, or from the callback that said no.
Outcome SessionImpl::Fail() {
  int alert = -1;
  std::string reason = ExplainFailure(&alert);
  if (state_ == State::kHandshake) {
    if (!handshake_->refusal.reason.empty()) reason = handshake_->refusal.reason;
    return FailWith(std::move(reason), true);
  }
  return FailWith(std::move(reason), !server_ && !received_ && IsHandshakeRefusal(alert));
}

Outcome SessionImpl::FailWith(std::string reason, bool unseen) {
  const std::string text = state_ == State::kHandshake ? "TLS handshake failed: " + reason : "TLS failed: " + reason;
  error_ = std::make_unique<Error>(Error::Make(ErrorCode::kTls, text, server_ ? Fault::kDownstream : Fault::kUpstream, unseen));
  state_ = State::kFailed;
  return *error_;
}

bool SessionImpl::OnPeerChain(uint8_t* alert) {
  Chain chain;
  if (const STACK_OF(CRYPTO_BUFFER)* sent = SSL_get0_peer_certificates(ssl_.get())) {
    for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(sent); ++i) chain.push_back(sk_CRYPTO_BUFFER_value(sent, i));
  }
  const ClientOptions& options = handshake_->client;
  Refusal* refusal = &handshake_->refusal;
  verified_ = options.pinned_root_spki_sha256.empty()
                  ? context_->verifier().Verify(chain, now_, refusal)
                  : context_->verifier().VerifyPinned(chain, options.pinned_root_spki_sha256, now_, refusal);
  const std::vector<std::string>& accepted = options.accepted_ids;
  if (verified_ != nullptr && !accepted.empty() &&
      std::find(accepted.begin(), accepted.end(), verified_->peer.spiffe_id) == accepted.end()) {
    *refusal = {"peer is " + verified_->peer.spiffe_id + ", expected " + (accepted.size() > 1 ? "one of " : "") + Join(accepted),
                SSL_AD_ACCESS_DENIED};
    verified_ = nullptr;
  }
  if (verified_ == nullptr) *alert = refusal->alert;
  return verified_ != nullptr;
}

bool SessionImpl::OnSelectAlpn(Bytes offered, Bytes* chosen) {
  if (handshake_->server.alpn.empty()) return true;
  std::vector<std::string_view> names;
  for (Bytes rest = offered; !rest.empty();) {  // BoringSSL has checked that it is well-formed
    const size_t size = rest[0];
    names.push_back(AsText(rest.subspan(1, size)));
    rest = rest.subspan(1 + size);
  }
  for (const std::string& ours : handshake_->server.alpn) {
    const auto found = std::find(names.begin(), names.end(), ours);
    if (found == names.end()) continue;
    *chosen = AsBytes(*found);
    return true;
  }
  handshake_->refusal = {"no application protocol (ALPN) in common, we speak " + Join(handshake_->server.alpn),
                         SSL_AD_NO_APPLICATION_PROTOCOL};
  return false;
}

void SessionImpl::OnNewSession(bssl::UniquePtr<SSL_SESSION> session) {
  if (resumption_scope_.empty() || verified_ == nullptr || !SSL_SESSION_is_resumable(session.get())) return;
  KeepResumable(resumption_scope_, std::move(session), verified_->valid_until);
}

std::shared_ptr<const ContextImpl> Implementation(std::shared_ptr<const Context> context) {
  return std::static_pointer_cast<const ContextImpl>(std::move(context));  // MakeContext makes no other
}

}  // namespace

std::unique_ptr<Session> MakeClient(std::shared_ptr<const Context> context, ClientOptions options) {
  return std::make_unique<SessionImpl>(Implementation(std::move(context)), std::move(options));
}

std::unique_ptr<Session> MakeServer(std::shared_ptr<const Context> context, ServerOptions options) {
  return std::make_unique<SessionImpl>(Implementation(std::move(context)), std::move(options));
}

}  // namespace outrigger::tls
