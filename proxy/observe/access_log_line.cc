// A record as a line of text: JSON, or the way Envoy writes it by default (envoyproxy.io, "Access logging").
#include <charconv>
#include <chrono>
#include <cstdio>
#include <utility>

#include "proxy/observe/access_log.h"

namespace outrigger::observe {
namespace {

// "2026-11-21T10:00:00.123Z"
std::string_view TimeText(WallTime time, char (&into)[32]) {
  const auto since = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
  const auto days = std::chrono::floor<std::chrono::days>(since);
  const std::chrono::year_month_day date{std::chrono::sys_days(days)};
  const std::chrono::hh_mm_ss clock{since - days};
  const int size =
      std::snprintf(into, sizeof into, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
                    static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                    static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                    static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return {into, size > 0 ? static_cast<size_t>(size) : 0};
}

std::string_view Protocol(http::Version version) {
  switch (version) {
    case http::Version::kHttp10: return "HTTP/1.0";
    case http::Version::kHttp11: return "HTTP/1.1";
    case http::Version::kHttp2: return "HTTP/2";
  }
  return "-";
}

void AppendNumber(int64_t number, std::string* out) {
  char text[24];
  out->append(text, std::to_chars(text, text + sizeof text, number).ptr);
}

// Milliseconds with three decimals.
void AppendMilliseconds(Duration duration, std::string* out) {
  const int64_t us = duration.count() < 0 ? 0 : duration.count() / 1000;
  AppendNumber(us / 1000, out);
  const int64_t rest = us % 1000;
  const char decimals[4] = {'.', static_cast<char>('0' + rest / 100), static_cast<char>('0' + rest / 10 % 10),
                            static_cast<char>('0' + rest % 10)};
  out->append(decimals, sizeof decimals);
}

// Length of the UTF-8 sequence at the start of `text`; 0 when it is none (RFC 3629: no overlong forms, no surrogates).
size_t Utf8Length(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xC2 && first <= 0xDF ? 2 : (first & 0xF0) == 0xE0 ? 3 : first >= 0xF0 && first <= 0xF4 ? 4 : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F)) return 0;
  if ((first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F)) return 0;
  return length;
}

// The inside of a JSON string; bytes that are no UTF-8 become U+FFFD.
void AppendJsonText(std::string_view text, std::string* out) {
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    const size_t length = Utf8Length(text);
    if (c == '"' || c == '\\') {
      *out += '\\';
      *out += static_cast<char>(c);
    } else if (length == 2 && c == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0) {  // C1: terminals obey them as well
      char escape[8];
      out->append(escape, static_cast<size_t>(std::snprintf(escape, sizeof escape, "\\u00%02x", static_cast<unsigned char>(text[1]))));
    } else if (c < 0x20 || c == 0x7F) {
      char escape[8];
      out->append(escape, static_cast<size_t>(std::snprintf(escape, sizeof escape, "\\u%04x", c)));
    } else if (length == 0) {
      *out += "\xEF\xBF\xBD";
    } else {
      *out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
}

// Plain text: quotes, backslashes and everything that is not printable ASCII as \xNN. "-" when empty.
void AppendPlain(std::string_view text, std::string* out) {
  if (text.empty()) *out += '-';
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || u >= 0x7F || c == '"' || c == '\\') {
      char escape[8];
      out->append(escape, static_cast<size_t>(std::snprintf(escape, sizeof escape, "\\x%02x", u)));
    } else {
      *out += c;
    }
  }
}

struct PathText {
  std::string_view path, query_mark;
};
PathText WithoutQuery(std::string_view path) {
  const size_t question = path.find('?');
  if (question == std::string_view::npos) return {path, {}};
  return {path.substr(0, question), "?..."};
}

// Members of one JSON object.
class Members {
 public:
  explicit Members(std::string* out) : out_(out) { *out_ += '{'; }
  void Text(std::string_view name, std::string_view value, std::string_view more = {}) {
    if (value.empty() && more.empty()) return;
    Name(name);
    *out_ += '"';
    AppendJsonText(value, out_);
    AppendJsonText(more, out_);
    *out_ += '"';
  }
  // "namespace/name"
  void Place(std::string_view name, std::string_view space, std::string_view value) {
    if (value.empty()) return;
    Name(name);
    *out_ += '"';
    AppendJsonText(space, out_);
    if (!space.empty()) *out_ += '/';
    AppendJsonText(value, out_);
    *out_ += '"';
  }
  void Number(std::string_view name, int64_t value) {
    Name(name);
    AppendNumber(value, out_);
  }
  void Milliseconds(std::string_view name, Duration value) {
    Name(name);
    AppendMilliseconds(value, out_);
  }
  void Truth(std::string_view name, bool value) {
    Name(name);
    *out_ += value ? "true" : "false";
  }
  void End() { *out_ += "}\n"; }

