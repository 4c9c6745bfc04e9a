#include "proxy/base/error.h"

namespace outrigger {

std::string_view ErrorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kOk: return "ok";
    case ErrorCode::kConnectRefused: return "connect-refused";
    case ErrorCode::kConnectTimeout: return "connect-timeout";
    case ErrorCode::kReset: return "reset";
    case ErrorCode::kClosed: return "closed";
    case ErrorCode::kTls: return "tls";
    case ErrorCode::kProtocol: return "protocol";
    case ErrorCode::kTooLarge: return "too-large";
    case ErrorCode::kTimeout: return "timeout";
    case ErrorCode::kCancelled: return "cancelled";
    case ErrorCode::kRefused: return "refused";
    case ErrorCode::kOverload: return "overload";
    case ErrorCode::kUnavailable: return "unavailable";
    case ErrorCode::kNotFound: return "not-found";
    case ErrorCode::kDenied: return "denied";
    case ErrorCode::kIo: return "io";
    case ErrorCode::kInvalid: return "invalid";
  }
  return "unknown";
}

std::string Error::ToString() const {
  std::string text(ErrorCodeName(code));
  if (fault == Fault::kUpstream) text += " (upstream)";
  if (fault == Fault::kDownstream) text += " (downstream)";
  if (!detail.empty()) {
    text += ": ";
    text += detail;
  }
  return text;
}

}  // namespace outrigger
