// What the fields of an HTTP/1 head mean: from text and spans (http1_reader.h) to RequestHead and ResponseHead. Host,
// Content-Length, Transfer-Encoding, Connection, Upgrade and Expect become members or facts, hop-by-hop fields go, the rest is
// copied: the head's bytes in one piece, the fields as views into them. Here are the rules against request smuggling
// (RFC 9112 sections 6 and 11.2): any doubt about where a message ends is a Refusal.
// Pure functions.
#pragma once

#include <span>
#include <string_view>

#include "proxy/codec/http1_reader.h"
#include "proxy/http/message.h"

namespace outrigger::codec {

// What a head says about its message and its connection. Views into the head's arena.
struct HeadFacts {
  Framing framing;
  bool keep_alive = true;      // the sender takes another message after this one
  bool upgrade = false;        // response: Connection: upgrade
  std::string_view upgrade_to; // response: Upgrade
  int keep_alive_s = 0;        // Keep-Alive: timeout=N
};

// `head` must be empty (Clear). On a refusal its content means nothing.
Refusal ReadRequestHead(const StartLine& line, std::string_view section, std::span<const FieldSpan> fields, http::RequestHead* head,
                      HeadFacts* facts);

// `method` is the request's: it decides whether there is a body. Heads of 1xx, and of 2xx to CONNECT, have none.
Refusal ReadResponseHead(const StartLine& line, std::string_view section, std::span<const FieldSpan> fields, http::Method method,
                       http::ResponseHead* head, HeadFacts* facts);

// Trailers must not frame, route or speak of the connection (RFC 9110 section 6.5.1).
Refusal ReadTrailers(std::string_view section, std::span<const FieldSpan> fields, http::HeaderMap* trailers);

}  // namespace outrigger::codec
