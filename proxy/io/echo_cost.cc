// What a message costs in system calls: a server and a client on one loop each, one request at a time on one connection.
//   strace -f -c bazel-bin/proxy/io/echo_cost 10000     prints the calls of 10,000 requests, both ends
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>

#include "proxy/io/uv_loop.h"

namespace outrigger::io {
namespace {

class Server final : public net::Listener::Handler, public net::Connection::Handler {
 public:
  explicit Server(UvLoop* loop) : loop_(loop) {}
  void OnAccept(std::unique_ptr<net::Connection> connection) override {
    connection_ = std::move(connection);
    connection_->SetHandler(this);
  }
  void OnRead(Bytes bytes) override {
    Buffer out;
    out.Append(bytes);
    connection_->Write(&out);
  }
  void OnEof() override { loop_->Stop(); }
  void OnClosed(Error) override { loop_->Stop(); }

 private:
  UvLoop* loop_;
  std::unique_ptr<net::Connection> connection_;
};

class Client final : public net::Connection::Handler {
 public:
  Client(UvLoop* loop, net::Address address, int requests) : loop_(loop), left_(requests) {
    connection_ = loop->Connect({.address = std::move(address)}, this);
  }
  void OnConnected() override { Ask(); }
  void OnRead(Bytes) override {
    if (--left_ > 0) return Ask();
    connection_.reset();
    loop_->Stop();
  }
  void OnEof() override { std::abort(); }
  void OnClosed(Error error) override {
    std::fprintf(stderr, "%s\n", error.ToString().c_str());
    std::exit(1);
  }

 private:
  void Ask() {
    Buffer out;
    out.Append("GET / HTTP/1.1\r\nhost: example\r\n\r\n");
    connection_->Write(&out);
  }
  UvLoop* loop_;
  int left_;
  std::unique_ptr<net::Connection> connection_;
};

int Main(int requests) {
  UvLoop server_loop(1);
  Server server(&server_loop);
  Result<std::unique_ptr<net::Listener>> listener = server_loop.Listen({.address = net::Address::Loopback(0)}, &server);
  if (!listener.ok()) return 2;
  const net::Address address = (*listener)->local();
  std::thread client_thread([&] {
    UvLoop loop(2);
    Client client(&loop, address, requests);
    loop.Run();
  });
  server_loop.Run();
  client_thread.join();
  return 0;
}

}  // namespace
}  // namespace outrigger::io

int main(int argc, char** argv) { return outrigger::io::Main(argc > 1 ? std::atoi(argv[1]) : 10'000); }
