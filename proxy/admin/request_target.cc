#include "proxy/admin/request_target.h"

#include <algorithm>

#include "proxy/admin/http_server.h"

namespace outrigger::admin {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

}  // namespace

std::string_view MethodName(http::Method method) {
  switch (method) {
    case http::Method::kGet: return "GET";
    case http::Method::kHead: return "HEAD";
    case http::Method::kPost: return "POST";
    case http::Method::kPut: return "PUT";
    case http::Method::kDelete: return "DELETE";
    case http::Method::kPatch: return "PATCH";
    default: return "OTHER";
  }
}

std::vector<std::string_view> Segments(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const size_t slash = std::min(path.find('/'), path.size());
    segments.push_back(path.substr(0, slash));
    path.remove_prefix(slash);
  }
  return segments;
}

std::optional<std::map<std::string, std::string>> ParseQuery(std::string_view text) {
  std::map<std::string, std::string> query;
  while (!text.empty()) {
    const size_t end = std::min(text.find('&'), text.size());
    std::string item(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (item.empty()) continue;
    std::replace(item.begin(), item.end(), '+', ' ');
    const size_t equals = std::min(item.find('='), item.size());
    Result<std::string> name = PercentDecode(std::string_view(item).substr(0, equals));
    Result<std::string> value = PercentDecode(std::string_view(item).substr(std::min(equals + 1, item.size())));
    if (!name.ok() || !value.ok()) return std::nullopt;
    if (!query.emplace(std::move(*name), std::move(*value)).second) return std::nullopt;
  }
  return query;
}

bool Fits(const std::vector<std::string>& pattern, const std::vector<std::string>& path, std::vector<std::string>* parameters) {
  if (pattern.size() != path.size()) return false;
  parameters->clear();
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == "{}" && !path[i].empty()) {
      parameters->push_back(path[i]);
    } else if (pattern[i] != path[i]) {
      return false;
    }
  }
  return true;
}

Result<std::string> PercentDecode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
    if (high < 0 || low < 0 || high * 16 + low == 0) return Error::Make(ErrorCode::kInvalid, "broken percent escape", Fault::kDownstream);
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

bool AcceptsHost(std::string_view authority, const net::Address& local, const std::vector<std::string>& allowed) {
  if (local.family() == net::Address::Family::kUnix) return true;  // no page reaches a Unix socket
  std::string host = Lower(authority);
  if (!host.empty() && host.front() == '[') {
    const size_t bracket = host.find(']');
    if (bracket == std::string::npos) return false;
    host = host.substr(1, bracket - 1);
  } else if (const size_t colon = host.find(':'); colon != std::string::npos) {
    host.resize(colon);
  }
  if (host == "localhost") return true;
  if (Result<net::Address> ip = net::Address::ParseIp(host, 0); ip.ok()) {
    // A name that resolves to us is what rebinding needs; an address cannot be rebound, but keep to the ones that are ours.
    return ip->loopback() || host == local.Ip();
  }
  return std::find(allowed.begin(), allowed.end(), host) != allowed.end();
}

}  // namespace outrigger::admin
