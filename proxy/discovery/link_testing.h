// A proxy's link and its control plane in the simulation: the fixture of tests of control_link.h.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/discovery/control_link.h"
#include "proxy/discovery/fake_control.h"
#include "proxy/discovery/testing.h"
#include "test/sim/world.h"

namespace outrigger::discovery::testing {

// What a proxy runs, and what became of it.
struct Proxy final : ControlLink::Handler {
  void OnSnapshot(std::shared_ptr<const snapshot::Snapshot> next) override { snapshot = std::move(next); }
  void OnIdentity(std::shared_ptr<const tls::Context> context) override { identities.push_back(std::move(context)); }
  std::unique_ptr<ControlLink> link;  // null: did not start
  Error start_error;
  std::shared_ptr<const snapshot::Snapshot> snapshot;
  std::vector<std::shared_ptr<const tls::Context>> identities;
};

class ControlLinkTest : public ::testing::Test {
 protected:
  ~ControlLinkTest() override {
    proxy_process_.Stop();
    control_process_.Stop();
    EXPECT_THAT(world_.problems(), ::testing::IsEmpty());
  }

  Proxy& proxy() { return *proxy_process_.program<Proxy>(); }
  FakeControl& control() { return *control_process_.program<FakeControl>(); }
  bool InForce(const std::string& host) {
    if (!proxy_process_.alive() || proxy().snapshot == nullptr) return false;
    const auto table = proxy().snapshot->routes.find("outbound");
    if (table == proxy().snapshot->routes.end()) return false;
    const auto& hosts = table->second->config().virtual_hosts;
    return std::any_of(hosts.begin(), hosts.end(), [&](const auto& entry) { return entry.name == host; });
  }
  void Declare(const std::vector<std::string>& services) {
    for (auto& [type, resources] : state_.resources) resources.clear();
    for (const std::string& service : services) {
      const std::string name = "outbound|80||" + service + ".default";
      state_.resources[Type::kCluster][name].PackFrom(EdsCluster(service));
      state_.resources[Type::kEndpoint][name].PackFrom(Assignment(service, {"10.0.0.9:15006"}));
    }
    state_.resources[Type::kListener]["outbound"].PackFrom(OutboundListener());
    state_.resources[Type::kRoute]["outbound"].PackFrom(RoutesTo(services));
  }
  // Both run, and the proxy has everything.
  void Begin() {
    Declare({"orders"});
    control_process_.Start();
    token_ = state_.token();
    proxy_process_.Start();
    ASSERT_TRUE(world_.RunUntil([&] { return InForce("orders"); }, 5s)) << log_;
  }
  std::string PemOf(const std::string& file) { return *proxy_machine_.disk().Read("/data/" + file, 1 << 20); }

  sim::World world_{11};
  FakeControlState state_{world_.wall_now()};
  sim::Machine& control_machine_ = world_.AddMachine("control");
  sim::Machine& proxy_machine_ = world_.AddMachine("proxy");
  std::string log_;
  std::optional<JoinToken> token_;
  sim::Process& control_process_ = control_machine_.AddProcess("control", [this](sim::Process& process) -> std::shared_ptr<void> {
    return std::make_shared<FakeControl>(&process.loop(), &state_, control_machine_.address(15010));
  });
  sim::Process& proxy_process_ = proxy_machine_.AddProcess("proxy", [this](sim::Process& process) -> std::shared_ptr<void> {
    auto proxy = std::make_shared<Proxy>();
    LinkOptions options;
    options.control = control_machine_.address(15010).ToString();
    options.workload = "default/web-1";
    options.data_dir = "/data";
    options.token = token_;
    options.log = [this](LogLevel, std::string_view message, const LogFields& fields) {
      log_ += std::string(message);
      for (const auto& [name, value] : fields) log_ += " " + std::string(name) + "=" + value;
      log_ += "\n";
    };
    proxy->link = std::make_unique<ControlLink>(&process.loop(), options, proxy.get());
    if (Outcome started = proxy->link->Start(); !started) {
      proxy->start_error = started.error();
      proxy->link.reset();
    }
    return proxy;
  });
};

}  // namespace outrigger::discovery::testing
