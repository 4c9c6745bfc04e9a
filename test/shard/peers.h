// The ends of the wire, driven by hand: a client that sends text, a server whose answers the test writes. They stand on loops of the
// simulation. Test code only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/net/loop.h"
#include "test/shard/message.h"

namespace outrigger::shardtest {

// One connection, from either end: what came, and how it ended.
class Wire : public net::Connection::Handler {
 public:
  void Send(std::string_view text);
  void Finish() { connection->ShutdownWrite(); }                    // FIN
  void Abort() { connection->Abort(), connection.reset(); }         // RST
  void Close() { connection.reset(); }
  size_t unsent() const { return connection == nullptr ? 0 : connection->pending(); }  // not yet taken by the kernel
  void Read(bool on) { connection->SetReading(on); }

  void OnRead(Bytes bytes) override;
  void OnEof() override { eof = true; }
  void OnClosed(Error e) override { error = std::move(e); }
  bool over() const { return eof || !error.ok(); }

  std::unique_ptr<net::Connection> connection;
  std::string received;  // and not yet taken
  size_t total = 0;      // bytes received in all
  bool eof = false;
  Error error;
  std::function<void(Wire&)> on_read;
};

class Client final : public Wire {
 public:
  Client(net::Loop* loop, const net::Address& to);
  std::optional<Message> Take(bool head_only = false) { return TakeMessage(&received, head_only); }
};

class Server final : private net::Listener::Handler {
 public:
  Server(net::Loop* loop, const net::Address& address);

  void StopListening() { listener_.reset(); }  // further connections are refused
  void Listen();
  const net::Address& address() const { return address_; }
  // Every connection there has been, oldest first.
  const std::vector<std::unique_ptr<Wire>>& wires() const { return wires_; }
  Wire& last() { return *wires_.back(); }
  size_t open() const;

  // What to do with each whole request; by default 200 and its number. Null: the test reads and answers by hand.
  std::function<void(Wire&, const Message&)> on_request;
  std::vector<Message> requests;  // whole ones, while on_request is set

 private:
  void OnAccept(std::unique_ptr<net::Connection> connection) override;

  net::Loop* const loop_;
  const net::Address address_;
  std::unique_ptr<net::Listener> listener_;
  std::vector<std::unique_ptr<Wire>> wires_;
};

}  // namespace outrigger::shardtest
