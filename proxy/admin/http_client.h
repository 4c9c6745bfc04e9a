// One HTTP/1.1 request and its response as whole values, on a net::Loop: for command lines and tests, not for the data path.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/error.h"
#include "proxy/base/time.h"
#include "proxy/http/message.h"
#include "proxy/net/loop.h"

namespace outrigger::admin {

struct HttpRequest {
  http::Method method = http::Method::kGet;
  std::string path = "/";  // with the query
  std::string host;        // for Host
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

struct HttpReply {
  int status = 0;
  std::string content_type;
  std::string body;
};

// Destroying it gives the request up. The callback comes once, in a later turn; it may destroy the exchange.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
};
using HttpCallback = std::function<void(Result<HttpReply>)>;
std::unique_ptr<HttpExchange> StartHttp(net::Loop* loop, const net::Address& address, const HttpRequest& request, Duration timeout,
                                        HttpCallback callback);

}  // namespace outrigger::admin
