// gRPC over HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), both ends, unary and streaming, on
// codec/ and net/: no thread, no socket, runs in the simulation. Messages are bytes or protobuf messages.
// All of one Channel or Server belongs to one Loop. A Handler may destroy its call, channel or server in any of its calls.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <google/protobuf/message_lite.h>

#include "proxy/base/bytes.h"
#include "proxy/base/time.h"
#include "proxy/http/header_map.h"
#include "proxy/net/loop.h"
#include "proxy/tls/tls.h"

namespace outrigger::rpc {

enum class Code : int {
  kOk = 0, kCancelled = 1, kUnknown = 2, kInvalidArgument = 3, kDeadlineExceeded = 4, kNotFound = 5, kAlreadyExists = 6,
  kPermissionDenied = 7, kResourceExhausted = 8, kFailedPrecondition = 9, kAborted = 10, kOutOfRange = 11, kUnimplemented = 12,
  kInternal = 13, kUnavailable = 14, kDataLoss = 15, kUnauthenticated = 16,
};
std::string_view CodeName(Code code);  // "UNAVAILABLE"

struct Status {
  Code code = Code::kOk;
  std::string message;
  bool ok() const { return code == Code::kOk; }
  std::string ToString() const;  // "UNAVAILABLE: message"
};

using Metadata = http::HeaderMap;  // lower-case names; "-bin" values are base64 on the wire and raw here

struct Limits {
  size_t message_bytes = 64 << 20;     // largest message received; larger: RESOURCE_EXHAUSTED
  size_t send_buffer_bytes = 4 << 20;  // buffered() above it: stop sending until OnWritable
};

// ---------------------------------------------------------------- client

class ClientCall {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnHeaders(const Metadata&) {}
    virtual void OnMessage(Bytes message) = 0;  // valid during the call
    virtual void OnWritable() {}                // buffered() has fallen to zero after having passed the limit
    virtual void OnDone(const Status& status, const Metadata& trailers) = 0;  // exactly once; the last call
  };
  virtual ~ClientCall() = default;  // cancels when not done
  virtual void Send(const google::protobuf::MessageLite& message) = 0;
  virtual void HalfClose() = 0;  // no more messages from here
  virtual size_t buffered() const = 0;
};

struct ChannelOptions {
  std::string target;  // HOST:PORT, names are resolved at each connect; also :authority
  // Asked for at each connect, so that rotated certificates are used; a function returning null, or none: plaintext.
  std::function<std::shared_ptr<const tls::Context>()> tls;
  tls::ClientOptions tls_options;  // alpn is set to h2
  Duration connect_timeout = std::chrono::seconds(5);
  // HTTP/2 PING after this long without a byte; no answer within ping_timeout: the connection is dead. Zero: none.
  Duration ping_after = std::chrono::seconds(30);
  Duration ping_timeout = std::chrono::seconds(10);
  Limits limits;
};

// One HTTP/2 connection to one server. Does not reconnect by itself: the owner decides when (its backoff, its jitter).
class Channel {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnUp() = 0;               // handshake done, server verified
    // Could not connect, or was lost, or GOAWAY; the calls under way were told first. After a GOAWAY those that the server still serves
    // may finish before: until then up() is false already.
    virtual void OnDown(Error error) = 0;
  };
  virtual ~Channel() = default;  // calls under way end without a word; their handles may outlive it
  virtual void Connect() = 0;    // while down
  virtual bool up() const = 0;
  // path: "/package.Service/Method". Only while up(). The timeout travels as grpc-timeout and is enforced here as well.
  virtual std::unique_ptr<ClientCall> Start(std::string_view path, const Metadata& metadata, std::optional<Duration> timeout,
                                            ClientCall::Handler* handler) = 0;
  virtual const tls::Peer* peer() const = 0;  // null when plaintext or down
};
std::unique_ptr<Channel> MakeChannel(net::Loop* loop, ChannelOptions options, Channel::Handler* handler);

// ---------------------------------------------------------------- server

class ServerCall {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnMessage(Bytes message) = 0;
    virtual void OnHalfClose() = 0;  // the client has sent its last message
    virtual void OnWritable() {}
    // The client cancelled, its deadline passed, or the connection is gone. Not called after Finish. The last call: the call object
    // dies with it.
    virtual void OnCancelled() = 0;
  };
  virtual ~ServerCall() = default;
  virtual std::string_view path() const = 0;
  virtual const Metadata& metadata() const = 0;
  virtual const tls::Peer& peer() const = 0;  // spiffe_id empty: plaintext or no client certificate
  virtual bool secure() const = 0;            // over TLS
  virtual net::Address remote() const = 0;
  virtual void Send(const google::protobuf::MessageLite& message) = 0;
  virtual size_t buffered() const = 0;
  // Ends the call; the object (and its handler, which the server owns) is destroyed after the present turn.
  virtual void Finish(const Status& status) = 0;
};

// Decides what answers a path. Returns null after having called call->Finish (UNIMPLEMENTED, UNAUTHENTICATED...), else the
// handler, which the server owns until the call is over. `call` lives as long as the handler.
using AcceptCall = std::function<std::unique_ptr<ServerCall::Handler>(ServerCall* call)>;

struct ServerOptions {
  net::Address address;
  std::function<std::shared_ptr<const tls::Context>()> tls;  // asked for at each accept; none: plaintext
  tls::ServerOptions tls_options;                            // alpn is set to h2
  size_t max_connections = 10000;  // beyond it connections are closed as they come
  Duration handshake_timeout = std::chrono::seconds(10);
  // HTTP/2 PING after this long without a byte from the client; no answer within ping_timeout: the connection is dead. Zero: none.
  Duration ping_after = std::chrono::seconds(60);
  Duration ping_timeout = std::chrono::seconds(20);
  Limits limits;
};

class Server {
 public:
  virtual ~Server() = default;  // closes everything; handlers are destroyed without OnCancelled
  virtual net::Address local() const = 0;
  virtual size_t connections() const = 0;
  // Stops accepting, sends GOAWAY, and finishes what is under way (streaming calls are up to their handlers).
  virtual void Drain() = 0;
};
Result<std::unique_ptr<Server>> MakeServer(net::Loop* loop, ServerOptions options, AcceptCall accept);

}  // namespace outrigger::rpc
