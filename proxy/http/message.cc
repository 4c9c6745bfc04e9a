#include "proxy/http/message.h"

#include <string>
#include <vector>

namespace outrigger::http {

Method ParseMethod(std::string_view text) {
  switch (text.size()) {
    case 3:
      if (text == "GET") return Method::kGet;
      if (text == "PUT") return Method::kPut;
      break;
    case 4:
      if (text == "POST") return Method::kPost;
      if (text == "HEAD") return Method::kHead;
      break;
    case 5:
      if (text == "PATCH") return Method::kPatch;
      if (text == "TRACE") return Method::kTrace;
      break;
    case 6:
      if (text == "DELETE") return Method::kDelete;
      break;
    case 7:
      if (text == "OPTIONS") return Method::kOptions;
      if (text == "CONNECT") return Method::kConnect;
      break;
    default: break;
  }
  return Method::kOther;
}

bool IsSafe(Method method) {
  return method == Method::kGet || method == Method::kHead || method == Method::kOptions || method == Method::kTrace;
}
bool IsIdempotent(Method method) { return IsSafe(method) || method == Method::kPut || method == Method::kDelete; }

void RequestHead::Clear() {
  HeaderMap kept = std::move(headers);
  kept.Clear();
  *this = RequestHead{};
  headers = std::move(kept);
}

void ResponseHead::Clear() {
  HeaderMap kept = std::move(headers);
  kept.Clear();
  *this = ResponseHead{};
  headers = std::move(kept);
}

std::string_view StandardReason(int status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 102: return "Processing";
    case 103: return "Early Hints";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 208: return "Already Reported";
    case 226: return "IM Used";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 423: return "Locked";
    case 424: return "Failed Dependency";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 451: return "Unavailable For Legal Reasons";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    case 508: return "Loop Detected";
    case 511: return "Network Authentication Required";
    default: return {};
  }
}

void RemoveHopByHop(HeaderMap* headers) {
  if (headers->Has(Known::kConnection)) {
    // Names listed in Connection are hop-by-hop as well. They are copied: removing moves fields, not bytes, but the
    // Connection fields themselves go too.
    std::vector<std::string> listed;
    for (const Field& field : headers->fields()) {
      if (field.known != Known::kConnection) continue;
      std::string_view rest = field.value;
      while (!rest.empty()) {
        const size_t comma = rest.find(',');
        std::string_view token = rest.substr(0, comma);
        while (!token.empty() && (token.front() == ' ' || token.front() == '\t')) token.remove_prefix(1);
        while (!token.empty() && (token.back() == ' ' || token.back() == '\t')) token.remove_suffix(1);
        if (!token.empty() && !EqualsIgnoreCase(token, "close") && !EqualsIgnoreCase(token, "keep-alive") &&
            !EqualsIgnoreCase(token, "te")) {
          listed.emplace_back(token);
        }
        if (comma == std::string_view::npos) break;
        rest.remove_prefix(comma + 1);
      }
    }
    headers->Remove(Known::kConnection);
    for (const std::string& name : listed) headers->Remove(name);
  }
  headers->Remove(Known::kKeepAlive);
  headers->Remove(Known::kProxyConnection);
  headers->Remove(Known::kUpgrade);
  if (headers->Has(Known::kTe)) {
    const bool trailers = headers->HasToken(Known::kTe, "trailers");
    headers->Remove(Known::kTe);
    if (trailers) headers->Add(Known::kTe, "trailers");
  }
}

}  // namespace outrigger::http
