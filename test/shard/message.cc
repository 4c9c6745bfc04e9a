#include "test/shard/message.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>

namespace outrigger::shardtest {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// Field lines up to and with the empty line; `at` moves behind it. False while it is not there.
bool TakeFields(const std::string& text, size_t* at, Fields* fields) {
  while (true) {
    const size_t end = text.find("\r\n", *at);
    if (end == std::string::npos) return false;
    const std::string line = text.substr(*at, end - *at);
    *at = end + 2;
    if (line.empty()) return true;
    const size_t colon = line.find(':');
    std::string value = colon == std::string::npos ? "" : line.substr(colon + 1);
    value.erase(0, value.find_first_not_of(' '));
    fields->emplace_back(Lower(line.substr(0, colon)), value);
  }
}

bool TakeChunks(const std::string& text, size_t* at, Message* message) {
  while (true) {
    const size_t end = text.find("\r\n", *at);
    if (end == std::string::npos) return false;
    const size_t size = std::strtoul(text.c_str() + *at, nullptr, 16);
    *at = end + 2;
    if (size == 0) return TakeFields(text, at, &message->trailers);
    if (text.size() < *at + size + 2) return false;
    message->body += text.substr(*at, size);
    *at += size + 2;
  }
}

}  // namespace

int Message::status() const { return line.starts_with("HTTP/1.1 ") ? std::atoi(line.c_str() + 9) : 0; }

std::string Message::target() const {
  const size_t first = line.find(' ');
  return first == std::string::npos ? "" : line.substr(first + 1, line.find(' ', first + 1) - first - 1);
}

std::string Message::Get(std::string_view name) const {
  std::string joined;
  bool found = false;
  for (const auto& [field, value] : fields) {
    if (field != name) continue;
    if (found) joined += ", ";
    joined += value;
    found = true;
  }
  return found ? joined : "(none)";
}

std::optional<Message> TakeMessage(std::string* text, bool head_only, Unframed unframed) {
  Message message;
  size_t at = text->find("\r\n");
  if (at == std::string::npos) return std::nullopt;
  message.line = text->substr(0, at);
  at += 2;
  if (!TakeFields(*text, &at, &message.fields)) return std::nullopt;
  message.chunked = message.Get("transfer-encoding") == "chunked";
  if (message.chunked && !head_only) {
    if (!TakeChunks(*text, &at, &message)) return std::nullopt;
  } else if (message.Has("content-length") && !head_only) {
    const size_t size = std::strtoul(message.Get("content-length").c_str(), nullptr, 10);
    if (text->size() < at + size) return std::nullopt;
    message.body = text->substr(at, size);
    at += size;
  } else if (unframed == Unframed::kUntilClose && !head_only) {
    message.body = text->substr(at);
    at = text->size();
  }
  text->erase(0, at);
  return message;
}

std::string Answer(int status, std::string_view body, std::string_view fields) {
  return "HTTP/1.1 " + std::to_string(status) + " Status\r\n" + std::string(fields) + "Content-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + std::string(body);
}

std::string Chunk(std::string_view data) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", data.size());
  return size + std::string(data) + "\r\n";
}

}  // namespace outrigger::shardtest
