// --bootstrap FILE: the flags of the command line by their names, as YAML, and `staticResources` (discovery/static_resources.h). Like
// every other configuration file it is read strictly: a name that is no flag is an error with its line.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"

namespace outrigger {

// CLI11 asks it for the items of the file; it throws CLI::ConfigError, as CLI11 wants it.
class Bootstrap final : public CLI::Config {
 public:
  explicit Bootstrap(const CLI::App* app) : app_(app) {}

  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return {}; }
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override;
  // As JSON, once the file was read; nullopt when it had none.
  const std::optional<std::string>& static_resources() const { return static_resources_; }

 private:
  const CLI::App* const app_;
  mutable std::optional<std::string> static_resources_;
};

}  // namespace outrigger
