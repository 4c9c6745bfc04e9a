// Small net:: handlers for tests: they record what they were told and keep it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/net/loop.h"

namespace outrigger::sim {

// Keeps every byte and every event of one connection.
class Recorder : public net::Connection::Handler {
 public:
  void OnConnected() override { connected = true, events += 'c'; }
  void OnRead(Bytes bytes) override {
    received.append(AsText(bytes));
    ++reads;
  }
  void OnEof() override { eof = true, events += 'e'; }
  void OnClosed(Error e) override { error = e, events += 'x'; }
  void OnDrained() override { ++drained; }

  bool connected = false;
  bool eof = false;
  Error error;
  std::string received;
  std::string events;  // c connected, e EOF, x closed
  int reads = 0;
  int drained = 0;
};

// Accepts everything; each connection with a Recorder of its own.
class Acceptor : public net::Listener::Handler {
 public:
  struct Accepted {
    std::unique_ptr<net::Connection> connection;
    Recorder recorder;
  };
  void OnAccept(std::unique_ptr<net::Connection> connection) override {
    accepted.push_back(std::make_unique<Accepted>());
    accepted.back()->connection = std::move(connection);
    if (start_reading) accepted.back()->connection->SetHandler(&accepted.back()->recorder);
  }
  std::vector<std::unique_ptr<Accepted>> accepted;
  bool start_reading = true;
};

inline void WriteText(net::Connection& connection, std::string_view text) {
  Buffer buffer;
  buffer.Append(text);
  connection.Write(&buffer);
}

// `size` bytes that differ from their neighbours, so that a lost, repeated or swapped byte shows.
inline std::string Pattern(size_t size, uint32_t salt = 0) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 2654435761u + salt) >> 13);
  return text;
}

}  // namespace outrigger::sim
