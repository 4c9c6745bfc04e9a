#include "proxy/pool/endpoint_pool.h"

#include <algorithm>
#include <utility>

namespace outrigger::pool {

void EndpointPool::SetTarget(const balance::ListedEndpoint& endpoint, const config::Cluster& cluster) {
  const config::Endpoint& config = endpoint.config;
  const std::string& sni = config.sni.empty() ? cluster.sni : config.sni;
  if (state_ != nullptr && protocol_ == cluster.protocol && mesh_ == config.mesh && sni == sni_ && config.identity == identity_ &&
      address_ == config.address) {
    return;
  }
  RetireAll();
  state_ = endpoint.state;
  protocol_ = cluster.protocol;
  mesh_ = config.mesh;
  sni_ = sni;
  identity_ = config.identity;
  address_ = config.address;
}

void EndpointPool::Start(const config::Cluster& cluster, StreamImpl* stream) {
  ++shared_->counters.requests;
  if (ClientSession* session = Reusable()) {
    ++shared_->counters.requests_reused;
    session->StartRequest(stream);
    return;
  }
  // HTTP/2 requests wait for the connection that is being made rather than open one each.
  if (protocol_ == config::UpstreamProtocol::kHttp2 && connecting()) {
    waiting_.PushBack(stream);
    return;
  }
  Open(cluster, stream);
}

ClientSession* EndpointPool::Reusable() {
  if (protocol_ == config::UpstreamProtocol::kHttp2) {
    for (const std::unique_ptr<ClientSession>& session : sessions_) {
      if (session->can_start()) return session.get();
    }
    return nullptr;
  }
  while (!idle_.empty()) {
    ClientSession* session = idle_.back();
    idle_.pop_back();
    if (session->can_start()) return session;
  }
  return nullptr;
}

bool EndpointPool::connecting() const {
  return std::any_of(sessions_.begin(), sessions_.end(), [](const auto& s) { return !s->open() && !s->gone(); });
}

void EndpointPool::Open(const config::Cluster& cluster, StreamImpl* stream) {
  std::unique_ptr<tls::Session> secure;
  std::shared_ptr<const tls::Context> context;
  if (mesh_) {
    context = shared_->tls();
    if (context == nullptr) {
      shared_->fail_later(stream, Error::Make(ErrorCode::kTls, "this proxy has no certificate yet", Fault::kLocal, true));
      return;
    }
    tls::ClientOptions options;
    options.sni = sni_;
    options.alpn = {protocol_ == config::UpstreamProtocol::kHttp2 ? "h2" : "http/1.1"};
    options.resumption_scope = address_.ToString();
    options.accepted_ids = identity_.empty() ? cluster.accepted_ids : std::vector<std::string>{identity_};
    secure = tls::MakeClient(context, std::move(options));
  }
  ++shared_->counters.connections_opened;
  sessions_.push_back(std::make_unique<ClientSession>(shared_->loop, this, &shared_->options, protocol_, std::move(secure),
                                                      context.get(), address_, cluster.connect_timeout, cluster.idle_timeout));
  sessions_.back()->Intend(stream);
}

void EndpointPool::RetireAll() {
  idle_.clear();
  for (const std::unique_ptr<ClientSession>& session : sessions_) session->Retire();
}

void EndpointPool::RetireOlderThan(const tls::Context* current) {
  for (const std::unique_ptr<ClientSession>& session : sessions_) {
    if (session->context() == nullptr || session->context() == current) continue;
    std::erase(idle_, session.get());
    session->Retire();
  }
}

Pool::EndpointCount EndpointPool::Count() const {
  Pool::EndpointCount count;
  count.address = address_;
  for (const std::unique_ptr<ClientSession>& session : sessions_) {
    ++(!session->open() ? count.connecting : session->busy() ? count.busy : count.idle);
  }
  return count;
}

void EndpointPool::OnSessionOpened(ClientSession* session) {
  if (session->resumed()) ++shared_->counters.handshakes_resumed;
  if (StreamImpl* stream = session->TakeIntended()) session->StartLate(stream);
  Serve(session);
}

// Gives a session that may take requests to those who wait, then to the idle stack.
void EndpointPool::Serve(ClientSession* session) {
  while (session->can_start() && !waiting_.empty()) session->StartLate(waiting_.PopFront());
  if (session->gone() || session->busy()) return;
  if (protocol_ != config::UpstreamProtocol::kHttp2) {
    if (idle_.size() >= shared_->options.idle_per_endpoint) {
      session->Retire();
      return;
    }
    idle_.push_back(session);
  }
  session->BecomeIdle();
}

void EndpointPool::OnSessionGone(ClientSession* session, bool was_open, const Error& error) {
  if (!was_open) ++shared_->counters.connections_failed;
  std::erase(idle_, session);
  const auto it = std::find_if(sessions_.begin(), sessions_.end(), [&](const auto& s) { return s.get() == session; });
  if (it == sessions_.end()) return;
  std::unique_ptr<ClientSession> owned = std::move(*it);
  sessions_.erase(it);
  shared_->bury(std::move(owned));
  // Those who waited for this connection fail with it, unless another is on its way: the exchange decides about another try.
  if (connecting()) return;
  Error unseen = error;
  unseen.unseen = true;
  while (!waiting_.empty()) shared_->fail_later(waiting_.PopFront(), unseen);
  if (empty()) shared_->emptied(state_.get());
}

}  // namespace outrigger::pool
