#include "proxy/discovery/fields.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace outrigger::discovery {

absl::Status OnlyFields(const google::protobuf::Message& message, const std::string& where,
                        std::initializer_list<const char*> understood) {
  const google::protobuf::Reflection* reflection = message.GetReflection();
  if (!reflection->GetUnknownFields(message).empty()) {
    return Invalid(where, absl::StrCat("field number ", reflection->GetUnknownFields(message).field(0).number(), " of ",
                                       message.GetDescriptor()->name(), " is not known to this proxy"));
  }
  std::vector<const google::protobuf::FieldDescriptor*> set;
  reflection->ListFields(message, &set);
  for (const google::protobuf::FieldDescriptor* field : set) {
    const bool known = std::any_of(understood.begin(), understood.end(), [&](const char* name) { return field->name() == name; });
    if (!known) return Invalid(where, absl::StrCat("field ", field->name(), " is not supported by this proxy"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Duration> ToDuration(const google::protobuf::Duration& duration, const std::string& where) {
  constexpr int64_t kYear = 366ll * 24 * 3600;
  if (duration.seconds() < 0 || duration.nanos() < 0 || duration.seconds() > kYear || duration.nanos() > 999999999) {
    return Invalid(where, "a duration must be between zero and a year");
  }
  return std::chrono::seconds(duration.seconds()) + Duration(duration.nanos());
}

absl::StatusOr<net::Address> ToAddress(const envoy::config::core::v3::Address& address, const std::string& where) {
  if (address.has_pipe()) {
    if (address.pipe().path().empty()) return Invalid(where, "pipe.path is empty");
    return net::Address::Unix(address.pipe().path());
  }
  if (!address.has_socket_address()) return Invalid(where, "only socket_address and pipe are supported");
  const auto& socket = address.socket_address();
  if (socket.protocol() != envoy::config::core::v3::SocketAddress::TCP) return Invalid(where, "only TCP is supported");
  if (socket.port_specifier_case() == envoy::config::core::v3::SocketAddress::kNamedPort)
    return Invalid(where, "named_port is not supported");
  if (socket.port_value() > 65535) return Invalid(where, "port_value is above 65535");
  Result<net::Address> parsed = net::Address::ParseIp(socket.address(), static_cast<uint16_t>(socket.port_value()));
  if (!parsed) return Invalid(where, absl::StrCat("\"", socket.address(), "\" is not a numeric IP address"));
  return *parsed;
}

const google::protobuf::Struct* FindMetadata(const envoy::config::core::v3::Metadata& metadata, const char* name) {
  const auto it = metadata.filter_metadata().find(name);
  return it == metadata.filter_metadata().end() ? nullptr : &it->second;
}

std::string TextField(const google::protobuf::Struct* fields, const char* name) {
  if (fields == nullptr) return {};
  const auto it = fields->fields().find(name);
  return it == fields->fields().end() ? std::string() : it->second.string_value();
}

double NumberField(const google::protobuf::Struct* fields, const char* name) {
  if (fields == nullptr) return 0;
  const auto it = fields->fields().find(name);
  return it == fields->fields().end() ? 0 : it->second.number_value();
}

bool IsToken(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && std::strchr("!#$%&'*+-.^_`|~", c) != nullptr);
  });
}

bool IsFieldValue(std::string_view value) {
  return std::none_of(value.begin(), value.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

}  // namespace outrigger::discovery
