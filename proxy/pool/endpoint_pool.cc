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
  connect_timeout_ = cluster.connect_timeout;
  idle_timeout_ = cluster.idle_timeout;
  if (identity_.empty()) accepted_ids_ = cluster.accepted_ids;
  if (may_connect()) {
    Open(stream);
  } else {
    waiting_.PushBack(stream);
  }
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

size_t EndpointPool::connecting() const {
  return static_cast<size_t>(std::count_if(sessions_.begin(), sessions_.end(), [](const auto& s) { return !s->open() && !s->gone(); }));
}

// HTTP/2 requests wait for the connection that is being made rather than open one each.
bool EndpointPool::may_connect() const {
  return connecting() < (protocol_ == config::UpstreamProtocol::kHttp2 ? 1 : shared_->options.connecting_per_endpoint);
}

void EndpointPool::Open(StreamImpl* stream) {
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
    options.accepted_ids = identity_.empty() ? accepted_ids_ : std::vector<std::string>{identity_};
    secure = tls::MakeClient(context, std::move(options));
  }
  ++shared_->counters.connections_opened;
  sessions_.push_back(std::make_unique<ClientSession>(shared_->loop, this, &shared_->options, protocol_, std::move(secure),
                                                      context.get(), address_, connect_timeout_, idle_timeout_));
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
  OpenForWaiting();
}

// After a connection was made: the endpoint takes more. Not after one failed, or those who wait for an endpoint that is away would wait
// for one time-out after another.
void EndpointPool::OpenForWaiting() {
  while (!waiting_.empty() && may_connect()) Open(waiting_.PopFront());
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
  if (connecting() > 0) return;
  if (was_open) OpenForWaiting();
  // Those who waited for this connection fail with it: no other is on its way, and the exchange decides about another try.
  Error unseen = error;
  unseen.unseen = true;
  while (!was_open && !waiting_.empty()) shared_->fail_later(waiting_.PopFront(), unseen);
  if (empty()) shared_->emptied(state_.get());
}

}  // namespace outrigger::pool
