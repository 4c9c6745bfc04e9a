#include "proxy/io/resolver.h"

#include <netdb.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "proxy/io/socket_address.h"

namespace outrigger::io {
namespace {

using Addresses = Result<std::vector<net::Address>>;

class Settled final : public net::Resolution, private Deferred {
 public:
  Settled(UvLoop* loop, Addresses addresses, net::ResolveCallback callback)
      : addresses_(std::move(addresses)), callback_(std::move(callback)) {
    loop->Later(this);
  }

 private:
  void OnLater() override {
    const net::ResolveCallback callback = std::move(callback_);  // the callback may destroy this
    callback(std::move(addresses_));
  }
  Addresses addresses_;
  net::ResolveCallback callback_;
};

class Lookup final : public net::Resolution {
 public:
  Lookup(UvLoop* loop, const std::string& host, uint16_t port, net::ResolveCallback callback)
      : request_(new Request{{}, loop, this, host, port}), callback_(std::move(callback)) {
    request_->uv.data = request_;
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    if (uv_getaddrinfo(loop->uv(), &request_->uv, &OnDone, host.c_str(), nullptr, &hints) == 0) return;
    // Only names that cannot be asked for at all come here (longer than 255 bytes).
    delete std::exchange(request_, nullptr);
    failed_ = std::make_unique<Settled>(loop, Error::Make(ErrorCode::kNotFound, "'" + host.substr(0, 80) + "...' is no host name"),
                                        std::move(callback_));
  }

  ~Lookup() override {
    if (request_ == nullptr) return;
    request_->lookup = nullptr;  // OnDone frees it
    uv_cancel(reinterpret_cast<uv_req_t*>(&request_->uv));
  }

 private:
  struct Request {
    uv_getaddrinfo_t uv;
    UvLoop* loop;
    Lookup* lookup;  // null when nobody wants to know any more
    std::string host;
    uint16_t port;
  };

  static void OnDone(uv_getaddrinfo_t* uv, int status, addrinfo* found) {
    const std::unique_ptr<Request> request(static_cast<Request*>(uv->data));
    if (request->lookup != nullptr) {
      request->loop->BeginTurn();
      request->lookup->request_ = nullptr;
      const net::ResolveCallback callback = std::move(request->lookup->callback_);
      callback(Collect(*request, status, found));
    }
    uv_freeaddrinfo(found);
  }

  static Addresses Collect(const Request& request, int status, const addrinfo* found) {
    if (status != 0) {
      const bool no_such_name = status == UV_EAI_NONAME || status == UV_EAI_NODATA;
      return Error::Make(no_such_name ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
                         "cannot resolve '" + request.host + "': " + uv_strerror(status));
    }
    std::vector<net::Address> addresses;
    for (; found != nullptr; found = found->ai_next) {
      net::Address address = FromSocketAddress(found->ai_addr, found->ai_addrlen).WithPort(request.port);
      if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) addresses.push_back(std::move(address));
    }
    return addresses;
  }

  Request* request_;
  net::ResolveCallback callback_;
  std::unique_ptr<Settled> failed_;
};

}  // namespace

std::unique_ptr<net::Resolution> StartResolution(UvLoop* loop, const std::string& host, uint16_t port, net::ResolveCallback callback) {
  if (Result<net::Address> numeric = net::Address::ParseIp(host, port); numeric.ok()) {
    return std::make_unique<Settled>(loop, std::vector<net::Address>{std::move(numeric).value()}, std::move(callback));
  }
  if (host.empty() || host.find('\0') != std::string::npos) {
    return std::make_unique<Settled>(loop, Error::Make(ErrorCode::kNotFound, "an empty name has no address"), std::move(callback));
  }
  return std::make_unique<Lookup>(loop, host, port, std::move(callback));
}

}  // namespace outrigger::io
