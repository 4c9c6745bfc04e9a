// A whole mesh: a control plane on a machine of its own, and workloads, each a machine with an application and its sidecar.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "control/plane/control_plane.h"
#include "test/check/ledger.h"
#include "test/scenario/environment.h"
#include "test/scenario/http_app.h"
#include "test/scenario/http_client.h"
#include "test/scenario/scenario.h"
#include "test/scenario/sidecar.h"

namespace outrigger::scenario {

// A Workload object, its application and its sidecar. The machine's disk keeps the sidecar's identity.
struct MeshWorkload {
  std::string name;  // "orders-1"
  std::string app;   // its label: "orders"
  MachineId machine = -1;
  ActorId application = -1;
  ActorId sidecar = -1;
};

class Mesh {
 public:
  static constexpr uint16_t kOutbound = 15001;
  static constexpr uint16_t kInbound = 15006;
  static constexpr uint16_t kApp = 8080;

  Mesh(Environment& environment, Report* report);

  // Call these first...
  void AddService(const std::string& name);  // port 80, to the workloads labelled with its name
  // The application: `options` with address, name and ledger filled in.
  MeshWorkload& AddWorkload(const std::string& name, const std::string& app, const HttpAppOptions& options);
  void AddObject(const std::string& file, const std::string& yaml);  // anything else, before or after Start
  // ... then this: starts everything and waits until every sidecar is ready. False, and told to the report, when that does not happen.
  bool Start();

  // A client beside `from`, calling `service` through its sidecar.
  ActorId AddClient(const MeshWorkload& from, const std::string& service, HttpClientOptions options);
  // Waits until all clients are done and gone, and until no sidecar has a request under way or counts one; then ends everything,
  // sidecars after applications.
  void Finish(Duration within);
  // All processes alive, every sidecar ready and in touch with the control plane: as good as new.
  bool Whole();
  // Waits for that; what is missing otherwise goes to the report.
  bool BecomeWhole(Duration within);

  Environment& env() { return env_; }
  check::Ledger& ledger() { return ledger_; }
  MeshWorkload& workload(size_t i) { return *workloads_.at(i); }
  size_t workloads() const { return workloads_.size(); }
  ActorId control() const { return control_; }
  control::ControlPlane& plane();
  std::string ConfigDir() { return env_.Folder(control_machine_) + "/config"; }

 private:
  void AddSidecar(MeshWorkload* workload);
  bool Current(const MeshWorkload& workload);
  void ComeToRest();
  std::string Busy();
  std::string Describe(const MeshWorkload& workload);

  Environment& env_;
  Report* const report_;
  check::Ledger ledger_;
  MachineId control_machine_;
  ActorId control_;
  int workers_;  // of each sidecar
  std::vector<std::unique_ptr<MeshWorkload>> workloads_;
  std::vector<ActorId> clients_;
  std::string caller_;  // the workload beside which they run
  std::vector<std::shared_ptr<std::string>> tokens_;  // by workload; handed to its first start
};

}  // namespace outrigger::scenario
