// A control plane as far as a proxy can tell, for tests: signs what is asked, sends what it is told, remembers everything. Test code.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "outrigger/v1/identity.pb.h"
#include "proxy/discovery/ads_state.h"
#include "proxy/discovery/identity.h"
#include "proxy/rpc/rpc.h"
#include "proxy/tls/certificate.h"
#include "proxy/tls/testing.h"

namespace outrigger::discovery::testing {

// What outlives the process of the control plane: its root, and what it was asked.
struct FakeControlState {
  explicit FakeControlState(WallTime now) : mesh("cluster.local", now) {}

  using Request = envoy::service::discovery::v3::DiscoveryRequest;
  struct Issue {
    Instant at;
    std::string authorization, peer, csr;
  };
  JoinToken token() const { return {"s3cret", mesh.authority().root_spki_sha256()}; }
  // Requests of one type.
  std::vector<Request> Of(Type type) const {
    std::vector<Request> found;
    for (const Request& request : requests) {
      if (request.type_url() == TypeUrl(type)) found.push_back(request);
    }
    return found;
  }

  tls::testing::TestMesh mesh;
  std::string serves_as = tls::WorkloadId("cluster.local", "outrigger-system", "control");
  Duration lifetime = tls::kDefaultLeafLifetime;
  rpc::Status verdict;                             // of IssueCertificate
  bool answers_issues = true;
  std::map<Type, std::map<std::string, google::protobuf::Any>> resources;  // sent when asked for, and by Push
  std::set<Type> withheld;                         // types that are never answered
  std::vector<Issue> issues;
  std::vector<Request> requests;
  std::vector<Instant> calls;  // when each ADS stream or certificate request came
};

class FakeControl {
 public:
  FakeControl(net::Loop* loop, FakeControlState* state, const net::Address& address) : loop_(loop), state_(state) {
    tls::Credentials credentials = state->mesh.WithId(state->serves_as, loop->wall_now(), std::chrono::hours(240));
    rpc::ServerOptions options;
    options.address = address;
    options.tls = [context = tls::testing::MustMakeContext(std::move(credentials))] { return context; };
    options.tls_options.require_client_certificate = false;  // first contact has none
    server_ = std::move(rpc::MakeServer(loop, std::move(options), [this](rpc::ServerCall* call) { return Accept(call); })).value();
  }

  // Everything of a type to every stream, asked for or not.
  void Push(Type type) {
    for (AdsHandler* stream : streams_) stream->Send(type);
  }
  void EndStreams(const rpc::Status& status) {
    for (AdsHandler* stream : std::exchange(streams_, {})) stream->call->Finish(status);
  }
  size_t streams() const { return streams_.size(); }

 private:
  struct AdsHandler final : rpc::ServerCall::Handler {
    AdsHandler(FakeControl* owner_in, rpc::ServerCall* call_in) : owner(owner_in), call(call_in) { owner->streams_.insert(this); }
    ~AdsHandler() override { owner->streams_.erase(this); }
    void OnMessage(Bytes message) override {
      FakeControlState::Request request;
      if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) return;
      owner->state_->requests.push_back(request);
      for (const Type type : {Type::kCluster, Type::kEndpoint, Type::kListener, Type::kRoute}) {
        if (request.type_url() != TypeUrl(type)) continue;
        const std::set<std::string> names(request.resource_names().begin(), request.resource_names().end());
        const bool asks = request.response_nonce().empty() || names != asked[type];
        asked[type] = names;
        if (asks && !owner->state_->withheld.contains(type)) Send(type);
      }
    }
    void Send(Type type) {
      envoy::service::discovery::v3::DiscoveryResponse response;
      response.set_type_url(std::string(TypeUrl(type)));
      response.set_version_info(std::to_string(++version));
      response.set_nonce(std::to_string(version));
      const bool whole = type == Type::kCluster || type == Type::kListener;
      for (const auto& [name, any] : owner->state_->resources[type]) {
        if (whole || asked[type].contains(name)) *response.add_resources() = any;
      }
      call->Send(response);
    }
    void OnHalfClose() override { call->Finish({}); }
    void OnCancelled() override {}

    FakeControl* const owner;
    rpc::ServerCall* const call;
    std::map<Type, std::set<std::string>> asked;
    int version = 0;
  };

  struct IssueHandler final : rpc::ServerCall::Handler {
    IssueHandler(FakeControl* owner_in, rpc::ServerCall* call_in) : owner(owner_in), call(call_in) {}
    void OnMessage(Bytes message) override {
      outrigger::v1::IssueCertificateRequest request;
      if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) return;
      FakeControlState* state = owner->state_;
      state->issues.push_back({owner->loop_->now(), std::string(call->metadata().Get("authorization").value_or("")),
                               call->peer().spiffe_id, request.csr_der()});
      if (!state->answers_issues) return;
      if (!state->verdict.ok()) return call->Finish(state->verdict);
      const auto leaf = state->mesh.authority().Sign(AsBytes(request.csr_der()), tls::WorkloadId("cluster.local", "default", "web"),
                                               owner->loop_->wall_now(), state->lifetime).value();
      outrigger::v1::IssueCertificateResponse response;
      response.add_chain_der(leaf.data(), leaf.size());
      response.add_roots_der(state->mesh.authority().root().data(), state->mesh.authority().root().size());
      response.set_trust_domain("cluster.local");
      call->Send(response);
      call->Finish({});
    }
    void OnHalfClose() override {}
    void OnCancelled() override {}

    FakeControl* const owner;
    rpc::ServerCall* const call;
  };

  std::unique_ptr<rpc::ServerCall::Handler> Accept(rpc::ServerCall* call) {
    state_->calls.push_back(loop_->now());
    if (call->path().find("AggregatedDiscoveryService") != std::string_view::npos) return std::make_unique<AdsHandler>(this, call);
    return std::make_unique<IssueHandler>(this, call);
  }

  net::Loop* const loop_;
  FakeControlState* const state_;
  std::set<AdsHandler*> streams_;
  std::unique_ptr<rpc::Server> server_;
};

}  // namespace outrigger::discovery::testing
