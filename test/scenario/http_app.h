// A scripted HTTP/1.1 application: answers every request with its id, its own name and a body that the id determines, and tells the ledger
// whom it saw. What it does wrong is drawn from its loop's randomness. Lives on one loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/codec/codec.h"
#include "proxy/net/loop.h"
#include "test/check/ledger.h"
#include "test/scenario/payload.h"

namespace outrigger::scenario {

struct HttpAppOptions {
  net::Address address;
  std::string name = "app";
  check::Ledger* ledger = nullptr;  // outlives the app
  int status = 200;
  size_t body_min = 0, body_max = 0;      // bytes
  Duration delay_min{}, delay_max{};      // from the whole request to the answer's head
  double chunked = 0;                     // share of answers without Content-Length
  double early = 0;                       // share of answers that do not wait for the request's body
  int close_after = 0;                    // answers a connection; the last says Connection: close. 0: no limit
  double silent_close = 0;                // share of answers after which the connection is closed without having said so
  double reset = 0;                       // share of answers cut by RST at a random byte of the body or before it
};

class HttpApp final : private net::Listener::Handler, private net::TurnTask {
 public:
  // The listener must be had: a taken port is a fault of the scenario.
  HttpApp(net::Loop* loop, HttpAppOptions options);
  ~HttpApp() override;

  net::Address local() const { return listener_->local(); }
  uint64_t requests() const { return requests_; }
  size_t connections() const { return peers_.size(); }
  HttpAppOptions& options() { return options_; }  // may change at any time

 private:
  class Peer;
  void OnAccept(std::unique_ptr<net::Connection> connection) override;
  void OnTurnEnd() override;
  void Drop(Peer* peer);

  net::Loop* const loop_;
  HttpAppOptions options_;
  std::unique_ptr<net::Listener> listener_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::vector<std::unique_ptr<Peer>> dead_;  // until the turn's end: they may be on the stack
  uint64_t requests_ = 0;
};

}  // namespace outrigger::scenario
