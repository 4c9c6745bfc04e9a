#include "proxy/worker/worker.h"

#include <pthread.h>

#include <future>
#include <optional>
#include <utility>

#include "proxy/io/uv_loop.h"

namespace outrigger::worker {
namespace {

constexpr size_t kThreadNameLimit = 15;  // pthread_setname_np(3)

struct Started {
  Outcome outcome;
  std::shared_ptr<net::Mailbox> mailbox;
  std::function<void()> stop;
};

void RunThread(const std::string& name, uint64_t seed, Factory factory, std::promise<Started> started) {
  pthread_setname_np(pthread_self(), name.substr(0, kThreadNameLimit).c_str());
  io::UvLoop loop(seed);
  std::shared_ptr<void> resident;
  Outcome outcome;
  // In a turn of the loop, so that its time is fresh and turn-end tasks work as everywhere.
  loop.mailbox()->Post([&] {
    Result<std::shared_ptr<void>> made = factory(loop);
    factory = nullptr;
    if (made.ok()) {
      resident = std::move(made).value();
    } else {
      outcome = made.error();
      loop.Stop();
    }
    started.set_value({outcome, loop.mailbox(), [&loop, &resident] {
                         resident.reset();
                         loop.Stop();
                       }});
  });
  loop.Run();
}

}  // namespace

Worker::Worker(std::string name, uint64_t seed, Factory factory) : name_(std::move(name)), seed_(seed), factory_(std::move(factory)) {}

Worker::~Worker() { StopAndJoin(); }

Outcome Worker::Start() {
  std::promise<Started> promise;
  std::future<Started> future = promise.get_future();
  thread_ = std::thread(&RunThread, name_, seed_, std::move(factory_), std::move(promise));
  Started started = future.get();
  mailbox_ = std::move(started.mailbox);
  stop_ = std::move(started.stop);
  if (!started.outcome.ok()) thread_.join();
  return started.outcome;
}

void Worker::StopAndJoin() {
  if (!thread_.joinable()) return;
  mailbox_->Post(std::exchange(stop_, nullptr));
  thread_.join();
}

}  // namespace outrigger::worker
