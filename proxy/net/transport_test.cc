// A Transport over a wire in memory: what the owner sees, what goes over the wire in how many writes, and that every ending is told once.
#include "proxy/net/transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/net/testing.h"
#include "proxy/tls/testing.h"

namespace outrigger::net {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::End;
using testing::WireConnection;
using testing::WireLoop;
using tls::testing::kNow;
using tls::testing::MustMakeContext;
using tls::testing::TestMesh;

// Writes down what it is told, and does in it what the test wants done.
class Log final : public Transport::Handler {
 public:
  void OnOpen() override { Note("open", on_open); }
  void OnBytes(Bytes plaintext) override {
    bytes += AsText(plaintext);
    Note("bytes", on_bytes);
    // The view must hold for the whole call, even when the Transport is gone.
    last_size = AsText(plaintext).size();
    for (const uint8_t byte : plaintext) checksum += byte;
  }
  void OnEof() override { Note("eof", on_eof); }
  void OnClosed(Error closed) override {
    error = closed;
    Note("closed", on_closed);
  }
  void OnDrained() override { Note("drained", {}); }

  std::vector<std::string> calls;
  std::string bytes;
  Error error;
  size_t last_size = 0;
  uint64_t checksum = 0;
  std::function<void()> on_open, on_bytes, on_eof, on_closed;

 private:
  void Note(const char* call, const std::function<void()>& action) {
    calls.emplace_back(call);
    if (action) action();
  }
};

class TransportTest : public ::testing::Test {
 protected:
  // Both ends with TLS, or both without.
  void Make(bool with_tls, tls::ClientOptions options = {}) {
    client_ = std::make_unique<Transport>(&loop_, std::make_unique<WireConnection>(client_end_),
                                          with_tls ? tls::MakeClient(web_, std::move(options)) : nullptr, /*connected=*/false,
                                          &client_log_);
    server_ = std::make_unique<Transport>(&loop_, std::make_unique<WireConnection>(server_end_),
                                          with_tls ? tls::MakeServer(orders_, {}) : nullptr, /*connected=*/true, &server_log_);
  }
  void Start() {
    client_->Start();
    server_->Start();
    client_end_->handler->OnConnected();
    loop_.EndTurn();
  }
  void Open(bool with_tls = true) {
    Make(with_tls);
    Start();
    Run();
    ASSERT_TRUE(client_->open());
    ASSERT_TRUE(server_->open());
  }

  // Carries bytes and FINs both ways, at most `piece` bytes a turn, until the wire is quiet.
  void Run(size_t piece = SIZE_MAX) {
    bool moved = true;
    while (moved) {
      moved = Carry(client_end_.get(), server_end_.get(), piece);
      moved = Carry(server_end_.get(), client_end_.get(), piece) || moved;
    }
  }
  bool Carry(End* from, End* to, size_t piece) {
    if (from->sent.empty() && (!from->fin || from->fin_carried)) return false;
    if (to->handler == nullptr) {  // falls on the floor
      from->fin_carried = from->fin;
      return !std::exchange(from->sent, {}).empty();
    }
    if (!to->reading) return false;
    if (!from->sent.empty()) {
      const std::string part = from->sent.substr(0, piece);
      from->sent.erase(0, part.size());
      to->handler->OnRead(AsBytes(part));
    } else {
      from->fin_carried = true;
      to->handler->OnEof();
    }
    loop_.EndTurn();
    return true;
  }
  static void Send(Transport* transport, std::string_view text) {
    Buffer buffer;
    buffer.Append(text);
    transport->Send(&buffer);
    EXPECT_TRUE(buffer.empty());
  }

