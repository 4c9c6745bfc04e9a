// A small HTTP/1.1 server for people and their tools: admin pages of both programs. Requests and responses are whole values
// with bounded bodies; it is not on the data path. Only on net:: and codec/, so it runs in the simulation.
//
// A browser on the same machine must not be turned against it: the Host header must be a loopback name or address, the listening
// address or a name that was allowed (DNS rebinding), and a request with an Origin must come from such a host as well.
// One thread; lives on one Loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/error.h"
#include "proxy/base/time.h"
#include "proxy/http/message.h"
#include "proxy/net/loop.h"
#include "proxy/tls/tls.h"

namespace outrigger::admin {

struct Request {
  http::Method method = http::Method::kGet;  // HEAD arrives as GET; its body is dropped on the way out
  std::string path;                          // percent-decoded, without the query
  std::vector<std::string> parameters;       // what stood in the pattern's {}
  std::map<std::string, std::string> query;  // decoded; a name given twice is refused with 400
  std::string body;
  net::Address remote;
  std::string authorization;  // header values; empty when absent
  std::string content_type;
  std::string accept;

  // "" when the name is absent.
  std::string_view Query(const std::string& name) const;
};

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;

  static Response Text(int status, std::string body) { return {status, "text/plain; charset=utf-8", std::move(body), {}}; }
  static Response Json(int status, std::string body) { return {status, "application/json", std::move(body), {}}; }
};

// Answers one request: at once, or later from another turn. Movable, once. When it dies unused the client gets a 500; when the
// client is gone by then, nothing happens.
class Responder {
 public:
  class Sink;
  explicit Responder(std::weak_ptr<Sink> sink, uint64_t exchange) : sink_(std::move(sink)), exchange_(exchange) {}
  Responder(Responder&&) noexcept = default;
  Responder& operator=(Responder&& other) noexcept;
  ~Responder();

  void Send(Response response);
  // Is somebody still waiting?
  bool alive() const;

 private:
  std::weak_ptr<Sink> sink_;
  uint64_t exchange_ = 0;
};

using Handler = std::function<void(const Request& request, Responder responder)>;

struct ServerOptions {
  net::Address address;
  size_t body_bytes = 4 << 20;    // larger: 413
  size_t max_connections = 256;   // more: closed at once
  Duration head_timeout = std::chrono::seconds(10);  // from the first byte of a request to its last
  Duration idle_timeout = std::chrono::seconds(60);
  std::vector<std::string> allowed_hosts = {};  // besides loopback and the listening address; lower case, without port
  bool any_host = false;          // every Host is served: only for pages that change nothing and hold no secrets
};

class HttpServer {
 public:
  virtual ~HttpServer() = default;
  virtual net::Address local() const = 0;
  // `pattern`: an absolute path; "{}" stands for one segment that is not empty. The first fitting pattern wins; a path that only
  // fits with other methods gets 405 with Allow, no fit 404.
  virtual void Route(http::Method method, std::string_view pattern, Handler handler) = 0;
  virtual size_t connections() const = 0;
  // Stops accepting and closes what is idle; what is under way is answered and then closed.
  virtual void Drain() = 0;
};

// kIo with a sentence for the user when the address cannot be had.
Result<std::unique_ptr<HttpServer>> MakeHttpServer(net::Loop* loop, ServerOptions options);

// "/a%20b" -> "/a b". kInvalid for a broken escape or a NUL.
Result<std::string> PercentDecode(std::string_view text);
// Is `authority` (host[:port]) a name that a page of somebody else cannot have made up? See the top of this file.
bool AcceptsHost(std::string_view authority, const net::Address& local, const std::vector<std::string>& allowed);

}  // namespace outrigger::admin
