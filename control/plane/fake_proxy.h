// A proxy as far as the control plane can tell, for tests: joins with a token, renews, streams, acknowledges and remembers.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "control/serve/ads_service.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "outrigger/v1/identity.pb.h"
#include "proxy/rpc/rpc.h"
#include "proxy/tls/certificate.h"
#include "proxy/tls/key.h"

namespace outrigger::control::testing {

inline constexpr char kControlId[] = "spiffe://cluster.local/ns/outrigger-system/sa/control";

class FakeProxy {
 public:
  FakeProxy(net::Loop* loop, std::string target, std::string workload)
      : loop_(loop), target_(std::move(target)), workload_(std::move(workload)) {}

  // First contact with the whole token "SECRET.ROOT-SPKI-SHA256".
  void Join(const std::string& token) {
    const size_t dot = token.find('.');
    rpc::Metadata metadata;
    metadata.Add("authorization", "Bearer " + token.substr(0, dot));
    Ask(tls::MakeContext({}).value(), Unhex(token.substr(dot + 1)), std::move(metadata));
  }
  void Renew() { Ask(context_, "", {}); }

  void Stream() {
    rpc::ChannelOptions options;
    options.target = target_;
    if (context_ != nullptr) {
      options.tls = [context = context_] { return context; };
      options.tls_options.accepted_ids = {kControlId};
    }
    stream_ = std::make_unique<StreamCall>(this);
    stream_->channel = rpc::MakeChannel(loop_, options, stream_.get());
    stream_->channel->Connect();
  }
  void Hang() { hang_ = true; }  // never answers again
  void Disconnect() { stream_.reset(); }

  // ---- what it did and has
  std::shared_ptr<const tls::Context> context_;
  rpc::Status identity_status{rpc::Code::kUnknown, "not asked"};
  rpc::Status stream_status{rpc::Code::kUnknown, "not ended"};
  Error down;
  bool streaming() const { return stream_ != nullptr && stream_->open; }
  std::map<Type, std::map<std::string, std::string>> resources;  // serialized, by name
  std::vector<std::pair<Type, std::string>> responses;           // type and version, in order
  std::map<Type, std::string> refuse;                            // answers of this type are refused with this reason

 private:
  using Request = envoy::service::discovery::v3::DiscoveryRequest;
  using Response = envoy::service::discovery::v3::DiscoveryResponse;

  struct IdentityCall final : rpc::Channel::Handler, rpc::ClientCall::Handler {
    explicit IdentityCall(FakeProxy* owner) : proxy(owner) {}
    void OnUp() override {
      key = tls::PrivateKey::Generate().value();
      const auto csr = tls::MakeCertificateRequest(*key).value();
      outrigger::v1::IssueCertificateRequest request;
      request.set_csr_der(csr.data(), csr.size());
      request.set_workload(proxy->workload_);
      call = channel->Start("/outrigger.v1.Identity/IssueCertificate", metadata, std::chrono::seconds(5), this);
      call->Send(request);
      call->HalfClose();
    }
    void OnDown(Error error) override { proxy->down = std::move(error); }
    void OnMessage(Bytes message) override { answer.ParseFromArray(message.data(), static_cast<int>(message.size())); }
    void OnDone(const rpc::Status& status, const rpc::Metadata&) override {
      proxy->identity_status = status;
      if (!status.ok()) return;
      tls::Credentials credentials;
      credentials.key = key;
      for (const std::string& der : answer.chain_der()) credentials.chain.emplace_back(der.begin(), der.end());
      for (const std::string& der : answer.roots_der()) credentials.roots.emplace_back(der.begin(), der.end());
      credentials.trust_domain = answer.trust_domain();
      proxy->context_ = tls::MakeContext(std::move(credentials)).value();
    }
    FakeProxy* const proxy;
    rpc::Metadata metadata;
    std::shared_ptr<const tls::PrivateKey> key;
    outrigger::v1::IssueCertificateResponse answer;
    std::unique_ptr<rpc::Channel> channel;
    std::unique_ptr<rpc::ClientCall> call;
  };

  struct StreamCall final : rpc::Channel::Handler, rpc::ClientCall::Handler {
    explicit StreamCall(FakeProxy* owner) : proxy(owner) {}
    void OnUp() override {
      open = true;
      call = channel->Start(kAdsPath, {}, std::nullopt, this);
      for (Type type : {Type::kCluster, Type::kListener}) Send(type, "", "", "");
    }
    void OnDown(Error error) override {
      open = false;
      proxy->down = std::move(error);
    }
    void OnMessage(Bytes message) override {
      Response response;
      if (!response.ParseFromArray(message.data(), static_cast<int>(message.size())) || proxy->hang_) return;
      Take(response);
    }
    void OnDone(const rpc::Status& status, const rpc::Metadata&) override {
      open = false;
      proxy->stream_status = status;
    }

