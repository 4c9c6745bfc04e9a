// One HTTP/1 message after another out of a stream of bytes, for either side: start line (ours), field section, chunked
// body and trailers (llhttp in strict mode), fixed and open-ended bodies (counted here). It knows syntax and limits; what the
// fields mean for the framing is http1_head's business, which tells it by StartBody.
// Pull style: each Read brings at most one item. Bytes of a head that arrives in pieces are held until it is whole.
// Not thread-safe.
#pragma once

#include <llhttp.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "proxy/base/buffer.h"
#include "proxy/base/bytes.h"
#include "proxy/codec/codec.h"
#include "proxy/codec/http1_framing.h"
#include "proxy/codec/http1_start_line.h"

namespace outrigger::codec {

// One field line, as offsets into section(). The value may have white space at its end.
struct FieldSpan {
  uint32_t name_at;
  uint32_t name_size;
  uint32_t value_at;
  uint32_t value_size;
};

class MessageReader {
 public:
  enum class Side : uint8_t { kRequests, kResponses };
  enum class Item : uint8_t {
    kMore,      // everything was taken, nothing is complete
    kHead,      // start_line(), section() and fields(); StartBody must follow
    kData,      // data(), a span of the input
    kTrailers,  // section() and fields(); the message is done
    kEnd,       // the chunked body ended without trailers; the message is done
    kRefusal,     // refusal(); the reader is of no further use
  };

  MessageReader(Side side, const Limits& limits) : side_(side), limits_(limits) {}
  MessageReader(const MessageReader&) = delete;
  MessageReader& operator=(const MessageReader&) = delete;

  // Ready for the next message.
  void Begin();
  // Reads from the front of `in` (not empty) and says how much. Precondition: !done().
  Item Read(Bytes in, size_t* consumed);
  // How the body of the message whose head was just read is framed. A refusal when llhttp takes another view of it.
  Refusal StartBody(Framing framing);
  // No messages any more: all bytes are data, for ever.
  void BecomeTunnel() { phase_ = Phase::kOpenBody; }

  // Has any byte of the current message been read?
  bool started() const { return phase_ != Phase::kBetween; }
  bool in_head() const { return phase_ == Phase::kStartLine || phase_ == Phase::kFields; }
  // The message is complete: nothing may be read until Begin.
  bool done() const { return phase_ == Phase::kDone; }

  const StartLine& start_line() const { return start_line_; }
  // The whole head or trailer section as received. It lives in the input or in the reader, until the next Read or Begin.
  std::string_view section() const { return section_; }
  std::span<const FieldSpan> fields() const { return fields_; }
  Bytes data() const { return data_; }
  const Refusal& refusal() const { return refusal_; }

 private:
  enum class Phase : uint8_t { kBetween, kStartLine, kFields, kFixedBody, kOpenBody, kChunks, kTrailers, kDone };
  enum class Pause : uint8_t { kNone, kData, kLastChunk };  // where llhttp was told to pause in a chunked body

  friend struct Callbacks;

  Item Fail(Refusal refusal);
  Item ReadBetween(Bytes in, size_t* consumed);
  Item ReadStartLine(Bytes in, size_t* consumed);
  Item ReadSection(Bytes in, size_t at, size_t kept, size_t limit, size_t* consumed);
  Item ReadChunks(Bytes in, size_t* consumed);
  llhttp_errno_t Execute(Bytes in, size_t* used);
  Refusal SyntaxRefusal(llhttp_errno_t error) const;
  uint32_t Offset(const char* at) const { return static_cast<uint32_t>(piece_at_ + static_cast<size_t>(at - piece_)); }

  const Side side_;
  const Limits& limits_;
  Phase phase_ = Phase::kBetween;
  Pause pause_ = Pause::kNone;
  bool in_name_ = false;       // the last span of a field line was (a piece of) its name
  uint8_t blank_ = 0;          // bytes of the empty line that may come before a request
  uint32_t chunk_line_ = 0;    // bytes since the last chunk data
  uint64_t remaining_ = 0;     // kFixedBody
  StartLine start_line_;
  // Positions in a section: piece_[0] stands at piece_at_.
  const char* piece_ = nullptr;
  size_t piece_at_ = 0;
  Buffer held_;                // the section so far, when it arrives in pieces
  std::string_view section_;
  std::vector<FieldSpan> fields_;
  Bytes data_;
  Refusal refusal_;
  llhttp_t parser_;
};

}  // namespace outrigger::codec
