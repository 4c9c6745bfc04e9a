#include "control/model/reader.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace outrigger::control {
namespace {

std::string_view TypeName(const YamlNode& node) {
  switch (node.type) {
    case YamlNode::Type::kNull: return "null";
    case YamlNode::Type::kMap: return "a map";
    case YamlNode::Type::kSequence: return "a list";
    case YamlNode::Type::kScalar: break;
  }
  switch (TypeOf(node)) {
    case ScalarType::kBool: return "true or false";
    case ScalarType::kInteger:
    case ScalarType::kFloat: return "a number";
    case ScalarType::kString: break;
  }
  return "a text";
}

std::string Shown(const YamlNode& node) {
  if (node.type != YamlNode::Type::kScalar) return std::string(TypeName(node));
  return node.quoted || TypeOf(node) == ScalarType::kString ? Quoted(node.scalar) : std::string(node.scalar.substr(0, 60));
}

char LowerChar(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Levenshtein, stopping at words too long to be typing mistakes.
size_t Distance(std::string_view a, std::string_view b) {
  if (a.size() > 64 || b.size() > 64) return 64;
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t corner = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t change = corner + (LowerChar(a[i - 1]) == LowerChar(b[j - 1]) ? 0 : 1);
      corner = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row[b.size()];
}

bool IsLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

}  // namespace

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text.substr(0, 60)) out.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c);
  // A multi-byte character may not be cut in two.
  if (text.size() > 60) {
    while (out.size() > 1 && (static_cast<unsigned char>(out.back()) & 0x80) != 0) out.pop_back();
    out += "...";
  }
  return out + "\"";
}

std::string DurationText(Duration d) {
  int64_t ms = Milliseconds(d);
  if (ms != 0 && ms % 3'600'000 == 0) return Cat(ms / 3'600'000, "h");
  if (ms != 0 && ms % 60'000 == 0) return Cat(ms / 60'000, "m");
  return ms % 1000 == 0 ? Cat(ms / 1000, "s") : Cat(ms, "ms");
}

