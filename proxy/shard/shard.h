// Everything one worker owns, without the thread: listeners, client connections with their exchanges, upstream pools. Lives on one
// Loop; the main actor talks to it through that loop's Mailbox.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/exchange/host.h"
#include "proxy/exchange/server_session.h"
#include "proxy/net/loop.h"
#include "proxy/path/inbound.h"
#include "proxy/path/outbound.h"

namespace outrigger::shard {

struct Options {
  net::Address outbound;            // family kNone: not served
  net::Address inbound;
  bool share_ports = false;         // several workers listen on the same addresses
  // Connections that come before there is configuration wait in the kernel's queue so long; then they hear that there is none.
  Duration patience = std::chrono::seconds(5);
  size_t max_connections = 10000;   // client connections of this worker; above it connections wait in the kernel's queue
  exchange::Settings settings;
  pool::Options pool;
};

struct Stats {
  uint64_t connections_accepted = 0;
  uint64_t connections_active = 0;
  uint64_t handshakes_failed = 0;
  int64_t requests_active = 0;
  uint64_t retries = 0, stale_retries = 0, retries_refused_by_budget = 0;
  pool::Counters pool;
  uint64_t upstream_open = 0;
  std::vector<pool::Pool::EndpointCount> endpoints;
  std::map<std::string, net::Address> listeners;  // what is bound
};

class Shard final : private exchange::SessionOwner {
 public:
  // `self` is copied; `sink` must outlive the shard.
  Shard(net::Loop* loop, Options options, path::Self self, observe::Sink* sink);
  ~Shard() override;
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // Binds outbound and inbound; kIo with a sentence when a port is taken.
  Outcome Listen();
  // What is in force from the next request on. Binds and unbinds the `listen` ports it names; one that is taken is tried again until it
  // is free, and is in unbound() meanwhile.
  void Publish(std::shared_ptr<const snapshot::Snapshot> snapshot);
  // Names of `listen` ports that could not be bound, with the reason.
  const std::map<std::string, std::string>& unbound() const { return unbound_; }
  // The leaf that new handshakes show; connections of an older one are retired gracefully.
  void SetTls(std::shared_ptr<const tls::Context> context);
  // Requests under way finish; connections close as they become idle. With `close_idle` those that are idle close at once and other
  // workloads connect no more; the application beside us still may, since what is under way may need it. May be asked again.
  void Drain(bool close_idle);
  bool idle() const { return sessions_.empty() && host_.active_requests == 0; }
  int64_t active_requests() const { return host_.active_requests; }
  Stats stats() const;
  net::Address outbound_address() const;
  net::Address inbound_address() const;

 private:
  class Port;       // one listening socket
  class Detecting;  // an inbound connection whose first byte has not come yet

  exchange::Path* OnSessionOpen(exchange::ServerSession* session, exchange::Origin* origin) override;
  void OnSessionGone(exchange::ServerSession* session) override;
  Result<std::unique_ptr<Port>> Bind(const std::string& listener, config::Direction direction, const net::Address& address);
  void OnAccept(Port* port, std::unique_ptr<net::Connection> connection);
  void OnDetected(Detecting* detecting, Bytes first);
  void OnUndetected(Detecting* detecting);
  void StartSession(std::unique_ptr<net::Connection> connection, std::unique_ptr<tls::Session> tls, exchange::Origin origin, Bytes first);
  void BindListenPorts(const snapshot::Snapshot& snapshot);
  void BindAgain();
  void LimitAccepting();
  void StopHolding();

  net::Loop* const loop_;
  const Options options_;
  path::Self self_;
  std::shared_ptr<const tls::Context> tls_;
  pool::Pool pool_;
  exchange::Host host_;
  path::Outbound outbound_path_{&self_};
  path::Inbound inbound_path_{&self_};
  std::unique_ptr<Port> outbound_;
  std::unique_ptr<Port> inbound_;
  std::map<std::string, std::unique_ptr<Port>> listen_ports_;
  std::map<std::string, std::string> unbound_;
  std::vector<std::unique_ptr<Detecting>> detecting_;
  std::vector<std::unique_ptr<exchange::ServerSession>> sessions_;
  uint64_t accepted_ = 0;
  uint64_t handshakes_failed_ = 0;
  bool holding_ = true;  // no configuration yet
  bool accepting_ = false;
  bool draining_ = false;
  CallbackTimer<Shard, &Shard::StopHolding> patience_timer_{this};
  CallbackTimer<Shard, &Shard::BindAgain> bind_timer_{this};
};

}  // namespace outrigger::shard
