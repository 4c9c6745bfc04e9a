#include "control/store/store.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <tuple>

#include "control/model/text.h"

namespace outrigger::control {
namespace {

using Objects = std::map<ObjectKey, ObjectPtr>;

std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

// Versions that stay in force, over a restart: records of "last-good BYTES LINE FILE\n" and the document.
constexpr std::string_view kRecord = "last-good ";

std::string WriteLastGood(const Objects& kept) {
  std::string out;
  for (const auto& [key, object] : kept) {
    out += Cat(kRecord, object->yaml.size(), " ", object->origin.line, " ", object->origin.file, "\n", object->yaml, "\n");
  }
  return out;
}

// What cannot be read is left out: these are only spare copies.
Objects ReadLastGood(std::string_view text) {
  Objects out;
  while (text.starts_with(kRecord)) {
    text.remove_prefix(kRecord.size());
    size_t bytes = 0;
    int line = 0;
    auto size = std::from_chars(text.data(), text.data() + text.size(), bytes);
    if (size.ec != std::errc() || size.ptr == text.data() + text.size()) break;
    auto number = std::from_chars(size.ptr + 1, text.data() + text.size(), line);
    if (number.ec != std::errc()) break;
    text.remove_prefix(static_cast<size_t>(number.ptr - text.data()));
    size_t end = text.find('\n');
    if (end == text.npos || end < 2 || bytes > text.size() - end - 1) break;
    std::string file(text.substr(1, end - 1));
    for (const ObjectPtr& object : ParseYaml(text.substr(end + 1, bytes), file).objects) {
      auto copy = std::make_shared<Object>(*object);
      copy->origin.line = line;
      out[copy->key] = std::move(copy);
    }
    text.remove_prefix(end + 1 + bytes);
    if (text.starts_with('\n')) text.remove_prefix(1);
  }
  return out;
}

}  // namespace

class Store::State {
 public:
  State(net::Files* files, StoreOptions options) : files_(files), options_(std::move(options)) {
    options_.config_dir = WithoutSlash(options_.config_dir);
    if (options_.last_good_file.empty()) return;
    if (Result<std::string> text = files_->Read(options_.last_good_file)) {
      last_good_text_ = *text;
      restored_ = ReadLastGood(*text);
    }
  }

  const StoreOptions& options() const { return options_; }
  net::Files* files() const { return files_; }
  std::string AppliedPath(const ObjectKey& key) const {
    return Cat(options_.config_dir, "/applied/", KindName(key.kind), ".", key.namespace_.empty() ? "" : key.namespace_ + ".", key.name,
               ".yaml");
  }

  std::vector<std::shared_ptr<const SourceFile>> source_files;
  std::vector<Problem> source_problems;

  // What follows from the source's files and what was in force before.
  StoreSnapshot Next(const StoreSnapshot& before) {
    const Objects& previous = first_ ? restored_ : before.objects;
    StoreSnapshot next;
    Objects kept;
    ChooseAmongDuplicates(previous, &next);
    KeepLastGood(previous, &next, &kept);
    first_ = false;
    restored_.clear();
    for (const Problem& problem : source_problems) next.rejected.push_back({problem, true});
    SaveLastGood(kept, &next);
    std::stable_sort(next.rejected.begin(), next.rejected.end(), [](const Rejection& a, const Rejection& b) {
      return std::tie(a.problem.file, a.problem.line) < std::tie(b.problem.file, b.problem.line);
    });
    return next;
  }

  void PutFile(std::shared_ptr<const SourceFile> file) {
    auto place = std::lower_bound(source_files.begin(), source_files.end(), file->path,
                                  [](const auto& a, const std::string& path) { return a->path < path; });
    if (place != source_files.end() && (*place)->path == file->path) {
      *place = std::move(file);
    } else {
      source_files.insert(place, std::move(file));
    }
  }
  const SourceFile* FindFile(const std::string& path) const {
    for (const auto& file : source_files) {
      if (file->path == path) return file.get();
    }
    return nullptr;
  }
  void DropFile(const std::string& path) {
    std::erase_if(source_files, [&](const auto& file) { return file->path == path; });
  }

  // Where `key` is declared, in force or not, outside of `except`; nullopt: nowhere.
  std::optional<Origin> DeclaredOutside(const ObjectKey& key, const std::string& except) const {
    for (const auto& file : source_files) {
      if (file->path == except) continue;
      for (const ObjectPtr& object : file->objects) {
        if (object->key == key) return object->origin;
      }
      for (const Problem& problem : file->problems) {
        if (problem.key == key) return Origin{problem.file, problem.line};
      }
    }
    return std::nullopt;
  }

  std::vector<std::pair<uint64_t, Listener>> listeners;
  uint64_t next_listener = 1;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);