std::string_view Nearest(std::string_view word, const std::vector<std::string_view>& words) {
  std::string_view best;
  size_t least = std::max<size_t>(2, word.size() / 3) + 1;
  for (std::string_view candidate : words) {
    size_t distance = Distance(word, candidate);
    if (distance < least && distance < candidate.size()) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

bool IsLabel(std::string_view name, std::string* why) {
  if (name.empty() || name.size() > 63) {
    *why = "must have 1 to 63 characters";
    return false;
  }
  for (char c : name) {
    if (!IsLowerOrDigit(c) && c != '-') {
      *why = "may hold only a-z, 0-9 and '-'";
      return false;
    }
  }
  if (name.front() == '-' || name.back() == '-') {
    *why = "must begin and end with a letter or digit";
    return false;
  }
  return true;
}

bool IsSubdomain(std::string_view name, std::string* why) {
  if (name.empty() || name.size() > 253) {
    *why = "must have 1 to 253 characters";
    return false;
  }
  for (size_t start = 0; start <= name.size();) {
    size_t dot = std::min(name.find('.', start), name.size());
    if (!IsLabel(name.substr(start, dot - start), why)) {
      *why += " in each part between dots";
      return false;
    }
    start = dot + 1;
  }
  return true;
}

void Document::Report(int line, std::string_view field, std::string reason) {
  if (problems_.size() >= 50) return;  // enough to work on
  problems_.push_back(Problem{file_, line, std::string(field), std::move(reason), std::nullopt});
}

std::vector<Problem> Document::Take(const std::optional<ObjectKey>& key) {
  std::stable_sort(problems_.begin(), problems_.end(), [](const Problem& a, const Problem& b) { return a.line < b.line; });
  for (Problem& problem : problems_) problem.key = key;
  return std::move(problems_);
}

std::optional<std::string> Document::String(const Value& value) {
  const YamlNode& node = *value.node;
  if (node.type == YamlNode::Type::kScalar && TypeOf(node) == ScalarType::kString) return node.scalar;
  std::string hint = node.type == YamlNode::Type::kScalar ? Cat("; put it in quotes: \"", node.scalar.substr(0, 60), "\"") : "";
  Report(value, Cat("must be a text, not ", node.type == YamlNode::Type::kScalar ? Shown(node) : std::string(TypeName(node)), hint));
  return std::nullopt;
}

std::optional<bool> Document::Bool(const Value& value) {
  if (value.node->type == YamlNode::Type::kScalar && TypeOf(*value.node) == ScalarType::kBool) {
    return LowerChar(value.node->scalar[0]) == 't';
  }
  Report(value, Cat("must be true or false, not ", Shown(*value.node)));
  return std::nullopt;
}

std::optional<int64_t> Document::Integer(const Value& value, int64_t min, int64_t max) {
  const YamlNode& node = *value.node;
  std::string range = Cat("must be a whole number from ", min, " to ", max, ", not ", Shown(node));
  if (node.type != YamlNode::Type::kScalar || TypeOf(node) != ScalarType::kInteger) {
    bool quoted_number = node.type == YamlNode::Type::kScalar && node.quoted && !node.scalar.empty() &&
                         node.scalar.find_first_not_of("0123456789") == std::string::npos;
    Report(value, range + (quoted_number ? "; remove the quotes" : ""));
    return std::nullopt;
  }
  int64_t number = 0;
  std::string_view digits = node.scalar;
  if (digits[0] == '+') digits.remove_prefix(1);
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number < min || number > max) {
    Report(value, range);
    return std::nullopt;
  }
  return number;
}

std::optional<double> Document::Number(const Value& value, double min, double max) {
  const YamlNode& node = *value.node;
  double number = 0;
  bool is_number = node.type == YamlNode::Type::kScalar &&
                   (TypeOf(node) == ScalarType::kInteger || TypeOf(node) == ScalarType::kFloat);
  if (is_number) {
    const char* end = node.scalar.data() + node.scalar.size();
    auto [stop, error] = std::from_chars(node.scalar.data(), end, number);
    is_number = error == std::errc() && stop == end && std::isfinite(number) && number >= min && number <= max;
  }
  if (!is_number) {
    auto plain = [](double d) {
      std::string s = std::to_string(d);
      s.erase(s.find_last_not_of('0') + 1);
      if (s.back() == '.') s.pop_back();
      return s;
    };
    Report(value, Cat("must be a number from ", plain(min), " to ", plain(max), ", not ", Shown(node)));
    return std::nullopt;
  }
  return number;
}

std::optional<uint16_t> Document::Port(const Value& value) {
  std::optional<int64_t> number = Integer(value, 1, 65535);
  if (!number) return std::nullopt;
  return static_cast<uint16_t>(*number);
}

std::optional<Duration> Document::Time(const Value& value, Duration min, Duration max) {
  const YamlNode& node = *value.node;
  std::string_view text = node.type == YamlNode::Type::kScalar ? std::string_view(node.scalar) : std::string_view();
  auto bad = [&] {
    Report(value, Cat("must be a duration like \"250ms\", \"10s\" or \"1m30s\" (units h, m, s, ms), not ", Shown(node)));
    return std::nullopt;
  };
  if (text.empty()) return bad();
  Duration total{};
  int parts = 0;
  while (!text.empty()) {
    size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    if (digits < 1 || digits > 5 || ++parts > 4) return bad();
    int64_t number = 0;
    std::from_chars(text.data(), text.data() + digits, number);
    text.remove_prefix(digits);
    if (text.starts_with("ms")) {
      total += std::chrono::milliseconds(number);
      text.remove_prefix(2);
    } else if (text.starts_with("h")) {
      total += std::chrono::hours(number);
      text.remove_prefix(1);
    } else if (text.starts_with("m")) {
      total += std::chrono::minutes(number);
      text.remove_prefix(1);
    } else if (text.starts_with("s")) {
      total += std::chrono::seconds(number);
      text.remove_prefix(1);
    } else {
      return bad();
    }
  }
  if (total < min || total > max) {
    Report(value, Cat("must be from ", DurationText(min), " to ", DurationText(max), ", not ", Shown(node)));
    return std::nullopt;
  }
  return total;
}

std::optional<std::string> Document::Label(const Value& value) {
  std::optional<std::string> text = String(value);
  std::string why;
  if (text && !IsLabel(*text, &why)) {
    Report(value, Cat(Quoted(*text), " is not a name: it ", why));
    return std::nullopt;
  }
  return text;
}

std::optional<std::string> Document::Subdomain(const Value& value) {
  std::optional<std::string> text = String(value);
  std::string why;
  if (text && !IsSubdomain(*text, &why)) {
    Report(value, Cat(Quoted(*text), " is not a name: it ", why));
    return std::nullopt;
  }
  return text;
}

std::optional<std::string> Document::PortName(const Value& value) {
  std::optional<std::string> text = String(value);
  if (!text) return std::nullopt;
  std::string why;
  bool letter = std::any_of(text->begin(), text->end(), [](char c) { return c >= 'a' && c <= 'z'; });
  if (text->size() > 15 || !letter || !IsLabel(*text, &why) || text->find("--") != std::string::npos) {
    Report(value, Cat(Quoted(*text), " is not a port name: at most 15 of a-z, 0-9 and single '-', with at least one letter"));
    return std::nullopt;
  }
  return text;
}

std::optional<std::string> Document::Ip(const Value& value) {
  std::optional<std::string> text = String(value);
  if (!text) return std::nullopt;
  unsigned char bytes[16];
  char canonical[INET6_ADDRSTRLEN];
  for (int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, text->c_str(), bytes) == 1) return inet_ntop(family, bytes, canonical, sizeof(canonical));
  }
  Report(value, Cat("must be a numeric IPv4 or IPv6 address, not ", Quoted(*text)));
  return std::nullopt;
}

