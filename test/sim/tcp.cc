#include "test/sim/tcp.h"

#include <algorithm>

#include "test/sim/machine.h"
#include "test/sim/world.h"

namespace outrigger::sim {
namespace {
constexpr size_t kSegmentSize = 1460;  // for the rule against silly windows (RFC 9293 section 3.8.6.2)
}

Tcp::Tcp(World* world, Machine* client, uint32_t actor, net::Address local, net::Address dialled, net::Address target,
         bool redirected)
    : world_(world), target_(std::move(target)), redirected_(redirected) {
  End& end = ends_[kClient];
  end.machine = client;
  end.actor = actor;
  end.local = std::move(local);
  end.remote = std::move(dialled);
  end.open = true;
  for (End& e : ends_) {
    e.send_capacity = world_->DrawSize(world_->faults().send_buffer_min, world_->faults().send_buffer_max);
    e.receive_capacity = world_->DrawSize(world_->faults().receive_buffer_min, world_->faults().receive_buffer_max);
  }
  End& server = ends_[kServer];
  server.machine = target_.family() == net::Address::Family::kUnix ? client : world_->FindMachine(target_, client);
  server.local = target_;
  server.remote = end.local;
}

Tcp::~Tcp() = default;

void Tcp::Connect(Duration timeout) {
  Note(TraceKind::kConnect, kClient, target_.port());
  world_->Push(timeout, shared_from_this(), kConnectTimeout * 2, 0);
  if (ends_[kServer].machine != nullptr) Send(kSyn, kClient, 0, 0);
}

// Puts one packet on the way: it arrives after all that this end sent before.
void Tcp::Send(Op op, int side, uint64_t argument, size_t size) {
  End& end = ends_[side];
  Instant at = world_->now() + world_->DrawLatency(*end.machine, *ends_[1 - side].machine, size);
  at = std::max(at, end.last_arrival + Duration(1));
  end.last_arrival = at;
  world_->PushAt(at, shared_from_this(), op * 2 + static_cast<uint32_t>(side), argument);
}

void Tcp::OnEvent(uint32_t event, uint64_t argument) {
  const Op op = static_cast<Op>(event / 2);
  const int sender = static_cast<int>(event % 2);
  if (op == kConnectTimeout) {
    if (ends_[kClient].open && !ends_[kClient].connected) {
      Fail(kClient, Error::Make(ErrorCode::kConnectTimeout, Name(kClient) + ": connect timed out", Fault::kUpstream, true));
    }
    return;
  }
  if (op == kProbe) return OnProbe(sender, argument);
  if (!world_->Reaches(*ends_[sender].machine, *ends_[1 - sender].machine)) {
    // SYN has its own retry, RST none; the rest is sent again once the way is free.
    if (op == kSyn) {
      if (ends_[kClient].open)
        world_->Push(std::chrono::seconds(1) * (1 << std::min(syn_tries_++, 6)), shared_from_this(), event, argument);
    } else if (op != kRst || ends_[sender].open) {  // ... of a middlebox: both ends go on until they hear it
      world_->Park(shared_from_this(), event, argument);
    } else {
      ends_[sender].forgotten = true;
      world_->Push(kKeepAlive, shared_from_this(), kProbe * 2 + static_cast<uint32_t>(1 - sender), world_->heals());
    }
    return;
  }
  switch (op) {
    case kSyn: OnSyn(); break;
    case kSynAck: OnSynAck(); break;
    case kRefuse:
      if (ends_[kClient].open && !ends_[kClient].connected) {
        Fail(kClient, Error::Make(ErrorCode::kConnectRefused, Name(kClient) + ": connection refused", Fault::kUpstream, true));
      }
      break;
    case kSegment: OnSegment(sender, argument); break;
    case kFin: OnFin(sender); break;
    case kRst: OnRst(sender); break;
    case kWindow:
      ends_[1 - sender].window_closed = false;
      Transmit(1 - sender);
      break;
    case kConnectTimeout:
    case kProbe: break;
  }
}

void Tcp::Resend(uint32_t event, uint64_t argument) {
  End& end = ends_[event % 2];
  const Instant at = std::max(world_->now() + world_->DrawTime(world_->faults().retransmit) + Duration(1), end.last_arrival + Duration(1));
  end.last_arrival = at;
  world_->PushAt(at, shared_from_this(), event, argument);
}

void Tcp::OnSyn() {
  End& server = ends_[kServer];
  if (syn_answered_) return;
  const Faults& faults = world_->faults();
  const auto again = [this] {
    if (!ends_[kClient].open) return;
    world_->Push(std::chrono::seconds(1) * (1 << std::min(syn_tries_++, 6)), shared_from_this(), kSyn * 2, 0);
  };
  if (Crosses() && world_->Chance(faults.connect_lost)) return again();
  if (Crosses() && world_->Chance(faults.connect_refused)) {
    syn_answered_ = true;
    return Send(kRefuse, kServer, 0, 0);
  }
  switch (server.machine->Offer(shared_from_this(), target_)) {
    case Machine::Offered::kQueued:
      syn_answered_ = true;
      server.open = server.connected = true;
      Note(TraceKind::kAccept, kServer, 0);
      Send(kSynAck, kServer, 0, 0);
      break;
    case Machine::Offered::kFull: again(); break;
    case Machine::Offered::kNobody:
      syn_answered_ = true;
      Send(kRefuse, kServer, 0, 0);
      break;
  }
}

void Tcp::OnSynAck() {
  End& client = ends_[kClient];
  if (!client.open) return SendRst(kClient);
  client.connected = true;
  Note(TraceKind::kConnected, kClient, 0);
  Notify(kClient);
}

void Tcp::SetOwner(int side, uint32_t actor, TcpOwner* owner) {
  ends_[side].owner = owner;
  ends_[side].actor = actor;
}

bool Tcp::writable(int side) const {
  const End& end = ends_[side];
  return end.connected && !end.mute && end.in_flight + end.waiting() < end.send_capacity;
}

size_t Tcp::Take(int side, Bytes bytes) {
  End& end = ends_[side];
  if (!writable(side) || end.fin_wanted || bytes.empty()) return 0;
  size_t size = std::min(bytes.size(), end.send_capacity - end.in_flight - end.waiting());
  size = world_->Tear(size);
  end.bytes.Append(bytes.first(size));
  Note(TraceKind::kWrite, side, size);
  Transmit(side);
  return size;
}

void Tcp::Transmit(int side) {
  End& end = ends_[side];
  if (end.mute || !end.connected) return;
  const End& peer = ends_[1 - side];
  while (end.waiting() > 0) {
    const size_t used = end.arrived + end.in_flight;
    if (used >= peer.receive_capacity) {
      end.window_closed = true;
      return;
    }
    const size_t size = world_->Tear(std::min(end.waiting(), peer.receive_capacity - used));
    if (Crosses() && world_->Chance(world_->faults().reset)) return ResetBoth();
    if (end.in_flight == 0) end.last_progress = world_->now();
    end.in_flight += size;
    Send(kSegment, side, size, size);
  }
  if (end.fin_wanted && !end.fin_sent) {
    end.fin_sent = true;
    Send(kFin, side, 0, 0);
  }
}

void Tcp::OnSegment(int sender, size_t size) {
  End& from = ends_[sender];
  if (from.in_flight < size) return;  // dropped meanwhile by RST or power loss
  End& to = ends_[1 - sender];
  from.in_flight -= size;
  from.last_progress = world_->now();
  from.arrived += size;
  if (!to.open) {
    from.bytes.Consume(from.arrived);
    from.arrived = 0;
    return SendRst(1 - sender);
  }
  if (!to.failure.ok()) return;
  Note(TraceKind::kSegment, 1 - sender, size);
  Notify(1 - sender);
  Notify(sender);  // room in its send buffer
}

void Tcp::OnFin(int sender) {
  End& to = ends_[1 - sender];
  if (to.gone) return SendRst(1 - sender);
  if (!to.open || !to.failure.ok()) return;
  if (ends_[sender].in_flight > 0) return Send(kFin, sender, 0, 0);  // resent data is still on the way
  to.fin_received = true;
  Notify(1 - sender);
}

void Tcp::OnRst(int sender) {
  End& to = ends_[1 - sender];
  End& from = ends_[sender];
  Note(TraceKind::kRst, 1 - sender, 0);
  Mute(1 - sender, true);
  if (!to.open || !to.failure.ok()) return;
  if (from.arrived > 0 && world_->Chance(world_->faults().reset_discards)) {
    from.bytes.Consume(from.arrived);
    from.arrived = 0;
  }
  Fail(1 - sender, Error::Make(ErrorCode::kReset, Name(1 - sender) + ": connection reset by peer",
                               sender == kServer ? Fault::kUpstream : Fault::kDownstream));
}

void Tcp::Read(int side, size_t size) {
  End& sender = ends_[1 - side];
  sender.bytes.Consume(size);
  sender.arrived -= size;
  Note(TraceKind::kRead, side, size);
  if (!sender.window_closed) return;
  const size_t space = ends_[side].receive_capacity - std::min(ends_[side].receive_capacity, sender.arrived + sender.in_flight);
  if (space >= std::min(kSegmentSize, ends_[side].receive_capacity / 2)) {
    sender.window_closed = false;  // one update is under way; Transmit closes it again when need be
    Send(kWindow, side, 0, 0);
  }
}

void Tcp::Finish(int side) {
  End& end = ends_[side];
  if (end.fin_wanted || end.mute) return;
  end.fin_wanted = true;
  Note(TraceKind::kFin, side, end.waiting());
  Transmit(side);
}

void Tcp::Close(int side) {
  End& end = ends_[side];
  if (!end.open) return;
  if (end.connected && readable(side) > 0) return Abort(side);
  Note(TraceKind::kClose, side, end.waiting());
  if (end.connected) Finish(side);
  end.open = false;
  end.owner = nullptr;
}

void Tcp::Abort(int side) {
  End& end = ends_[side];
  if (!end.open) return;
  Note(TraceKind::kAbort, side, end.waiting());
  end.open = false;
  end.owner = nullptr;
  End& sender = ends_[1 - side];
  sender.bytes.Consume(sender.arrived);
  sender.arrived = 0;
  if (end.connected && end.failure.ok()) SendRst(side);
}

// What this end has not sent yet is gone; what is on the way still arrives, before the RST.
void Tcp::SendRst(int side) {
  Mute(side, false);
  Send(kRst, side, 0, 0);
}

void Tcp::Mute(int side, bool drop_in_flight) {
  End& end = ends_[side];
  end.mute = true;
  if (drop_in_flight) end.in_flight = 0;
  Buffer kept;
  kept.Append(end.bytes.view().first(end.arrived + end.in_flight));
  end.bytes = std::move(kept);
}

void Tcp::ResetBoth() {
  if (ends_[kServer].machine == nullptr) return;
  Mute(kClient, false);
  Mute(kServer, false);
  Send(kRst, kClient, 0, 0);
  Send(kRst, kServer, 0, 0);
}

void Tcp::Vanish(Machine* machine) {
  for (int side : {kClient, kServer}) {
    if (ends_[side].machine != machine) continue;
    Mute(side, true);
    ends_[side].gone = true;
    ends_[side].open = false;
    ends_[side].owner = nullptr;
    if (ends_[1 - side].machine != machine)
      world_->Push(kKeepAlive, shared_from_this(), kProbe * 2 + static_cast<uint32_t>(1 - side), world_->heals());
  }
}

void Tcp::Isolate() {
  for (int side : {kClient, kServer}) {
    if (ends_[side].open && ends_[side].connected)
      world_->Push(kKeepAlive, shared_from_this(), kProbe * 2 + static_cast<uint32_t>(side), world_->heals());
  }
}

Duration Tcp::unacknowledged_for(int side) const {
  return ends_[side].in_flight == 0 ? Duration() : world_->now() - ends_[side].last_progress;
}

// The keep-alive of this end has had no answer for its time. `heals`: when it began; a way that was healed since had one.
void Tcp::OnProbe(int side, uint64_t heals) {
  End& end = ends_[side];
  const End& peer = ends_[1 - side];
  if (!end.open || !end.failure.ok()) return;
  const bool reaches = world_->Reaches(*end.machine, *peer.machine) && world_->Reaches(*peer.machine, *end.machine);
  const bool answered_with_reset = peer.forgotten && reaches;
  if (!peer.gone && !answered_with_reset && (reaches || heals != world_->heals())) {
    if (peer.forgotten) world_->Push(kKeepAlive, shared_from_this(), kProbe * 2 + static_cast<uint32_t>(side), world_->heals());
    return;
  }
  // While bytes are on the way the kernel sends those again, and no probes.
  if (const Instant until = end.last_progress + kRetransmissions; end.in_flight > 0 && world_->now() < until && !reaches) {
    return world_->PushAt(until, shared_from_this(), kProbe * 2 + static_cast<uint32_t>(side), heals);
  }
  Mute(side, true);
  Fail(side, Error::Make(ErrorCode::kReset, Name(side) + (reaches ? ": connection reset by peer" : ": connection timed out"),
                         side == kClient ? Fault::kUpstream : Fault::kDownstream));
}

bool Tcp::Between(const Machine* a, const Machine* b) const {
  return (ends_[0].machine == a && ends_[1].machine == b) || (ends_[0].machine == b && ends_[1].machine == a);
}

void Tcp::Fail(int side, Error error) {
  End& end = ends_[side];
  if (!end.failure.ok()) return;
  end.failure = std::move(error);
  if (side == kClient && !end.connected) end.open = false;
  Notify(side);
}

void Tcp::Notify(int side) {
  if (ends_[side].owner != nullptr) ends_[side].owner->OnTcpReady();
}

void Tcp::Note(TraceKind kind, int side, uint64_t value) { world_->Note(kind, ends_[side].actor, value); }

}  // namespace outrigger::sim
