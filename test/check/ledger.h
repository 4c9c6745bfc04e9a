// The book of a scenario's requests, kept apart from the code under test: what was asked, which application saw it, what came back.
// Lost: no answer. Repeated: an application saw a request twice that may run only once. An explicit "outcome unknown" is neither.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/time.h"

namespace outrigger::check {

// May an application see it twice?
enum class Kind : uint8_t {
  kSafe,   // GET: as often as you like
  kKeyed,  // POST with Idempotency-Key: the application would recognise it
  kOnce,   // POST: never
};

enum class Ending : uint8_t {
  kAnswered,  // by an application, with the right id and the right bytes
  kDeclined,  // an error that promises that no application has seen the request
  kUnknown,   // an error that says an application may have seen it
  kCut,       // an application's answer began, and its connection ended visibly before the answer did
  kBroken,    // the connection ended without an answer: the client knows nothing
};

struct Counts {
  uint64_t sent = 0;
  uint64_t answered = 0;
  uint64_t declined = 0;
  uint64_t unknown = 0;
  uint64_t cut = 0;
  uint64_t broken = 0;
  uint64_t lost = 0;  // without any ending
  uint64_t seen = 0;  // by applications, repetitions included
  std::string ToString() const;
};

// How many endings other than an answer a scenario puts up with. What is never put up with: anything lost or repeated.
struct Tolerance {
  uint64_t declined = 0;
  uint64_t unknown = 0;
  uint64_t cut = 0;
  uint64_t broken = 0;
};

class Ledger {
 public:
  static constexpr uint64_t kAny = ~0ull;

  // A new request; ids count from 1.
  uint64_t Send(Kind kind, Instant now);
  // An application has the request's whole head. Once a request, however often it is then told of it.
  void Seen(uint64_t id, std::string_view application, Instant now);
  void End(uint64_t id, Ending ending, Instant now, std::string_view detail = {});
  // Any other thing that must not happen: wrong bytes, a broken head, an answer to another request.
  void Wrong(std::string what);

  bool settled() const { return ended_ == entries_.size(); }
  Counts counts() const;
  // Answers by application.
  const std::map<std::string, uint64_t>& seen_by() const { return seen_by_; }
  // Empty when all is well; else sentences, the first few of each kind.
  std::vector<std::string> Check(const Tolerance& tolerance = {}) const;

 private:
  struct Entry {
    Kind kind;
    Instant sent;
    uint32_t seen = 0;
    uint32_t endings = 0;
    Ending ending = Ending::kBroken;
    std::string detail;
    std::string seen_by;  // names, in order
  };
  Entry* Find(uint64_t id);

  std::vector<Entry> entries_;  // id - 1 is the index
  uint64_t ended_ = 0;
  uint64_t seen_ = 0;
  std::map<std::string, uint64_t> seen_by_;
  std::vector<std::string> wrong_;
};

std::string_view KindName(Kind kind);

}  // namespace outrigger::check
