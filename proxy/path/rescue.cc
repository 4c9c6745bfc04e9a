// Errors as answers: the one place where what went wrong becomes a status, flags, a reason and a sentence that says what to do.
#include "proxy/path/common.h"

namespace outrigger::path {

using exchange::FailedRequest;
using exchange::Reply;
using observe::Flag;

namespace {

struct Row {
  ErrorCode code;
  int status;
  Flag flag;
  std::string_view reason;
};

// As operators know them from Envoy: no connection 503 UF, closed or reset before an answer 503 UC, no answer in time 504 UT.
constexpr Row kRows[] = {
    {ErrorCode::kConnectRefused, 503, Flag::kUF, "connect-refused"},
    {ErrorCode::kConnectTimeout, 503, Flag::kUF, "connect-timeout"},
    {ErrorCode::kTls, 503, Flag::kUF, "tls-failed"},
    {ErrorCode::kReset, 503, Flag::kUC, "upstream-reset"},
    {ErrorCode::kClosed, 503, Flag::kUC, "upstream-closed"},
    {ErrorCode::kRefused, 503, Flag::kUR, "upstream-refused"},
    {ErrorCode::kTimeout, 504, Flag::kUT, "timeout"},
    {ErrorCode::kProtocol, 502, Flag::kUPE, "upstream-protocol-error"},
    {ErrorCode::kTooLarge, 502, Flag::kUPE, "upstream-head-too-large"},
    {ErrorCode::kOverload, 503, Flag::kUO, "overloaded"},
    {ErrorCode::kUnavailable, 503, Flag::kUH, "no-healthy-endpoint"},
    {ErrorCode::kDenied, 403, Flag::kUAEX, "denied"},
    {ErrorCode::kInvalid, 502, Flag::kLR, "request-unwritable"},
    {ErrorCode::kIo, 503, Flag::kUO, "out-of-resources"},  // descriptors, memory, local ports: of this machine, not the endpoint's
};

}  // namespace

Reply Rescue(const FailedRequest& failed) {
  Reply reply;
  reply.status = 503;
  reply.flags = 0u | Flag::kUF;
  reply.reason = "upstream-failed";
  for (const Row& row : kRows) {
    if (row.code != failed.error.code) continue;
    reply.status = row.status;
    reply.flags = 0u | row.flag;
    reply.reason = row.reason;
  }
  if (failed.idled) {
    reply.flags = 0u | Flag::kSI;
    reply.reason = "stream-idle-timeout";
  }
  if (failed.retries_exhausted) reply.flags = reply.flags | Flag::kURX;
  reply.receipt = failed.reached_application ? "forwarded" : "not-forwarded";
  reply.text = std::string(failed.cluster) + ": " + failed.error.detail;
  if (failed.reached_application) {
    reply.text += "; the application may have acted on the request";
    if (failed.not_retried == "unsafe") reply.text += ", so it was not sent again (an Idempotency-Key header would allow that)";
  }
  return reply;
}

}  // namespace outrigger::path
