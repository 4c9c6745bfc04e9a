// One exchange after another through both HTTP/1 machines as a proxy does it, without sockets: for counting instructions and
// allocations, which are exact where times are not.
//   valgrind --tool=callgrind http1_bench 10000      and again with 20000: the difference is 10,000 exchanges
// Usage: http1_bench EXCHANGES [small|typical|chunked]
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <utility>

#include "proxy/codec/codec.h"

namespace {
uint64_t allocations = 0;
}

void* operator new(size_t size) {
  ++allocations;
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace outrigger::codec {
namespace {

struct Script {
  std::string request;
  std::string response;
};

Script MakeScript(const std::string& kind) {
  const std::string body(1024, 'x');
  if (kind == "small") {
    return {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"};
  }
  const std::string request =
      "GET /orders/1234567?expand=items HTTP/1.1\r\n"
      "Host: orders.default.svc.cluster.local\r\n"
      "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"
      "Accept: application/json\r\n"
      "Accept-Encoding: gzip, deflate, br\r\n"
      "Connection: keep-alive\r\n"
      "Cookie: session=0123456789abcdef0123456789abcdef\r\n"
      "X-Request-Id: 7b8f3c52-5b7d-4f0e-9c3a-1f2e3d4c5b6a\r\n"
      "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
      "X-Forwarded-For: 10.0.0.1\r\n"
      "X-Forwarded-Proto: https\r\n\r\n";
  const std::string head =
      "HTTP/1.1 200 OK\r\n"
      "Date: Sat, 21 Nov 2026 12:00:00 GMT\r\n"
      "Content-Type: application/json; charset=utf-8\r\n"
      "Server: app/1.0\r\n"
      "Cache-Control: no-store\r\n"
      "X-Request-Id: 7b8f3c52-5b7d-4f0e-9c3a-1f2e3d4c5b6a\r\n";
  if (kind == "chunked") {
    return {request, head + "Transfer-Encoding: chunked\r\n\r\n200\r\n" + body.substr(0, 512) + "\r\n200\r\n" + body.substr(0, 512) +
                         "\r\n0\r\n\r\n"};
  }
  return {request, head + "Content-Length: 1024\r\n\r\n" + body};
}

class Proxy {
 public:
  // Returns the bytes written in both directions, so that nothing can be left out unseen.
  size_t Exchange(const Script& script) {
    using Kind = StreamEvent::Kind;
    server_->Feed(AsBytes(script.request), Instant{});
    StreamId downstream = 0;
    StreamId upstream = 0;
    StreamEvent event;
    while (server_->Next(&event)) {
      if (event.kind == Kind::kRequest) {
        downstream = event.stream;
        std::swap(request_, *event.request);
        upstream = client_->SendRequest(request_, request_.content_length.value_or(1) == 0);
      } else if (event.kind == Kind::kEnd) {
        client_->SendEnd(upstream);
      }
    }
    size_t written = client_->output().size();
    client_->output().Clear();
    client_->Feed(AsBytes(script.response), Instant{});
    while (client_->Next(&event)) {
      if (event.kind == Kind::kResponse) {
        std::swap(response_, *event.response);
        server_->SendResponse(downstream, response_, false);
      } else if (event.kind == Kind::kData) {
        server_->SendData(downstream, event.data);
      } else if (event.kind == Kind::kEnd) {
        server_->SendEnd(downstream);
      }
    }
    written += server_->output().size();
    server_->output().Clear();
    return written;
  }

 private:
  std::unique_ptr<ServerCodec> server_ = MakeHttp1Server({});
  std::unique_ptr<ClientCodec> client_ = MakeHttp1Client({});
  http::RequestHead request_;
  http::ResponseHead response_;
};

int Main(int argc, char** argv) {
  const int exchanges = argc > 1 ? std::atoi(argv[1]) : 10'000;
  const Script script = MakeScript(argc > 2 ? argv[2] : "typical");
  Proxy proxy;
  size_t written = 0;
  for (int i = 0; i < 10; ++i) written += proxy.Exchange(script);  // warm
  const uint64_t before = allocations;
  for (int i = 0; i < exchanges; ++i) written += proxy.Exchange(script);
  std::printf("%d exchanges, %zu + %zu bytes in, %zu bytes out each, %llu allocations after warm-up\n", exchanges, script.request.size(),
              script.response.size(), written / static_cast<size_t>(exchanges + 10),
              static_cast<unsigned long long>(allocations - before));
  return 0;
}

}  // namespace
}  // namespace outrigger::codec

int main(int argc, char** argv) { return outrigger::codec::Main(argc, argv); }