 private:
  void ChooseAmongDuplicates(const Objects& previous, StoreSnapshot* next) const {
    std::map<ObjectKey, std::vector<ObjectPtr>> declared;
    for (const auto& file : source_files) {
      for (const ObjectPtr& object : file->objects) declared[object->key].push_back(object);
    }
    for (const auto& [key, candidates] : declared) {
      ObjectPtr chosen = candidates.front();
      auto before = previous.find(key);
      for (const ObjectPtr& candidate : candidates) {
        if (before != previous.end() && candidate->origin.file == before->second->origin.file) chosen = candidate;
      }
      next->objects[key] = chosen;
      for (const ObjectPtr& candidate : candidates) {
        if (candidate == chosen) continue;
        next->rejected.push_back({Problem{candidate->origin.file, candidate->origin.line, "metadata.name",
                                          Cat("is declared in ", chosen->origin.ToString(), " too, which stays in force"), key},
                                  true});
      }
    }
  }

  void KeepLastGood(const Objects& previous, StoreSnapshot* next, Objects* kept) const {
    std::map<std::string, std::vector<ObjectPtr>> by_file;
    for (const auto& [key, object] : previous) by_file[object->origin.file].push_back(object);
    auto keep = [&](const ObjectPtr& object) {
      next->objects[object->key] = object;
      (*kept)[object->key] = object;
    };
    for (const auto& file : source_files) {
      const std::vector<ObjectPtr>& old = by_file[file->path];
      std::set<ObjectKey> broken;
      for (const Problem& problem : file->problems) {
        if (problem.key) broken.insert(*problem.key);
      }
      bool some = false;
      for (const ObjectPtr& object : old) {
        if (next->objects.contains(object->key)) continue;
        if (broken.contains(object->key)) {
          keep(object);
        } else if (!file->complete) {
          keep(object);
          some = true;
        }
      }
      for (const Problem& problem : file->problems) {
        bool in_force = problem.key ? kept->contains(*problem.key) : some;
        next->rejected.push_back({problem, in_force});
      }
    }
  }

  void SaveLastGood(const Objects& kept, StoreSnapshot* next) {
    if (options_.last_good_file.empty()) return;
    std::string text = WriteLastGood(kept);
    if (text == last_good_text_) return;
    Outcome outcome = text.empty() ? files_->Remove(options_.last_good_file) : files_->Replace(options_.last_good_file, text, 0600);
    if (outcome.ok() || text.empty()) {
      last_good_text_ = std::move(text);
    } else {
      next->rejected.push_back({Problem{options_.last_good_file, 0, "",
                                        Cat("what is in force would be lost by a restart: ", outcome.error().detail), std::nullopt},
                                true});
    }
  }

  net::Files* const files_;
  StoreOptions options_;
  bool first_ = true;
  Objects restored_;
  std::string last_good_text_;
};

namespace {

class Unsubscribe final : public Store::Subscription {
 public:
  explicit Unsubscribe(std::function<void()> leave) : leave_(std::move(leave)) {}
  ~Unsubscribe() override { leave_(); }

 private:
  const std::function<void()> leave_;
};

}  // namespace

Store::Store(net::Files* files, StoreOptions options) : state_(std::make_unique<State>(files, std::move(options))) {
  auto empty = std::make_shared<StoreSnapshot>();
  empty->generation = state_->options().first_generation;
  snapshot_ = std::move(empty);
}
Store::~Store() = default;

std::string Store::AppliedPath(const ObjectKey& key) const { return state_->AppliedPath(key); }

void Store::Update(const SourceSnapshot& source) {
  state_->source_files = source.files;
  state_->source_problems = source.problems;
  Refresh();
}

void Store::Refresh() {
  auto next = std::make_shared<StoreSnapshot>(state_->Next(*snapshot_));
  Change change;
  for (const auto& [key, object] : next->objects) {
    auto before = snapshot_->objects.find(key);
    if (before == snapshot_->objects.end() || !before->second->SameMeaning(*object)) change.changed.push_back(key);
  }
  for (const auto& [key, object] : snapshot_->objects) {
    if (!next->objects.contains(key)) change.changed.push_back(key);
  }
  std::sort(change.changed.begin(), change.changed.end());
  next->generation = snapshot_->generation + (change.changed.empty() ? 0 : 1);
  change.generation = next->generation;
  const bool news = !change.changed.empty() || next->rejected != snapshot_->rejected;
  snapshot_ = std::move(next);
  if (!news) return;
  for (const auto& [id, listener] : state_->listeners) listener(change);
}

