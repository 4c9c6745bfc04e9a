// One workload, orders-1: its application, its sidecar with two workers and admin pages, and the control plane it belongs to.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/admin/http_client.h"
#include "proxy/admin/http_server.h"
#include "proxy/admin/pages.h"
#include "test/scenario/mesh.h"
#include "test/scenario/sim_environment.h"
#include "test/sim/testing.h"

namespace outrigger {

class OneSidecar : public ::testing::Test {
 protected:
  static constexpr uint16_t kOutbound = 15001, kInbound = 15006, kAdmin = 15000, kTelemetry = 15020, kApp = 8080;

  // Answers /fast at once, and /slow when `held` is let go.
  struct App {
    explicit App(net::Loop* loop) {
      server = std::move(admin::MakeHttpServer(loop, {.address = net::Address::Loopback(kApp), .any_host = true})).value();
      server->Route(http::Method::kGet, "/fast", [](const admin::Request&, admin::Responder out) {
        out.Send(admin::Response::Text(200, "fast\n"));
      });
      server->Route(http::Method::kGet, "/slow", [this](const admin::Request&, admin::Responder out) { held.push_back(std::move(out)); });
    }
    void LetGo() {
      for (admin::Responder& out : std::exchange(held, {})) out.Send(admin::Response::Text(200, "slow\n"));
    }
    std::vector<admin::Responder> held;
    std::unique_ptr<admin::HttpServer> server;
  };
  // What outrigger-proxy wires.
  struct Proxy {
    Proxy(scenario::Actor& actor, const scenario::SidecarOptions& sidecar_options, admin::PagesOptions pages_options)
        : sidecar(actor, sidecar_options),
          pages(std::move(admin::MakePages(&actor.loop(), std::move(pages_options), &sidecar.sidecar())).value()) {}
    scenario::SidecarActor sidecar;
    std::unique_ptr<admin::Pages> pages;  // goes first
  };

  OneSidecar() {
    mesh_.AddObject("mesh.yaml",
                    "apiVersion: v1\nkind: Service\nmetadata: {name: orders, namespace: default}\nspec:\n  selector: {app: orders}\n"
                    "  ports: [{name: http, port: 80, targetPort: http, appProtocol: http}]\n---\n"
                    "apiVersion: outrigger.dev/v1\nkind: Workload\n"
                    "metadata: {name: orders-1, namespace: default, labels: {app: orders}}\nspec:\n  address: " +
                        env_.AddressOf(machine_, 0).Ip() + "\n  serviceAccount: orders\n  ports: {http: 8080}\n");
    app_ = env_.AddActor(machine_, "app", [](scenario::Actor& actor) { return std::make_shared<App>(&actor.loop()); });
    person_ = env_.AddActor(machine_, "person", [this](scenario::Actor& actor) {
      person_loop_ = &actor.loop();
      return std::make_shared<int>(0);
    });
    env_.Start(app_);
    env_.Start(person_);
    EXPECT_TRUE(mesh_.Start());
  }

  void StartProxy(admin::PagesOptions pages = {}) {
    scenario::SidecarOptions options;
    options.control = mesh_.plane().xds_address().ToString();
    options.workload = "default/orders-1";
    options.data_dir = env_.Folder(machine_) + "/sidecar";
    options.token = mesh_.plane().CreateToken("default/orders-1").value();
    options.outbound = net::Address::Loopback(kOutbound);
    options.inbound = env_.AddressOf(machine_, kInbound);
    options.workers = 2;
    pages.admin = net::Address::Loopback(kAdmin);
    pages.telemetry = env_.AddressOf(machine_, kTelemetry);
    pages.self.workload_namespace = "default";
    pages.self.workload = "orders-1";
    proxy_ = env_.AddActor(machine_, "proxy", [options, pages](scenario::Actor& actor) {
      return std::make_shared<Proxy>(actor, options, pages);
    });
    env_.Start(proxy_);
    ASSERT_EQ(env_.Get<Proxy>(proxy_)->sidecar.trouble(), "");
  }
  void StartReadyProxy(admin::PagesOptions pages = {}) {
    StartProxy(std::move(pages));
    ASSERT_TRUE(env_.RunUntil([this] { return sidecar().ready(); }, 60s)) << sidecar().waiting_for();
  }
  sidecar::Sidecar& sidecar() { return env_.Get<Proxy>(proxy_)->sidecar.sidecar(); }
  App& app() { return *env_.Get<App>(app_); }

  // ---- a person on the same machine, or its application calling out
  struct Call {
    std::unique_ptr<admin::HttpExchange> exchange;
    std::optional<Result<admin::HttpReply>> reply;
    int status() const { return reply.has_value() && reply->ok() ? (*reply)->status : -1; }
  };
  std::shared_ptr<Call> Begin(const net::Address& address, const std::string& path, http::Method method = http::Method::kGet,
                              const std::string& host = "localhost") {
    auto call = std::make_shared<Call>();
    admin::HttpRequest request;
    request.method = method;
    request.path = path;
    request.host = host;
    call->exchange = admin::StartHttp(person_loop_, address, request, 600s,
                                      [weak = std::weak_ptr<Call>(call)](Result<admin::HttpReply> reply) {
                                       if (const auto still_wanted = weak.lock()) still_wanted->reply = std::move(reply);
                                     });
    return call;
  }
  admin::HttpReply Wait(const std::shared_ptr<Call>& call) {
    EXPECT_TRUE(env_.RunUntil([&] { return call->reply.has_value(); }, 120s));
    admin::HttpReply none;
    none.status = -1;
    return call->status() == -1 ? none : **call->reply;
  }
  admin::HttpReply Get(const std::string& path) { return Wait(Begin(net::Address::Loopback(kAdmin), path)); }
  admin::HttpReply Post(const std::string& path) { return Wait(Begin(net::Address::Loopback(kAdmin), path, http::Method::kPost)); }
  admin::HttpReply Telemetry(const std::string& path) { return Wait(Begin(env_.AddressOf(machine_, kTelemetry), path)); }
  // Out through the sidecar and in again: orders calls itself.
  std::shared_ptr<Call> BeginOrders(const std::string& path) {
    return Begin(net::Address::Loopback(kOutbound), path, http::Method::kGet, "orders");
  }

  scenario::SimEnvironment env_{7, sim::Faults::None()};
  scenario::Report report_;
  scenario::Mesh mesh_{env_, &report_};
  scenario::MachineId machine_ = env_.AddMachine("orders-1");
  scenario::ActorId app_ = -1, person_ = -1, proxy_ = -1;
  net::Loop* person_loop_ = nullptr;
};

}  // namespace outrigger
