#include "proxy/main/bootstrap.h"

#include <yaml-cpp/yaml.h>

#include <istream>
#include <iterator>
#include <set>

#include "nlohmann/json.hpp"

namespace outrigger {
namespace {

constexpr size_t kMostBytes = 4 << 20;
constexpr int kDeepest = 64;
constexpr size_t kMostValues = 200'000;

[[noreturn]] void Refuse(const YAML::Mark& mark, const std::string& what) {
  throw CLI::ConfigError("--bootstrap: line " + std::to_string(mark.line + 1) + ": " + what);
}

// YAML 1.2's core schema, as far as JSON knows it: what is not quoted and looks like a number, true, false or null is one. Aliases count
// as what they stand for, so that a small file stays small.
class Converter {
 public:
  nlohmann::json Convert(const YAML::Node& node, int depth = 0) {
    if (depth > kDeepest) Refuse(node.Mark(), "is nested too deeply");
    if (++values_ > kMostValues) Refuse(node.Mark(), "there are too many values");
    if (node.IsMap()) return Map(node, depth);
    if (node.IsSequence()) {
      nlohmann::json list = nlohmann::json::array();
      for (const auto& entry : node) list.push_back(Convert(entry, depth + 1));
      return list;
    }
    if (!node.IsScalar()) return nullptr;
    if (node.Tag() != "!") {  // not quoted
      nlohmann::json value = nlohmann::json::parse(node.Scalar(), nullptr, /*allow_exceptions=*/false);
      if (value.is_number() || value.is_boolean() || value.is_null()) return value;
    }
    return node.Scalar();
  }

 private:
  nlohmann::json Map(const YAML::Node& node, int depth) {
    nlohmann::json map = nlohmann::json::object();
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) Refuse(entry.first.Mark(), "a name must be a text");
      const std::string& name = entry.first.Scalar();
      if (map.contains(name)) Refuse(entry.first.Mark(), "'" + name + "' is given twice");
      map[name] = Convert(entry.second, depth + 1);
    }
    return map;
  }
  size_t values_ = 0;
};

}  // namespace

std::vector<CLI::ConfigItem> Bootstrap::from_config(std::istream& input) const {
  std::string text;
  for (std::istreambuf_iterator<char> at(input), end; at != end && text.size() <= kMostBytes; ++at) text += *at;
  if (text.size() > kMostBytes) throw CLI::ConfigError("--bootstrap: the file is larger than 4 MiB");
  YAML::Node root;
  try {
    root = YAML::Load(text);
  } catch (const YAML::Exception& error) {
    Refuse(error.mark, error.msg);
  }
  if (!root.IsMap()) throw CLI::ConfigError("--bootstrap: the file must be a map of settings, as in control: 127.0.0.1:15010");
  std::vector<CLI::ConfigItem> items;
  std::set<std::string> names;
  for (const auto& entry : root) {
    if (!entry.first.IsScalar()) Refuse(entry.first.Mark(), "a setting's name must be a text");
    const std::string name = entry.first.Scalar();
    if (!names.insert(name).second) Refuse(entry.first.Mark(), "'" + name + "' is given twice");
    if (name == "staticResources") {
      static_resources_ = Converter().Convert(entry.second).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      continue;
    }
    const bool known = name != "bootstrap" && name != "help" && name != "version" && app_->get_option_no_throw("--" + name) != nullptr;
    if (!known) Refuse(entry.first.Mark(), "'" + name + "' is no setting");
    if (!entry.second.IsScalar()) Refuse(entry.second.Mark(), "'" + name + "' must be one value");
    CLI::ConfigItem item;
    item.name = name;
    item.inputs = {entry.second.Scalar()};
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace outrigger
