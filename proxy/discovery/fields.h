// Helpers that all translators share: which fields are set, durations, addresses, metadata. Private to discovery/.
#pragma once

#include <initializer_list>
#include <string>

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "proxy/base/time.h"
#include "proxy/net/address.h"

namespace outrigger::discovery {

#define OUTRIGGER_RETURN_IF_ERROR(expression)                  \
  do {                                                         \
    if (absl::Status status_ = (expression); !status_.ok()) return status_; \
  } while (false)

inline absl::Status Invalid(const std::string& where, const std::string& why) {
  return absl::InvalidArgumentError(where.empty() ? why : absl::StrCat(where, ": ", why));
}

// Refuses a message in which anything but `understood` is set, or that has fields this schema does not know.
absl::Status OnlyFields(const google::protobuf::Message& message, const std::string& where,
                        std::initializer_list<const char*> understood);

// Negative or beyond a year: refused.
absl::StatusOr<Duration> ToDuration(const google::protobuf::Duration& duration, const std::string& where);

// A numeric TCP address with a port.
absl::StatusOr<net::Address> ToAddress(const envoy::config::core::v3::Address& address, const std::string& where);

// metadata.filter_metadata[name]; null when absent.
const google::protobuf::Struct* FindMetadata(const envoy::config::core::v3::Metadata& metadata, const char* name);
std::string TextField(const google::protobuf::Struct* fields, const char* name);  // "" when absent or no string
double NumberField(const google::protobuf::Struct* fields, const char* name);     // 0 when absent or no number

// Header names and values that may be written to the wire.
bool IsToken(std::string_view name);
bool IsFieldValue(std::string_view value);

}  // namespace outrigger::discovery
