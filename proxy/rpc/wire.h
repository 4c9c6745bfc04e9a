// What gRPC writes on the wire (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md): messages with their prefix of five
// bytes, timeouts, status, metadata. Pure functions and one small machine. Not thread-safe.
#pragma once

#include <google/protobuf/message_lite.h>

#include <optional>
#include <string>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/base/bytes.h"
#include "proxy/base/error.h"
#include "proxy/base/time.h"
#include "proxy/codec/codec.h"
#include "proxy/http/header_map.h"
#include "proxy/rpc/rpc.h"

namespace outrigger::rpc {

// The stream and connection windows that both ends announce, other limits as for any HTTP/2: configuration comes in large messages.
codec::Limits CodecLimits();

// Appends prefix and message. kTooLarge when protobuf cannot serialize it (2 GiB).
Outcome AppendMessage(const google::protobuf::MessageLite& message, Buffer* out);

// Takes messages out of a stream of bytes. A message that lies within one piece is not copied.
class MessageReader {
 public:
  explicit MessageReader(size_t message_bytes) : limit_(message_bytes) {}

  // True: *message is the next one, and lives until the next call; *bytes keeps the rest. False: all of *bytes was taken and more
  // is needed, or status() is not OK, which is final.
  bool Next(Bytes* bytes, Bytes* message);
  const Status& status() const { return status_; }
  bool inside_message() const { return !partial_.empty(); }

 private:
  static constexpr size_t kPrefix = 5;  // flag of compression, length in network order

  bool CheckPrefix(const uint8_t* prefix, size_t* length);

  const size_t limit_;
  Buffer partial_;  // prefix and body as far as they came
  Buffer message_;  // what *message of the last call refers to
  Status status_;
};

// "250m": at most eight digits and a unit, rounded up (a deadline must not come early). Negative counts as zero.
std::string FormatTimeout(Duration timeout);
std::optional<Duration> ParseTimeout(std::string_view text);

// grpc-message: all but printable ASCII, and '%', as %XX. Decoding takes broken sequences as they are.
std::string PercentEncode(std::string_view text);
std::string PercentDecode(std::string_view text);

// Appends the caller's metadata for the wire: "-bin" values in base64. kInvalid, naming the field, when a name or value cannot travel or
// belongs to the protocol.
Outcome AppendMetadata(const Metadata& metadata, http::HeaderMap* headers);
// Turns received fields into metadata, in place: takes out what belongs to the protocol, decodes "-bin" values. kInvalid when one is
// not base64.
Outcome TakeMetadata(http::HeaderMap* headers);

void AppendStatus(const Status& status, http::HeaderMap* headers);
// nullopt when the fields carry no grpc-status.
std::optional<Status> ReadStatus(const http::HeaderMap& headers);
// "application/grpc", also with "+proto" or parameters.
bool IsGrpcContentType(const http::HeaderMap& headers);

// For answers that are not gRPC (https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md).
Code FromHttpStatus(int status);
// For streams and connections that ended without a status.
Status FromError(const Error& error);

}  // namespace outrigger::rpc
