// A byte stream between two sockets, and where they come from. Implementations: io/ (libuv) and test/sim/ (memory).
// Single-threaded: everything happens on the loop that made it, and every Handler call comes from that loop's turn, never
// from inside a call of the owner (Write, SetReading...). A Handler may destroy its Connection or Listener in any call.
//
// A peer whose machine vanished says nothing. Where nothing is on the way to it the kernel's keep-alive notices in about 25 s (OnClosed
// with kReset); where something is, the kernel tries for a quarter of an hour: whoever cannot wait asks unacknowledged_for().
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "proxy/base/buffer.h"
#include "proxy/base/bytes.h"
#include "proxy/base/error.h"
#include "proxy/base/time.h"
#include "proxy/net/address.h"

namespace outrigger::net {

class Connection {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnConnected() {}           // of Loop::Connect only
    virtual void OnRead(Bytes bytes) = 0;   // one read of the socket; valid during the call; never empty
    virtual void OnEof() = 0;               // the peer sent FIN; writing still works
    virtual void OnClosed(Error error) = 0; // connect failed (kConnectRefused, kConnectTimeout), kReset, kIo: the last call
    virtual void OnDrained() {}             // everything pending has been taken by the kernel
  };

  // Destroying closes at once: pending output is dropped (see Loop::Retire for the polite way). No call follows.
  virtual ~Connection() = default;

  // An accepted connection starts to read when its handler is set. Handlers may be exchanged.
  virtual void SetHandler(Handler* handler) = 0;

  // Takes all of `out` (leaves it empty). Writes to the socket at once; what the kernel does not take waits in pending() and
  // goes out when it can. Before OnConnected everything waits. Errors come later, by OnClosed.
  virtual void Write(Buffer* out) = 0;
  virtual size_t pending() const = 0;

  // Back-pressure: no OnRead and no OnEof while off. Starts on. Only for real pressure: it costs system calls.
  virtual void SetReading(bool on) = 0;
  // Sends FIN once pending() is out. Reading goes on.
  virtual void ShutdownWrite() = 0;
  // Closes with RST, now: the peer must not take what it got for complete. The owner destroys the object next.
  virtual void Abort() = 0;
  // Copies what the next OnRead would bring without taking it; 0 when nothing is there yet. For an accepted connection
  // before its handler is set.
  virtual size_t Peek(std::span<uint8_t> into) = 0;

  // How long the peer's kernel has left bytes of ours without an acknowledgement. Zero when it has them all, when its reader stalls (it
  // then acknowledges probes), and where nobody knows.
  virtual Duration unacknowledged_for() const { return {}; }
  // A machine that lost power says nothing, and its kernel's silence would last a quarter of an hour for what is under way: whoever has a
  // request on a connection looks this often and gives up at this limit (between two retransmissions, each twice as far from the last:
  // some 23 s in all).
  static constexpr Duration kSilenceCheck = std::chrono::seconds(5);
  static constexpr Duration kSilenceLimit = std::chrono::seconds(10);

  virtual Address local() const = 0;
  virtual Address remote() const = 0;
  // Where the client meant to go before the kernel redirected it here (SO_ORIGINAL_DST); nullopt when it was not redirected.
  virtual std::optional<Address> original_destination() const = 0;
};

class Listener {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnAccept(std::unique_ptr<Connection> connection) = 0;
  };
  virtual ~Listener() = default;  // stops listening
  virtual Address local() const = 0;  // with the port that port 0 became
  // Off: connections wait in the kernel's backlog (descriptor limit reached).
  virtual void SetAccepting(bool on) = 0;
};

struct ListenOptions {
  Address address;
  int backlog = 4096;
  // Several workers listen on one address (SO_REUSEPORT).
  bool share_port = false;
};

struct ConnectOptions {
  Address address;
  Duration timeout = std::chrono::seconds(1);
};

}  // namespace outrigger::net
