// What happens on one stream of an HTTP connection, as the codecs tell it: head, data, trailers, end.
#pragma once

#include <cstdint>

#include "proxy/base/bytes.h"
#include "proxy/base/error.h"
#include "proxy/http/message.h"

namespace outrigger::http {

// HTTP/1 numbers its exchanges 1, 2, 3...; HTTP/2 uses its own stream ids. 0 stands for the connection.
using StreamId = uint32_t;

struct StreamEvent {
  enum class Kind : uint8_t {
    kRequest,        // server: `request` is complete; kEnd follows when there is no body
    kInformational,  // client: a 1xx head in `response` (100, 103; never 101)
    kResponse,       // client: `response`
    kUpgraded,       // client: 101 or 2xx to CONNECT in `response`; server: SendResponse made the stream a tunnel.
                     // From here kData is opaque bytes both ways and kEnd is a half-close.
    kData,           // `data`: body or tunnel bytes, never empty
    kTrailers,       // `trailers`; kEnd follows
    kEnd,            // this direction of the stream is complete
    kReset,          // the stream is over, incomplete; `error` says why. Nothing follows on it.
    kGoAway,         // connection: no new streams here; `stream` is the last one that the peer may have processed
    kWritable,       // a stream that had reported back-pressure takes data again
    kFailed,         // connection: unusable, `error` says why. For a server codec that owes a reply (400, 408, 414, 431)
                     // the reply is already in output(): flush, then close.
  };
  Kind kind = Kind::kData;
  StreamId stream = 0;
  // These live until the codec is fed again or told to send; the owner may swap heads and trailers with its own.
  Bytes data;
  RequestHead* request = nullptr;
  ResponseHead* response = nullptr;
  HeaderMap* trailers = nullptr;
  Error error;
};

}  // namespace outrigger::http
