// The descriptors that a process holds: net::Connection and net::Listener on the simulated kernel.
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "proxy/net/connection.h"
#include "test/sim/loop.h"
#include "test/sim/tcp.h"

namespace outrigger::sim {

class SimConnection final : public net::Connection, public ReadySource, public TcpOwner {
 public:
  // loop null: born dead (of a process that is gone).
  SimConnection(SimLoop* loop, std::shared_ptr<Tcp> tcp, int side, Handler* handler, std::optional<net::Address> original);
  ~SimConnection() override;

  void SetHandler(Handler* handler) override;
  void Write(Buffer* out) override;
  size_t pending() const override { return pending_.size(); }
  void SetReading(bool on) override;
  void ShutdownWrite() override;
  void Abort() override;
  size_t Peek(std::span<uint8_t> into) override;
  Duration unacknowledged_for() const override;
  net::Address local() const override { return local_; }
  net::Address remote() const override { return remote_; }
  std::optional<net::Address> original_destination() const override { return original_; }

  void Deliver() override;
  void OnTcpReady() override;

  // The process is gone: the kernel closes the descriptor, the object stays with its owner and does nothing.
  void Orphan(bool reset);

 private:
  bool DeliverConnect();  // these say false when the object is gone or nothing more may come
  bool DeliverRead();
  bool DeliverWritable();
  void TellClosed();
  bool FailureShows() const;
  bool Something() const;
  void MarkIfSomething();
  template <typename Call>
  bool Guarded(Call&& call);

  SimLoop* loop_;
  std::shared_ptr<Tcp> tcp_;
  const int side_;
  Handler* handler_;
  const std::optional<net::Address> original_;
  net::Address local_;
  net::Address remote_;
  Buffer pending_;
  bool told_connected_;
  bool reading_ = true;
  bool eof_told_ = false;
  bool finish_wanted_ = false;
  bool owes_drained_ = false;
  bool* destroyed_ = nullptr;
};

class SimListener final : public net::Listener, public ReadySource {
 public:
  SimListener(SimLoop* loop, net::Address local, const net::ListenOptions& options, Handler* handler);
  ~SimListener() override;
  net::Address local() const override { return local_; }
  void SetAccepting(bool on) override;

  void Deliver() override;
  bool Full() const { return backlog_.size() >= static_cast<size_t>(max_backlog_); }
  bool share_port() const { return share_port_; }
  void Queue(std::shared_ptr<Tcp> tcp);
  void Orphan();

 private:
  SimLoop* loop_;
  const net::Address local_;
  const int max_backlog_;
  const bool share_port_;
  Handler* const handler_;
  bool accepting_ = true;
  std::deque<std::shared_ptr<Tcp>> backlog_;
  bool* destroyed_ = nullptr;
};

}  // namespace outrigger::sim