    void Send(Type type, const std::string& version, const std::string& nonce, const std::string& refusal) {
      Request request;
      if (nonce.empty()) {
        request.mutable_node()->set_id(proxy->workload_);
        request.mutable_node()->set_user_agent_name("outrigger-proxy");
        request.mutable_node()->set_user_agent_version("0.1.0");
      }
      request.set_type_url(std::string(TypeUrl(type)));
      request.set_version_info(version);
      request.set_response_nonce(nonce);
      for (const std::string& name : names[type]) request.add_resource_names(name);
      if (!refusal.empty()) request.mutable_error_detail()->set_message(refusal);
      call->Send(request);
    }

    void Take(const Response& response) {
      const Type type = *TypeFromUrl(response.type_url());
      proxy->responses.emplace_back(type, response.version_info());
      if (proxy->refuse.contains(type)) return Send(type, versions[type], response.nonce(), proxy->refuse[type]);
      auto& held = proxy->resources[type];
      if (type == Type::kCluster || type == Type::kListener) held.clear();
      for (const auto& any : response.resources()) held[Name(type, any)] = any.value();
      versions[type] = response.version_info();
      nonces[type] = response.nonce();
      Send(type, response.version_info(), response.nonce(), "");
      if (type == Type::kCluster) Follow(Type::kEndpoint, EdsNames());
      if (type == Type::kListener) Follow(Type::kRoute, RouteNames());
    }

    // Subscribes to exactly these.
    void Follow(Type type, std::set<std::string> wanted) {
      if (wanted == names[type]) return;
      names[type] = std::move(wanted);
      std::erase_if(proxy->resources[type], [&](const auto& item) { return !names[type].contains(item.first); });
      Send(type, versions[type], nonces[type], "");
    }
    std::set<std::string> EdsNames() const {
      std::set<std::string> found;
      for (const auto& [name, bytes] : proxy->resources[Type::kCluster]) {
        envoy::config::cluster::v3::Cluster cluster;
        if (cluster.ParseFromString(bytes) && cluster.type() == envoy::config::cluster::v3::Cluster::EDS) found.insert(name);
      }
      return found;
    }
    // Ours are named after what they serve: "outbound", and "service|..." for "listen|PORT".
    std::set<std::string> RouteNames() const {
      std::set<std::string> found;
      for (const auto& [name, bytes] : proxy->resources[Type::kListener]) {
        if (name == "outbound") found.insert("outbound");
        for (size_t at = bytes.find("service|"); at != std::string::npos; at = bytes.find("service|", at + 1)) {
          found.insert(bytes.substr(at, static_cast<uint8_t>(bytes[at - 1])));
        }
      }
      return found;
    }
    template <typename T>
    static std::string NameOf(const google::protobuf::Any& any) {
      T message;
      message.ParseFromString(any.value());
      return message.name();
    }
    static std::string Name(Type type, const google::protobuf::Any& any) {
      switch (type) {
        case Type::kCluster: return NameOf<envoy::config::cluster::v3::Cluster>(any);
        case Type::kListener: return NameOf<envoy::config::listener::v3::Listener>(any);
        case Type::kRoute: return NameOf<envoy::config::route::v3::RouteConfiguration>(any);
        case Type::kEndpoint: break;
      }
      envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
      assignment.ParseFromString(any.value());
      return assignment.cluster_name();
    }

    FakeProxy* const proxy;
    bool open = false;
    std::map<Type, std::set<std::string>> names;
    std::map<Type, std::string> versions, nonces;
    std::unique_ptr<rpc::Channel> channel;
    std::unique_ptr<rpc::ClientCall> call;
  };

  void Ask(std::shared_ptr<const tls::Context> context, std::string pin, rpc::Metadata metadata) {
    identity_status = {rpc::Code::kUnknown, "no answer"};
    rpc::ChannelOptions options;
    options.target = target_;
    options.tls = [context] { return context; };
    options.tls_options.accepted_ids = {kControlId};
    options.tls_options.pinned_root_spki_sha256 = std::move(pin);
    identity_ = std::make_unique<IdentityCall>(this);
    identity_->metadata = std::move(metadata);
    identity_->channel = rpc::MakeChannel(loop_, options, identity_.get());
    identity_->channel->Connect();
  }
  static std::string Unhex(const std::string& hex) {
    std::string bytes;
    for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    return bytes;
  }

  net::Loop* const loop_;
  const std::string target_;
  const std::string workload_;
  bool hang_ = false;
  std::unique_ptr<IdentityCall> identity_;
  std::unique_ptr<StreamCall> stream_;
};

}  // namespace outrigger::control::testing