std::unique_ptr<Store::Subscription> Store::Subscribe(Listener listener) {
  uint64_t id = state_->next_listener++;
  state_->listeners.emplace_back(id, std::move(listener));
  return std::make_unique<Unsubscribe>([state = state_.get(), alive = std::weak_ptr<bool>(state_->alive), id] {
    if (!alive.expired()) std::erase_if(state->listeners, [&](const auto& entry) { return entry.first == id; });
  });
}

namespace {

// One file to write, and what stood there, to put it back when a later one fails.
struct PlannedWrite {
  std::string path;
  std::string contents;
  std::shared_ptr<SourceFile> file;
  std::optional<std::string> before;
};

absl::Status WriteAll(net::Files* files, std::vector<PlannedWrite>* writes) {
  for (size_t i = 0; i < writes->size(); ++i) {
    PlannedWrite& write = (*writes)[i];
    if (Result<std::string> old = files->Read(write.path)) write.before = *old;
    if (write.before == write.contents) continue;
    Outcome outcome = files->Replace(write.path, write.contents);
    if (outcome.ok()) continue;
    for (size_t k = 0; k < i; ++k) {
      PlannedWrite& undo = (*writes)[k];
      Outcome ignored = undo.before ? files->Replace(undo.path, *undo.before) : files->Remove(undo.path);
      (void)ignored;  // the message below says what the disk does
    }
    return absl::InternalError(outcome.error().detail);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Store::ApplyResult> Store::Apply(std::string_view text, bool dry_run, std::vector<Problem>* problems) {
  ParseResult parsed = ParseYaml(text, "input");
  if (parsed.problems.empty() && parsed.objects.empty()) {
    parsed.problems.push_back(Problem{"input", 0, "", "holds no object", std::nullopt});
  }
  if (problems != nullptr) *problems = parsed.problems;
  if (!parsed.problems.empty()) return absl::InvalidArgumentError(parsed.problems.front().ToString());

  ApplyResult result;
  std::vector<PlannedWrite> writes;
  for (const ObjectPtr& object : parsed.objects) {
    const ObjectKey& key = object->key;
    std::string path = AppliedPath(key);
    if (std::optional<Origin> other = state_->DeclaredOutside(key, path)) {
      return absl::FailedPreconditionError(Cat(key.ToString(), " is declared in ", other->ToString(), "; change it there"));
    }
    auto before = snapshot_->objects.find(key);
    using Action = Applied::Action;
    Action action = before == snapshot_->objects.end()            ? Action::kCreated
                    : before->second->SameMeaning(*object) ? Action::kUnchanged
                                                           : Action::kConfigured;
    result.objects.push_back({key, action});
    std::string contents = object->yaml;
    if (!contents.ends_with('\n')) contents += '\n';
    auto file = std::make_shared<SourceFile>();
    file->path = path;
    file->objects = ParseYaml(contents, path).objects;
    writes.push_back({std::move(path), std::move(contents), std::move(file), std::nullopt});
  }
  result.generation = snapshot_->generation;
  if (dry_run) return result;
  if (Outcome made = state_->files()->MakeFolder(state_->options().config_dir + "/applied"); !made.ok()) {
    return absl::InternalError(made.error().detail);
  }
  if (absl::Status status = WriteAll(state_->files(), &writes); !status.ok()) return status;
  for (PlannedWrite& write : writes) state_->PutFile(std::move(write.file));
  Refresh();
  result.generation = snapshot_->generation;
  return result;
}

absl::StatusOr<uint64_t> Store::Delete(const ObjectKey& key) {
  std::string path = AppliedPath(key);
  if (std::optional<Origin> other = state_->DeclaredOutside(key, path)) {
    return absl::FailedPreconditionError(Cat(key.ToString(), " is declared in ", other->ToString(), "; remove it there"));
  }
  auto found = snapshot_->objects.find(key);
  const SourceFile* file = state_->FindFile(path);
  if (found == snapshot_->objects.end() && file == nullptr) return absl::NotFoundError(Cat("there is no ", key.ToString()));
  if (file == nullptr || (found != snapshot_->objects.end() && found->second->origin.file != path)) {
    std::string where = found == snapshot_->objects.end() ? path : found->second->origin.ToString();
    return absl::FailedPreconditionError(Cat(key.ToString(), " is declared in ", where, "; remove it there"));
  }
  for (const ObjectPtr& object : file->objects) {
    if (object->key == key) continue;
    return absl::FailedPreconditionError(Cat(path, " holds ", object->key.ToString(), ", too; edit the file"));
  }
  Outcome removed = state_->files()->Remove(path);
  if (!removed.ok() && removed.error().code != ErrorCode::kNotFound) return absl::InternalError(removed.error().detail);
  state_->DropFile(path);
  Refresh();
  return snapshot_->generation;
}

}  // namespace outrigger::control