  const TestMesh mesh_;
  std::shared_ptr<const tls::Context> web_ = MustMakeContext(mesh_.Workload("default", "web"));
  std::shared_ptr<const tls::Context> orders_ = MustMakeContext(mesh_.Workload("default", "orders"));
  WireLoop loop_{kNow};
  const std::shared_ptr<End> client_end_ = std::make_shared<End>(), server_end_ = std::make_shared<End>();
  Log client_log_, server_log_;
  std::unique_ptr<Transport> client_, server_;
};

TEST_F(TransportTest, PlaintextGoesThroughUntouched) {
  Make(false);
  server_->Start();
  EXPECT_THAT(server_log_.calls, ElementsAre("open"));  // accepted: in the call of Start
  client_->Start();
  EXPECT_THAT(client_log_.calls, IsEmpty());
  Send(client_.get(), "early ");
  client_end_->handler->OnConnected();
  EXPECT_THAT(client_log_.calls, ElementsAre("open"));
  Send(client_.get(), "late");
  EXPECT_EQ(client_end_->sent, "early late");
  client_->ShutdownWrite();
  Run();
  EXPECT_EQ(server_log_.bytes, "early late");
  EXPECT_THAT(server_log_.calls, ElementsAre("open", "bytes", "eof"));
  Send(server_.get(), "answer");
  Run();
  EXPECT_EQ(client_log_.bytes, "answer");
  EXPECT_EQ(client_->tls(), nullptr);
}

TEST_F(TransportTest, TlsOpensWhenBothKnowWhoTheOtherIs) {
  Open();
  EXPECT_THAT(client_log_.calls, ElementsAre("open"));
  EXPECT_THAT(server_log_.calls, ElementsAre("open"));
  EXPECT_EQ(client_->tls()->peer().spiffe_id, mesh_.Id("default", "orders"));
  EXPECT_EQ(server_->tls()->peer().spiffe_id, mesh_.Id("default", "web"));
  EXPECT_EQ(client_end_->writes, 2);  // ClientHello; certificate to Finished
  EXPECT_EQ(server_end_->writes, 1);  // ServerHello to Finished; the ticket waits for the first answer
}

TEST_F(TransportTest, EachSendIsOneWrite) {
  Open();
  client_end_->writes = server_end_->writes = 0;
  Send(client_.get(), std::string(100'000, 'q'));
  Run();
  Send(server_.get(), "answer");
  Run();
  EXPECT_EQ(client_end_->writes, 1);
  EXPECT_EQ(server_end_->writes, 1);
  EXPECT_EQ(server_log_.bytes, std::string(100'000, 'q'));
  EXPECT_EQ(client_log_.bytes, "answer");
}

TEST_F(TransportTest, WhatIsSentBeforeItIsOpenLeavesWithTheEndOfTheHandshake) {
  Make(true);
  Send(client_.get(), "GET ");
  EXPECT_EQ(client_->pending(), 4u);
  client_log_.on_open = [&] { Send(client_.get(), "/"); };
  Start();
  Run();
  EXPECT_EQ(server_log_.bytes, "GET /");
  EXPECT_EQ(client_end_->writes, 2);
  EXPECT_EQ(client_->pending(), 0u);
}

TEST_F(TransportTest, DeliveryByteByByteChangesNothing) {
  Make(true);
  Send(client_.get(), "question");
  server_log_.on_bytes = [&, answered = false]() mutable {
    if (!std::exchange(answered, true)) Send(server_.get(), "answer");
  };
  Start();
  Run(1);
  EXPECT_EQ(server_log_.bytes, "question");
  EXPECT_EQ(client_log_.bytes, "answer");
}

TEST_F(TransportTest, CloseNotifyIsAnOrderlyEndAndTheOtherDirectionGoesOn) {
  Open();
  Send(client_.get(), "question");
  client_->ShutdownWrite();
  Run();
  EXPECT_THAT(server_log_.calls, ElementsAre("open", "bytes", "eof"));  // the FIN behind it is not told again
  Send(client_.get(), "too late");
  Send(server_.get(), "answer");
  server_->ShutdownWrite();
  Run();
  EXPECT_EQ(server_log_.bytes, "question");
  EXPECT_EQ(client_log_.bytes, "answer");
  EXPECT_THAT(client_log_.calls, ElementsAre("open", "bytes", "eof"));
}

TEST_F(TransportTest, AFinWithoutCloseNotifyIsATruncation) {
  Open();
  Send(client_.get(), "half a");
  client_end_->fin = true;
  Run();
  EXPECT_THAT(server_log_.calls, ElementsAre("open", "bytes", "closed"));
  EXPECT_EQ(server_log_.error.code, ErrorCode::kClosed);
  EXPECT_THAT(server_log_.error.detail, HasSubstr("without TLS close_notify"));
  EXPECT_FALSE(server_log_.error.unseen);
}

TEST_F(TransportTest, AFailedVerificationIsToldToBothAndNothingWasSeen) {
  client_log_.on_closed = [&] { client_.reset(); };  // as an owner does
  Make(true, {.accepted_ids = {mesh_.Id("default", "somebody-else")}});
  Send(client_.get(), "secret");
  Start();
  Run();
  EXPECT_THAT(client_log_.calls, ElementsAre("closed"));
  EXPECT_EQ(client_log_.error.code, ErrorCode::kTls);
  EXPECT_EQ(client_log_.error.fault, Fault::kUpstream);
  EXPECT_TRUE(client_log_.error.unseen);
  EXPECT_THAT(client_log_.error.detail, HasSubstr("expected spiffe://cluster.local/ns/default/sa/somebody-else"));
  EXPECT_TRUE(client_end_->retired);  // so that the alert is not lost to a RST
  EXPECT_THAT(server_log_.calls, ElementsAre("closed"));
  EXPECT_THAT(server_log_.error.detail, HasSubstr("access denied"));
  EXPECT_EQ(server_log_.bytes, "");
}

TEST_F(TransportTest, AFinDuringTheHandshakeIsUnseen) {
  Make(true);
  Start();
  server_end_->fin = true;
  server_end_->handler = nullptr;
  Run();
  EXPECT_THAT(client_log_.calls, ElementsAre("closed"));
  EXPECT_EQ(client_log_.error.code, ErrorCode::kClosed);
  EXPECT_TRUE(client_log_.error.unseen);
}

TEST_F(TransportTest, AResetDuringTheHandshakeIsUnseenAndSaysWhen) {
  Make(true);
  Start();
  client_end_->handler->OnClosed(Error::Make(ErrorCode::kReset, "connection reset", Fault::kUpstream));
  EXPECT_THAT(client_log_.calls, ElementsAre("closed"));
  EXPECT_EQ(client_log_.error.code, ErrorCode::kReset);
  EXPECT_TRUE(client_log_.error.unseen);
  EXPECT_THAT(client_log_.error.detail, HasSubstr("during the TLS handshake"));
  Send(client_.get(), "into the void");
  client_->SetReading(false);
  client_->ShutdownWrite();
}

TEST_F(TransportTest, AResetLaterIsPassedOnAsItIs) {
  Open();
  client_end_->handler->OnClosed(Error::Make(ErrorCode::kReset, "connection reset", Fault::kUpstream));
  EXPECT_EQ(client_log_.error.code, ErrorCode::kReset);
  EXPECT_FALSE(client_log_.error.unseen);
}

TEST_F(TransportTest, ARefusedConnectionIsPassedOn) {
  Make(true);
  client_->Start();
  client_end_->handler->OnClosed(Error::Make(ErrorCode::kConnectRefused, "connection refused", Fault::kUpstream, true));
  EXPECT_EQ(client_log_.error.code, ErrorCode::kConnectRefused);
  EXPECT_EQ(client_log_.error.detail, "connection refused");
}

TEST_F(TransportTest, GarbageInsteadOfARecordFailsOnce) {
  Open();
  server_end_->sent = "HTTP/1.1 400 Bad Request\r\n\r\n";
  Run();
  EXPECT_THAT(client_log_.calls, ElementsAre("open", "closed"));
  EXPECT_EQ(client_log_.error.code, ErrorCode::kTls);
  server_end_->sent = "more";
  Run();
  EXPECT_THAT(client_log_.calls, ElementsAre("open", "closed"));
}

// Destroying in each call; the sanitizers watch.
TEST_F(TransportTest, MayBeDestroyedInOnOpen) {
  Make(true);
  client_log_.on_open = [&] { client_.reset(); };
  Start();
  Run();
  EXPECT_THAT(client_log_.calls, ElementsAre("open"));
}

TEST_F(TransportTest, MayBeDestroyedInOnOpenOfAnAcceptedPlaintext) {
  Make(false);
  server_log_.on_open = [&] { server_.reset(); };
  server_->Start();
  EXPECT_EQ(server_, nullptr);
}

TEST_F(TransportTest, MayBeDestroyedInOnBytes) {
  Open();
  server_log_.on_bytes = [&] { server_.reset(); };
  Send(client_.get(), std::string(5000, 'x'));
  client_->ShutdownWrite();
  Run();
  EXPECT_THAT(server_log_.calls, ElementsAre("open", "bytes"));
  EXPECT_EQ(server_log_.checksum, 5000u * 'x');
}

TEST_F(TransportTest, MayBeDestroyedInOnEof) {
  Open();
  server_log_.on_eof = [&] { server_.reset(); };
  client_->ShutdownWrite();
  Run();
  EXPECT_THAT(server_log_.calls, ElementsAre("open", "eof"));
}

TEST_F(TransportTest, MayBeDestroyedInOnClosed) {
  Open();
  server_log_.on_closed = [&] { server_.reset(); };
  client_.reset();
  Run();
  EXPECT_THAT(server_log_.calls, ElementsAre("open", "closed"));
}

TEST_F(TransportTest, MayBeRetiredAndAbortedInACall) {
  Open();
  server_log_.on_bytes = [&] { server_->Retire(); };
  client_log_.on_eof = [&] { client_->Abort(); };
  Send(client_.get(), "x");
  Run();
  EXPECT_THAT(server_log_.calls, ElementsAre("open", "bytes"));
  EXPECT_THAT(client_log_.calls, ElementsAre("open", "eof"));
  EXPECT_TRUE(server_end_->retired);
  EXPECT_TRUE(client_end_->aborted);
}

TEST_F(TransportTest, HandlersMayBeExchangedInACall) {
  Log second;
  Make(true);
  server_log_.on_open = [&] { server_->SetHandler(&second); };
  Send(client_.get(), "for the second");
  Start();
  Run();
  EXPECT_THAT(server_log_.calls, ElementsAre("open"));
  EXPECT_EQ(second.bytes, "for the second");
}

TEST_F(TransportTest, NothingIsReadWhileReadingIsOff) {
  Make(true);
  server_log_.on_open = [&] { server_->SetReading(false); };
  Send(client_.get(), "patience");  // arrives in the same read as the end of the handshake
  Start();
  client_->ShutdownWrite();
  Run();
  EXPECT_THAT(server_log_.calls, ElementsAre("open"));
  server_->SetReading(true);
  EXPECT_THAT(server_log_.calls, ElementsAre("open"));  // never from inside the owner's call
  loop_.EndTurn();
  EXPECT_THAT(server_log_.calls, ElementsAre("open", "bytes", "eof"));
  EXPECT_EQ(server_log_.bytes, "patience");
}

TEST_F(TransportTest, TheHandshakeGoesOnWhileReadingIsOff) {
  Make(true);
  server_->SetReading(false);
  Send(client_.get(), "patience");
  Start();
  Run();
  EXPECT_TRUE(server_->open());
  EXPECT_EQ(server_log_.bytes, "");
  EXPECT_FALSE(server_end_->reading);
  server_->SetReading(true);
  loop_.EndTurn();
  EXPECT_EQ(server_log_.bytes, "patience");
}

TEST_F(TransportTest, ReadingMayStopInOnBytesBeforeTheEnd) {
  Open();
  server_log_.on_bytes = [&] { server_->SetReading(false); };
  Send(client_.get(), "x");
  client_->ShutdownWrite();
  Run();
  EXPECT_THAT(server_log_.calls, ElementsAre("open", "bytes"));
  server_->SetReading(true);
  loop_.EndTurn();
  EXPECT_THAT(server_log_.calls, ElementsAre("open", "bytes", "eof"));
}

TEST_F(TransportTest, AShutdownBeforeItIsOpenComesAfterWhatWasSent) {
  Make(true);
  Send(client_.get(), "all there is");
  client_->ShutdownWrite();
  Start();
  Run();
  EXPECT_THAT(server_log_.calls, ElementsAre("open", "bytes", "eof"));
  EXPECT_EQ(server_log_.bytes, "all there is");
  EXPECT_TRUE(client_end_->fin);
}

TEST_F(TransportTest, RetireDeliversEverythingAndSaysGoodbye) {
  Open();
  Send(server_.get(), "last words");
  server_->Retire();
  EXPECT_TRUE(server_end_->retired);
  Send(server_.get(), "ignored");
  EXPECT_EQ(server_->pending(), 0u);
  server_.reset();
  Run();
  EXPECT_THAT(client_log_.calls, ElementsAre("open", "bytes", "eof"));
  EXPECT_EQ(client_log_.bytes, "last words");
}

TEST_F(TransportTest, AbortTellsNobodyHere) {
  Open();
  client_->Abort();
  EXPECT_TRUE(client_end_->aborted);
  EXPECT_THAT(client_log_.calls, ElementsAre("open"));
  client_.reset();
  EXPECT_FALSE(client_end_->retired);
}

TEST_F(TransportTest, BytesThatDetectionHadReadComeFirst) {
  Make(true);
  client_->Start();
  client_end_->handler->OnConnected();
  const std::string hello = std::exchange(client_end_->sent, {});
  server_->Start();
  server_->Replay(AsBytes(hello));
  Run();
  EXPECT_TRUE(server_->open());
}

TEST_F(TransportTest, DrainedIsPassedOnOnceOpen) {
  Make(true);
  Start();
  client_end_->handler->OnDrained();
  EXPECT_THAT(client_log_.calls, IsEmpty());
  Run();
  client_end_->handler->OnDrained();
  EXPECT_THAT(client_log_.calls, ElementsAre("open", "drained"));
}

TEST_F(TransportTest, TheTimeOfTheTurnDecidesWhatIsValid) {
  loop_.SetWall(kNow + 25h);
  Make(true);
  Start();
  Run();
  EXPECT_THAT(client_log_.error.detail, HasSubstr("certificate expired at 2026-11-22T10:00:00Z"));
}

}  // namespace
}  // namespace outrigger::net