 private:
  void Name(std::string_view name) {
    if (!std::exchange(first_, false)) *out_ += ',';
    *out_ += '"';
    *out_ += name;
    *out_ += "\":";
  }
  std::string* const out_;
  bool first_ = true;
};

std::string_view DirectionText(config::Direction direction) { return direction == config::Direction::kInbound ? "inbound" : "outbound"; }

}  // namespace

void AppendJsonLine(const ExchangeRecord& record, std::string* out) {
  char time[32], flags[64];
  const PathText path = WithoutQuery(record.path);
  Members line(out);
  line.Text("time", TimeText(record.started, time));
  line.Text("direction", DirectionText(record.direction));
  line.Text("method", record.method_text);
  line.Text("authority", record.authority);
  line.Text("path", path.path, path.query_mark);
  line.Text("protocol", Protocol(record.version));
  line.Number("status", record.status);
  if (record.grpc_status >= 0) line.Number("grpc_status", record.grpc_status);
  if (record.flags != 0) line.Text("flags", FlagsText(record.flags, flags));
  line.Text("reason", record.reason);
  line.Milliseconds("duration_ms", record.duration);
  if (record.upstream_duration > Duration::zero()) line.Milliseconds("upstream_duration_ms", record.upstream_duration);
  line.Number("request_bytes", static_cast<int64_t>(record.request_bytes));
  line.Number("response_bytes", static_cast<int64_t>(record.response_bytes));
  line.Number("attempts", record.attempts);
  line.Text("request_id", record.request_id);
  line.Text("traceparent", record.traceparent);
  line.Place("source_workload", record.source_namespace, record.source_workload);
  line.Text("source_identity", record.source_identity);
  line.Place("destination_service", record.destination_service_namespace, record.destination_service);
  if (record.destination_port != 0) line.Number("destination_port", record.destination_port);
  line.Place("destination_workload", record.destination_namespace, record.destination_workload);
  line.Text("destination_identity", record.destination_identity);
  line.Truth("mutual_tls", record.mutual_tls);
  line.Text("downstream_address", record.downstream_address);
  line.Text("upstream_address", record.upstream_address);
  line.Text("route", record.route);
  line.Text("cluster", record.cluster);
  line.Text("user_agent", record.user_agent);
  line.Text("forwarded_for", record.forwarded_for);
  line.End();
}

void AppendTextLine(const ExchangeRecord& record, std::string* out) {
  char time[32], flags[64];
  const PathText path = WithoutQuery(record.path);
  const auto quoted = [out](std::string_view text) {
    *out += " \"";
    AppendPlain(text, out);
    *out += '"';
  };
  const auto number = [out](int64_t value) {
    *out += ' ';
    AppendNumber(value, out);
  };
  *out += '[';
  *out += TimeText(record.started, time);
  *out += "] \"";
  AppendPlain(record.method_text, out);
  *out += ' ';
  AppendPlain(path.path, out);
  *out += path.query_mark;
  *out += ' ';
  *out += Protocol(record.version);
  *out += '"';
  number(record.status);
  *out += ' ';
  *out += FlagsText(record.flags, flags);
  number(static_cast<int64_t>(record.request_bytes));
  number(static_cast<int64_t>(record.response_bytes));
  number(Milliseconds(record.duration));
  if (record.upstream_duration > Duration::zero()) {
    number(Milliseconds(record.upstream_duration));
  } else {
    *out += " -";
  }
  quoted(record.forwarded_for);
  quoted(record.user_agent);
  quoted(record.request_id);
  quoted(record.authority);
  quoted(record.upstream_address);
  *out += ' ';
  *out += DirectionText(record.direction);
  *out += " reason=";
  AppendPlain(record.reason, out);
  *out += " attempts=";
  AppendNumber(record.attempts, out);
  *out += " source=";
  AppendPlain(record.source_identity, out);
  *out += " destination=";
  AppendPlain(record.destination_identity, out);
  *out += '\n';
}

}  // namespace outrigger::observe
