// The proxy's link to its control plane: identity first, then configuration, on one mTLS connection, made again with
// backoff and full jitter whenever it is lost. While it is away, everything that was in force stays in force.
//
//   state        | connection                          | what it does
//   -------------+-------------------------------------+---------------------------------------------
//   no identity  | pinned root (token) or --control-ca | IssueCertificate with the token, keep, reconnect
//   identity     | mTLS with the leaf                  | ADS stream; IssueCertificate again at 2/3 of the leaf's life
//
// Main loop only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "outrigger/v1/identity.pb.h"
#include "proxy/base/log.h"
#include "proxy/discovery/ads_state.h"
#include "proxy/discovery/identity.h"
#include "proxy/discovery/last_good.h"
#include "proxy/rpc/rpc.h"
#include "proxy/snapshot/snapshot.h"

namespace outrigger::discovery {

struct LinkOptions {
  std::string control;             // HOST:PORT; empty: there is none, `static_resources` are all there ever is
  std::vector<AdsState::Response> static_resources = {};
  std::string workload;            // NAMESPACE/NAME
  std::string data_dir;
  std::optional<net::Address> app;  // --app
  std::optional<JoinToken> token;  // needed once, until there is a leaf
  std::vector<tls::Der> control_ca;  // instead of the token's pin
  std::string version;
  Duration backoff_base = std::chrono::milliseconds(200);
  Duration backoff_max = std::chrono::seconds(10);
  Duration warm_timeout = std::chrono::seconds(15);  // endpoints that do not come count as empty (xDS: initial_fetch_timeout)
  Log log = NoLog();
};

struct LinkStatus {
  bool connected = false;          // stream up
  std::string last_error;          // why not
  uint64_t connects = 0, failures = 0;
  uint64_t certificates_issued = 0;
  WallTime not_after{};            // of the leaf in force; zero: none
};

class ControlLink final : private rpc::Channel::Handler {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnSnapshot(std::shared_ptr<const snapshot::Snapshot> snapshot) = 0;
    virtual void OnIdentity(std::shared_ptr<const tls::Context> context) = 0;
  };
  ControlLink(net::Loop* loop, LinkOptions options, Handler* handler);
  ~ControlLink() override;

  // Reads what is on disk, applies it, connects. kInvalid or kIo with a sentence for the user when the data folder is unusable, or when
  // there is neither a kept identity nor a token.
  Outcome Start();

  // Is there a control plane? Without one there is no identity either: nothing but plaintext.
  bool controlled() const { return !options_.control.empty(); }
  const LinkStatus& status() const { return status_; }
  const AdsState& ads() const { return ads_; }
  // Names that the configuration still waits for; empty: everything in force.
  std::vector<std::string> Missing() const { return compiler_->Missing(); }
  const std::shared_ptr<const tls::Context>& identity() const { return identity_; }
  bool configured() const { return configured_; }  // by the control plane or from disk
  // What was accepted last, read back from disk after what waits to be kept was written. For people: costs a read of it all.
  std::vector<AdsState::Response> Kept();

 private:
  class AdsCall;
  class IssueCall;

  void OnUp() override;
  void OnDown(Error error) override;
  Outcome StartAlone();
  void Connect();
  void MakeChannel();
  void DropChannel();
  bool Usable() const { return identity_ != nullptr && identity_->not_after() > loop_->wall_now(); }
  void ReconnectLater(const std::string& why);
  void StartAds();
  void StartIssue();
  void OnAdsMessage(Bytes message);
  void OnAdsDone(const rpc::Status& status);
  void OnIssued(const outrigger::v1::IssueCertificateResponse& response);
  void OnIssueFailed(const rpc::Status& status);
  Outcome Adopt(tls::Credentials credentials, bool keep);
  void PlanRenewal(bool just_issued);
  // Many tries in what is left of a leaf's life, and none in a tight loop.
  static Duration RetryAfter(Duration left);
  void PublishIfChanged();
  void OnRenewalDue() { StartIssue(); }
  void OnBackOffOver() { Connect(); }
  void WaitForEndpoints();
  void OnWarmTimeout();
  void OnSaveDue() { last_good_.Save(pending_save_), pending_save_.clear(); }

  net::Loop* const loop_;
  const LinkOptions options_;
  Handler* const handler_;
  std::unique_ptr<snapshot::Compiler> compiler_;
  AdsState ads_;
  IdentityStore identity_store_;
  LastGood last_good_;
  std::shared_ptr<const tls::PrivateKey> key_;
  std::shared_ptr<const tls::Context> identity_;   // null: none yet
  std::shared_ptr<const tls::Context> first_contact_;
  std::shared_ptr<const snapshot::Snapshot> published_;
  std::unique_ptr<rpc::Channel> channel_;
  std::unique_ptr<AdsCall> ads_call_;
  std::unique_ptr<IssueCall> issue_call_;
  bool channel_has_identity_ = false;
  bool configured_ = false;
  uint32_t failures_in_a_row_ = 0;
  std::map<std::string, Instant> waited_for_since_;  // endpoints that this stream was asked for and has not sent
  AdsState::Accepted pending_save_;
  LinkStatus status_;
  CallbackTimer<ControlLink, &ControlLink::OnBackOffOver> backoff_timer_{this};
  CallbackTimer<ControlLink, &ControlLink::OnRenewalDue> renewal_timer_{this};
  CallbackTimer<ControlLink, &ControlLink::OnWarmTimeout> warm_timer_{this};
  CallbackTimer<ControlLink, &ControlLink::OnSaveDue> save_timer_{this};
};

}  // namespace outrigger::discovery
