#include "proxy/rpc/rpc.h"

namespace outrigger::rpc {

std::string_view CodeName(Code code) {
  constexpr std::string_view kNames[] = {
      "OK",        "CANCELLED",          "UNKNOWN",             "INVALID_ARGUMENT",    "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
      "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",   "OUT_OF_RANGE", "UNIMPLEMENTED",
      "INTERNAL",  "UNAVAILABLE",        "DATA_LOSS",           "UNAUTHENTICATED"};
  const auto index = static_cast<size_t>(code);
  return index < std::size(kNames) ? kNames[index] : kNames[static_cast<size_t>(Code::kUnknown)];
}

std::string Status::ToString() const {
  std::string text(CodeName(code));
  if (!message.empty()) text += ": " + message;
  return text;
}

}  // namespace outrigger::rpc
