#include "control/model/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <istream>
#include <map>
#include <set>
#include <streambuf>

#include "control/model/text.h"

namespace outrigger::control {
namespace {

// A stream over bytes that stay where they are.
class ViewBuffer : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // NOLINT: streambuf wants char*; only the get area is set
    setg(begin, begin, begin + text.size());
  }
};

// yaml-cpp's events into a tree. Throws YamlError to stop the parser: it has no other way.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(int first_line, const YamlLimits& limits) : first_line_(first_line), limits_(limits) {}

  YamlPtr Take() { return root_ ? root_ : std::make_shared<YamlNode>(); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto node = New(mark, YamlNode::Type::kNull);
    Finish(mark, anchor, std::move(node));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto found = anchors_.find(anchor);
    if (found == anchors_.end()) Fail(mark, "an alias stands inside the value that it names");
    Count(mark, found->second->weight);
    Add(mark, found->second);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    auto node = New(mark, YamlNode::Type::kScalar);
    node->quoted = tag == "!";
    if (tag == "tag:yaml.org,2002:str") {
      node->quoted = true;
    } else if (tag != "!" && tag != "?" && !tag.empty()) {
      Fail(mark, Cat("the tag ", tag, " is not allowed here"));
    }
    node->scalar = value;
    Finish(mark, anchor, std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, YamlNode::Type::kSequence);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, YamlNode::Type::kMap);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Level {
    std::shared_ptr<YamlNode> node;
    YAML::anchor_t anchor;
    YAML::Mark mark;
    bool have_key = false;
    std::string key;
    int key_line = 0;
    std::set<std::string> keys;
  };

  [[noreturn]] void Fail(const YAML::Mark& mark, std::string reason) const {
    throw YamlError{first_line_ + std::max(mark.line, 0), std::move(reason)};
  }

  void Count(const YAML::Mark& mark, size_t nodes) {
    count_ += nodes;
    if (count_ > limits_.nodes) {
      Fail(mark, Cat("the document has more than ", limits_.nodes, " values (aliases count as what they stand for)"));
    }
  }

  std::shared_ptr<YamlNode> New(const YAML::Mark& mark, YamlNode::Type type) {
    Count(mark, 1);
    auto node = std::make_shared<YamlNode>();
    node->type = type;
    node->line = first_line_ + std::max(mark.line, 0);
    return node;
  }

  void Open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Type type) {
    if (!tag.empty() && tag != "?" && tag != "!" && tag != "tag:yaml.org,2002:map" && tag != "tag:yaml.org,2002:seq") {
      Fail(mark, Cat("the tag ", tag, " is not allowed here"));
    }
    if (static_cast<int>(stack_.size()) >= limits_.depth) {
      Fail(mark, Cat("nested deeper than ", limits_.depth, " levels"));
    }
    if (!stack_.empty() && stack_.back().node->type == YamlNode::Type::kMap && !stack_.back().have_key) {
      Fail(mark, "a map's key must be a plain word");
    }
    stack_.push_back(Level{New(mark, type), anchor, mark, false, {}, 0, {}});
  }

  void Close() {
    Level level = std::move(stack_.back());
    stack_.pop_back();
    Finish(level.mark, level.anchor, std::move(level.node));
  }

  void Finish(const YAML::Mark& mark, YAML::anchor_t anchor, std::shared_ptr<YamlNode> node) {
    if (anchor != 0) anchors_[anchor] = node;
    Add(mark, std::move(node));
  }

  void Add(const YAML::Mark& mark, YamlPtr node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Level& level = stack_.back();
    if (level.node->type == YamlNode::Type::kSequence) {
      level.node->weight += node->weight;
      level.node->items.push_back(std::move(node));
    } else if (!level.have_key) {
      if (node->type != YamlNode::Type::kScalar) Fail(mark, "a map's key must be a plain word");
      level.key = node->scalar;
      level.key_line = first_line_ + std::max(mark.line, 0);
      if (!level.keys.insert(level.key).second) Fail(mark, Cat("the field \"", level.key, "\" stands here twice"));
      level.have_key = true;
    } else {
      level.node->weight += node->weight;
      level.node->entries.push_back({std::move(level.key), level.key_line, std::move(node)});
      level.key.clear();
      level.have_key = false;
    }
  }

  const int first_line_;
  const YamlLimits limits_;
  size_t count_ = 0;
  std::vector<Level> stack_;
  std::map<YAML::anchor_t, YamlPtr> anchors_;
  YamlPtr root_;
};

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(std::string_view s) {
  auto byte = [&](size_t i) { return i < s.size() ? static_cast<unsigned char>(s[i]) : 0u; };
  for (size_t i = 0; i < s.size();) {
    unsigned lead = byte(i);
    size_t more = lead < 0x80 ? 0 : lead < 0xC2 ? 9 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : lead < 0xF5 ? 3 : 9;
    if (more == 9) return false;
    if ((lead == 0xE0 && byte(i + 1) < 0xA0) || (lead == 0xED && byte(i + 1) > 0x9F) || (lead == 0xF0 && byte(i + 1) < 0x90) ||
        (lead == 0xF4 && byte(i + 1) > 0x8F)) {
      return false;
    }
    for (size_t k = 1; k <= more; ++k) {
      if ((byte(i + k) & 0xC0) != 0x80) return false;
    }
    i += more + 1;
  }
  return true;
}

