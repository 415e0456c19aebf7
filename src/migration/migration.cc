#include "migration/migration.h"

#include "base/log.h"
#include "migration/address.h"
#include "migration/destination.h"
#include "migration/manifest_query.h"
#include "migration/peer.h"
#include "migration/source.h"

namespace pagurus::migration {
namespace {

// QEMU's bound for downtime-limit.
constexpr uint64_t kMaxMs = 2'000'000;

// Descriptors travel only over a UNIX domain socket.
Result<Address> address_of(const std::string& uri, const Parameters& parameters, const Capabilities& capabilities) {
  auto address = Address::parse(uri);
  bool is_unix = address && address->kind == Address::Kind::kUnix;
  if (parameters.transfer.any() && !is_unix && !uri.starts_with("unix:")) {
    return fail("migration {} requires a UNIX domain socket: file descriptors travel over it (use unix:PATH, not '{}')",
                capabilities.local_tap ? "capability 'local-tap'" : "parameter 'backend-transfer'", uri);
  }
  return address;
}

Result<void> check_ms(const char* name, const std::optional<uint64_t>& value) {
  if (!value || (*value >= 1 && *value <= kMaxMs)) return {};
  return fail("Parameter '{}' expects a value from 1 to {} milliseconds", name, kMaxMs);
}

Transfer local_tap_transfer() { return Transfer::only({std::string(kVirtioNetTap)}); }

Result<void> check_contradiction(const Capabilities& capabilities, const Transfer& transfer) {
  if (!capabilities.local_tap || transfer == local_tap_transfer()) return {};
  return fail(
      "migration capability 'local-tap' and parameter 'backend-transfer' = '{}' contradict each other: the capability "
      "moves TAPs and nothing else (use the parameter alone)",
      transfer.text());
}

}  // namespace

std::string_view name_of(Status status) {
  switch (status) {
    case Status::kNone: return "none";
    case Status::kSetup: return "setup";
    case Status::kActive: return "active";
    case Status::kPreSwitchover: return "pre-switchover";
    case Status::kDevice: return "device";
    case Status::kCompleted: return "completed";
    case Status::kCancelled: return "cancelled";
    case Status::kFailed: return "failed";
  }
  return "?";
}

class Migration::Impl {
 public:
  explicit Impl(Environment environment) : environment_(std::move(environment)) {}

  // A destination that only listens is idle: settings are read when a source connects.
  bool idle() const {
    bool listening_only = destination_ && status_ == Status::kSetup;
    return !in_progress() || listening_only;
  }
  Result<void> check_idle(const char* what) const {
    if (!idle()) return fail("{} while a migration is in progress is not possible", what);
    return {};
  }
  bool in_progress() const {
    return status_ == Status::kSetup || status_ == Status::kActive || status_ == Status::kPreSwitchover ||
           status_ == Status::kDevice;
  }
  void note_status(Status status, const std::string& why) {
    if (status == Status::kSetup) began_ns_ = monotonic_ns();
    status_ = status;
    error_ = why;
    if (!in_progress()) total_ns_ = monotonic_ns() - began_ns_;
    environment_.machine.handover().hold_devices(!idle());
    if (observer_) observer_(status, realtime_ns());
  }
  void remark(const std::string& text) {
    log_warning("{}", text);
    error_ = text;
  }
  Result<void> migrate(const std::string& uri);
  Result<void> migrate_incoming(const std::string& uri, OnError on_error);
  void lose_incoming(const Error& why, OnError on_error);
  Info query() const;
  Settings settings() const { return {in_force(), capabilities_}; }
  Parameters in_force() const {
    Parameters parameters = parameters_;
    if (capabilities_.local_tap) parameters.transfer = local_tap_transfer();
    return parameters;
  }
  enum class Which { kHere, kPending };
  std::vector<Extra> extras(Which which) const {
    std::vector<Extra> found;
    for (const Extra& extra : extras_) {
      if (extra.movable->pending() == (which == Which::kPending)) found.push_back(extra);
    }
    return found;
  }

