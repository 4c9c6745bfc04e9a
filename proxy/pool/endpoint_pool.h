// The connections of one endpoint. Private to pool/.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/pool/client_session.h"

namespace outrigger::pool {

using ContextSource = std::function<std::shared_ptr<const tls::Context>()>;

// What all endpoint pools of a worker share.
struct Shared {
  net::Loop* loop = nullptr;
  Options options;
  ContextSource tls;
  Counters counters;
  std::function<void(std::unique_ptr<ClientSession>)> bury;                   // destroys at the end of the turn
  std::function<void(StreamImpl*, Error)> fail_later;                         // tells at the end of the turn
  std::function<void(const balance::EndpointState*)> emptied;                 // its pool has no connection and nobody waits
};

class EndpointPool final : public SessionOwner {
 public:
  explicit EndpointPool(Shared* shared) : shared_(shared) {}

  // How the endpoint is called; connections made for another way are retired.
  void SetTarget(const balance::ListedEndpoint& endpoint, const config::Cluster& cluster);
  void Start(const config::Cluster& cluster, StreamImpl* stream);
  void RetireAll();
  void RetireOlderThan(const tls::Context* current);

  bool empty() const { return sessions_.empty() && waiting_.empty(); }
  size_t size() const { return sessions_.size(); }
  Pool::EndpointCount Count() const;

 private:
  ClientSession* Reusable();
  size_t connecting() const;
  bool may_connect() const;
  void Open(StreamImpl* stream);
  void OpenForWaiting();
  void Serve(ClientSession* session);
  void OnSessionIdle(ClientSession* session) override { Serve(session); }
  void OnSessionOpened(ClientSession* session) override;
  void OnSessionGone(ClientSession* session, bool was_open, const Error& error) override;

  Shared* const shared_;
  std::shared_ptr<balance::EndpointState> state_;  // keeps the key of the pool's map from being reused
  config::UpstreamProtocol protocol_ = config::UpstreamProtocol::kHttp1;
  bool mesh_ = false;
  std::string sni_;
  std::string identity_;
  net::Address address_;
  // As the cluster said when a request last needed a connection.
  Duration connect_timeout_{}, idle_timeout_{};
  std::vector<std::string> accepted_ids_;
  std::vector<std::unique_ptr<ClientSession>> sessions_;
  std::vector<ClientSession*> idle_;      // HTTP/1: a stack
  IntrusiveList<StreamImpl> waiting_;     // in their order; only while connections are being made
};

}  // namespace outrigger::pool
