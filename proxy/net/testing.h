// A wire in memory for tests of one Connection's owner: the test carries the bytes itself. (Whole meshes run in test/sim.)
// Test code only.
#pragma once

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "proxy/net/loop.h"

namespace outrigger::net::testing {

// One end of the wire. Outlives its connection, as the network does.
struct End {
  Connection::Handler* handler = nullptr;  // null when nobody listens
  std::string sent;                        // not yet carried over
  int writes = 0;
  bool fin = false;
  bool fin_carried = false;
  bool reading = true;
  bool aborted = false;
  bool retired = false;
};

class WireConnection final : public Connection {
 public:
  explicit WireConnection(std::shared_ptr<End> end) : end_(std::move(end)) {}
  ~WireConnection() override {
    end_->handler = nullptr;
    end_->fin = true;
  }
  void SetHandler(Handler* handler) override { end_->handler = handler; }
  void Write(Buffer* out) override {
    ++end_->writes;
    end_->sent += out->text();
    out->Clear();
  }
  size_t pending() const override { return end_->sent.size(); }
  void SetReading(bool on) override { end_->reading = on; }
  void ShutdownWrite() override { end_->fin = true; }
  void Abort() override {
    end_->aborted = true;
    end_->handler = nullptr;
    end_->sent.clear();
  }
  size_t Peek(std::span<uint8_t>) override { return 0; }
  Address local() const override { return Address::Loopback(1); }
  Address remote() const override { return Address::Loopback(2); }
  std::optional<Address> original_destination() const override { return std::nullopt; }

  std::shared_ptr<End> end() const { return end_; }

 private:
  const std::shared_ptr<End> end_;
};

class WireLoop final : public Loop {
 public:
  explicit WireLoop(WallTime now) : Loop(Instant{}, 1) { SetTime(Instant{}, now); }
  void EndTurn() { RunTurnEnd(); }
  void SetWall(WallTime now) { SetTime(Instant{}, now); }

  void Retire(std::unique_ptr<Connection> connection) override {
    const std::shared_ptr<End> end = static_cast<WireConnection*>(connection.get())->end();
    end->retired = true;
  }
  Result<std::unique_ptr<Listener>> Listen(const ListenOptions&, Listener::Handler*) override { return Unused(); }
  std::unique_ptr<Connection> Connect(const ConnectOptions&, Connection::Handler*) override { return nullptr; }
  std::unique_ptr<Resolution> Resolve(const std::string&, uint16_t, ResolveCallback) override { return nullptr; }
  std::shared_ptr<Mailbox> mailbox() override { return nullptr; }
  Files& files() override { std::abort(); }

 private:
  static Error Unused() { return Error::Make(ErrorCode::kIo, "not in this test"); }
};

}  // namespace outrigger::net::testing
