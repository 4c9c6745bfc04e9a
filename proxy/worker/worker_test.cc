#include "proxy/worker/worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <vector>

#include "proxy/io/uv_loop.h"

namespace outrigger::worker {
namespace {

using ::testing::HasSubstr;

// Notes where and when it lives.
struct Resident {
  explicit Resident(std::atomic<bool>* alive_flag) : alive(alive_flag), born_on(std::this_thread::get_id()) { *alive = true; }
  ~Resident() {
    EXPECT_EQ(std::this_thread::get_id(), born_on);
    *alive = false;
  }
  std::atomic<bool>* alive;
  std::thread::id born_on;
};

Result<std::shared_ptr<void>> Nothing(net::Loop&) { return std::shared_ptr<void>(std::make_shared<int>()); }

TEST(Worker, BuildsAndDestroysItsResidentOnItsOwnThread) {
  std::atomic<bool> alive{false};
  std::thread::id born_on;
  Worker worker("w0", 1, [&](net::Loop&) -> Result<std::shared_ptr<void>> {
    auto resident = std::make_shared<Resident>(&alive);
    born_on = resident->born_on;
    return std::shared_ptr<void>(std::move(resident));
  });
  ASSERT_TRUE(worker.Start().ok());
  EXPECT_TRUE(alive);
  EXPECT_NE(born_on, std::this_thread::get_id());
  worker.StopAndJoin();
  EXPECT_FALSE(alive);
  worker.StopAndJoin();
}

TEST(Worker, PassesOnTheFactorysError) {
  Worker worker("w0", 1,
                [](net::Loop&) -> Result<std::shared_ptr<void>> { return Error::Make(ErrorCode::kIo, "cannot listen on :1"); });
  const Outcome outcome = worker.Start();
  ASSERT_FALSE(outcome.ok());
  EXPECT_THAT(outcome.error().detail, HasSubstr("cannot listen"));
  bool ran = false;
  worker.Post([&] { ran = true; });
  worker.StopAndJoin();
  EXPECT_FALSE(ran);
}

TEST(Worker, RunsWhatWasPostedBeforeItStops) {
  Worker worker("w0", 1, &Nothing);
  ASSERT_TRUE(worker.Start().ok());
  int ran = 0;
  for (int i = 0; i < 1000; ++i) worker.Post([&] { ++ran; });
  worker.StopAndJoin();
  EXPECT_EQ(ran, 1000);
  const auto token = std::make_shared<int>();
  worker.Post([token] { FAIL(); });
  EXPECT_EQ(token.use_count(), 1);
}

TEST(Worker, TwoWorkersTalkThroughTheirMailboxes) {
  Worker one("w0", 1, &Nothing);
  Worker two("w1", 2, &Nothing);
  ASSERT_TRUE(one.Start().ok());
  ASSERT_TRUE(two.Start().ok());
  std::promise<int> done;
  // The ball is touched by whoever has it, and by nobody else.
  int ball = 0;
  std::function<void(int)> serve = [&](int to) {
    (to == 0 ? one : two).Post([&, to] {
      if (++ball == 2000) {
        done.set_value(ball);
      } else {
        serve(1 - to);
      }
    });
  };
  serve(0);
  EXPECT_EQ(done.get_future().get(), 2000);
}

// Greets whoever comes, and counts.
class Greeter : public net::Listener::Handler, public net::Connection::Handler {
 public:
  Greeter(net::Loop& loop, std::atomic<int>* greeted) : loop_(loop), greeted_(greeted) {}
  Outcome Open(net::Address address) {
    Result<std::unique_ptr<net::Listener>> listener = loop_.Listen({.address = std::move(address), .share_port = true}, this);
    if (!listener.ok()) return listener.error();
    listener_ = std::move(listener).value();
    return {};
  }
  net::Address local() const { return listener_->local(); }

 private:
  void OnAccept(std::unique_ptr<net::Connection> connection) override {
    ++*greeted_;
    Buffer out;
    out.Append("hi");
    connection->SetHandler(this);
    connection->Write(&out);
    loop_.Retire(std::move(connection));
  }
  void OnRead(Bytes) override {}
  void OnEof() override {}
  void OnClosed(Error) override {}

  net::Loop& loop_;
  std::atomic<int>* greeted_;
  std::unique_ptr<net::Listener> listener_;
};

TEST(Worker, TwoWorkersShareOnePort) {
  std::atomic<int> greeted[2] = {0, 0};
  net::Address address = net::Address::Loopback(0);
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < 2; ++i) {
    workers.push_back(std::make_unique<Worker>(
        "w" + std::to_string(i), static_cast<uint64_t>(i), [&, i](net::Loop& loop) -> Result<std::shared_ptr<void>> {
          auto greeter = std::make_shared<Greeter>(loop, &greeted[i]);
          if (Outcome outcome = greeter->Open(address); !outcome.ok()) return outcome.error();
          address = greeter->local();  // the port that the first was given; Start waits, so nobody else looks now
          return std::shared_ptr<void>(std::move(greeter));
        }));
    ASSERT_TRUE(workers.back()->Start().ok());
  }
  struct Guest : net::Connection::Handler {
    void OnRead(Bytes bytes) override { received += AsText(bytes); }
    void OnEof() override { done = true; }
    void OnClosed(Error error) override {
      done = true;
      ADD_FAILURE() << error.ToString();
    }
    std::string received;
    bool done = false;
    std::unique_ptr<net::Connection> connection;
  };
  io::UvLoop loop(3);
  constexpr int kGuests = 200;
  for (int i = 0; i < kGuests; ++i) {
    Guest guest;
    guest.connection = loop.Connect({.address = address, .timeout = 30s}, &guest);
    while (!guest.done) loop.RunTurn();
    ASSERT_EQ(guest.received, "hi");
  }
  EXPECT_EQ(greeted[0] + greeted[1], kGuests);
  // The kernel spreads by a hash of the ports: one of two workers getting all 200 has a chance of 2^-199.
  EXPECT_GT(greeted[0], 0);
  EXPECT_GT(greeted[1], 0);
}

}  // namespace
}  // namespace outrigger::worker
