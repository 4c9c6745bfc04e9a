// What went wrong on the data path, whose fault it is, and whether trying again is safe: decided where the error is made
// and carried unchanged to the one function that turns it into a response (path/rescue.cc). Configuration uses
// absl::Status instead. Values; no exceptions cross the data path.
#pragma once

#include <cassert>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace outrigger {

enum class ErrorCode : uint8_t {
  kOk,              // only inside an Error that holds none
  kConnectRefused,  // connection refused or unreachable: the peer saw nothing
  kConnectTimeout,  // no connection within the connect timeout
  kReset,           // the peer or the network reset an established connection
  kClosed,          // the peer closed in an orderly way, too early
  kTls,             // handshake or record failure: identity, version, certificate
  kProtocol,        // bytes that the protocol does not allow
  kTooLarge,        // a limit on size was passed
  kTimeout,         // a deadline passed
  kCancelled,       // the one who asked no longer wants it
  kRefused,         // the peer says it did not process the stream (REFUSED_STREAM, GOAWAY)
  kOverload,        // a limit on number or rate was reached here
  kUnavailable,     // nobody to send to
  kNotFound,        // no such route, service, file
  kDenied,          // policy says no
  kIo,              // the operating system says no (files, descriptors)
  kInvalid,         // bad argument or bad input that is not a peer's protocol error
};

std::string_view ErrorCodeName(ErrorCode code);  // "connect-refused", as in logs

enum class Fault : uint8_t { kLocal, kDownstream, kUpstream };

struct Error {
  ErrorCode code = ErrorCode::kOk;
  Fault fault = Fault::kLocal;
  // True when it is certain that the application on the far side did not see the request.
  bool unseen = false;
  std::string detail;  // one line for a person; no secrets, no request content

  static Error Make(ErrorCode code, std::string detail, Fault fault = Fault::kLocal, bool unseen = false) {
    return Error{code, fault, unseen, std::move(detail)};
  }
  bool ok() const { return code == ErrorCode::kOk; }
  std::string ToString() const;  // "connect-refused (upstream): detail"
};

// A T, or why not. Must be looked at.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}       // NOLINT: implicit by design, as in `return value;`
  Result(Error error) : value_(std::move(error)) {}   // NOLINT: implicit by design, as in `return Error::Make(...)`

  bool ok() const { return std::holds_alternative<T>(value_); }
  explicit operator bool() const { return ok(); }
  T& value() & { return std::get<T>(value_); }
  const T& value() const& { return std::get<T>(value_); }
  T&& value() && { return std::get<T>(std::move(value_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const { return std::get<Error>(value_); }

 private:
  std::variant<T, Error> value_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by design
  bool ok() const { return error_.ok(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return error_; }

 private:
  Error error_;
};

using Outcome = Result<void>;

}  // namespace outrigger
