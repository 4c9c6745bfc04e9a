#include "proxy/admin/pages.h"

#include <utility>
#include <vector>

#include "proxy/admin/http_server.h"
#include "proxy/admin/view.h"

namespace outrigger::admin {
namespace {

constexpr std::string_view kExposition = "text/plain; version=0.0.4; charset=utf-8";
constexpr std::pair<LogLevel, std::string_view> kLevels[] = {
    {LogLevel::kDebug, "debug"}, {LogLevel::kInfo, "info"}, {LogLevel::kWarning, "warning"}, {LogLevel::kError, "error"}};

class PagesImpl final : public Pages {
 public:
  PagesImpl(net::Loop* loop, PagesOptions options, sidecar::Sidecar* sidecar)
      : loop_(loop), options_(std::move(options)), sidecar_(sidecar) {}

  Outcome Start();
  net::Address admin_address() const override { return admin_ == nullptr ? net::Address() : admin_->local(); }
  net::Address telemetry_address() const override { return telemetry_ == nullptr ? net::Address() : telemetry_->local(); }

 private:
  using Reports = std::vector<sidecar::ShardReport>;
  using Page = std::function<Response(const View& view, const Request& request)>;
  struct Waiting {
    Request request;
    Responder responder;
    Page page;
  };

  void RouteAdmin();
  void RouteTelemetry();
  void RouteChanges();
  // A page that needs no worker's word.
  void Read(HttpServer* server, std::string_view path, Page page);
  // A page made from what the workers say.
  void ReadWorkers(HttpServer* server, std::string_view path, Page page);
  void Change(std::string_view path, std::function<Response(const Request&)> change);
  View MakeView(const Reports* reports) const;

  // Only one question to the workers is under way: who asks meanwhile waits for the next one, which sees what happened before the asking.
  void Ask();
  void OnReports(const Reports& reports);
  void OnSlow();

  Response Ready() const;
  Response Logging(const Request& request);
  Response Drain();

