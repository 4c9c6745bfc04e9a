#include "proxy/codec/http1_head.h"

#include <optional>
#include <string>

namespace outrigger::codec {
namespace {

using http::EqualsIgnoreCase;
using http::Known;

// The fields that the codec itself acts on, as they are met.
struct Special {
  int hosts = 0;
  int content_lengths = 0;
  int transfer_encodings = 0;
  std::string_view host;
  std::string_view content_length;
  std::string_view transfer_encoding;
  std::string_view upgrade;
  std::string_view keep_alive;
  std::string_view expect;
  bool connection_close = false;
  bool connection_keep_alive = false;
  bool connection_upgrade = false;
  bool connection_lists_fields = false;  // names that must go with it
};

std::string_view TrimEnd(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  return TrimEnd(text);
}

// Takes the next element off a comma-separated list.
std::string_view NextElement(std::string_view* list) {
  const size_t comma = list->find(',');
  const std::string_view element = Trim(list->substr(0, comma));
  list->remove_prefix(comma == std::string_view::npos ? list->size() : comma + 1);
  return element;
}

void ReadConnection(std::string_view value, Special* special) {
  while (!value.empty()) {
    const std::string_view token = NextElement(&value);
    if (EqualsIgnoreCase(token, "keep-alive")) {
      special->connection_keep_alive = true;
    } else if (EqualsIgnoreCase(token, "close")) {
      special->connection_close = true;
    } else if (EqualsIgnoreCase(token, "upgrade")) {
      special->connection_upgrade = true;
    } else if (!token.empty() && !EqualsIgnoreCase(token, "te")) {
      special->connection_lists_fields = true;
    }
  }
}

// Sorts the fields: those of the connection and the framing to `special`, all others to `headers`. `text` is the section as
// it lies in the arena of `headers`.
void ReadFields(std::string_view text, std::span<const FieldSpan> fields, http::HeaderMap* headers, Special* special) {
  for (const FieldSpan& span : fields) {
    const std::string_view name = text.substr(span.name_at, span.name_size);
    const std::string_view value = TrimEnd(text.substr(span.value_at, span.value_size));
    const Known known = http::Recognise(name);
    switch (known) {
      case Known::kHost:
        ++special->hosts;
        special->host = value;
        continue;
      case Known::kContentLength:
        ++special->content_lengths;
        special->content_length = value;
        continue;
      case Known::kTransferEncoding:
        ++special->transfer_encodings;
        special->transfer_encoding = value;
        continue;
      case Known::kUpgrade: special->upgrade = value; continue;
      case Known::kKeepAlive: special->keep_alive = value; continue;
      case Known::kProxyConnection: continue;
      case Known::kExpect:
        if (!EqualsIgnoreCase(value, "100-continue")) break;
        special->expect = value;
        continue;
      case Known::kConnection:
        ReadConnection(value, special);
        // Stays for RemoveHopByHop, which goes at the end when it names other fields.
        if (!special->connection_lists_fields) continue;
        break;
      default: break;
    }
    headers->AddStored({name, value, known});
  }
  if (special->connection_lists_fields || headers->Has(Known::kTe)) http::RemoveHopByHop(headers);
}

// 1*DIGIT and nothing else (RFC 9112 section 6.3): no sign, no list, no overflow.
std::optional<uint64_t> ParseLength(std::string_view text) {
  if (text.empty() || text.size() > 19) return std::nullopt;
  uint64_t length = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    length = length * 10 + static_cast<uint64_t>(c - '0');
  }
  return length;
}

Refusal ReadContentLength(const Special& special, std::optional<uint64_t>* length) {
  if (special.content_lengths == 0) return {};
  if (special.content_lengths > 1) return {400, "more than one Content-Length"};
  *length = ParseLength(special.content_length);
  if (!*length) return {400, "Content-Length is not a number"};
  return {};
}

// Nothing but one final "chunked" frames a message. Other codings in front of it are the sender's right, but not known here.
Refusal ReadTransferEncoding(const Special& special, http::Version version, bool* chunked) {
  if (special.transfer_encodings == 0) return {};
  if (special.content_lengths > 0) return {400, "both Content-Length and Transfer-Encoding"};
  if (version == http::Version::kHttp10) return {400, "Transfer-Encoding in an HTTP/1.0 message"};
  if (special.transfer_encodings > 1) return {400, "more than one Transfer-Encoding"};
  if (EqualsIgnoreCase(special.transfer_encoding, "chunked")) {
    *chunked = true;
    return {};
  }
  std::string_view rest = special.transfer_encoding;
  while (!rest.empty()) {
    const bool last = rest.find(',') == std::string_view::npos;
    const std::string_view coding = NextElement(&rest);
    if (coding.empty() || EqualsIgnoreCase(coding, "chunked") != last) {
      return {400, "Transfer-Encoding does not end in exactly one chunked"};
    }
    for (char c : coding) {
      if (!IsTokenChar(c)) return {400, "malformed Transfer-Encoding"};
    }
  }
  if (special.transfer_encoding.empty()) return {400, "Transfer-Encoding is empty"};
  return {501, "a transfer coding other than chunked is not implemented"};
}

Refusal ReadHost(const Special& special, http::Version version) {
  if (special.hosts > 1) return {400, "more than one Host"};
  if (special.hosts == 0) {
    if (version == http::Version::kHttp11) return {400, "Host is missing"};
    return {};
  }
  if (!IsValidAuthority(special.host, /*port_required=*/false)) return {400, "Host is not a valid host"};
  return {};
}

bool KeepAlive(const Special& special, http::Version version) {
  if (special.connection_close) return false;
  return version == http::Version::kHttp11 || special.connection_keep_alive;
}

// The first protocol that the client offers. h2c is not among those that pass: it is for this connection only, and the RFC
// that obsoleted it warns of smuggling through proxies that pass it on (RFC 9113 section 3.1).
std::string_view FirstProtocol(std::string_view upgrade) {
  while (!upgrade.empty()) {
    const std::string_view protocol = NextElement(&upgrade);
    bool token = !protocol.empty() && !EqualsIgnoreCase(protocol, "h2c");
    for (char c : protocol) token = token && (IsTokenChar(c) || c == '/');
    if (token) return protocol;
  }
  return {};
}

int KeepAliveSeconds(std::string_view value) {
  while (!value.empty()) {
    std::string_view parameter = NextElement(&value);
    constexpr std::string_view kName = "timeout=";
    if (parameter.size() <= kName.size() || !EqualsIgnoreCase(parameter.substr(0, kName.size()), kName)) continue;
    const std::optional<uint64_t> seconds = ParseLength(parameter.substr(kName.size()));
    if (seconds) return *seconds > 86400 ? 86400 : static_cast<int>(*seconds);
  }
  return 0;
}

}  // namespace

