// A TCP connection between two simulated kernels: what Linux does with bytes, FIN and RST, without packets smaller than needed.
// Each direction is one queue of bytes: [arrived at the reader's kernel | in flight | waiting in the sender's kernel]. Segments
// move the borders, so a byte is copied once in and once out.
//  * A sender may hold send_capacity bytes; a reader that does not read closes the window, and the sender's Take() then says 0.
//  * Bytes of one direction arrive in order; a lost segment holds back what follows it.
//  * Closing with unread bytes sends RST (RFC 2525 section 2.17), as does anything that arrives at a closed end.
//  * A silent peer is noticed by keep-alive after kKeepAlive, or after kRetransmissions when bytes are on the way to it.
//  * RST is sent once: a partition can swallow it. Segments and FIN are sent until they arrive.
// Not thread-safe.
#pragma once

#include <memory>
#include <string>

#include "proxy/base/buffer.h"
#include "proxy/base/error.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/base/time.h"
#include "proxy/net/address.h"
#include "test/sim/event_queue.h"
#include "test/sim/trace.h"

namespace outrigger::sim {

class Machine;
class SimLoop;
class World;

// The descriptor that a loop holds on one end: told when there may be something to do.
class TcpOwner {
 public:
  virtual ~TcpOwner() = default;
  virtual void OnTcpReady() = 0;  // only marks: never calls the application
};

class Tcp final : public EventSink, public ListLink<Tcp>, public std::enable_shared_from_this<Tcp> {
 public:
  static constexpr int kClient = 0;
  static constexpr int kServer = 1;
  static constexpr Duration kKeepAlive = std::chrono::seconds(25);
  static constexpr Duration kRetransmissions = std::chrono::seconds(924);  // Linux, tcp_retries2 = 15

  // `dialled` is where the client believes to be going; `target` is where the packets go (another address when redirected).
  Tcp(World* world, Machine* client, uint32_t actor, net::Address local, net::Address dialled, net::Address target, bool redirected);
  ~Tcp() override;

  void Connect(Duration timeout);

  // ---- calls of a descriptor's owner; `side` is its own end
  void SetOwner(int side, uint32_t actor, TcpOwner* owner);
  size_t Take(int side, Bytes bytes);  // how many of them the kernel accepts now
  size_t readable(int side) const { return ends_[1 - side].arrived; }
  Bytes Front(int side) const { return ends_[1 - side].bytes.view().first(ends_[1 - side].arrived); }
  void Read(int side, size_t size);  // drops what was read
  bool writable(int side) const;
  bool connected(int side) const { return ends_[side].connected; }
  bool at_eof(int side) const { return ends_[side].fin_received && readable(side) == 0; }
  const Error& failure(int side) const { return ends_[side].failure; }
  void Finish(int side);  // FIN after all that was taken
  void Close(int side);   // the descriptor is closed
  void Abort(int side);   // ... with RST
  void Vanish(Machine* machine);  // power off: that end is gone and tells nobody
  void Isolate();                 // the way between the ends is cut
  Duration unacknowledged_for(int side) const;

  const net::Address& local(int side) const { return ends_[side].local; }
  const net::Address& remote(int side) const { return ends_[side].remote; }
  bool redirected() const { return redirected_; }
  bool Between(const Machine* a, const Machine* b) const;
  Machine* machine(int side) const { return ends_[side].machine; }
  bool open() const { return ends_[0].open || ends_[1].open; }

  void OnEvent(uint32_t op, uint64_t argument) override;
  void Resend(uint32_t event, uint64_t argument);  // what a partition held up
  void ResetBoth();  // both ends get an RST, as from a middlebox

 private:
  // Times two, plus the sending side.
  enum Op : uint32_t { kSyn, kSynAck, kRefuse, kConnectTimeout, kSegment, kFin, kRst, kWindow, kProbe };

  struct End {
    Machine* machine = nullptr;
    uint32_t actor = 0;
    net::Address local;
    net::Address remote;
    TcpOwner* owner = nullptr;
    bool open = false;       // a descriptor, or a place in a backlog, stands for it
    bool connected = false;
    bool fin_received = false;
    bool gone = false;       // its machine lost power: nobody there remembers the connection
    bool forgotten = false;  // closed, and its RST was swallowed: its kernel answers whatever comes with another
    Error failure;           // final
    // The direction that this end sends.
    Buffer bytes;
    size_t arrived = 0;
    size_t in_flight = 0;
    size_t send_capacity = 0;
    size_t receive_capacity = 0;
    bool fin_wanted = false;
    bool fin_sent = false;
    bool mute = false;       // sends nothing any more: reset, aborted or powered off
    bool window_closed = false;
    Instant last_arrival{};
    Instant last_progress{};  // of what is in flight

    size_t waiting() const { return bytes.size() - arrived - in_flight; }
  };

  void Send(Op op, int side, uint64_t argument, size_t size);
  void Transmit(int side);
  void SendRst(int side);
  void Fail(int side, Error error);
  void Mute(int side, bool drop_in_flight);
  void Notify(int side);
  void Note(TraceKind kind, int side, uint64_t value);
  bool Crosses() const { return ends_[0].machine != ends_[1].machine; }
  std::string Name(int side) const { return ends_[side].remote.ToString(); }

  void OnSyn();
  void OnSynAck();
  void OnSegment(int sender, size_t size);
  void OnFin(int sender);
  void OnRst(int sender);
  void OnProbe(int side, uint64_t heals);

  World* const world_;
  const net::Address target_;
  const bool redirected_;
  bool syn_answered_ = false;
  int syn_tries_ = 0;
  End ends_[2];
};

}  // namespace outrigger::sim