  net::Loop* const loop_;
  const PagesOptions options_;
  sidecar::Sidecar* const sidecar_;
  std::unique_ptr<HttpServer> admin_;
  std::unique_ptr<HttpServer> telemetry_;
  std::vector<Waiting> asked_;  // for the question under way
  std::vector<Waiting> next_;
  bool asking_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  CallbackTimer<PagesImpl, &PagesImpl::OnSlow> slow_timer_{this};
};

Response Metrics(const View& view, const Request&) { return {200, std::string(kExposition), MetricsPage(view), {}}; }

Outcome PagesImpl::Start() {
  if (options_.admin.family() != net::Address::Family::kNone) {
    ServerOptions server;
    server.address = options_.admin;
    Result<std::unique_ptr<HttpServer>> made = MakeHttpServer(loop_, std::move(server));
    if (!made) return made.error();
    admin_ = std::move(made).value();
    RouteAdmin();
    RouteChanges();
  }
  if (options_.telemetry.family() != net::Address::Family::kNone) {
    ServerOptions server;
    server.address = options_.telemetry;
    server.any_host = true;  // kubelet and Prometheus call by the pod's address; nothing here changes anything
    Result<std::unique_ptr<HttpServer>> made = MakeHttpServer(loop_, std::move(server));
    if (!made) return made.error();
    telemetry_ = std::move(made).value();
    RouteTelemetry();
  }
  return {};
}

View PagesImpl::MakeView(const Reports* reports) const {
  View view;
  view.sidecar = sidecar_;
  view.self = &options_.self;
  view.shards = reports;
  if (options_.process != nullptr) view.process = options_.process();
  if (options_.access_log != nullptr) view.access_log = options_.access_log();
  view.now = loop_->now();
  view.wall_now = loop_->wall_now();
  return view;
}

void PagesImpl::Read(HttpServer* server, std::string_view path, Page page) {
  server->Route(http::Method::kGet, path, [this, page = std::move(page)](const Request& request, Responder responder) {
    responder.Send(page(MakeView(nullptr), request));
  });
}

void PagesImpl::ReadWorkers(HttpServer* server, std::string_view path, Page page) {
  server->Route(http::Method::kGet, path, [this, page = std::move(page)](const Request& request, Responder responder) {
    next_.push_back({request, std::move(responder), page});
    if (!asking_) Ask();
    if (!slow_timer_.armed()) loop_->Arm(&slow_timer_, options_.answer_timeout);
  });
}

void PagesImpl::Change(std::string_view path, std::function<Response(const Request&)> change) {
  admin_->Route(http::Method::kPost, path, [change = std::move(change)](const Request& request, Responder responder) {
    responder.Send(change(request));
  });
}

// ---------------------------------------------------------------- the workers' word

void PagesImpl::Ask() {
  asking_ = true;
  asked_ = std::exchange(next_, {});
  sidecar_->Gather([this, alive = std::weak_ptr<bool>(alive_)](const Reports& reports) {
    if (alive.lock() != nullptr) OnReports(reports);
  });
}

void PagesImpl::OnReports(const Reports& reports) {
  asking_ = false;
  slow_timer_.Disarm();
  std::vector<Waiting> asked = std::exchange(asked_, {});
  const View view = MakeView(&reports);
  for (Waiting& waiting : asked) {
    if (waiting.responder.alive()) waiting.responder.Send(waiting.page(view, waiting.request));
  }
  if (next_.empty() || asking_) return;
  Ask();
  loop_->Arm(&slow_timer_, options_.answer_timeout);
}

// A worker that is stuck must not keep clients waiting, nor pile up questions: the one under way stays the only one.
void PagesImpl::OnSlow() {
  std::vector<Waiting> late = std::exchange(asked_, {});
  for (Waiting& waiting : std::exchange(next_, {})) late.push_back(std::move(waiting));
  for (Waiting& waiting : late) {
    waiting.responder.Send(Response::Text(503, "a worker has not answered in time: it is overloaded or stuck\n"));
  }
}

// ---------------------------------------------------------------- reading

Response PagesImpl::Ready() const {
  if (sidecar_->ready()) return Response::Text(200, "LIVE\n");
  if (sidecar_->state() == sidecar::State::kLive) {
    return Response::Text(503, "DRAINING\nreadiness was taken away by /healthcheck/fail; /healthcheck/ok gives it back\n");
  }
  std::string text(sidecar::StateName(sidecar_->state()));
  text += '\n';
  if (sidecar_->state() == sidecar::State::kInitializing) {
    text += sidecar_->waiting_for() + '\n';
    const discovery::LinkStatus& link = sidecar_->link().status();
    if (!link.connected && !link.last_error.empty()) text += "the control plane is away: " + link.last_error + '\n';
  } else {
    text += "no new work is taken; what is under way is finished\n";
  }
  return Response::Text(503, std::move(text));
}

void PagesImpl::RouteAdmin() {
  HttpServer* const server = admin_.get();
  const auto html = [](std::string body) { return Response{200, "text/html; charset=utf-8", std::move(body), {}}; };
  for (const std::string_view path : {"/", "/help"}) {
    Read(server, path, [html](const View& view, const Request&) { return html(IndexPage(view)); });
  }
  Read(server, "/ready", [this](const View&, const Request&) { return Ready(); });
  Read(server, "/server_info", [](const View& view, const Request&) { return ServerInfoPage(view); });
  Read(server, "/certs", [](const View& view, const Request&) { return CertsPage(view); });
  Read(server, "/memory", [](const View& view, const Request&) { return MemoryPage(view); });
  Read(server, "/config_dump", [this](const View&, const Request& request) { return ConfigDumpPage(&sidecar_->link(), request); });
  ReadWorkers(server, "/stats", [](const View& view, const Request& request) {
    return request.Query("format") == "prometheus" ? Metrics(view, request) : StatsPage(view, request);
  });
  ReadWorkers(server, "/stats/prometheus", Metrics);
  ReadWorkers(server, "/metrics", Metrics);
  ReadWorkers(server, "/clusters", ClustersPage);
  ReadWorkers(server, "/listeners", ListenersPage);
}

void PagesImpl::RouteTelemetry() {
  HttpServer* const server = telemetry_.get();
  ReadWorkers(server, "/metrics", Metrics);
  Read(server, "/ready", [this](const View&, const Request&) { return Ready(); });
  Read(server, "/live", [](const View&, const Request&) { return Response::Text(200, "LIVE\n"); });
}

// ---------------------------------------------------------------- changing

Response PagesImpl::Logging(const Request& request) {
  if (options_.log_level == nullptr) return Response::Text(501, "this process has one log level for all its life\n");
  if (const std::string_view wanted = request.Query("level"); !wanted.empty()) {
    bool known = false;
    for (const auto& [level, name] : kLevels) {
      if (name == wanted) options_.log_level->store(level), known = true;
    }
    if (!known) return Response::Text(400, "level must be debug, info, warning or error\n");
  } else if (!request.query.empty()) {
    return Response::Text(400, "there is one logger: POST /logging?level=debug\n");
  }
  std::string text = "active loggers:\n";
  for (const auto& [level, name] : kLevels) {
    if (level == options_.log_level->load()) text += "  outrigger: " + std::string(name) + "\n";
  }
  return Response::Text(200, std::move(text));
}

Response PagesImpl::Drain() {
  if (sidecar_->state() != sidecar::State::kDraining) {
    sidecar_->Drain(options_.drain_grace, Duration::max(), [](bool) {});
  }
  return Response::Text(200, "OK\n");
}

void PagesImpl::RouteChanges() {
  Change("/logging", [this](const Request& request) { return Logging(request); });
  Change("/reopen_logs", [this](const Request&) {
    if (options_.reopen_logs != nullptr) options_.reopen_logs();
    return Response::Text(200, "OK\n");
  });
  Change("/drain", [this](const Request&) { return Drain(); });
  Change("/drain_listeners", [this](const Request&) { return Drain(); });
  Change("/healthcheck/fail", [this](const Request&) { return sidecar_->set_healthy(false), Response::Text(200, "OK\n"); });
  Change("/healthcheck/ok", [this](const Request&) { return sidecar_->set_healthy(true), Response::Text(200, "OK\n"); });
  admin_->Route(http::Method::kPost, "/quitquitquit", [this](const Request&, Responder responder) {
    if (options_.quit == nullptr) return responder.Send(Response::Text(501, "this process cannot be ended from here\n"));
    responder.Send(Response::Text(200, "OK\n"));
    options_.quit();
  });
}

}  // namespace

Result<std::unique_ptr<Pages>> MakePages(net::Loop* loop, PagesOptions options, sidecar::Sidecar* sidecar) {
  auto pages = std::make_unique<PagesImpl>(loop, std::move(options), sidecar);
  if (Outcome started = pages->Start(); !started) return started.error();
  return std::unique_ptr<Pages>(std::move(pages));
}

}  // namespace outrigger::admin
