#include "proxy/shard/shard.h"

#include <algorithm>
#include <utility>

#include "proxy/detect/detect.h"

namespace outrigger::shard {
namespace {

constexpr Duration kBindAgain = std::chrono::seconds(1);

// Every listener knows its routes.
bool Whole(const snapshot::Snapshot& snapshot) {
  return !snapshot.listeners.empty() && std::all_of(snapshot.listeners.begin(), snapshot.listeners.end(), [](const auto& entry) {
    const std::vector<snapshot::Chain>& chains = entry.second->chains;
    return std::all_of(chains.begin(), chains.end(), [](const snapshot::Chain& chain) { return chain.routes != nullptr; });
  });
}

}  // namespace

class Shard::Port final : public net::Listener::Handler {
 public:
  Port(Shard* shard, std::string listener, config::Direction direction)
      : listener_name(std::move(listener)), direction(direction), shard_(shard) {}
  void OnAccept(std::unique_ptr<net::Connection> connection) override { shard_->OnAccept(this, std::move(connection)); }

  const std::string listener_name;
  const config::Direction direction;
  net::Address wanted;
  std::unique_ptr<net::Listener> listener;

 private:
  Shard* const shard_;
};

class Shard::Detecting final : public net::Connection::Handler {
 public:
  Detecting(Shard* shard, std::unique_ptr<net::Connection> connection, exchange::Origin origin)
      : connection(std::move(connection)), origin(std::move(origin)), shard_(shard) {
    shard->loop_->Arm(&timer_, shard->options_.settings.handshake_timeout);
    this->connection->SetHandler(this);
  }

  std::unique_ptr<net::Connection> connection;
  exchange::Origin origin;

 private:
  void OnRead(Bytes bytes) override { shard_->OnDetected(this, bytes); }
  void OnEof() override { shard_->OnUndetected(this); }
  void OnClosed(Error) override { shard_->OnUndetected(this); }
  void OnTimeout() { shard_->OnUndetected(this); }

