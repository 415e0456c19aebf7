// Commands about the guest's machine: run state, reset, power, identity, devices.
#include "monitor/commands.h"
#include "monitor/to_schema.h"

namespace pagurus::monitor {
namespace {

using machine::RunState;

class RunStateCommands final : public schema::RunStateCommands {
 public:
  explicit RunStateCommands(machine::Machine& machine) : machine_(machine) {}

  Result<schema::StatusInfo> query_status(qapi::Call&) override {
    RunState state = machine_.run_state();
    return schema::StatusInfo{.running = state == RunState::kRunning,
                              .status = to_schema<schema::RunState>(machine::name_of(state))};
  }
  Result<void> stop(qapi::Call&) override { return machine_.stop(); }
  Result<void> cont(qapi::Call&) override { return machine_.cont(); }
  Result<void> system_reset(qapi::Call&) override { return machine_.reset(); }
  Result<void> system_powerdown(qapi::Call&) override { return machine_.power_button(); }

 private:
  machine::Machine& machine_;
};

class MachineCommands final : public schema::MachineCommands {
 public:
  explicit MachineCommands(machine::Machine& machine) : machine_(machine) {}

  Result<schema::NameInfo> query_name(qapi::Call&) override {
    const std::string& name = machine_.config().name;
    schema::NameInfo info;
    if (!name.empty()) info.name = name;
    return info;
  }
  Result<schema::UuidInfo> query_uuid(qapi::Call&) override { return schema::UuidInfo{.UUID = machine_.config().uuid}; }
  Result<std::vector<schema::CpuInfoFast>> query_cpus_fast(qapi::Call&) override {
    std::vector<schema::CpuInfoFast> cpus;
    for (int thread_id : machine_.vcpu_thread_ids()) {
      auto index = static_cast<int64_t>(cpus.size());
      cpus.push_back({.cpu_index = index, .thread_id = thread_id, .target = schema::SysEmuTarget::kX86_64});
    }
    return cpus;
  }
  Result<void> device_add(qapi::Call&, schema::DeviceOptions options) override { return machine_.add_device(options); }
  Result<void> device_del(qapi::Call&, schema::DeviceDelArguments arguments) override {
    return machine_.delete_device(arguments.id);
  }

 private:
  machine::Machine& machine_;
};

}  // namespace

std::unique_ptr<schema::RunStateCommands> make_run_state_commands(Services services) {
  return std::make_unique<RunStateCommands>(services.machine);
}
std::unique_ptr<schema::MachineCommands> make_machine_commands(Services services) {
  return std::make_unique<MachineCommands>(services.machine);
}

}  // namespace pagurus::monitor
