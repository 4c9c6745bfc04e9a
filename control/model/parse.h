// YAML (or JSON, which is YAML here) to objects. Strict: a field nobody knows, a wrong type or a value out of range rejects its
// document, with line, field path and reason; the neighbours in the file are not affected. Never throws and never crashes,
// whatever the bytes. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "control/model/object.h"

namespace outrigger::control {

struct ParseLimits {
  size_t document_bytes = 1 << 20;
  size_t nodes = 200'000;  // of one document, aliases counted as what they stand for
  int depth = 32;
  size_t documents = 100'000;
};

struct ParseResult {
  std::vector<ObjectPtr> objects;  // in order of the file
  std::vector<Problem> problems;   // in order of the file; several per document where that helps
  // False when some document could have been meant as an object that was in force, and nobody can say which: a syntax error, a
  // missing name, a misspelt kind.
  bool complete = true;
};

// `file` is only copied into origins and problems. Documents are split at `---`; empty ones are skipped; `kind: List` of `v1`
// is unpacked. The same key twice in one text is a problem of the second.
ParseResult ParseYaml(std::string_view text, std::string_view file, const ParseLimits& limits = {});

// The document of `object` as JSON, for `-o json`: the fields as they were written, in their order.
absl::StatusOr<std::string> ObjectJson(const Object& object);

}  // namespace outrigger::control
