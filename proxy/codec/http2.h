// HTTP/2 (RFC 9113, RFC 8441) on nghttp2: MakeHttp2Server and MakeHttp2Client of codec.h, and what HTTP/2 has beyond it.
//
// What owners should know beyond codec.h
//  * kData refers to the bytes that were fed: drain before they go away.
//  * Windows belong to the owner: every byte of kData comes back by Consumed(). A stream that was reset, by either side,
//    gives its bytes back by itself. One that ended while bytes were still held keeps them counted against the connection's
//    window until Consumed or Reset(stream) is called (Reset on an ended stream does just that). Ended streams that hold more than
//    a quarter of the connection's window together are forgiven, oldest first: a forgetful owner slows nobody down for good.
//  * output() is where frames are made, so kWritable may come out of output() as well as out of Feed. It is told once for
//    each time that buffered(stream) was asked while the stream's queue held bytes, when that queue has become empty.
//  * A server answers heads over the limits (431, 414) by itself; the owner never hears of such a stream.
//  * Server: Reset(stream, kOk) after the whole response was sent stops the request's body with NO_ERROR once the response is
//    out (RFC 9113 section 8.1). Every other reason gives up at once, queued data included.
//  * Server Drain says GOAWAY twice (RFC 9113 section 6.8): a notice and a PING at once, the final one when the PING is answered, so
//    that streams which crossed the notice are still served. A second Drain() does not wait for the answer.
//  * A request with `protocol` goes out as extended CONNECT; without the peer's consent it ends at once with kReset, kRefused.
//    A response 101 goes out as 200 on such a stream.
#pragma once

#include <memory>

#include "proxy/codec/codec.h"

namespace outrigger::codec {

class Http2Server : public ServerCodec {
 public:
  // One PING; a second while one is outstanding is not sent.
  virtual void SendPing() = 0;
  virtual bool ping_outstanding() const = 0;
};

class Http2Client : public ClientCodec {
 public:
  virtual void SendPing() = 0;
  virtual bool ping_outstanding() const = 0;
};

std::unique_ptr<Http2Server> NewHttp2Server(const Limits& limits);
std::unique_ptr<Http2Client> NewHttp2Client(const Limits& limits);

}  // namespace outrigger::codec
