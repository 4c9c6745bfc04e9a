#include "proxy/tls/resumption.h"

#include <algorithm>
#include <list>
#include <map>
#include <vector>

namespace outrigger::tls {
namespace {

constexpr size_t kMaxSessions = 256;      // a session with its ticket is about 2 KiB
constexpr size_t kMaxSessionsEach = 4;

struct Entry {
  std::string scope;
  bssl::UniquePtr<SSL_SESSION> session;
  WallTime until;
};

// Newest last, in the whole list and within each scope.
struct Sessions {
  using Ages = std::list<Entry>;
  Ages by_age;
  std::map<std::string, std::vector<Ages::iterator>> by_scope;

  void Drop(Ages::iterator entry) {
    const auto scope = by_scope.find(entry->scope);
    std::erase(scope->second, entry);
    if (scope->second.empty()) by_scope.erase(scope);
    by_age.erase(entry);
  }
};
thread_local Sessions sessions;

}  // namespace

bssl::UniquePtr<SSL_SESSION> TakeResumable(const std::string& scope, WallTime now) {
  for (;;) {
    const auto found = sessions.by_scope.find(scope);
    if (found == sessions.by_scope.end()) return nullptr;
    const Sessions::Ages::iterator entry = found->second.back();
    const bool good = now < entry->until;
    bssl::UniquePtr<SSL_SESSION> session = std::move(entry->session);
    sessions.Drop(entry);
    if (good) return session;
  }
}

void KeepResumable(const std::string& scope, bssl::UniquePtr<SSL_SESSION> session, WallTime until) {
  if (const auto found = sessions.by_scope.find(scope); found != sessions.by_scope.end() && found->second.size() == kMaxSessionsEach) {
    sessions.Drop(found->second.front());
  }
  if (sessions.by_age.size() == kMaxSessions) sessions.Drop(sessions.by_age.begin());
  sessions.by_age.push_back({scope, std::move(session), until});
  sessions.by_scope[scope].push_back(std::prev(sessions.by_age.end()));
}

}  // namespace outrigger::tls
