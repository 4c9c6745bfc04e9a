// Header blocks of HTTP/2: from fields to heads and back (RFC 9113 section 8). nghttp2 has checked names, values, the order and
// number of pseudo header fields and the connection-specific ones; here is what it leaves open, and our limits.
// Not thread-safe.
#pragma once

#include <nghttp2/nghttp2.h>

#include <string>
#include <string_view>
#include <vector>

#include "proxy/codec/codec.h"
#include "proxy/http/message.h"

namespace outrigger::codec {

// One inbound header block, field by field. HTTP/2 never interleaves blocks, so a connection needs one of these.
class FieldReader {
 public:
  enum class Verdict : uint8_t {
    kGood,
    kMalformed,    // the stream must be reset (RFC 9113 section 8.1.1)
    kTooLarge,     // over Limits: 431
    kPathTooLong,  // 414
  };

  explicit FieldReader(const Limits& limits) : limits_(limits) {}

  // The head must live until Finish.
  void BeginRequest(http::RequestHead* head);
  void BeginResponse(http::ResponseHead* head);
  void BeginTrailers(http::HeaderMap* trailers);
  // False: so far beyond the limits that the connection is being abused.
  bool Add(std::string_view name, std::string_view value);
  Verdict Finish();

 private:
  void Restart();
  void AddPseudo(std::string_view name, std::string_view value);
  void AddRequestField(http::Known known, std::string_view name, std::string_view value);
  Verdict FinishRequest();

  const Limits limits_;
  http::RequestHead* request_ = nullptr;
  http::ResponseHead* response_ = nullptr;
  http::HeaderMap* trailers_ = nullptr;
  std::string cookies_;    // crumbs, joined (RFC 9113 section 8.2.3)
  std::string_view host_;  // in the head's arena
  size_t size_ = 0;        // as in RFC 9113 section 6.5.2
  size_t fields_ = 0;
  bool too_large_ = false;
  bool path_too_long_ = false;
};

// One outbound header block, in the form that nghttp2 takes. Views stay the head's: submit before it changes.
class FieldWriter {
 public:
  const std::vector<nghttp2_nv>& Request(const http::RequestHead& head);
  const std::vector<nghttp2_nv>& Response(const http::ResponseHead& head, int status);
  const std::vector<nghttp2_nv>& Trailers(const http::HeaderMap& trailers);

 private:
  void Begin(const http::HeaderMap& map);
  void Add(std::string_view name, std::string_view value);
  void AddNumber(std::string_view name, uint64_t value);
  // All but connection-specific fields (RFC 9113 section 8.2.2), names in lower case.
  void AddAll(const http::HeaderMap& map, bool trailers);

  std::vector<nghttp2_nv> fields_;
  std::string scratch_;  // lower-cased names and numbers; reserved up front, so that views into it hold
};

}  // namespace outrigger::codec
