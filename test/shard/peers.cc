#include "test/shard/peers.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace outrigger::shardtest {

void Wire::Send(std::string_view text) {
  if (connection == nullptr) return;
  Buffer buffer;
  buffer.Append(text);
  connection->Write(&buffer);
}

void Wire::OnRead(Bytes bytes) {
  received.append(AsText(bytes));
  total += bytes.size();
  if (on_read) on_read(*this);
}

Client::Client(net::Loop* loop, const net::Address& to) { connection = loop->Connect({to, 5s}, this); }

Server::Server(net::Loop* loop, const net::Address& address) : loop_(loop), address_(address) {
  on_request = [this](Wire& wire, const Message&) { wire.Send(Answer(200, "answer " + std::to_string(requests.size()))); };
  Listen();
}

void Server::Listen() {
  net::ListenOptions options;
  options.address = address_;
  auto listener = loop_->Listen(options, this);
  assert(listener.ok());
  listener_ = std::move(listener).value();
}

void Server::OnAccept(std::unique_ptr<net::Connection> connection) {
  wires_.push_back(std::make_unique<Wire>());
  Wire* wire = wires_.back().get();
  wire->connection = std::move(connection);
  wire->on_read = [this](Wire& w) {
    while (on_request) {
      std::optional<Message> request = TakeMessage(&w.received);
      if (!request) return;
      requests.push_back(*request);
      on_request(w, *request);
    }
  };
  wire->connection->SetHandler(wire);
}

size_t Server::open() const {
  const auto is_open = [](const auto& wire) { return wire->connection != nullptr && !wire->over(); };
  return static_cast<size_t>(std::count_if(wires_.begin(), wires_.end(), is_open));
}

}  // namespace outrigger::shardtest