bool IsMarker(std::string_view line, std::string_view marker) {
  return line.starts_with(marker) && (line.size() == 3 || line[3] == ' ' || line[3] == '\t' || line[3] == '\r');
}

bool IsDigits(std::string_view s) { return !s.empty() && s.find_first_not_of("0123456789") == s.npos; }

}  // namespace

const YamlNode::Entry* YamlNode::Find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

std::variant<YamlPtr, YamlError> ParseYamlDocument(std::string_view text, int first_line, const YamlLimits& limits) {
  if (text.size() > limits.bytes) {
    return YamlError{first_line, Cat("the document is larger than ", limits.bytes, " bytes")};
  }
  int line = first_line;
  for (char c : text) {
    if (c == '\n') ++line;
    // yaml-cpp takes them for ends of input or worse; YAML allows none of them (section 5.1).
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f) {
      return YamlError{line, "a control character is not allowed in YAML"};
    }
  }
  if (!IsUtf8(text)) return YamlError{first_line, "the document is not valid UTF-8"};
  try {
    // yaml-cpp takes the end of input for the end of an open quote (half a file being written!), but not the end of the document.
    std::string ended = Cat(text, "\n...\n");
    ViewBuffer buffer(ended);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    TreeBuilder builder(first_line, limits);
    if (!parser.HandleNextDocument(builder)) return builder.Take();
    YamlPtr tree = builder.Take();
    TreeBuilder rest(first_line, limits);
    if (parser.HandleNextDocument(rest)) {
      return YamlError{rest.Take()->line, "the document should end here: something stands beside its first value"};
    }
    return tree;
  } catch (const YamlError& error) {
    return error;
  } catch (const YAML::Exception& error) {
    int last_line = text.ends_with('\n') ? line - 1 : line;
    int at = error.mark.is_null() ? first_line : std::min(first_line + std::max(error.mark.line, 0), last_line);
    // The markers that stood in the text have cut it into documents, so this one is ours.
    bool quote = error.msg == YAML::ErrorMsg::DOC_IN_SCALAR;
    return YamlError{at, Cat("not valid YAML: ", quote ? "a quote is not closed" : error.msg)};
  } catch (const std::exception& error) {
    return YamlError{first_line, Cat("not valid YAML: ", error.what())};
  }
}

ScalarType TypeOf(const YamlNode& node) {
  if (node.quoted) return ScalarType::kString;
  std::string_view s = node.scalar;
  if (s == "true" || s == "false" || s == "True" || s == "False" || s == "TRUE" || s == "FALSE") return ScalarType::kBool;
  if (s.starts_with("0x") || s.starts_with("0o")) return ScalarType::kInteger;
  if (!s.empty() && (s[0] == '-' || s[0] == '+')) s.remove_prefix(1);
  if (IsDigits(s)) return ScalarType::kInteger;
  if (s == ".inf" || s == ".nan") return ScalarType::kFloat;
  size_t exponent = s.find_first_of("eE");
  if (exponent != s.npos) {
    std::string_view power = s.substr(exponent + 1);
    if (!power.empty() && (power[0] == '-' || power[0] == '+')) power.remove_prefix(1);
    if (!IsDigits(power)) return ScalarType::kString;
    s = s.substr(0, exponent);
  }
  size_t dot = s.find('.');
  if (dot == s.npos) return exponent != s.npos && IsDigits(s) ? ScalarType::kFloat : ScalarType::kString;
  std::string_view whole = s.substr(0, dot), fraction = s.substr(dot + 1);
  bool number = (whole.empty() || IsDigits(whole)) && (fraction.empty() || IsDigits(fraction)) && !(whole.empty() && fraction.empty());
  return number ? ScalarType::kFloat : ScalarType::kString;
}

std::vector<YamlText> SplitYamlDocuments(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::vector<YamlText> documents;
  size_t start = 0;
  int start_line = 1, line = 1;
  bool content = false;
  auto finish = [&](size_t end) {
    if (content) documents.push_back({start_line, text.substr(start, end - start)});
    content = false;
  };
  for (size_t at = 0; at < text.size(); ++line) {
    size_t end = text.find('\n', at);
    size_t next = end == text.npos ? text.size() : end + 1;
    std::string_view row = text.substr(at, (end == text.npos ? text.size() : end) - at);
    if (IsMarker(row, "---")) {
      finish(at);
      std::string_view rest = Strip(row.substr(3));
      if (rest.empty() || rest[0] == '#') {
        start = next;
        start_line = line + 1;
      } else {  // `--- {kind: ...}`: the document begins on this line
        start = at + 3;
        start_line = line;
        content = true;
      }
    } else if (IsMarker(row, "...")) {
      finish(at);
      start = next;
      start_line = line + 1;
    } else if (!content) {
      std::string_view trimmed = Strip(row);
      if (trimmed.empty() || trimmed[0] == '#' || (row[0] == '%' && start == at)) {
        start = next;  // leading comments and directives are not part of the document
        start_line = line + 1;
      } else {
        content = true;
      }
    }
    at = next;
  }
  finish(text.size());
  return documents;
}

}  // namespace outrigger::control
