#include "migration/source.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "migration/manifest.h"
#include "migration/manifest_query.h"
#include "migration/probes.h"

namespace pagurus::migration {
namespace {

// The times are the peer's word: used only if they lie in order within the pause.
bool plausible(const wire::Running& times, int64_t stop_ns) {
  const uint64_t moments[] = {
      static_cast<uint64_t>(stop_ns),       times.received_ns, times.loaded_ns, times.owned_ns, times.running_ns,
      static_cast<uint64_t>(monotonic_ns())};
  return std::ranges::is_sorted(moments);
}

}  // namespace

Result<std::unique_ptr<Source>> Source::start(Environment environment, const Address& address) {
  TRY(check_movable(environment.machine, environment.settings.parameters));
  std::unique_ptr<Source> source(new Source(std::move(environment)));
  TRY(source->before(FaultStep::kSourceConnect));
  auto channel = TRY(connect(address));
  TRY(source->begin(std::move(channel)));
  return source;
}

Result<void> Source::begin(wire::Channel channel) {
  Source* self = this;
  connection_ = TRY(Connection::create(
      environment_.loop, std::move(channel), "the destination",
      {.on_message = [self](wire::Message message, int64_t) { self->on_message(std::move(message)); },
       .on_lost = [self](const Error& why) { self->settle(Status::kFailed, why); },
       .on_drained =
           [self] {
             if (self->ram_) self->ram_->on_drained();
           }}));
  TRY(after(FaultStep::kSourceConnect));
  if (!connection_->passes_fds()) environment_.extras.clear();
  wire::Hello hello = TRY(query_manifest(environment_.machine, environment_.settings, environment_.extras));
  TRY(await(Step::kHello, parameters().hello_timeout_ms, "the destination did not answer HELLO in time"));
  TRY(before(FaultStep::kSourceHello));
  MIGRATION_PROBE(source_hello);
  TRY_DOING("cannot reach the destination", connection_->send(wire::MessageType::kHello, hello));
  TRY(after(FaultStep::kSourceHello));
  if (connection_->answers()) return {};
  // Nobody answers: the next turn of the loop goes on as if somebody had.
  timeout_ = TRY(environment_.loop.after(0, [self] {
    if (auto result = self->on_welcome({}); !result) self->settle(Status::kFailed, result.error());
  }));
  return {};
}

Result<void> Source::await(Step step, uint64_t timeout_ms, const char* complaint) {
  step_ = step;
  step_began_ns_ = monotonic_ns();
  Source* self = this;
  timeout_ = TRY(environment_.loop.after(timeout_ms * 1000,
                                         [self, complaint] { self->settle(Status::kFailed, Error(complaint)); }));
  return {};
}

void Source::on_message(wire::Message message) {
  if (auto result = handle(std::move(message)); !result) give_up(result.error());
}

// What the destination has said last may tell more: that it refused before it hung up on us, or that it
// runs the guest.
void Source::give_up(const Error& why) {
  auto next = connection_->try_receive();
  using enum wire::MessageType;
  bool last_word = next && *next && ((*next)->type == kRefused || (*next)->type == kRunning);
  if (!last_word) return settle(Status::kFailed, why);
  if (auto handled = handle(std::move(**next)); !handled) settle(Status::kFailed, handled.error());
}

Result<void> Source::handle(wire::Message message) {
  using enum wire::MessageType;
  if (message.type == kRefused) {
    auto refused = TRY(std::move(message).as<wire::Refused>());
    return fail("the destination refused: {}", refused.reason);
  }
  int64_t now = monotonic_ns();
  if (step_ == Step::kHello && message.type == kWelcome) {
    timeline_.add("hello", step_began_ns_, now);
    return on_welcome(TRY(std::move(message).as<wire::Welcome>()));
  }
  if (step_ == Step::kPrepare && message.type == kReady) {
    TRY(std::move(message).as<wire::Ready>());
    timeline_.add("prepare", step_began_ns_, now);
    return on_ready();
  }
  if (step_ == Step::kSwitchover && !ownership_ && message.type == kLoaded) {
    TRY(std::move(message).as<wire::Loaded>());
    return on_loaded();
  }
  bool given = step_ == Step::kGiven || (step_ == Step::kSwitchover && ownership_);
  if (given && message.type == kRunning) return on_running(TRY(std::move(message).as<wire::Running>()));
  return fail("the destination sent {} out of turn", wire::name_of(message.type));
}

Result<void> Source::on_welcome(wire::Welcome welcome) {
  TRY(before(FaultStep::kSourceWelcome));
  for (const auto& movable : environment_.machine.movables()) {
    bool wanted = std::ranges::count(welcome.wanted, movable.name) != 0;
    if (wanted != (movable.takes_part && parameters().transfer.includes(movable.target))) {
      return fail("the two sides disagree about whether {} is transferred", movable.name);
    }
    if (wanted) transfer_.insert(movable.name);
  }
  for (const Extra& extra : environment_.extras) {
    if (std::ranges::count(welcome.wanted, extra.name) != 0) transfer_.insert(extra.name);
  }
  if (transfer_.size() != welcome.wanted.size()) return fail("the destination wants what this process has not");

  TRY(check_passed_over(environment_.machine.sections(), welcome.unknown));
  for (const std::string& section : welcome.unknown) {
    log_warning("the destination does not know state section '{}' and will pass over it", section);
  }

  environment_.on_status(Status::kActive, "");
  TRY(after(FaultStep::kSourceWelcome));
  return prepare();
}

Result<void> Source::prepare() {
  TRY(before(FaultStep::kSourcePrepare));
  MIGRATION_PROBE(source_prepare);
  if (connection_->passes_fds()) ownership_ = TRY(Ownership::create());
  TRY(await(Step::kPrepare, parameters().prepare_timeout_ms, "the destination did not get ready in time"));
  TRY(send_prepare());
  TRY(after(FaultStep::kSourcePrepare));
  return connection_->answers() ? Result<void>() : on_ready();
}

Result<void> Source::send_prepare() {
  auto rehearsal = to_messages(environment_.machine.save_rehearsal(transfer_));
  if (local()) {
    wire::Prepare prepare{.ram = vmstate::Fd::lend(environment_.machine.ram_fd()),
                          .ownership = vmstate::Fd::lend(ownership_->fd()),
                          .rehearsal = std::move(rehearsal)};
    return connection_->send(wire::MessageType::kPrepare, prepare);
  }
  wire::PrepareCopy prepare{.ownership = {}, .rehearsal = std::move(rehearsal)};
  if (ownership_) prepare.ownership.push_back(vmstate::Fd::lend(ownership_->fd()));
  return connection_->send(wire::MessageType::kPrepareCopy, prepare);
}

Result<void> Source::on_ready() {
  TRY(before(FaultStep::kSourceReady));
  TRY(after(FaultStep::kSourceReady));
  timeout_ = event::Watch();
  return local() ? switch_over() : copy();
}

Result<void> Source::copy() {
  step_ = Step::kCopy;
  MIGRATION_PROBE(source_copy);
  step_began_ns_ = monotonic_ns();
  Source* self = this;
  auto settled = [self](const Result<void>& result) {
    if (!result) self->settle(Status::kFailed, result.error());
  };
  ram_ = std::make_unique<RamStream>(RamStream::Environment{
      .loop = environment_.loop,
      .ram = environment_.machine,
      .connection = *connection_,
      .faults = environment_.faults,
      .max_bandwidth = parameters().max_bandwidth,
      .downtime_limit_ms = parameters().downtime_limit_ms,
      .stall_ms = parameters().stall_timeout_ms,
      .on_converged = [self, settled] { settled(self->switch_over()); },
      .on_finished = [self, settled] { settled(self->send_state()); },
      .on_failed = [self](const Error& why) { self->give_up(why); },
  });
  return ram_->start();
}

void Source::set_limits(const Parameters& parameters) {
  environment_.settings.parameters.max_bandwidth = parameters.max_bandwidth;
  environment_.settings.parameters.downtime_limit_ms = parameters.downtime_limit_ms;
  if (ram_) ram_->set_limits(parameters.max_bandwidth, parameters.downtime_limit_ms);
}

// The guest is held still from here on.
Result<void> Source::switch_over() {
  if (step_ == Step::kCopy) timeline_.add("copy", step_began_ns_, monotonic_ns());
  if (ownership_ && ownership_->owner() != Owner::kSource) {
    return fail("the destination took the guest before it was given");
  }
  // It ran on until now: it may have met its end, or somebody may have ended it.
  TRY(environment_.machine.check_guest());
  TRY(before(FaultStep::kSourceStop));
  step_ = Step::kRest;
  stop_ns_ = monotonic_ns();
  MIGRATION_PROBE(source_stop);
  environment_.machine.freeze();
  for (const Extra& extra : environment_.extras) {
    if (transfer_.contains(extra.name)) extra.movable->freeze();
  }
  step_began_ns_ = monotonic_ns();
  timeline_.add("stop", stop_ns_, step_began_ns_);
  MIGRATION_PROBE(source_stopped);
  TRY(after(FaultStep::kSourceStop));
  if (!environment_.settings.capabilities.pause_before_switchover) return give();
  step_ = Step::kPreSwitchover;
  environment_.machine.report_events();
  environment_.on_status(Status::kPreSwitchover, "");
  return {};
}

Result<void> Source::go_on() {
  if (step_ != Step::kPreSwitchover) return fail("the migration does not wait in status 'pre-switchover'");
  timeline_.add("wait", step_began_ns_, monotonic_ns());
  if (auto given = give(); !given) settle(Status::kFailed, given.error());
  return {};
}

Result<void> Source::give() {
  step_ = Step::kRest;
  step_began_ns_ = monotonic_ns();
  // The pause is bounded from its beginning on; of an operator's wait in it, from its end on.
  bool waited = environment_.settings.capabilities.pause_before_switchover;
  deadline_ns_ =
      (waited ? step_began_ns_ : stop_ns_) + static_cast<int64_t>(parameters().downtime_limit_ms) * 1'000'000;
  TRY(before(FaultStep::kSourceSave));
  MIGRATION_PROBE(source_save);
  saved_ = TRY(save());
  TRY(after(FaultStep::kSourceSave));
  int64_t saved_ns = monotonic_ns();
  timeline_.add("save", step_began_ns_, saved_ns);
  step_began_ns_ = saved_ns;
  if (!ram_) return send_state();
  if (connection_->answers()) TRY(await(Step::kRest, left_ms(), "the rest of RAM was not sent within downtime-limit"));
  // Saving may have written to RAM: the rest is what is left after it.
  return ram_->finish();
}

uint64_t Source::left_ms() const {
  return static_cast<uint64_t>(std::max<int64_t>(deadline_ns_ - monotonic_ns(), 0) / 1'000'000);
}

Result<void> Source::send_state() {
  TRY(before(FaultStep::kSourceState));
  wire::State state{.run = environment_.machine.was_running(),
                    .stop_asked_ns = static_cast<uint64_t>(stop_ns_),
                    .sections = to_messages(std::exchange(saved_, {}))};
  // From here on the destination may have it: only settle() may go back.
  step_ = Step::kSwitchover;
  MIGRATION_PROBE(source_send);
  TRY(connection_->send(wire::MessageType::kState, state));
  TRY(after(FaultStep::kSourceState));
  timeline_.add("send", step_began_ns_, monotonic_ns());
  MIGRATION_PROBE(source_sent);
  if (connection_->answers()) {
    TRY(await(Step::kSwitchover, left_ms(), "the destination did not answer in time: downtime-limit is over"));
  }
  environment_.machine.report_events();
  environment_.on_status(Status::kDevice, "");
  if (!connection_->answers()) save_to_disk();
  return {};
}

void Source::save_to_disk() {
  if (::fsync(connection_->fd()) != 0) {
    return settle(Status::kFailed, fail_errno(errno, "cannot bring the file to the disk").error());
  }
  commit(nullptr, "");
}

Result<std::vector<machine::SavedSection>> Source::save() {
  auto sections = TRY(environment_.machine.save(transfer_));
  for (const Extra& extra : environment_.extras) {
    if (!transfer_.contains(extra.name)) continue;
    vmstate::Writer writer;
    TRY(extra.movable->save(writer));
    sections.push_back({.name = extra.name, .version = 1, .bytes = writer.bytes(), .fds = writer.fds()});
  }
  return sections;
}

// Not what the destination says decides, but the word: it may own the guest although its answer did not
// arrive, and it may say that it runs what it has not taken.
Result<void> Source::on_running(const wire::Running& times) {
  if (environment_.machine.ending()) return {};
  if (ownership_ && ownership_->claim_back_for_source()) {
    roll_back(Status::kFailed, Error("the destination says that it runs the guest, but has not taken it"));
    return {};
  }
  commit(&times, "");
  return {};
}

// Without a word: from here on the guest is the destination's, whatever comes.
Result<void> Source::on_loaded() {
  environment_.faults.pass(FaultStep::kSourceGo, FaultWhen::kBefore, connection_.get());
  // What the socket refuses at once has not left this process.
  TRY(connection_->send(wire::MessageType::kGo, wire::Go{}));
  TRY(await_confirmation());
  environment_.faults.pass(FaultStep::kSourceGo, FaultWhen::kAfter, connection_.get());
  return {};
}

void Source::cancel() { settle(Status::kCancelled, Error("cancelled")); }

void Source::settle(Status status, const Error& why) {
  // A process that ends does not take back what it could not run: perhaps the destination can.
  bool perhaps_given = step_ == Step::kSwitchover || step_ == Step::kGiven;
  if (perhaps_given && environment_.machine.ending()) return;
  switch (step_) {
    case Step::kHello:
    case Step::kPrepare:
    case Step::kCopy: return end(status, why.message());
    case Step::kPreSwitchover:
    case Step::kRest: return roll_back(status, why);
    case Step::kSwitchover:
      // Without a word, it is not given away before GO.
      if (!ownership_ || ownership_->claim_back_for_source()) return roll_back(status, why);
      // It has been taken, and the answer is on its way: a cancel came too late, or the limit passed in
      // the last moment.
      step_ = Step::kGiven;
      if (connection_->open() && await_confirmation()) return;
      return end_unconfirmed(why);
    case Step::kGiven:
      if (status != Status::kCancelled) end_unconfirmed(why);
      return;
    case Step::kEnded: return;
  }
}

Result<void> Source::await_confirmation() {
  return await(Step::kGiven, parameters().stall_timeout_ms, "the destination did not confirm in time");
}

void Source::end_unconfirmed(const Error& why) {
  if (ownership_) {
    std::string warning =
        fmt::format("the destination has taken the guest, but its answer got lost: {}", why.message());
    log_warning("{}", warning);
    return commit(nullptr, warning);
  }
  environment_.machine.release(machine::Handover::Left::kPerhaps);
  std::string text = fmt::format(
      "the guest was given to the destination, which did not confirm: {} (look there; only once that process has ended "
      "or says failed, continue the guest here with cont)",
      why.message());
  log_error("{}", text);
  end(Status::kFailed, text);
}

void Source::commit(const wire::Running* running, const std::string& warning) {
  environment_.faults.pass(FaultStep::kSourceCommit, FaultWhen::kBefore, connection_.get());
  MIGRATION_PROBE(source_completed);
  using enum machine::Handover::Left;
  environment_.machine.release(connection_->answers() ? kTaken : kSaved);
  for (const Extra& extra : environment_.extras) {
    if (transfer_.contains(extra.name)) extra.movable->release();
  }
  if (running != nullptr && plausible(*running, stop_ns_)) {
    auto at = [](uint64_t ns) { return static_cast<int64_t>(ns); };
    timeline_.add("load", at(running->received_ns), at(running->loaded_ns));
    timeline_.add("own", at(running->loaded_ns), at(running->owned_ns));
    timeline_.add("enter", at(running->owned_ns), at(running->running_ns));
    downtime_ns_ = at(running->running_ns) - stop_ns_;
  } else {
    downtime_ns_ = monotonic_ns() - stop_ns_;
  }
  environment_.faults.pass(FaultStep::kSourceCommit, FaultWhen::kAfter, connection_.get());
  end(Status::kCompleted, warning);
}

// The word has been taken back, or STATE was never sent: nobody else can run the guest.
void Source::roll_back(Status status, const Error& why) {
  MIGRATION_PROBE(source_rolled_back);
  for (const Extra& extra : environment_.extras) {
    if (transfer_.contains(extra.name)) extra.movable->thaw();
  }
  environment_.machine.resume();
  environment_.machine.report_events();
  end(status, why.message());
}

void Source::end(Status status, const std::string& why) {
  if (step_ == Step::kEnded) return;
  step_ = Step::kEnded;
  timeout_ = event::Watch();
  if (ram_) ram_->stop();
  if (status != Status::kCompleted) {
    if (ownership_) ownership_->claim_back_for_source();
    // Best effort: it tells the destination's operator why; the closed channel tells the process.
    if (connection_->answers()) (void)connection_->send(wire::MessageType::kRefused, wire::Refused::because(why));
    connection_->close_when_drained();
  } else {
    pid_t pid = connection_->peer_pid();
    connection_->close_and_watch([pid, remark = environment_.on_remark] {
      remark(fmt::format("process {}, which took the guest, has ended", pid));
    });
  }
  ownership_.reset();
  environment_.on_status(status, why);
}

std::vector<std::string> Source::moved() const {
  if (step_ != Step::kEnded || downtime_ns_ == 0) return {};
  std::vector<std::string> moved;
  if (local()) moved.emplace_back("ram");
  moved.insert(moved.end(), transfer_.begin(), transfer_.end());
  return moved;
}

std::optional<RamStatistics> Source::ram() const {
  if (!ram_) return std::nullopt;
  return ram_->statistics();
}

}  // namespace pagurus::migration
