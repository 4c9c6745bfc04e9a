// For the tests of io/: two ends of a loopback connection, and turning a loop until something is so.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "proxy/io/uv_loop.h"

namespace outrigger::io {

// Turns until `done`; the test's own time limit ends what never comes.
inline void TurnUntil(UvLoop& loop, const std::function<bool()>& done) {
  while (!done()) loop.RunTurn();
}

// A handler that keeps what it was told, in `log` too ("connected", "read", "eof", "closed", "drained").
class End : public net::Connection::Handler {
 public:
  std::unique_ptr<net::Connection> connection;
  std::string received;
  size_t received_size = 0;
  bool keep_bytes = true;
  bool connected = false;
  bool eof = false;
  int drained = 0;
  std::optional<Error> closed;
  std::function<void()> on_connected, on_read, on_eof, on_closed, on_drained;

  void OnConnected() override {
    connected = true;
    Then(on_connected);
  }
  void OnRead(Bytes bytes) override {
    EXPECT_FALSE(bytes.empty());
    received_size += bytes.size();
    if (keep_bytes) received += AsText(bytes);
    Then(on_read);
  }
  void OnEof() override {
    EXPECT_FALSE(eof);
    eof = true;
    Then(on_eof);
  }
  void OnClosed(Error error) override {
    EXPECT_FALSE(closed.has_value());
    closed = std::move(error);
    Then(on_closed);
  }
  void OnDrained() override {
    ++drained;
    Then(on_drained);
  }

  void Send(std::string_view text) {
    Buffer out;
    out.Append(text);
    connection->Write(&out);
    EXPECT_TRUE(out.empty());
  }

 private:
  static void Then(const std::function<void()>& call) {
    if (call) call();
  }
};

// Takes connections for a test: into `last`, or by a call.
class Acceptor : public net::Listener::Handler {
 public:
  std::unique_ptr<net::Connection> last;
  int accepted = 0;
  std::function<void(std::unique_ptr<net::Connection>)> on_accept;

  void OnAccept(std::unique_ptr<net::Connection> connection) override {
    ++accepted;
    if (on_accept) {
      on_accept(std::move(connection));
    } else {
      last = std::move(connection);
    }
  }
};

inline std::unique_ptr<net::Listener> ListenOn(UvLoop& loop, net::Address address, Acceptor* acceptor) {
  Result<std::unique_ptr<net::Listener>> listener = loop.Listen({.address = std::move(address)}, acceptor);
  if (!listener.ok()) {
    ADD_FAILURE() << listener.error().ToString();
    std::abort();
  }
  return std::move(listener).value();
}

// Two ends of one connection on one loop, both open.
struct Pair {
  explicit Pair(UvLoop& loop, net::Address address = net::Address::Loopback(0)) {
    listener = ListenOn(loop, std::move(address), &acceptor);
    client.connection = loop.Connect({.address = listener->local(), .timeout = 10s}, &client);
    TurnUntil(loop, [&] { return client.connected && acceptor.last != nullptr; });
    server.connection = std::move(acceptor.last);
    server.connection->SetHandler(&server);
  }
  Acceptor acceptor;
  std::unique_ptr<net::Listener> listener;
  End client;
  End server;
};

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = "/tmp/io.XXXXXX";  // short: a socket's path has 107 bytes at most, and TEST_TMPDIR may be longer
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace outrigger::io
