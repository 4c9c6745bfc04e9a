// What may go wrong in a simulated world, and how badly. Plain values: a World takes one at its start and lets it be changed at any
// time (a scenario calms the network before it counts what was lost). Probabilities are in [0, 1].
#pragma once

#include <cstddef>
#include <string>

#include "proxy/base/random.h"
#include "proxy/base/time.h"

namespace outrigger::sim {

struct Faults {
  // ---- the network between machines, one way. Each link draws its base latency once, each segment its jitter.
  Duration latency_min = 100us;
  Duration latency_max = 500us;
  Duration jitter_max = 50us;
  Duration loopback_latency_max = 20us;  // within one machine
  double lost_segment = 0;               // a segment (or SYN's answer) comes later by a retransmission; what follows waits behind it
  Duration retransmit = 200ms;
  double reset = 0;           // a segment is answered by RST to both ends (middlebox, conntrack overflow); between machines only
  double connect_refused = 0; // a SYN is answered by RST although someone listens; between machines only
  double connect_lost = 0;    // a SYN vanishes; TCP sends it again after 1 s, 2 s, 4 s...; between machines only

  // ---- kernels
  size_t send_buffer_min = 256 * 1024;  // bytes; each socket draws its own
  size_t send_buffer_max = 256 * 1024;
  size_t receive_buffer_min = 256 * 1024;
  size_t receive_buffer_max = 256 * 1024;
  size_t read_max = 64 * 1024;  // largest read that a Connection asks for
  double tear = 0;              // a write, segment or read is cut at a random byte
  double kill_resets = 0.5;     // a killed process's connection ends by RST, with what was not yet sent, rather than by FIN
  double reset_discards = 0.5;  // RST destroys what the receiver has not yet read
  Duration turn_delay_max = 20us;  // from readiness to the loop's turn
  double hiccup = 0;               // a turn comes later by up to hiccup_max (a busy or throttled machine)
  Duration hiccup_max = 20ms;

  // ---- names and disks
  Duration resolve_max = 2ms;
  double resolve_fails = 0;
  double disk_error = 0;  // Read, Replace, Remove, MakeFolder, List fail with kIo
  Duration watch_delay_max = 10ms;

  // Latency, and nothing goes wrong.
  static Faults None() { return Faults{}; }
  // Nothing goes wrong, but everything is as awkward as it may be: torn, slow, and in small pieces.
  static Faults Calm(Random& random);
  // Swarm testing (Groce et al., ISSTA 2012): each run draws which faults it has at all, and how strong they are. Runs that have only
  // some reach states that runs with all of them never do.
  static Faults Swarm(Random& random);

  std::string Describe() const;  // the faults that are on, one line
};

}  // namespace outrigger::sim
