// Commands about the hand-over to another process.  The three interfaces that say which back ends move are
// translated here into the one meaning they have underneath (migration/transfer.h).
#include <algorithm>
#include <cmath>

#include "monitor/commands.h"
#include "monitor/manifest_schema.h"
#include "monitor/to_schema.h"

namespace pagurus::monitor {
namespace {

using migration::Transfer;

Transfer transfer_of(const schema::BackendTransfer& choice) {
  if (const bool* all = choice.as_all()) return *all ? Transfer::all() : Transfer();
  std::set<std::string> targets;
  for (schema::BackendTransferTarget target : *choice.as_targets()) targets.emplace(schema::to_string(target));
  return Transfer::only(std::move(targets));
}

schema::BackendTransfer choice_of(const Transfer& transfer) {
  schema::BackendTransfer choice;
  if (transfer.is_all() || !transfer.any()) {
    choice.value = transfer.is_all();
    return choice;
  }
  std::vector<schema::BackendTransferTarget> targets;
  for (const std::string& name : transfer.targets()) targets.push_back(to_schema<schema::BackendTransferTarget>(name));
  choice.value = std::move(targets);
  return choice;
}

schema::MigrationStats ram_of(const migration::RamStatistics& statistics) {
  auto number = [](uint64_t value) { return static_cast<int64_t>(value); };
  schema::MigrationStats result;
  result.transferred = number(statistics.transferred);
  result.remaining = number(statistics.remaining);
  result.total = number(statistics.total);
  result.duplicate = number(statistics.duplicate);
  result.normal = number(statistics.normal);
  result.normal_bytes = number(statistics.normal_bytes);
  result.dirty_pages_rate = number(statistics.dirty_pages_rate);
  result.mbps = statistics.mbps;
  result.dirty_sync_count = number(statistics.dirty_sync_count);
  result.page_size = number(statistics.page_size);
  result.precopy_bytes = statistics.precopy_bytes;
  result.downtime_bytes = statistics.downtime_bytes;
  return result;
}

migration::FaultKind kind_of(schema::FaultKind kind) {
  using migration::FaultKind;
  switch (kind) {
    case schema::FaultKind::kExit: return FaultKind::kExit;
    case schema::FaultKind::kKill: return FaultKind::kKill;
    case schema::FaultKind::kHang: return FaultKind::kHang;
    case schema::FaultKind::kError: return FaultKind::kError;
    case schema::FaultKind::kShortWrite: return FaultKind::kShortWrite;
    case schema::FaultKind::kClose: return FaultKind::kClose;
    case schema::FaultKind::kDelay: return FaultKind::kDelay;
  }
  return FaultKind::kError;
}

class MigrationCommands final : public schema::MigrationCommands {
 public:
  explicit MigrationCommands(Services services) : services_(services) {}

  Result<void> migrate_set_parameters(qapi::Call&, schema::MigrationParameters wanted) override {
    migration::ParameterChanges changes;
    if (wanted.backend_transfer) changes.transfer = transfer_of(*wanted.backend_transfer);
    changes.downtime_limit_ms = wanted.downtime_limit;
    changes.max_bandwidth = wanted.max_bandwidth;
    changes.hello_timeout_ms = wanted.hello_timeout;
    changes.prepare_timeout_ms = wanted.prepare_timeout;
    changes.stall_timeout_ms = wanted.stall_timeout;
    return services_.migration.set_parameters(changes);
  }

  Result<schema::MigrationParameters> query_migrate_parameters(qapi::Call&) override {
    migration::Parameters parameters = services_.migration.parameters();
    schema::MigrationParameters result;
    result.backend_transfer = choice_of(parameters.transfer);
    result.downtime_limit = parameters.downtime_limit_ms;
    result.max_bandwidth = parameters.max_bandwidth;
    result.hello_timeout = parameters.hello_timeout_ms;
    result.prepare_timeout = parameters.prepare_timeout_ms;
    result.stall_timeout = parameters.stall_timeout_ms;
    return result;
  }

  Result<void> migrate_set_capabilities(qapi::Call&, schema::MigrateSetCapabilitiesArguments arguments) override {
    migration::Capabilities wanted = services_.migration.capabilities();
    for (const schema::MigrationCapabilityStatus& entry : arguments.capabilities) {
      switch (entry.capability) {
        case schema::MigrationCapability::kEvents: wanted.events = entry.state; break;
        case schema::MigrationCapability::kLocalTap: wanted.local_tap = entry.state; break;
        case schema::MigrationCapability::kPauseBeforeSwitchover: wanted.pause_before_switchover = entry.state; break;
        case schema::MigrationCapability::kReturnPath: wanted.return_path = entry.state; break;
      }
    }
    return services_.migration.set_capabilities(wanted);
  }

