#include "proxy/admin/http_server.h"

#include <algorithm>

#include "proxy/admin/request_target.h"
#include "proxy/codec/codec.h"
#include "proxy/net/transport.h"

namespace outrigger::admin {

namespace {

constexpr size_t kMaxPipelinedBytes = 64 * 1024;

struct RouteEntry {
  http::Method method;
  std::vector<std::string> pattern;
  Handler handler;
};

}  // namespace

// ---------------------------------------------------------------- small parts of the interface

std::string_view Request::Query(const std::string& name) const {
  auto it = query.find(name);
  return it == query.end() ? std::string_view() : std::string_view(it->second);
}

// ---------------------------------------------------------------- one exchange's way back

class Responder::Sink {
 public:
  virtual ~Sink() = default;
  virtual void Answer(uint64_t exchange, Response response) = 0;
  virtual bool Waits(uint64_t exchange) const = 0;
};

Responder& Responder::operator=(Responder&& other) noexcept {
  if (this != &other) {
    Responder ends(std::move(*this));
    sink_ = std::move(other.sink_);
    exchange_ = other.exchange_;
  }
  return *this;
}

Responder::~Responder() {
  if (alive()) Send(Response::Text(500, "the request was not answered\n"));
}

void Responder::Send(Response response) {
  std::shared_ptr<Sink> sink = sink_.lock();
  sink_.reset();
  if (sink != nullptr) sink->Answer(exchange_, std::move(response));
}

bool Responder::alive() const {
  std::shared_ptr<Sink> sink = sink_.lock();
  return sink != nullptr && sink->Waits(exchange_);
}

// ---------------------------------------------------------------- server

namespace {

class Connection;

class HttpServerImpl final : public HttpServer, private net::Listener::Handler, private net::TurnTask {
 public:
  HttpServerImpl(net::Loop* loop, ServerOptions options) : loop_(loop), options_(std::move(options)) {}

  Outcome Listen() {
    Result<std::unique_ptr<net::Listener>> listener = loop_->Listen({.address = options_.address, .backlog = 128}, this);
    if (!listener.ok()) return listener.error();
    listener_ = std::move(*listener);
    local_ = listener_->local();
    return {};
  }

  net::Address local() const override { return local_; }
  size_t connections() const override { return connections_.size(); }
  void Route(http::Method method, std::string_view pattern, admin::Handler handler) override {
    std::vector<std::string> segments;
    for (std::string_view segment : Segments(pattern)) segments.emplace_back(segment);
    routes_.push_back({method, std::move(segments), std::move(handler)});
  }
  void Drain() override;

  void Dispatch(Request request, Responder responder);
  void Closed(uint64_t id);

  net::Loop* loop() const { return loop_; }
  const ServerOptions& options() const { return options_; }
  bool draining() const { return draining_; }

 private:
  void OnAccept(std::unique_ptr<net::Connection> connection) override;
  void OnTurnEnd() override { gone_.clear(); }

  net::Loop* const loop_;
  const ServerOptions options_;
  net::Address local_;
  std::unique_ptr<net::Listener> listener_;
  std::vector<RouteEntry> routes_;
  std::map<uint64_t, std::shared_ptr<Connection>> connections_;
  std::vector<std::shared_ptr<Connection>> gone_;  // they are on the stack when they end
  uint64_t next_id_ = 1;
  bool draining_ = false;
};

// One client. HTTP/1.1 answers in order, so there is one exchange at a time; the codec stops reading until it is answered.
class Connection final : public net::Transport::Handler, public Responder::Sink, public std::enable_shared_from_this<Connection> {
 public:
  Connection(HttpServerImpl* server, uint64_t id, std::unique_ptr<net::Connection> connection)
      : server_(server),
        id_(id),
        remote_(connection->remote()),
        codec_(codec::MakeHttp1Server({})),
        transport_(server->loop(), std::move(connection), nullptr, true, this) {}

  void Start() {
    server_->loop()->Arm(&timer_, server_->options().idle_timeout);
    transport_.Start();
  }

  void Drain() {
    codec_->Drain();
    if (exchange_ == 0 && input_.empty()) Close();
  }

  void Answer(uint64_t exchange, Response response) override {
    if (!Waits(exchange)) return;
    Write(std::move(response));
    Process();
  }
  bool Waits(uint64_t exchange) const override { return !closed_ && exchange_ == exchange && dispatched_; }

