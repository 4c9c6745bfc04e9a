// One YAML document as a bounded tree that remembers where everything stood. yaml-cpp stays behind this border: its events
// build the tree, its exceptions become an error with a line. Pure.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace outrigger::control {

struct YamlNode;
using YamlPtr = std::shared_ptr<const YamlNode>;  // shared where the text says `*alias`

struct YamlNode {
  enum class Type : uint8_t { kNull, kScalar, kSequence, kMap };
  struct Entry {
    std::string key;
    int line = 0;
    YamlPtr value;
  };
  Type type = Type::kNull;
  int line = 0;             // 1-based, in the whole text
  bool quoted = false;      // a scalar in quotes or a block scalar: always a string
  std::string scalar;
  std::vector<YamlPtr> items;  // of a sequence
  std::vector<Entry> entries;  // of a map, in order; keys are unique
  size_t weight = 1;           // nodes below and including this one, aliases counted as what they stand for

  const Entry* Find(std::string_view key) const;
};

struct YamlLimits {
  size_t bytes = 1 << 20;
  size_t nodes = 200'000;
  int depth = 32;
};

struct YamlError {
  int line = 0;
  std::string reason;
};

// `first_line`: the number of the text's first line. A text without content gives a null node.
std::variant<YamlPtr, YamlError> ParseYamlDocument(std::string_view text, int first_line, const YamlLimits& limits);

// What a plain scalar means in YAML's core schema (1.2): used to tell strings from what only looks like one.
enum class ScalarType : uint8_t { kString, kBool, kInteger, kFloat };
ScalarType TypeOf(const YamlNode& scalar);

struct YamlText {
  int first_line = 1;
  std::string_view text;
};
// Cuts a stream into documents at lines that start with `---` (or end with `...`), so that a broken one leaves its neighbours alone.
// Documents that hold only comments and directives are left out.
std::vector<YamlText> SplitYamlDocuments(std::string_view text);

}  // namespace outrigger::control