std::optional<Labels> Document::StringMap(const Value& value) {
  if (value.node->type != YamlNode::Type::kMap) {
    Report(value, Cat("must be a map of texts, not ", TypeName(*value.node)));
    return std::nullopt;
  }
  Labels out;
  for (const YamlNode::Entry& entry : value.node->entries) {
    Value item{entry.value.get(), Cat(value.path, ".", entry.key)};
    if (item.node->type == YamlNode::Type::kNull) {
      out[entry.key] = "";
    } else if (std::optional<std::string> text = String(item)) {
      out[entry.key] = *text;
    }
  }
  return out;
}

std::optional<size_t> Document::OneOf(const Value& value, std::initializer_list<std::string_view> words) {
  const YamlNode& node = *value.node;
  size_t index = 0;
  std::string list;
  for (std::string_view word : words) {
    if (node.type == YamlNode::Type::kScalar && node.scalar == word) return index;
    list += Cat(index == 0 ? "" : index + 1 == words.size() ? " or " : ", ", word);
    ++index;
  }
  Report(value, Cat("must be ", list, ", not ", Shown(node)));
  return std::nullopt;
}

bool Document::Each(const Value& value, size_t most, const std::function<void(const Value&)>& item) {
  if (value.node->type != YamlNode::Type::kSequence) {
    Report(value, Cat("must be a list, not ", TypeName(*value.node)));
    return false;
  }
  if (value.node->items.size() > most) {
    Report(value, Cat("has ", value.node->items.size(), " items, at most ", most, " are allowed"));
    return false;
  }
  size_t index = 0;
  for (const YamlPtr& node : value.node->items) item(Value{node.get(), Cat(value.path, "[", index++, "]")});
  return true;
}

Fields::Fields(Document* document, const Value& value)
    : document_(document), value_(value), is_map_(value.node->type == YamlNode::Type::kMap) {
  if (!is_map_) document->Report(value, Cat("must be a map, not ", TypeName(*value.node)));
}

std::string Fields::Path(std::string_view name) const {
  return value_.path.empty() ? std::string(name) : Cat(value_.path, ".", name);
}

std::optional<Value> Fields::Get(std::string_view name) {
  known_.push_back(name);
  read_.push_back(name);
  if (!is_map_) return std::nullopt;
  const YamlNode::Entry* entry = value_.node->Find(name);
  if (entry == nullptr || entry->value->type == YamlNode::Type::kNull) return std::nullopt;
  return Value{entry->value.get(), Path(name)};
}

std::optional<Value> Fields::Require(std::string_view name) {
  std::optional<Value> value = Get(name);
  if (!value && is_map_) document_->Report(line(), Path(name), "is required");
  return value;
}

void Fields::Ignore(std::initializer_list<std::string_view> names) { known_.insert(known_.end(), names); }

void Fields::NotYet(std::initializer_list<std::string_view> names) {
  for (std::string_view name : names) Refuse(name, kNotYet);
}

void Fields::Refuse(std::string_view name, std::string_view reason) {
  known_.push_back(name);
  if (!is_map_) return;
  const YamlNode::Entry* entry = value_.node->Find(name);
  if (entry != nullptr && entry->value->type != YamlNode::Type::kNull) {
    document_->Report(entry->line, Path(name), std::string(reason));
  }
}

void Fields::Done(bool lenient) {
  if (!is_map_) return;
  for (const YamlNode::Entry& entry : value_.node->entries) {
    if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
    std::string_view nearest;
    if (lenient) {
      for (std::string_view name : read_) {
        if (Distance(entry.key, name) <= 2 && name.size() > 4) nearest = name;
      }
      if (nearest.empty()) continue;
    } else {
      nearest = Nearest(entry.key, known_);
    }
    std::string hint = nearest.empty() ? "" : Cat("; did you mean \"", nearest, "\"?");
    document_->Report(entry.line,
                      Path(Quoted(entry.key).size() == entry.key.size() + 2 ? entry.key : Quoted(entry.key)),
                      Cat("unknown field", hint));
  }
}

}  // namespace outrigger::control
