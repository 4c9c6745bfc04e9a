#include "test/scenario/mesh.h"

#include <algorithm>
#include <utility>

namespace outrigger::scenario {
namespace {

constexpr uint16_t kXds = 15010;
constexpr uint16_t kAdmin = 15014;

// A control plane as an actor; null inside when it did not start.
struct Control {
  std::unique_ptr<control::ControlPlane> plane;
  std::string trouble;
};

}  // namespace

Mesh::Mesh(Environment& environment, Report* report) : env_(environment), report_(report) {
  control_machine_ = env_.AddMachine("control");
  const net::Address xds = env_.AddressOf(control_machine_, kXds);
  const net::Address admin = env_.Loopback(control_machine_, kAdmin);
  const std::string folder = env_.Folder(control_machine_);
  workers_ = 1 + static_cast<int>(env_.random().Below(2));
  (void)env_.FilesOf(control_machine_).MakeFolder(ConfigDir());
  control_ = env_.AddActor(control_machine_, "control", [=](Actor& actor) -> std::shared_ptr<void> {
    auto control = std::make_shared<Control>();
    control::ControlPlaneOptions options;
    options.config_dir = folder + "/config";
    options.data_dir = folder + "/data";
    options.xds = xds;
    options.admin = admin;
    options.version = "test";
    Result<std::unique_ptr<control::ControlPlane>> plane = control::ControlPlane::Start(&actor.loop(), std::move(options));
    if (plane.ok()) control->plane = std::move(*plane);
    else control->trouble = plane.error().ToString();
    return control;
  });
}

control::ControlPlane& Mesh::plane() { return *env_.Get<Control>(control_)->plane; }

void Mesh::AddObject(const std::string& file, const std::string& yaml) {
  const Outcome written = env_.FilesOf(control_machine_).Replace(ConfigDir() + "/" + file, yaml, 0644);
  if (!written.ok()) report_->Fail("cannot write " + file + ": " + written.error().ToString());
}

void Mesh::AddService(const std::string& name) {
  AddObject("service-" + name + ".yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: " + name +
                                             ", namespace: default}\nspec:\n  selector: {app: " + name +
                                             "}\n  ports: [{name: http, port: 80, targetPort: http, appProtocol: http}]\n");
}

MeshWorkload& Mesh::AddWorkload(const std::string& name, const std::string& app, const HttpAppOptions& options) {
  workloads_.push_back(std::make_unique<MeshWorkload>());
  tokens_.push_back(std::make_shared<std::string>());
  MeshWorkload& workload = *workloads_.back();
  workload.name = name;
  workload.app = app;
  workload.machine = env_.AddMachine(name);
  const net::Address local = env_.Loopback(workload.machine, kApp);
  AddObject("workload-" + name + ".yaml",
            "apiVersion: outrigger.dev/v1\nkind: Workload\nmetadata: {name: " + name + ", namespace: default, labels: {app: " + app +
                "}}\nspec:\n  address: " + env_.AddressOf(workload.machine, 0).Ip() + "\n  inboundPort: " + std::to_string(kInbound) +
                "\n  serviceAccount: " + app + "\n  ports: {http: " + std::to_string(local.port()) + "}\n");
  HttpAppOptions app_options = options;
  app_options.address = local;
  app_options.name = name;
  app_options.ledger = &ledger_;
  workload.application = env_.AddActor(workload.machine, name + "-app", [app_options](Actor& actor) {
    return std::make_shared<HttpApp>(&actor.loop(), app_options);
  });
  AddSidecar(&workload);
  return workload;
}

void Mesh::AddSidecar(MeshWorkload* workload) {
  SidecarOptions options;
  options.control = env_.AddressOf(control_machine_, kXds).ToString();
  options.workload = "default/" + workload->name;
  options.data_dir = env_.Folder(workload->machine) + "/sidecar";
  options.outbound = env_.Loopback(workload->machine, kOutbound);
  options.inbound = env_.AddressOf(workload->machine, kInbound);
  options.workers = workers_;
  workload->sidecar = env_.AddActor(workload->machine, workload->name + "-sidecar", [options, token = tokens_.back()](Actor& actor) {
    SidecarOptions own = options;
    own.token = std::exchange(*token, {});  // once: a restart lives on what it kept
    return std::make_shared<SidecarActor>(actor, own);
  });
}

std::string Mesh::Describe(const MeshWorkload& workload) {
  if (!env_.alive(workload.application)) return workload.name + ": its application is not alive";
  if (!env_.alive(workload.sidecar)) return workload.name + ": its sidecar is not alive";
  return workload.name + ": " + env_.Get<SidecarActor>(workload.sidecar)->Describe();
}

bool Mesh::Current(const MeshWorkload& workload) {
  return env_.alive(workload.application) && env_.alive(workload.sidecar) &&
         env_.Get<SidecarActor>(workload.sidecar)->current();
}

bool Mesh::Start() {
  env_.Start(control_);
  const std::shared_ptr<Control> control = env_.Get<Control>(control_);
  if (control->plane == nullptr) {
    report_->Fail("the control plane did not start: " + control->trouble);
    return false;
  }
  for (size_t i = 0; i < workloads_.size(); ++i) {
    Result<std::string> token = control->plane->CreateToken("default/" + workloads_[i]->name);
    if (!token.ok()) {
      report_->Fail("no token: " + token.error().ToString());
      return false;
    }
    *tokens_[i] = *token;
    env_.Start(workloads_[i]->application);
    env_.Start(workloads_[i]->sidecar);
  }
  return BecomeWhole(120s);
}

bool Mesh::Whole() {
  return std::all_of(workloads_.begin(), workloads_.end(), [this](const auto& workload) { return Current(*workload); });
}

bool Mesh::BecomeWhole(Duration within) {
  if (env_.RunUntil([this] { return Whole(); }, within)) return true;
  for (const auto& workload : workloads_) {
    if (!Current(*workload)) report_->Fail("the mesh did not become whole: " + Describe(*workload));
  }
  return false;
}

ActorId Mesh::AddClient(const MeshWorkload& from, const std::string& service, HttpClientOptions options) {
  options.target = env_.Loopback(from.machine, kOutbound);
  options.authority = service;
  options.ledger = &ledger_;
  const ActorId client = env_.AddActor(from.machine, "client-of-" + service, [options](Actor& actor) {
    return std::make_shared<HttpClient>(&actor.loop(), options);
  });
  clients_.push_back(client);
  caller_ = from.name;
  env_.Start(client);
  return client;
}

// What is still under way somewhere; empty when nothing is.
std::string Mesh::Busy() {
  struct Answers {
    std::string busy;
    size_t left = 0;
  };
  auto answers = std::make_shared<Answers>();
  for (const auto& workload : workloads_) {
    if (!env_.alive(workload->sidecar)) continue;
    const std::shared_ptr<SidecarActor> actor = env_.Get<SidecarActor>(workload->sidecar);
    if (!actor->trouble().empty()) continue;
    ++answers->left;
    // A client's connections end with it; those between sidecars stay for the next request.
    const bool has_clients = workload->name == caller_;
    actor->sidecar().Gather([answers, name = workload->name, has_clients](const std::vector<sidecar::ShardReport>& reports) {
      --answers->left;
      for (const sidecar::ShardReport& report : reports) {
        const shard::Stats& stats = report.stats;
        if (stats.requests_active != 0) answers->busy = name + " has " + std::to_string(stats.requests_active) + " requests under way";
        if (has_clients && stats.connections_active != 0) {
          answers->busy = name + " has " + std::to_string(stats.connections_active) + " connections of clients that are gone";
        }
      }
    });
    if (actor->sidecar().snapshot() == nullptr) continue;
    for (const auto& [name, cluster] : actor->sidecar().snapshot()->clusters) {
      int64_t counted = cluster->state->active_requests.load();
      for (size_t i = 0; cluster->warm() && i < cluster->endpoints->size(); ++i) counted += (*cluster->endpoints)[i].state->active.load();
      if (counted != 0) answers->busy = workload->name + " counts requests of " + name + " that are none";
    }
  }
  if (!env_.RunUntil([&] { return answers->left == 0; }, 10s)) return "a worker that does not answer";
  return answers->busy;
}

void Mesh::ComeToRest() {
  // A vanished peer may take a kernel's patience.
  const Instant end = env_.now() + (env_.simulated() ? Duration(30min) : Duration(10s));
  std::string busy;
  do {
    env_.RunFor(env_.simulated() ? Duration(1s) : Duration(20ms));
    busy = Busy();
  } while (!busy.empty() && env_.now() < end);
  if (!busy.empty()) report_->Fail("left over when all clients had gone: " + busy);
}

void Mesh::Finish(Duration within) {
  const auto all_done = [this] {
    return std::all_of(clients_.begin(), clients_.end(), [this](ActorId client) { return env_.Get<HttpClient>(client)->done(); });
  };
  if (!env_.RunUntil(all_done, within)) report_->Fail("the clients did not finish");
  for (const ActorId client : clients_) env_.Stop(client);
  ComeToRest();
  for (const auto& workload : workloads_) env_.Stop(workload->application);
  for (const auto& workload : workloads_) env_.Stop(workload->sidecar);
  env_.Stop(control_);
}

}  // namespace outrigger::scenario
