// HTTP/1 messages as a test sees them on the wire: text in, start line, fields and body out. Written apart from proxy/codec, so that
// the two check each other; it believes what it reads and is for tests only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace outrigger::shardtest {

struct Message {
  std::string line;                                        // without CRLF
  std::vector<std::pair<std::string, std::string>> fields; // names in lower case
  std::string body;                                        // without its chunks
  std::vector<std::pair<std::string, std::string>> trailers;
  bool chunked = false;

  int status() const;                       // of a response
  std::string method() const { return line.substr(0, line.find(' ')); }
  std::string target() const;
  std::string Get(std::string_view name) const;  // all of that name, joined by ", "; "(none)" when there is none
  bool Has(std::string_view name) const { return Get(name) != "(none)"; }
};

// What a body ends with when the head frames none.
enum class Unframed { kNone, kUntilClose };

// Takes the first message off `text`; nullopt while it is not complete. `head_only`: the answer to HEAD.
std::optional<Message> TakeMessage(std::string* text, bool head_only = false, Unframed unframed = Unframed::kNone);

// "HTTP/1.1 200 OK" with `fields` ("name: value\r\n"...), Content-Length and body.
std::string Answer(int status, std::string_view body, std::string_view fields = "");
std::string Chunk(std::string_view data);

}  // namespace outrigger::shardtest
