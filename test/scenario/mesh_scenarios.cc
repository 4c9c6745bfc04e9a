#include "test/scenario/mesh_scenarios.h"

#include "test/scenario/mesh.h"

namespace outrigger::scenario {
namespace {

Duration Draw(Random& random, Duration max) { return Duration(static_cast<int64_t>(random.Below(static_cast<uint64_t>(max.count()) + 1))); }

// web and three replicas of orders, all behind sidecars.
struct Shop {
  Shop(Environment& environment, Report* report) : mesh(environment, report) {
    Random& random = environment.random();
    HttpAppOptions app;
    app.body_max = random.Chance(0.5) ? 200 : 50'000;
    app.delay_max = random.Chance(0.5) ? 0ms : 20ms;
    app.chunked = random.Uniform();
    mesh.AddService("orders");
    mesh.AddWorkload("web", "web", app);
    for (int i = 1; i <= 3; ++i) mesh.AddWorkload("orders-" + std::to_string(i), "orders", app);
  }
  MeshWorkload& web() { return mesh.workload(0); }
  MeshWorkload& replica(uint64_t i) { return mesh.workload(1 + i); }

  HttpClientOptions Client(Random& random) {
    HttpClientOptions options;
    options.requests = 60;
    options.connections = 1 + static_cast<int>(random.Below(6));
    options.body_max = random.Chance(0.5) ? 200 : 50'000;
    options.chunked = random.Uniform();
    options.think_max = random.Chance(0.5) ? 5ms : 100ms;
    options.fresh = random.Chance(0.5) ? 0.0 : 0.2;
    options.timeout = 600s;
    return options;
  }

  Mesh mesh;
};

}  // namespace

// Nobody dies: every request is answered by a replica, all three of them serve.
void PlayMeshSteady(Environment& environment, Report* report) {
  Shop shop(environment, report);
  if (!shop.mesh.Start()) return;
  shop.mesh.AddClient(shop.web(), "orders", shop.Client(environment.random()));
  shop.mesh.Finish(3600s);
  report->Take(shop.mesh.ledger(), {});
  if (shop.mesh.ledger().seen_by().size() != 3) {
    report->Fail(std::to_string(shop.mesh.ledger().seen_by().size()) + " of 3 replicas were called");
  }
}

// One replica at a time: its application killed, or its sidecar, or both; brought back; the control plane killed and brought back in
// between. What can be sent again is; a plain POST that was under way may end in doubt, and never runs twice.
void PlayMeshReplicaKilled(Environment& environment, Report* report) {
  Random& random = environment.random();
  Shop shop(environment, report);
  if (!shop.mesh.Start()) return;
  HttpClientOptions client = shop.Client(random);
  client.think_max = 100ms;
  client.requests = 100 * static_cast<uint64_t>(client.connections);  // some five seconds: they outlast the deaths
  if (random.Chance(0.5)) client.once = 0;  // then nothing at all may fail
  shop.mesh.AddClient(shop.web(), "orders", client);
  for (int i = 0; i < 6; ++i) {
    environment.RunFor(Draw(random, 300ms));
    MeshWorkload& replica = shop.replica(random.Below(3));
    const uint64_t what = random.Below(4);
    if (what == 0 || what == 2) environment.Kill(replica.application);
    if (what == 1 || what == 2) environment.Kill(replica.sidecar);
    if (what == 3) environment.Kill(shop.mesh.control());
    environment.RunFor(Draw(random, 500ms));
    environment.Start(shop.mesh.control());
    environment.Start(replica.application);
    environment.Start(replica.sidecar);
    // The next death comes when this one is over: one replica at a time is the promise.
    shop.mesh.BecomeWhole(60s);
    environment.RunFor(Draw(random, 200ms));
  }
  shop.mesh.Finish(3600s);
  report->Take(shop.mesh.ledger(), {.unknown = client.once > 0 ? check::Ledger::kAny : 0, .cut = check::Ledger::kAny});
}

// Anything at any time, the caller's own sidecar, partitions and power included: everything ends, nothing runs twice, and the mesh becomes
// whole again once the weather calms.
void PlayMeshStorm(Environment& environment, Report* report) {
  Random& random = environment.random();
  Shop shop(environment, report);
  if (!shop.mesh.Start()) return;
  HttpClientOptions client = shop.Client(random);
  client.requests = 75 + 75 * static_cast<uint64_t>(client.connections);
  shop.mesh.AddClient(shop.web(), "orders", client);
  for (int i = 0; i < 8; ++i) {
    environment.RunFor(Draw(random, 500ms));
    MeshWorkload& any = shop.mesh.workload(random.Below(4));
    MeshWorkload& other = shop.mesh.workload(random.Below(4));
    switch (random.Below(8)) {
      case 0: environment.Restart(any.application); break;
      case 1: environment.Restart(any.sidecar); break;
      case 2: environment.Restart(shop.mesh.control()); break;
      case 3: environment.Pause(any.sidecar); break;
      case 4: environment.Pause(any.application); break;
      case 5:
        if (&any != &other) environment.Partition(any.machine, other.machine);  // a machine always reaches itself
        break;
      case 6: environment.ResetConnections(any.machine, other.machine); break;
      case 7:
        if (&any == &shop.web()) break;  // the client lives there
        environment.PowerOff(any.machine);
        environment.RunFor(Draw(random, 2s));
        environment.PowerOn(any.machine);
        environment.Start(any.application);
        environment.Start(any.sidecar);
        break;
    }
    if (random.Chance(0.3)) environment.Heal();
  }
  environment.CalmNetwork();
  environment.Heal();
  shop.mesh.BecomeWhole(120s);
  shop.mesh.Finish(3600s);
  constexpr uint64_t kAny = check::Ledger::kAny;
  report->Take(shop.mesh.ledger(), {.declined = kAny, .unknown = kAny, .cut = kAny, .broken = kAny});
}

}  // namespace outrigger::scenario
