// Who this proxy stands beside. Set by flags at start; a plain value.
#pragma once

#include <string>

namespace outrigger::path {

struct Self {
  std::string workload;
  std::string workload_namespace;
  std::string trust_domain = "cluster.local";
  std::string identity;  // SPIFFE id of the leaf in force; empty until there is one
};

}  // namespace outrigger::path