  Environment environment_;
  Parameters parameters_;
  Capabilities capabilities_;
  std::function<void(Status, int64_t)> observer_;
  Faults faults_;
  bool stay_paused_ = false;
  std::vector<Extra> extras_;
  Status status_ = Status::kNone;
  std::string error_;
  int64_t began_ns_ = 0;
  int64_t total_ns_ = 0;
  // The last hand-over of each direction: a process is a destination at most once, then a source.
  std::unique_ptr<Source> source_;
  std::unique_ptr<Destination> destination_;
};

Result<void> Migration::Impl::migrate(const std::string& uri) {
  if (in_progress()) return fail("There's a migration process in progress");
  auto address = TRY(address_of(uri, in_force(), capabilities_));
  if (capabilities_.return_path && address.kind == Address::Kind::kFile) {
    return fail("migration capability 'return-path' needs somebody who answers, which a file does not");
  }
  TRY(environment_.machine.handover().check_guest());
  // What is told from now on is about this hand-over, and not about one before.
  source_.reset();
  destination_.reset();
  note_status(Status::kSetup, "");
  auto source = Source::start({.loop = environment_.loop,
                               .machine = environment_.machine.handover(),
                               .settings = settings(),
                               .extras = extras(Which::kHere),
                               .on_status = [this](Status status, const std::string& why) { note_status(status, why); },
                               .on_remark = [this](const std::string& text) { remark(text); },
                               .faults = faults_},
                              address);
  if (!source) {
    note_status(Status::kFailed, source.error().message());
    return std::unexpected(std::move(source.error()));
  }
  source_ = *std::move(source);
  return {};
}

Result<void> Migration::Impl::migrate_incoming(const std::string& uri, OnError on_error) {
  if (environment_.machine.run_state() != machine::RunState::kInMigrate) {
    return fail("'-incoming' was not given on the command line, or the guest has arrived already");
  }
  if (destination_) return fail("the incoming migration has already been started");
  auto address = TRY(address_of(uri, in_force(), capabilities_));
  destination_ =
      TRY(Destination::start({.loop = environment_.loop,
                              .machine = environment_.machine.handover(),
                              .settings =
                                  [this] {
                                    return Settings{in_force(), capabilities_};
                                  },
                              .extras = extras(Which::kPending),
                              .stay_paused = stay_paused_,
                              .on_status = [this](Status status, const std::string& why) { note_status(status, why); },
                              .on_lost = [this, on_error](const Error& why) { lose_incoming(why, on_error); },
                              .faults = faults_},
                             address));
  note_status(Status::kSetup, "");
  return {};
}

void Migration::Impl::lose_incoming(const Error& why, OnError on_error) {
  if (on_error == OnError::kExit) return environment_.on_incoming_lost(why);
  log_error("the guest did not come in, and this process is of no more use: {}", why.message());
}

Info Migration::Impl::query() const {
  Info info{.status = status_, .error = error_};
  int64_t total_ns = in_progress() ? monotonic_ns() - began_ns_ : total_ns_;
  info.total_time_ms = static_cast<double>(total_ns) / 1e6;
  auto fill = [&info](const auto& side) {
    info.downtime_ms = static_cast<double>(side.downtime_ns()) / 1e6;
    info.phases = side.timeline().phases();
    info.moved = side.moved();
  };
  if (source_) {
    fill(*source_);
    info.ram = source_->ram();
    if (status_ == Status::kActive) info.expected_downtime_ms = source_->expected_downtime_ms();
  } else if (destination_)
    fill(*destination_);
  return info;
}

std::unique_ptr<Migration> Migration::create(Environment environment) {
  return std::unique_ptr<Migration>(new Migration(std::make_unique<Impl>(std::move(environment))));
}

Migration::Migration(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Migration::~Migration() = default;

Parameters Migration::parameters() const { return impl_->in_force(); }

Result<void> Migration::set_parameters(const ParameterChanges& changes) {
  bool limits_only =
      !changes.transfer && !changes.hello_timeout_ms && !changes.prepare_timeout_ms && !changes.stall_timeout_ms;
  if (!limits_only || impl_->status_ != Status::kActive) TRY(impl_->check_idle("changing migration parameters"));
  TRY(check_ms("downtime-limit", changes.downtime_limit_ms));
  TRY(check_ms("hello-timeout", changes.hello_timeout_ms));
  TRY(check_ms("prepare-timeout", changes.prepare_timeout_ms));
  TRY(check_ms("stall-timeout", changes.stall_timeout_ms));
  if (changes.transfer) {
    TRY(check_contradiction(impl_->capabilities_, *changes.transfer));
    impl_->parameters_.transfer = *changes.transfer;
  }
  Parameters& parameters = impl_->parameters_;
  parameters.downtime_limit_ms = changes.downtime_limit_ms.value_or(parameters.downtime_limit_ms);
  parameters.max_bandwidth = changes.max_bandwidth.value_or(parameters.max_bandwidth);
  parameters.hello_timeout_ms = changes.hello_timeout_ms.value_or(parameters.hello_timeout_ms);
  parameters.prepare_timeout_ms = changes.prepare_timeout_ms.value_or(parameters.prepare_timeout_ms);
  parameters.stall_timeout_ms = changes.stall_timeout_ms.value_or(parameters.stall_timeout_ms);
  if (impl_->source_ && impl_->in_progress()) impl_->source_->set_limits(parameters);
  return {};
}

const Capabilities& Migration::capabilities() const { return impl_->capabilities_; }

Result<void> Migration::set_capabilities(const Capabilities& capabilities) {
  TRY(impl_->check_idle("changing migration capabilities"));
  // The parameter at its default says nothing against the capability.
  if (impl_->parameters_.transfer.any()) TRY(check_contradiction(capabilities, impl_->parameters_.transfer));
  impl_->capabilities_ = capabilities;
  return {};
}

Result<void> Migration::migrate(const std::string& uri) { return impl_->migrate(uri); }
Result<void> Migration::migrate_incoming(const std::string& uri, OnError on_error) {
  return impl_->migrate_incoming(uri, on_error);
}

Result<void> Migration::go_on(Status status) {
  if (status != Status::kPreSwitchover || impl_->status_ != status || !impl_->source_) {
    return fail("Migration does not wait in status '{}': it is in status '{}'", name_of(status),
                name_of(impl_->status_));
  }
  return impl_->source_->go_on();
}

Result<wire::Hello> Migration::manifest(const std::optional<Transfer>& transfer) const {
  if (impl_->in_progress()) return fail("There's a migration process in progress");
  Settings settings = impl_->settings();
  if (transfer) {
    TRY(check_contradiction(settings.capabilities, *transfer));
    settings.parameters.transfer = *transfer;
  }
  return query_manifest(impl_->environment_.machine.handover(), settings, impl_->extras(Impl::Which::kHere));
}

Result<wire::Welcome> Migration::check_manifest(const wire::Hello& hello) const {
  if (impl_->environment_.machine.run_state() != machine::RunState::kInMigrate) {
    return fail("this process does not wait for a guest");
  }
  TRY(impl_->check_idle("checking a manifest"));
  return answer_manifest(hello, impl_->environment_.machine.handover(), impl_->settings(),
                         impl_->extras(Impl::Which::kPending));
}

Result<void> Migration::cancel() {
  if (impl_->source_ && impl_->in_progress()) impl_->source_->cancel();
  return {};
}

Result<void> Migration::inject_fault(const Fault& fault) { return impl_->faults_.arm(fault); }

Info Migration::query() const { return impl_->query(); }
bool Migration::in_progress() const { return impl_->in_progress(); }
void Migration::set_observer(std::function<void(Status, int64_t)> observer) { impl_->observer_ = std::move(observer); }
void Migration::set_stay_paused(bool stay_paused) { impl_->stay_paused_ = stay_paused; }
void Migration::add_movable(std::string name, vmstate::Movable& movable) {
  impl_->extras_.push_back({std::move(name), &movable});
}

}  // namespace pagurus::migration
