// One worker: a thread, its loop, and what the owner puts on it (a shard). The shell around a shard; knows nothing of it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "proxy/base/error.h"
#include "proxy/net/loop.h"

namespace outrigger::worker {

// Builds what lives on the worker, on the worker's thread, in the first turn of its loop. shared_ptr<void> holds any type and
// destroys it as what it was. An error ends the worker.
using Factory = std::function<Result<std::shared_ptr<void>>(net::Loop&)>;

// Used from one thread (main); post() from any.
class Worker {
 public:
  // `name`: of the thread, at most 15 bytes. `seed`: of the loop's random numbers.
  Worker(std::string name, uint64_t seed, Factory factory);
  ~Worker();  // stops and joins
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Starts the thread and waits until the factory has run; its error otherwise (the thread is gone then). Once.
  Outcome Start();

  // Runs `message` on the worker's thread, in order; destroyed unrun once the worker has stopped. Thread-safe. After Start.
  void Post(std::function<void()> message) { mailbox_->Post(std::move(message)); }
  // Of the worker's loop; outlives the worker. After Start.
  std::shared_ptr<net::Mailbox> mailbox() const { return mailbox_; }

  // After what was posted before has run: destroys what the factory made, on its thread, then ends the thread and waits for
  // that. Polite endings (draining) come first and are the owner's business. Fine to call again.
  void StopAndJoin();

 private:
  const std::string name_;
  const uint64_t seed_;
  Factory factory_;
  std::shared_ptr<net::Mailbox> mailbox_;
  std::function<void()> stop_;  // runs on the worker's thread
  std::thread thread_;
};

}  // namespace outrigger::worker
