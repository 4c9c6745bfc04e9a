#include "test/scenario/sim_environment.h"

#include <utility>

namespace outrigger::scenario {
namespace {

// Its loop lives and dies with its process.
class SimWorker final : public ActorWorker {
 public:
  SimWorker(net::Loop& loop, std::shared_ptr<void> resident) : mailbox_(loop.mailbox()), resident_(std::move(resident)) {}
  std::shared_ptr<net::Mailbox> mailbox() override { return mailbox_; }

 private:
  const std::shared_ptr<net::Mailbox> mailbox_;
  const std::shared_ptr<void> resident_;
};

class SimActor final : public Actor {
 public:
  explicit SimActor(sim::Process& process) : process_(process) {}
  net::Loop& loop() override { return process_.loop(); }
  Result<std::unique_ptr<ActorWorker>> AddWorker(const std::string&, WorkerFactory factory) override {
    net::Loop& loop = process_.AddLoop();
    Result<std::shared_ptr<void>> resident = factory(loop);
    if (!resident.ok()) return resident.error();
    return std::unique_ptr<ActorWorker>(std::make_unique<SimWorker>(loop, std::move(*resident)));
  }
  int starts() const override { return process_.starts(); }

 private:
  sim::Process& process_;
};

sim::Process::Program Wrap(Program program) {
  return [program = std::move(program)](sim::Process& process) -> std::shared_ptr<void> {
    SimActor actor(process);
    return program(actor);
  };
}

}  // namespace

SimEnvironment::SimEnvironment(uint64_t seed, sim::Faults faults) : Environment(seed), world_(seed, faults) {}

SimEnvironment::~SimEnvironment() = default;

MachineId SimEnvironment::AddMachine(const std::string& name) {
  machines_.push_back(&world_.AddMachine(name));
  operators_.push_back(&machines_.back()->AddProcess(name + "-operator"));
  operators_.back()->Start();
  return static_cast<MachineId>(machines_.size()) - 1;
}

ActorId SimEnvironment::AddActor(MachineId machine, const std::string& name, Program program) {
  processes_.push_back(&Of(machine).AddProcess(name, Wrap(std::move(program))));
  return static_cast<ActorId>(processes_.size()) - 1;
}

std::string SimEnvironment::Folder(MachineId machine) {
  const std::string folder = "/scenario";
  (void)Of(machine).disk().MakeFolder(folder, 0755, world_.wall_now());
  return folder;
}

net::Files& SimEnvironment::FilesOf(MachineId machine) {
  sim::Process* process = operators_.at(static_cast<size_t>(machine));
  if (!process->alive()) process->Start();  // its machine had lost power
  return process->loop().files();
}

void SimEnvironment::Heal() {
  world_.HealAll();
  for (sim::Process* process : processes_) process->Resume();
}

void SimEnvironment::CalmNetwork() {
  // Latencies and buffer sizes stay as they were drawn.
  sim::Faults& faults = world_.faults();
  faults.reset = faults.lost_segment = faults.connect_refused = faults.connect_lost = 0;
  faults.hiccup = faults.resolve_fails = faults.disk_error = 0;
}

}  // namespace outrigger::scenario