Refusal ReadRequestHead(const StartLine& line, std::string_view section, std::span<const FieldSpan> fields, http::RequestHead* head,
                      HeadFacts* facts) {
  const std::string_view text = head->headers.Store(section);
  Special special;
  ReadFields(text, fields, &head->headers, &special);

  head->version = line.version;
  head->method_text = text.substr(0, line.method_size);
  head->method = http::ParseMethod(head->method_text);
  if (Refusal refusal = ReadHost(special, line.version)) return refusal;
  Target target;
  if (Refusal refusal = ParseTarget(head->method, text.substr(line.text_at, line.text_size), &target)) return refusal;
  head->scheme = target.scheme;
  // The target's authority goes before Host (RFC 9112 section 3.2.2).
  head->authority = target.authority.empty() ? special.host : target.authority;
  head->path = target.slash_missing ? head->headers.Store(std::string("/").append(target.path)) : target.path;

  bool chunked = false;
  if (Refusal refusal = ReadContentLength(special, &head->content_length)) return refusal;
  if (Refusal refusal = ReadTransferEncoding(special, line.version, &chunked)) return refusal;
  const bool body = chunked || head->content_length.value_or(0) > 0;
  if (head->method == http::Method::kConnect && (chunked || head->content_length)) return {400, "CONNECT with a body"};
  facts->framing.kind = chunked ? Framing::Kind::kChunked : body ? Framing::Kind::kFixed : Framing::Kind::kNone;
  facts->framing.length = head->content_length.value_or(0);
  facts->keep_alive = KeepAlive(special, line.version);
  // Expectations and upgrades of an HTTP/1.0 client are ignored (RFC 9110 sections 7.8 and 10.1.1); an upgrade whose request
  // has a body as well.
  const bool modern = line.version == http::Version::kHttp11;
  head->expect_continue = modern && body && !special.expect.empty();
  if (modern && !body && special.connection_upgrade && head->method != http::Method::kConnect) {
    head->protocol = FirstProtocol(special.upgrade);
  }
  // No framing field means no body (RFC 9112 section 6.3): a known length. What may become a tunnel has none.
  if (!body && head->method != http::Method::kConnect && head->protocol.empty()) head->content_length = 0;
  return {};
}

Refusal ReadResponseHead(const StartLine& line, std::string_view section, std::span<const FieldSpan> fields, http::Method method,
                       http::ResponseHead* head, HeadFacts* facts) {
  const std::string_view text = head->headers.Store(section);
  Special special;
  ReadFields(text, fields, &head->headers, &special);

  head->version = line.version;
  head->status = line.status;
  head->reason = text.substr(line.text_at, line.text_size);
  bool chunked = false;
  if (Refusal refusal = ReadContentLength(special, &head->content_length)) return refusal;
  if (Refusal refusal = ReadTransferEncoding(special, line.version, &chunked)) return refusal;
  if (line.status < 200 && (chunked || head->content_length)) return {400, "an informational response with a body"};
  facts->keep_alive = KeepAlive(special, line.version);
  facts->upgrade = special.connection_upgrade;
  facts->upgrade_to = special.upgrade;
  facts->keep_alive_s = KeepAliveSeconds(special.keep_alive);

  // RFC 9112 section 6.3, in its order.
  const bool tunnel = method == http::Method::kConnect && line.status / 100 == 2;
  if (method == http::Method::kHead || line.status < 200 || line.status == 204 || line.status == 304 || tunnel) {
    facts->framing.kind = Framing::Kind::kNone;
    if (line.status == 204 || tunnel) head->content_length.reset();
  } else if (chunked) {
    facts->framing.kind = Framing::Kind::kChunked;
  } else if (head->content_length) {
    facts->framing = {Framing::Kind::kFixed, *head->content_length};
  } else {
    facts->framing.kind = Framing::Kind::kUntilClose;
    facts->keep_alive = false;
  }
  return {};
}

Refusal ReadTrailers(std::string_view section, std::span<const FieldSpan> fields, http::HeaderMap* trailers) {
  const std::string_view text = trailers->Store(section);
  Special special;
  ReadFields(text, fields, trailers, &special);
  if (special.hosts + special.content_lengths + special.transfer_encodings > 0) {
    return {400, "a trailer field that only a head may have"};
  }
  return {};
}

}  // namespace outrigger::codec