  Shard* const shard_;
  CallbackTimer<Detecting, &Detecting::OnTimeout> timer_{this};
};

Shard::Shard(net::Loop* loop, Options options, path::Self self, observe::Sink* sink)
    : loop_(loop),
      options_(std::move(options)),
      self_(std::move(self)),
      pool_(loop, options_.pool, [this] { return tls_; }),
      host_(loop, &pool_, sink, options_.settings) {}

Shard::~Shard() {
  // Sessions end their exchanges, which end their streams: before the pool goes.
  sessions_.clear();
  host_.graveyard.OnTurnEnd();
}

// ---------------------------------------------------------------- listening

Result<std::unique_ptr<Shard::Port>> Shard::Bind(const std::string& listener, config::Direction direction,
                                                 const net::Address& address) {
  auto port = std::make_unique<Port>(this, listener, direction);
  net::ListenOptions options;
  options.address = address;
  options.share_port = options_.share_ports;
  Result<std::unique_ptr<net::Listener>> bound = loop_->Listen(options, port.get());
  if (!bound) return bound.error();
  port->wanted = address;
  port->listener = std::move(bound).value();
  port->listener->SetAccepting(accepting_);
  return port;
}

Outcome Shard::Listen() {
  if (options_.outbound.family() != net::Address::Family::kNone) {
    auto bound = Bind("outbound", config::Direction::kOutbound, options_.outbound);
    if (!bound) return bound.error();
    outbound_ = std::move(bound).value();
  }
  if (options_.inbound.family() != net::Address::Family::kNone) {
    auto bound = Bind("inbound", config::Direction::kInbound, options_.inbound);
    if (!bound) return bound.error();
    inbound_ = std::move(bound).value();
  }
  if (holding_) loop_->Arm(&patience_timer_, options_.patience);
  return {};
}

net::Address Shard::outbound_address() const { return outbound_ == nullptr ? net::Address() : outbound_->listener->local(); }
net::Address Shard::inbound_address() const {
  return inbound_ == nullptr || inbound_->listener == nullptr ? net::Address() : inbound_->listener->local();
}

void Shard::Publish(std::shared_ptr<const snapshot::Snapshot> snapshot) {
  host_.epoch = snapshot::Epoch(snapshot);
  BindListenPorts(*snapshot);
  if (holding_ && Whole(*snapshot)) StopHolding();
}

void Shard::StopHolding() {
  holding_ = false;
  patience_timer_.Disarm();
  LimitAccepting();
}

void Shard::BindListenPorts(const snapshot::Snapshot& snapshot) {
  // Gone ones first: a port may have moved from one name to another.
  std::erase_if(listen_ports_, [&](const auto& entry) {
    const auto it = snapshot.listeners.find(entry.first);
    return it == snapshot.listeners.end() || it->second->config.address != entry.second->wanted;
  });
  unbound_.clear();
  for (const auto& [name, listener] : snapshot.listeners) {
    if (!name.starts_with("listen|") || listen_ports_.contains(name)) continue;
    auto bound = Bind(name, config::Direction::kOutbound, listener->config.address);
    if (bound) {
      listen_ports_.emplace(name, std::move(bound).value());
    } else {
      unbound_.emplace(name, bound.error().detail);
    }
  }
  // Whoever has a port now may be a predecessor that still ends.
  bind_timer_.Disarm();
  if (!unbound_.empty()) loop_->Arm(&bind_timer_, kBindAgain);
}

void Shard::BindAgain() {
  if (!draining_) BindListenPorts(*host_.epoch);
}

void Shard::LimitAccepting() {
  const bool accept = !holding_ && sessions_.size() + detecting_.size() < options_.max_connections;
  if (accept == accepting_) return;
  accepting_ = accept;
  for (Port* port : {outbound_.get(), inbound_.get()}) {
    if (port != nullptr && port->listener != nullptr) port->listener->SetAccepting(accept);
  }
  for (auto& [name, port] : listen_ports_) port->listener->SetAccepting(accept);
}

// ---------------------------------------------------------------- connections

void Shard::OnAccept(Port* port, std::unique_ptr<net::Connection> connection) {
  ++accepted_;
  exchange::Origin origin;
  origin.direction = port->direction;
  origin.listener = port->listener_name;
  origin.remote = connection->remote();
  origin.local = connection->local();
  origin.original_destination = connection->original_destination();
  origin.remote_text = origin.remote.ToString();
  if (port->direction == config::Direction::kInbound) {
    detecting_.push_back(std::make_unique<Detecting>(this, std::move(connection), std::move(origin)));
  } else {
    StartSession(std::move(connection), nullptr, std::move(origin), {});
  }
  LimitAccepting();
}

void Shard::OnDetected(Detecting* detecting, Bytes first) {
  std::unique_ptr<net::Connection> connection = std::move(detecting->connection);
  exchange::Origin origin = std::move(detecting->origin);
  OnUndetected(detecting);
  std::unique_ptr<tls::Session> session;
  if (detect::Detect(first) == detect::Protocol::kTls) {
    if (tls_ == nullptr) {
      connection->Abort();  // no certificate yet: the caller tries elsewhere
      return;
    }
    tls::ServerOptions options;
    options.alpn = {"h2", "http/1.1"};
    session = tls::MakeServer(tls_, std::move(options));
  }
  StartSession(std::move(connection), std::move(session), std::move(origin), first);
}

void Shard::OnUndetected(Detecting* detecting) {
  const auto it = std::find_if(detecting_.begin(), detecting_.end(), [&](const auto& d) { return d.get() == detecting; });
  if (it == detecting_.end()) return;
  host_.graveyard.Bury(std::move(*it));
  detecting_.erase(it);
  LimitAccepting();
}

void Shard::StartSession(std::unique_ptr<net::Connection> connection, std::unique_ptr<tls::Session> tls, exchange::Origin origin,
                         Bytes first) {
  sessions_.push_back(std::make_unique<exchange::ServerSession>(
      &host_, static_cast<exchange::SessionOwner*>(this), std::move(connection), std::move(tls), std::move(origin)));
  exchange::ServerSession* session = sessions_.back().get();
  session->Start(first);
  if (draining_) session->Drain(/*close_idle=*/false);
}

exchange::Path* Shard::OnSessionOpen(exchange::ServerSession*, exchange::Origin* origin) {
  if (origin->direction == config::Direction::kInbound) return &inbound_path_;
  return &outbound_path_;
}

void Shard::OnSessionGone(exchange::ServerSession* session) {
  const auto it = std::find_if(sessions_.begin(), sessions_.end(), [&](const auto& s) { return s.get() == session; });
  if (it == sessions_.end()) return;
  if (!session->opened()) ++handshakes_failed_;
  host_.graveyard.Bury(std::move(*it));
  // Order means nothing here: the last one fills the gap.
  if (it + 1 != sessions_.end()) *it = std::move(sessions_.back());
  sessions_.pop_back();
  LimitAccepting();
}

// ---------------------------------------------------------------- life

void Shard::SetTls(std::shared_ptr<const tls::Context> context) {
  tls_ = std::move(context);
  self_.identity = tls_ == nullptr ? std::string() : tls_->own_id();
  pool_.RetireOld();
}

void Shard::Drain(bool close_idle) {
  draining_ = true;
  if (close_idle) {
    if (inbound_ != nullptr) inbound_->listener.reset();
    // Connections whose first byte has not come.
    while (!detecting_.empty()) {
      loop_->Retire(std::move(detecting_.back()->connection));
      OnUndetected(detecting_.back().get());
    }
  }
  // By index: draining may end a session only at the end of the turn.
  for (const auto& session : sessions_) session->Drain(close_idle);
}

Stats Shard::stats() const {
  Stats stats;
  stats.connections_accepted = accepted_;
  stats.connections_active = sessions_.size() + detecting_.size();
  stats.handshakes_failed = handshakes_failed_;
  stats.requests_active = host_.active_requests;
  stats.retries = host_.retries;
  stats.stale_retries = host_.stale_retries;
  stats.retries_refused_by_budget = host_.retries_refused_by_budget;
  stats.pool = pool_.counters();
  stats.upstream_open = pool_.open_connections();
  stats.endpoints = pool_.Snapshot();
  for (const Port* port : {outbound_.get(), inbound_.get()}) {
    if (port != nullptr && port->listener != nullptr) stats.listeners.emplace(port->listener_name, port->listener->local());
  }
  for (const auto& [name, port] : listen_ports_) stats.listeners.emplace(name, port->listener->local());
  return stats;
}

}  // namespace outrigger::shard
