// A scenario on the simulation.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "test/scenario/environment.h"
#include "test/sim/world.h"

namespace outrigger::scenario {

class SimEnvironment final : public Environment {
 public:
  SimEnvironment(uint64_t seed, sim::Faults faults);
  ~SimEnvironment() override;

  bool simulated() const override { return true; }
  MachineId AddMachine(const std::string& name) override;
  ActorId AddActor(MachineId machine, const std::string& name, Program program) override;
  net::Address AddressOf(MachineId machine, uint16_t port) override { return Of(machine).address(port); }
  net::Address Loopback(MachineId, uint16_t port) override { return net::Address::Loopback(port); }
  std::string Folder(MachineId machine) override;
  net::Files& FilesOf(MachineId machine) override;

  void Start(ActorId actor) override { ProcessOf(actor).Start(); }
  void Stop(ActorId actor) override { ProcessOf(actor).Stop(); }
  void Kill(ActorId actor) override { ProcessOf(actor).Kill(); }
  bool alive(ActorId actor) const override { return ProcessOf(actor).alive(); }
  std::shared_ptr<void> ObjectOf(ActorId actor) const override { return ProcessOf(actor).program<void>(); }

  Instant now() const override { return world_.now(); }
  void After(Duration delay, std::function<void()> step) override { world_.After(delay, std::move(step)); }
  bool RunUntil(const std::function<bool()>& done, Duration within) override { return world_.RunUntil(done, within); }

  void Pause(ActorId actor) override { ProcessOf(actor).Pause(); }
  void Resume(ActorId actor) override { ProcessOf(actor).Resume(); }
  void PowerOff(MachineId machine) override { Of(machine).PowerOff(); }
  void PowerOn(MachineId machine) override { Of(machine).PowerOn(); }
  void Partition(MachineId a, MachineId b) override { world_.Partition(Of(a), Of(b)); }
  void ResetConnections(MachineId a, MachineId b) override { world_.ResetConnections(Of(a), Of(b)); }
  void Heal() override;
  void CalmNetwork() override;

  std::vector<std::string> Problems() override { return world_.problems(); }

  sim::World& world() { return world_; }

 private:
  sim::Machine& Of(MachineId machine) const { return *machines_.at(static_cast<size_t>(machine)); }
  sim::Process& ProcessOf(ActorId actor) const { return *processes_.at(static_cast<size_t>(actor)); }

  sim::World world_;
  std::vector<sim::Machine*> machines_;
  std::vector<sim::Process*> processes_;
  std::vector<sim::Process*> operators_;  // by machine: whoever edits its files
};

}  // namespace outrigger::scenario
