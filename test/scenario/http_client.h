// A load generator that keeps the ledger: sends requests with ids of their own over several HTTP/1.1 connections,
// checks every byte of every answer, and puts each request's ending into the ledger. Lives on one loop.
//
// As every client library does, it sends a safe or keyed request once more when a connection that had served before
// ends without a byte of an answer: the server may have closed it while idle. A new connection that cannot be made is
// tried again until the request's timeout.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/codec/codec.h"
#include "proxy/net/loop.h"
#include "test/check/ledger.h"
#include "test/scenario/payload.h"

namespace outrigger::scenario {

struct HttpClientOptions {
  net::Address target;
  std::string authority = "app";  // Host
  check::Ledger* ledger = nullptr;  // outlives the client
  uint64_t requests = 100;        // in all
  int connections = 4;            // at a time; one request each
  double once = 0.3;              // share of plain POSTs
  double keyed = 0.2;             // share of POSTs with Idempotency-Key; the rest are GETs
  size_t body_min = 0, body_max = 0;  // bytes, of POSTs
  double chunked = 0;             // share of bodies without Content-Length
  Duration think_min{}, think_max{};  // between an answer and the next request of a connection
  double fresh = 0;               // share of requests that come on a new connection
  Duration timeout = 30s;         // of one request, from its first try to the end of its answer; then it is lost
  bool resend = true;             // as said above
};

class HttpClient final {
 public:
  HttpClient(net::Loop* loop, HttpClientOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;

  bool done() const;  // every request has ended, or its timeout passed
  uint64_t resends() const { return resends_; }
  uint64_t connects() const { return connects_; }
  uint64_t timeouts() const { return timeouts_; }

 private:
  class Lane;

  net::Loop* const loop_;
  const HttpClientOptions options_;
  uint64_t started_ = 0;
  uint64_t resends_ = 0;
  uint64_t connects_ = 0;
  uint64_t timeouts_ = 0;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace outrigger::scenario