  Result<std::vector<schema::MigrationCapabilityStatus>> query_migrate_capabilities(qapi::Call&) override {
    migration::Capabilities capabilities = services_.migration.capabilities();
    using enum schema::MigrationCapability;
    std::vector<schema::MigrationCapabilityStatus> result;
    result.push_back({.capability = kEvents, .state = capabilities.events});
    result.push_back({.capability = kLocalTap, .state = capabilities.local_tap});
    result.push_back({.capability = kPauseBeforeSwitchover, .state = capabilities.pause_before_switchover});
    result.push_back({.capability = kReturnPath, .state = capabilities.return_path});
    return result;
  }

  Result<void> migrate(qapi::Call&, schema::MigrateArguments arguments) override {
    return services_.migration.migrate(arguments.uri);
  }

  Result<void> migrate_incoming(qapi::Call&, schema::MigrateIncomingArguments arguments) override {
    using enum migration::Migration::OnError;
    return services_.migration.migrate_incoming(arguments.uri, arguments.exit_on_error.value_or(true) ? kExit : kStay);
  }

  Result<void> migrate_cancel(qapi::Call&) override {
    // It may have overtaken what keeps the control thread busy.  Cancelling has no failure to report.
    services_.loop.post([&migration = services_.migration] { (void)migration.cancel(); });
    return {};
  }

  Result<void> migrate_continue(qapi::Call&, schema::MigrateContinueArguments arguments) override {
    if (arguments.state != schema::MigrationStatus::kPreSwitchover) {
      return fail("No migration waits in status '{}': it can wait in 'pre-switchover'",
                  schema::to_string(arguments.state));
    }
    return services_.migration.go_on(migration::Status::kPreSwitchover);
  }

  Result<schema::MigrationInfo> query_migrate(qapi::Call&) override {
    migration::Info info = services_.migration.query();
    schema::MigrationInfo result;
    if (info.status == migration::Status::kNone) return result;
    result.status = to_schema<schema::MigrationStatus>(migration::name_of(info.status));
    result.total_time = std::llround(info.total_time_ms);
    if (!info.error.empty()) result.error_desc = info.error;
    if (info.downtime_ms > 0) {
      result.downtime = std::llround(info.downtime_ms);
      result.downtime_ms = info.downtime_ms;
    }
    result.phases.emplace();
    for (const migration::Phase& phase : info.phases) {
      result.phases->push_back({.name = phase.name, .start_us = phase.start_us, .duration_us = phase.duration_us});
    }
    result.moved = std::move(info.moved);
    if (info.ram) result.ram = ram_of(*info.ram);
    if (info.expected_downtime_ms > 0) result.expected_downtime = static_cast<int64_t>(info.expected_downtime_ms);
    return result;
  }

  Result<std::vector<schema::FaultPoint>> x_query_fault_points(qapi::Call&) override {
    using migration::FaultWhen;
    std::vector<schema::FaultPoint> result;
    for (const migration::FaultStepInfo& info : migration::fault_steps()) {
      for (FaultWhen when : {FaultWhen::kBefore, FaultWhen::kAfter}) {
        schema::FaultPoint point;
        point.point = migration::Faults::name(info.step, when);
        point.can_fail = info.can_fail;
        result.push_back(std::move(point));
      }
    }
    return result;
  }

  Result<void> x_inject_fault(qapi::Call&, schema::XInjectFaultArguments arguments) override {
    auto [step, when] = TRY(migration::Faults::parse(arguments.point));
    return services_.migration.inject_fault(
        {.step = step, .when = when, .kind = kind_of(arguments.kind), .delay_ms = arguments.delay_ms.value_or(0)});
  }

  Result<schema::MigrationManifest> query_migrate_manifest(qapi::Call&,
                                                           schema::QueryMigrateManifestArguments arguments) override {
    std::optional<Transfer> transfer;
    if (arguments.backend_transfer) transfer = transfer_of(*arguments.backend_transfer);
    return manifest_to_schema(TRY(services_.migration.manifest(transfer)));
  }

  Result<schema::MigrationManifestAnswer> check_migrate_manifest(
      qapi::Call&, schema::CheckMigrateManifestArguments arguments) override {
    auto hello = manifest_of_schema(std::move(arguments.manifest));
    return answer_to_schema(TRY(services_.migration.check_manifest(hello)));
  }

  Result<std::vector<schema::BackendTransferSupport>> query_backend_transfer_support(qapi::Call&) override {
    std::vector<schema::BackendTransferSupport> result;
    for (machine::BackendReport& report : services_.machine.backends()) {
      schema::BackendTransferSupport support;
      support.device = std::move(report.device);
      support.device_type = std::move(report.device_type);
      support.backend = std::move(report.backend);
      support.backend_type = std::move(report.backend_type);
      support.supported = report.can_move;
      if (!report.can_move) support.reason = std::move(report.reason);
      result.push_back(std::move(support));
    }
    return result;
  }

 private:
  Services services_;
};

}  // namespace

std::unique_ptr<schema::MigrationCommands> make_migration_commands(Services services) {
  return std::make_unique<MigrationCommands>(services);
}

}  // namespace pagurus::monitor
