// Reads a YAML tree field by field and writes down everything that is wrong with it. A field that nobody asked for is unknown,
// and is reported with the nearest one that was asked for. Used by the parsers of this folder only.
#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/model/object.h"
#include "control/model/text.h"
#include "control/model/yaml.h"

namespace outrigger::control {

inline constexpr std::string_view kNotYet = "not supported yet by this version";

// A value and where it stands: "spec.ports[0].port".
struct Value {
  const YamlNode* node = nullptr;
  std::string path;
  int line() const { return node->line; }
};

// One document being read: the sink of its problems, and conversions that report what does not fit. Each conversion returns nullopt after a
// report.
class Document {
 public:
  explicit Document(std::string_view file) : file_(file) {}

  void Report(int line, std::string_view field, std::string reason);
  void Report(const Value& value, std::string reason) { Report(value.line(), value.path, std::move(reason)); }
  bool ok() const { return problems_.empty(); }
  // All problems so far, with the key if it became known.
  std::vector<Problem> Take(const std::optional<ObjectKey>& key);

  std::optional<std::string> String(const Value& value);
  std::optional<bool> Bool(const Value& value);
  std::optional<int64_t> Integer(const Value& value, int64_t min, int64_t max);
  std::optional<double> Number(const Value& value, double min, double max);
  std::optional<uint16_t> Port(const Value& value);
  // GEP-2257: up to four numbers of at most five digits with h, m, s or ms.
  std::optional<Duration> Time(const Value& value, Duration min, Duration max);
  std::optional<std::string> Label(const Value& value);      // RFC 1123 label, at most 63 characters
  std::optional<std::string> Subdomain(const Value& value);  // RFC 1123 subdomain, at most 253
  std::optional<std::string> PortName(const Value& value);   // RFC 6335 service name, at most 15
  std::optional<std::string> Ip(const Value& value);         // numeric IPv4 or IPv6, in its canonical form
  std::optional<Labels> StringMap(const Value& value);
  // The index into `words`.
  std::optional<size_t> OneOf(const Value& value, std::initializer_list<std::string_view> words);
  bool Each(const Value& value, size_t most, const std::function<void(const Value&)>& item);

 private:
  const std::string file_;
  std::vector<Problem> problems_;
};

// The fields of one map.
class Fields {
 public:
  // Reports when the value is not a map; it then reads as empty.
  Fields(Document* document, const Value& value);

  // nullopt when it is absent or null.
  std::optional<Value> Get(std::string_view name);
  std::optional<Value> Require(std::string_view name);  // reports when absent
  // Fields that are fine and change nothing here.
  void Ignore(std::initializer_list<std::string_view> names);
  // Fields that would change traffic and that we do not honour.
  void NotYet(std::initializer_list<std::string_view> names);
  void Refuse(std::string_view name, std::string_view reason);
  // Reports what is left. With `lenient` only what looks like a misspelt field that is read here: for objects with fields beyond number.
  void Done(bool lenient = false);

  Document* document() const { return document_; }
  const Value& value() const { return value_; }
  std::string Path(std::string_view name) const;
  int line() const { return value_.line(); }

 private:
  Document* const document_;
  const Value value_;
  const bool is_map_;
  std::vector<std::string_view> known_;     // all names asked for
  std::vector<std::string_view> read_;      // those whose value counts
};

// The word of `words` that `word` was probably meant to be; empty when none is near.
std::string_view Nearest(std::string_view word, const std::vector<std::string_view>& words);

// For messages: at most 60 printable characters.
std::string Quoted(std::string_view text);
std::string DurationText(Duration d);  // "1s", "250ms"

// RFC 1123; `why` gets what is wrong.
bool IsLabel(std::string_view name, std::string* why);
bool IsSubdomain(std::string_view name, std::string* why);

// What Parse* below fill; they report to `fields.document()`, and their result only counts when nothing was reported.
Spec ParseService(Fields& root);
Spec ParsePod(Fields& root);
Spec ParseEndpointSlice(Fields& root, const Labels& labels);
Spec ParseWorkload(Fields& root, const std::string& namespace_);
Spec ParseHttpRoute(Fields& root, const std::string& namespace_);
Spec ParseGrpcRoute(Fields& root, const std::string& namespace_);
Spec ParseReferenceGrant(Fields& root);
Spec ParseTrafficPolicy(Fields& root);
Spec ParseMeshPolicy(Fields& root);

}  // namespace outrigger::control
