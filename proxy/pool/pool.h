// Upstream connections of one worker: reuse, establish, retire. HTTP/1: idle connections of an endpoint on a stack, the most recently
// used first; HTTP/2: requests multiplex over few connections. Connections belong to an endpoint (its EndpointState) and to the
// way it must be called (SNI, identity, protocol): when that changes, old connections finish what they carry and take nothing new. Those of
// an endpoint that is gone from the configuration end by their idle timeout.
// One worker, one thread. A Handler may destroy its Stream in any call.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "proxy/balance/picker.h"
#include "proxy/codec/codec.h"
#include "proxy/config/config.h"
#include "proxy/net/loop.h"
#include "proxy/tls/tls.h"

namespace outrigger::pool {

// One request on one upstream connection: an attempt. Destroying it cancels what is under way.
class Stream {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnStarted() = 0;  // only when the stream was not started() on return of Pool::Start
    virtual void OnInformational(const http::ResponseHead& head) = 0;
    virtual void OnResponse(http::ResponseHead* head) = 0;  // may be swapped away
    virtual void OnUpgraded(http::ResponseHead* head) = 0;
    virtual void OnData(Bytes data) = 0;
    virtual void OnTrailers(http::HeaderMap* trailers) = 0;
    virtual void OnEnd() = 0;       // response complete
    // No response, or not a whole one: the last call. error.unseen: nothing of the request can have been acted on.
    virtual void OnFailed(const Error& error, bool response_started) = 0;
    virtual void OnWritable() = 0;  // buffered() fell to nothing after it had been over the mark
  };
  virtual ~Stream() = default;
  // A connection is there and the head is on its way. Before that nothing may be sent.
  virtual bool started() const = 0;
  virtual bool reused() const = 0;             // went out on a connection that had carried a request before
  virtual const tls::Peer* peer() const = 0;   // null: plaintext, or not started
  virtual void SendData(Bytes data) = 0;
  virtual void SendEnd() = 0;
  virtual void SendTrailers(const http::HeaderMap& trailers) = 0;
  virtual size_t buffered() const = 0;       // not yet taken by the kernel
  virtual void SetReading(bool on) = 0;      // back-pressure on the response
  virtual void Consumed(size_t size) = 0;    // response bytes passed on (HTTP/2 window)
};

struct Options {
  size_t idle_per_endpoint = 128;
  // Connections of an endpoint that are being made at the same time; more requests wait for those, or for one that becomes free. A burst
  // would otherwise begin a handshake each, none of which ends in time. HTTP/2 makes one at a time.
  size_t connecting_per_endpoint = 64;
  size_t high_water_bytes = 64 * 1024;  // buffered() above it: the exchange stops reading the client
  codec::Limits limits;
};

// Plain counts of one worker, for /clusters and metrics.
struct Counters {
  uint64_t connections_opened = 0;
  uint64_t connections_failed = 0;
  uint64_t handshakes_resumed = 0;
  uint64_t requests = 0;
  uint64_t requests_reused = 0;
};

class Pool {
 public:
  // `tls`: asked at each connect, so that a new leaf is used at once; null while there is no identity yet.
  Pool(net::Loop* loop, Options options, std::function<std::shared_ptr<const tls::Context>()> tls);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Starts a request to `endpoint` of `cluster`. `head` must live until the stream is started() or failed. Failures come later, never
  // from inside. cluster.connect_timeout covers TCP and TLS together.
  std::unique_ptr<Stream> Start(const balance::ListedEndpoint& endpoint, const config::Cluster& cluster,
                                const http::RequestHead& head, bool end, Stream::Handler* handler);

  // A new leaf is in force: connections of older ones finish what they carry and take nothing new.
  void RetireOld();

  const Counters& counters() const;
  size_t open_connections() const;
  struct EndpointCount {
    net::Address address;
    size_t idle = 0, busy = 0, connecting = 0;
  };
  std::vector<EndpointCount> Snapshot() const;  // sorted by address

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace outrigger::pool
