#include "test/check/ledger.h"

#include <utility>

namespace outrigger::check {
namespace {

constexpr size_t kExamples = 5;

// The first few of one kind of finding, and how many more there are.
class Findings {
 public:
  void Add(std::string text) {
    if (++count_ <= kExamples) texts_.push_back(std::move(text));
  }
  void MoveTo(std::vector<std::string>* all) {
    for (std::string& text : texts_) all->push_back(std::move(text));
    if (count_ > kExamples) all->push_back("... and " + std::to_string(count_ - kExamples) + " more like it");
  }
  uint64_t count() const { return count_; }

 private:
  uint64_t count_ = 0;
  std::vector<std::string> texts_;
};

}  // namespace

std::string_view KindName(Kind kind) {
  switch (kind) {
    case Kind::kSafe: return "safe";
    case Kind::kKeyed: return "keyed";
    case Kind::kOnce: return "once";
  }
  return "?";
}

std::string Counts::ToString() const {
  return std::to_string(sent) + " sent, " + std::to_string(answered) + " answered, " + std::to_string(declined) + " declined, " +
         std::to_string(unknown) + " unknown, " +
         std::to_string(cut) + " cut, " + std::to_string(broken) + " broken, " + std::to_string(lost) + " lost, " +
         std::to_string(seen) + " seen";
}

uint64_t Ledger::Send(Kind kind, Instant now) {
  Entry entry{};
  entry.kind = kind;
  entry.sent = now;
  entries_.push_back(std::move(entry));
  return entries_.size();
}

Ledger::Entry* Ledger::Find(uint64_t id) { return id == 0 || id > entries_.size() ? nullptr : &entries_[id - 1]; }

void Ledger::Seen(uint64_t id, std::string_view application, Instant now) {
  ++seen_;
  Entry* entry = Find(id);
  if (entry == nullptr) return Wrong(std::string(application) + " saw request " + std::to_string(id) + ", which nobody sent");
  ++entry->seen;
  ++seen_by_[std::string(application)];
  if (!entry->seen_by.empty()) entry->seen_by += ", ";
  entry->seen_by += std::string(application) + " after " + std::to_string(Milliseconds(now - entry->sent)) + " ms";
}

void Ledger::End(uint64_t id, Ending ending, Instant, std::string_view detail) {
  Entry* entry = Find(id);
  if (entry == nullptr) return Wrong("an answer to request " + std::to_string(id) + ", which nobody sent");
  if (++entry->endings == 1) ++ended_;
  entry->ending = ending;
  entry->detail = detail;
}

void Ledger::Wrong(std::string what) { wrong_.push_back(std::move(what)); }

Counts Ledger::counts() const {
  Counts counts;
  counts.sent = entries_.size();
  counts.seen = seen_;
  for (const Entry& entry : entries_) {
    if (entry.endings == 0) {
      ++counts.lost;
      continue;
    }
    switch (entry.ending) {
      case Ending::kAnswered: ++counts.answered; break;
      case Ending::kDeclined: ++counts.declined; break;
      case Ending::kUnknown: ++counts.unknown; break;
      case Ending::kCut: ++counts.cut; break;
      case Ending::kBroken: ++counts.broken; break;
    }
  }
  return counts;
}

std::vector<std::string> Ledger::Check(const Tolerance& tolerance) const {
  Findings lost, twice, repeated, unseen, liars, declined, unknown, cut, broken, wrong;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    const std::string name = "request " + std::to_string(i + 1) + " (" + std::string(KindName(entry.kind)) + ")";
    const std::string detail = entry.detail.empty() ? "" : ": " + entry.detail;
    if (entry.kind == Kind::kOnce && entry.seen > 1) repeated.Add("repeated: " + name + " was seen by " + entry.seen_by);
    if (entry.endings == 0) {
      lost.Add("lost: " + name + " was never answered" + (entry.seen > 0 ? ", though seen by " + entry.seen_by : ""));
      continue;
    }
    if (entry.endings > 1) twice.Add(name + " was answered " + std::to_string(entry.endings) + " times");
    switch (entry.ending) {
      case Ending::kAnswered:
        if (entry.seen == 0) unseen.Add(name + " was answered, but no application saw it");
        break;
      case Ending::kDeclined:
        if (entry.seen > 0) liars.Add(name + " was said to be unseen, but was seen by " + entry.seen_by + detail);
        declined.Add(name + " was declined" + detail);
        break;
      case Ending::kUnknown: unknown.Add(name + " ended in doubt" + detail); break;
      case Ending::kCut:
        if (entry.seen == 0) unseen.Add(name + " had the beginning of an answer, but no application saw it" + detail);
        cut.Add(name + " had the beginning of an answer" + detail);
        break;
      case Ending::kBroken: broken.Add(name + " ended without an answer" + detail); break;
    }
  }
  for (const std::string& text : wrong_) wrong.Add(text);
  std::vector<std::string> all;
  for (Findings* findings : {&lost, &repeated, &twice, &unseen, &liars, &wrong}) findings->MoveTo(&all);
  if (declined.count() > tolerance.declined) declined.MoveTo(&all);
  if (unknown.count() > tolerance.unknown) unknown.MoveTo(&all);
  if (cut.count() > tolerance.cut) cut.MoveTo(&all);
  if (broken.count() > tolerance.broken) broken.MoveTo(&all);
  return all;
}

}  // namespace outrigger::check