 private:
  void OnOpen() override {}
  void OnBytes(Bytes bytes) override {
    input_.Append(bytes);
    if (input_.size() > kMaxPipelinedBytes && !codec_->wants_input()) transport_.SetReading(false), reading_ = false;
    Process();
  }
  void OnEof() override {
    // A half-closed client still gets its answer, then the connection ends.
    eof_ = true;
    Process();
  }
  void OnClosed(Error) override { Gone(); }
  void OnTimer();

  void Process();
  void OnEvent(const codec::StreamEvent& event);
  void OnRequest(const codec::StreamEvent& event);
  void OnData(Bytes data);
  void OnRequestEnd();
  void Refuse(Response response);
  void Write(Response response);
  void Flush();
  void Close();
  void Gone() {
    if (closed_) return;
    closed_ = true;
    timer_.Disarm();
    server_->Closed(id_);
  }

  HttpServerImpl* const server_;
  const uint64_t id_;
  const net::Address remote_;
  std::unique_ptr<codec::ServerCodec> codec_;
  net::Transport transport_;
  CallbackTimer<Connection, &Connection::OnTimer> timer_{this};
  Buffer input_;
  Request request_;
  http::StreamId exchange_ = 0;  // 0: none
  bool dispatched_ = false;      // the handler has it
  bool processing_ = false;
  bool reading_ = true;
  bool eof_ = false;
  bool eof_fed_ = false;
  bool closed_ = false;
};

void Connection::Process() {
  if (processing_ || closed_) return;
  processing_ = true;
  std::shared_ptr<Connection> alive = shared_from_this();
  for (;;) {
    codec::StreamEvent event;
    while (!closed_ && codec_->Next(&event)) OnEvent(event);
    if (closed_) break;
    if (!input_.empty() && codec_->wants_input()) {
      if (exchange_ == 0) server_->loop()->Arm(&timer_, server_->options().head_timeout);
      const size_t taken = codec_->Feed(input_.view(), server_->loop()->now());
      input_.Consume(taken);
      if (taken > 0) continue;
    }
    if (eof_ && !eof_fed_ && input_.empty()) {
      eof_fed_ = true;
      codec_->FeedEof();
      continue;
    }
    break;
  }
  processing_ = false;
  if (closed_) return;
  Flush();
  if (codec_->should_close() || (eof_ && exchange_ == 0) || (server_->draining() && exchange_ == 0 && input_.empty())) {
    Close();
  } else if (!reading_ && input_.size() <= kMaxPipelinedBytes) {
    reading_ = true;
    transport_.SetReading(true);
  }
}

void Connection::OnEvent(const codec::StreamEvent& event) {
  using Kind = codec::StreamEvent::Kind;
  switch (event.kind) {
    case Kind::kRequest:
      OnRequest(event);
      break;
    case Kind::kData:
      OnData(event.data);
      break;
    case Kind::kEnd:
      OnRequestEnd();
      break;
    case Kind::kReset:
    case Kind::kFailed:
      Close();
      break;
    default:
      break;
  }
}

void Connection::OnRequest(const codec::StreamEvent& event) {
  const http::RequestHead& head = *event.request;
  exchange_ = event.stream;
  dispatched_ = false;
  request_ = Request();
  request_.method = head.method == http::Method::kHead ? http::Method::kGet : head.method;
  request_.remote = remote_;
  const auto value = [&head](std::string_view name) { return std::string(head.headers.Get(name).value_or("")); };
  request_.authorization = value("authorization");
  request_.content_type = value("content-type");
  request_.accept = value("accept");

  if (!server_->options().any_host && !AcceptsHost(head.authority, server_->local(), server_->options().allowed_hosts)) {
    return Refuse(Response::Text(403, "this address is served to loopback names only: use localhost or 127.0.0.1 as host\n"));
  }
  if (std::string origin = value("origin"); !origin.empty()) {
    const size_t scheme = origin.find("://");
    if (scheme == std::string::npos ||
        !AcceptsHost(std::string_view(origin).substr(scheme + 3), server_->local(), server_->options().allowed_hosts)) {
      return Refuse(Response::Text(403, "requests from pages of other origins are not served\n"));
    }
  }
  const size_t question = std::min(head.path.find('?'), head.path.size());
  Result<std::string> path = PercentDecode(head.path.substr(0, question));
  auto query = ParseQuery(head.path.substr(std::min(question + 1, head.path.size())));
  if (!path.ok() || !query.has_value() || path->empty() || path->front() != '/') {
    return Refuse(Response::Text(400, "the path or query cannot be read: percent escapes, and each name once\n"));
  }
  // Decoded for handlers; patterns are matched on what was sent, so that an escaped slash stays inside its segment.
  request_.path = std::move(*path);
  for (std::string_view segment : Segments(head.path.substr(0, question))) {
    request_.parameters.push_back(*PercentDecode(segment));
  }
  request_.query = std::move(*query);
  if (head.content_length.value_or(0) > server_->options().body_bytes) {
    return Refuse(Response::Text(413, "the body is larger than " + std::to_string(server_->options().body_bytes) + " bytes\n"));
  }
  if (head.expect_continue) {
    http::ResponseHead go_on;
    go_on.status = 100;
    codec_->SendInformational(exchange_, go_on);
    Flush();
  }
}

void Connection::OnData(Bytes data) {
  codec_->Consumed(exchange_, data.size());
  if (request_.body.size() + data.size() > server_->options().body_bytes) {
    return Refuse(Response::Text(413, "the body is larger than " + std::to_string(server_->options().body_bytes) + " bytes\n"));
  }
  request_.body.append(AsText(data));
}

void Connection::OnRequestEnd() {
  dispatched_ = true;
  timer_.Disarm();  // a handler may take its time: it has its own
  server_->Dispatch(std::move(request_), Responder(weak_from_this(), exchange_));
}

// An answer before the request was read to its end, and the end of the connection.
void Connection::Refuse(Response response) {
  response.headers.emplace_back("connection", "close");
  Write(std::move(response));
  Close();
}

void Connection::Write(Response response) {
  http::ResponseHead head;
  head.status = response.status;
  head.content_length = response.body.size();
  head.headers.Add("content-type", response.content_type);
  head.headers.Add("cache-control", "no-store");
  head.headers.Add("x-content-type-options", "nosniff");
  for (const auto& [name, value] : response.headers) {
    if (name == "connection") {
      head.close = true;
    } else {
      head.headers.Add(name, value);
    }
  }
  if (server_->draining()) head.close = true;
  const http::StreamId stream = exchange_;
  codec_->SendResponse(stream, head, response.body.empty());
  if (!response.body.empty()) {
    codec_->SendData(stream, AsBytes(response.body));
    codec_->SendEnd(stream);
  }
  if (dispatched_) {
    dispatched_ = false;
    exchange_ = 0;
    server_->loop()->Arm(&timer_, server_->options().idle_timeout);
  }
  Flush();
}

// Idle for too long, or a request that does not come to its end.
void Connection::OnTimer() {
  if (exchange_ != 0 || codec_->head_started()) codec_->ReplyAndClose(408, "timeout", "the request took too long to arrive\n");
  Close();
}

void Connection::Flush() {
  if (!closed_ && !codec_->output().empty()) transport_.Send(&codec_->output());
}

void Connection::Close() {
  if (closed_) return;
  Flush();
  transport_.Retire();
  Gone();
}

void HttpServerImpl::OnAccept(std::unique_ptr<net::Connection> connection) {
  if (connections_.size() >= options_.max_connections) return;  // closed by its destructor
  const uint64_t id = next_id_++;
  auto made = std::make_shared<Connection>(this, id, std::move(connection));
  connections_.emplace(id, made);
  made->Start();
}

void HttpServerImpl::Closed(uint64_t id) {
  auto it = connections_.find(id);
  if (it == connections_.end()) return;
  gone_.push_back(std::move(it->second));
  connections_.erase(it);
  loop_->AtTurnEnd(this);
}

void HttpServerImpl::Drain() {
  draining_ = true;
  listener_.reset();
  std::vector<std::shared_ptr<Connection>> all;
  for (auto& [id, connection] : connections_) all.push_back(connection);
  for (auto& connection : all) connection->Drain();
}

void HttpServerImpl::Dispatch(Request request, Responder responder) {
  const std::vector<std::string> path = std::move(request.parameters);
  std::string allow;
  for (const RouteEntry& route : routes_) {
    if (!Fits(route.pattern, path, &request.parameters)) continue;
    if (route.method == request.method) return route.handler(request, std::move(responder));
    if (!allow.empty()) allow += ", ";
    allow += MethodName(route.method);
    if (route.method == http::Method::kGet) allow += ", HEAD";
  }
  if (allow.empty()) return responder.Send(Response::Text(404, "no such page: " + request.path + "\n"));
  Response response = Response::Text(405, "this page takes " + allow + "\n");
  response.headers.emplace_back("allow", allow);
  responder.Send(std::move(response));
}

}  // namespace

Result<std::unique_ptr<HttpServer>> MakeHttpServer(net::Loop* loop, ServerOptions options) {
  auto server = std::make_unique<HttpServerImpl>(loop, std::move(options));
  if (Outcome outcome = server->Listen(); !outcome.ok()) return outcome.error();
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace outrigger::admin
