#include "migration/destination.h"

#include <algorithm>

#include "base/log.h"
#include "migration/manifest_query.h"
#include "migration/probes.h"

namespace pagurus::migration {

Result<std::unique_ptr<Destination>> Destination::start(Environment environment, const Address& address) {
  std::unique_ptr<Destination> destination(new Destination(std::move(environment)));
  if (address.kind == Address::Kind::kFile) {
    auto file = TRY(open_file(address));
    TRY(destination->begin(std::move(file)));
    return destination;
  }
  destination->listener_ = TRY(Listener::bind(address));
  TRY(destination->listen());
  return destination;
}

Result<void> Destination::listen() {
  step_ = Step::kListening;
  former_ = std::move(connection_);
  // The loop takes a descriptor once.
  listen_watch_ = event::Watch();
  Destination* self = this;
  listen_watch_ =
      TRY(environment_.loop.watch_fd(listener_->fd(), EPOLLIN, [self](uint32_t) { self->on_connection(); }));
  return {};
}

void Destination::on_connection() {
  auto channel = listener_->accept();
  if (channel && !*channel) return;
  auto result = channel ? begin(std::move(**channel)) : Result<void>(std::unexpected(std::move(channel.error())));
  if (result) return;
  log_warning("a hand-over was not accepted: {}", result.error().message());
  timeout_ = event::Watch();
  if (connection_) turn_away(result.error());
  if (auto listening = listen(); !listening) environment_.on_lost(listening.error());
}

Result<void> Destination::begin(wire::Channel channel) {
  former_.reset();
  TRY(before(FaultStep::kDestinationAccept));
  Destination* self = this;
  connection_ = TRY(Connection::create(
      environment_.loop, std::move(channel), "the source",
      {.on_message = [self](wire::Message message,
                            int64_t received_ns) { self->on_message(std::move(message), received_ns); },
       .on_lost = [self](const Error& why) { self->end(why); },
       .on_drained = {}}));
  // One source at a time; others wait in the backlog.
  listen_watch_ = event::Watch();
  timeline_ = Timeline(monotonic_ns());
  parameters_ = environment_.settings().parameters;
  // Half of what a source waits for its answer, so that the next in the queue is still there.
  TRY(await(Step::kHello, parameters_.hello_timeout_ms / 2, "HELLO"));
  if (!connection_->answers()) TRY(connection_->read_file());
  return after(FaultStep::kDestinationAccept);
}

Result<void> Destination::await(Step step, uint64_t timeout_ms, const char* what) {
  step_ = step;
  Destination* self = this;
  timeout_ = TRY(environment_.loop.after(timeout_ms * 1000, [self, what] {
    Error late(fmt::format("the source did not send {} in time", what));
    // With the word in reach, what has arrived in the meantime counts: a STATE that waits to be read may be
    // all there is of the guest.
    if (self->ownership_) return self->connection_->give_up(late);
    self->end(late);
  }));
  return {};
}

void Destination::on_message(wire::Message message, int64_t received_ns) {
  if (step_ == Step::kEnded || step_ == Step::kListening) return;
  if (auto result = handle(std::move(message), received_ns); !result) end(explain(std::move(result.error())));
}

// A source that gave up has said why before it hung up on us.
Error Destination::explain(Error error) {
  auto last = connection_->try_receive();
  if (!last || !*last || (*last)->type != wire::MessageType::kRefused) return error;
  auto refused = std::move(**last).as<wire::Refused>();
  return refused ? Error(fmt::format("the source ended the hand-over: {}", refused->reason)) : error;
}

Result<void> Destination::handle(wire::Message message, int64_t received_ns) {
  using enum wire::MessageType;
  if (message.type == kRefused) {
    auto refused = TRY(std::move(message).as<wire::Refused>());
    return fail("the source ended the hand-over: {}", refused.reason);
  }
  if (step_ == Step::kHello && message.type == kHello) return on_hello(TRY(std::move(message).as<wire::Hello>()));
  if (step_ == Step::kWelcomed && mode_ == wire::Mode::kLocal && message.type == kPrepare) {
    return on_prepare(TRY(std::move(message).as<wire::Prepare>()));
  }
  if (step_ == Step::kWelcomed && mode_ == wire::Mode::kCopy && message.type == kPrepareCopy) {
    return on_prepare_copy(TRY(std::move(message).as<wire::PrepareCopy>()));
  }
  if (step_ == Step::kReady && ram_ && message.type == kRam) return on_ram(TRY(std::move(message).as<wire::Ram>()));
  if (step_ == Step::kReady && message.type == kState) {
    return on_state(TRY(std::move(message).as<wire::State>()), received_ns);
  }
  if (step_ == Step::kLoaded && message.type == kGo) {
    TRY(std::move(message).as<wire::Go>());
    return on_go();
  }
  return fail("the source sent {} out of turn", wire::name_of(message.type));
}

// The parameter decides the mode; a source that says something else does not know what it sends.
Result<void> Destination::check_mode(const wire::Hello& hello) const {
  bool local = hello.mode == wire::Mode::kLocal;
  if (hello.mode != wire::Mode::kCopy && !local) return fail("mode {} is none", static_cast<unsigned>(hello.mode));
  if (local != hello.backend_transfer) return fail("the source's mode and its parameter 'backend-transfer' disagree");
  if (local && !connection_->passes_fds()) {
    return fail(
        "migration parameter 'backend-transfer' requires a UNIX domain socket: file descriptors travel over it");
  }
  return {};
}

Result<void> Destination::on_hello(const wire::Hello& hello) {
  TRY(before(FaultStep::kDestinationHello));
  Settings settings = environment_.settings();
  TRY(check_mode(hello));
  auto welcome = TRY(answer_manifest(hello, environment_.machine, settings, environment_.extras));
  transfer_ = {welcome.wanted.begin(), welcome.wanted.end()};
  source_may_wait_ = hello.waits_before_state;
  TRY(after(FaultStep::kDestinationHello));
  mode_ = hello.mode;
  environment_.on_status(Status::kActive, "");
  TRY(await(Step::kWelcomed, parameters_.prepare_timeout_ms / 2, "PREPARE"));
  if (!welcome.unknown.empty()) {
    log_warning(
        "the source has {} optional state sections that are unknown here and will be passed over, the first is '{}'",
        welcome.unknown.size(), welcome.unknown.front());
  }
  if (!connection_->answers()) return {};
  TRY(before(FaultStep::kDestinationWelcome));
  TRY(connection_->send(wire::MessageType::kWelcome, welcome));
  return after(FaultStep::kDestinationWelcome);
}

Result<void> Destination::on_prepare(wire::Prepare prepare) {
  TRY(begin_preparing());
  ownership_.emplace(TRY(Ownership::adopt(prepare.ownership.take())));
  TRY(environment_.machine.attach_ram(prepare.ram.take()));
  return finish_preparing(std::move(prepare.rehearsal));
}

Result<void> Destination::on_prepare_copy(wire::PrepareCopy prepare) {
  if (prepare.ownership.empty() == connection_->passes_fds()) {
    return fail("PREPARE-COPY has {} ownership words on this channel", prepare.ownership.size());
  }
  TRY(begin_preparing());
  if (!prepare.ownership.empty()) ownership_.emplace(TRY(Ownership::adopt(prepare.ownership.front().take())));
  TRY(environment_.machine.allocate_ram());
  ram_.emplace(environment_.machine.ram());
  return finish_preparing(std::move(prepare.rehearsal));
}

// From here on this process holds a part of the guest: a failure ends it.
Result<void> Destination::begin_preparing() {
  prepare_began_ns_ = monotonic_ns();
  MIGRATION_PROBE(destination_prepare);
  step_ = Step::kReady;
  timeout_ = event::Watch();
  return before(FaultStep::kDestinationPrepare);
}

Result<void> Destination::finish_preparing(std::vector<wire::SectionData> rehearsal) {
  TRY(environment_.machine.open_untransferred(transfer_));
  TRY_DOING("rehearsing the state", environment_.machine.load_rehearsal(to_sections(std::move(rehearsal)), transfer_));
  TRY(after(FaultStep::kDestinationPrepare));
  int64_t now = monotonic_ns();
  timeline_.add("prepare", prepare_began_ns_, now);
  MIGRATION_PROBE(destination_ready);
  if (!connection_->answers()) return {};
  TRY(await_state());
  TRY(before(FaultStep::kDestinationReady));
  wire::Ready ready{.prepared_ns = static_cast<uint64_t>(now - prepare_began_ns_)};
  TRY(connection_->send(wire::MessageType::kReady, ready));
  return after(FaultStep::kDestinationReady);
}

Result<void> Destination::await_state() {
  // A source that waits for its operator may take any time; its death and a broken channel are noticed.
  if (source_may_wait_) return {};
  return await(Step::kReady, parameters_.stall_timeout_ms, "STATE");
}

Result<void> Destination::on_ram(const wire::Ram& ram) {
  TRY(before(FaultStep::kDestinationCopy));
  TRY(ram_->apply(ram));
  TRY(after(FaultStep::kDestinationCopy));
  return connection_->answers() ? await_state() : Result<void>();
}

// The pause.
Result<void> Destination::on_state(wire::State state, int64_t received_ns) {
  TRY(before(FaultStep::kDestinationLoad));
  MIGRATION_PROBE(destination_load);
  TRY(load(std::move(state.sections)));
  MIGRATION_PROBE(destination_loaded);
  TRY(after(FaultStep::kDestinationLoad));
  run_ = state.run && !environment_.stay_paused;
  stop_asked_ns_ = static_cast<int64_t>(state.stop_asked_ns);
  times_ = {.received_ns = static_cast<uint64_t>(received_ns), .loaded_ns = static_cast<uint64_t>(monotonic_ns())};
  if (!ownership_ && connection_->answers()) return ask_for_the_guest();
  pass(FaultStep::kDestinationOwn, FaultWhen::kBefore);
  if (ownership_ && !ownership_->claim_for_destination()) return fail("the source has taken the guest back");
  pass(FaultStep::kDestinationOwn, FaultWhen::kAfter);
  enter();
  return {};
}

// Without a word: the source says whose it is.  It may have given the guest away at any time from now on,
// so this process waits as long as the connection lives.
Result<void> Destination::ask_for_the_guest() {
  step_ = Step::kLoaded;
  timeout_ = event::Watch();
  TRY(before(FaultStep::kDestinationLoaded));
  uint64_t took_ns = times_.loaded_ns - times_.received_ns;
  TRY(connection_->send(wire::MessageType::kLoaded, wire::Loaded{.loaded_ns = took_ns}));
  return after(FaultStep::kDestinationLoaded);
}

Result<void> Destination::on_go() {
  // A guest that was taken now would end with this process.
  if (environment_.machine.ending()) return fail("the process is ending");
  pass(FaultStep::kDestinationOwn, FaultWhen::kBefore);
  pass(FaultStep::kDestinationOwn, FaultWhen::kAfter);
  enter();
  return {};
}

Result<void> Destination::load(std::vector<wire::SectionData> sections) {
  std::vector<wire::SectionData> of_machine;
  for (auto& section : sections) {
    auto extra = std::ranges::find(environment_.extras, section.name, &Extra::name);
    if (extra == environment_.extras.end()) {
      of_machine.push_back(std::move(section));
    } else {
      TRY_DOING(extra->name, load_extra(*extra, std::move(section)));
    }
  }
  std::set<std::string> of_devices = transfer_;
  for (const Extra& extra : environment_.extras) {
    if (extra.movable->pending()) return fail("state section '{}' is missing", extra.name);
    of_devices.erase(extra.name);
  }
  // A word in shared memory comes from a process of this kernel.
  using Origin = machine::Handover::Origin;
  return environment_.machine.load(to_sections(std::move(of_machine)), of_devices,
                                   ownership_ ? Origin::kThisHost : Origin::kElsewhere);
}

Result<void> Destination::load_extra(const Extra& extra, wire::SectionData section) {
  if (!extra.movable->pending()) return fail("its state section arrived twice");
  std::vector<UniqueFd> fds;
  for (auto& fd : section.fds) fds.push_back(fd.take());
  vmstate::Reader reader(section.bytes, std::move(fds));
  TRY(extra.movable->adopt(reader));
  if (reader.unclaimed_fds() != 0) return fail("a file descriptor arrived that it does not claim");
  return {};
}

// From here on nothing may fail: the guest is ours.
void Destination::enter() {
  using enum machine::Handover::Enter;
  times_.owned_ns = static_cast<uint64_t>(monotonic_ns());
  MIGRATION_PROBE(destination_owned);
  pass(FaultStep::kDestinationEnter, FaultWhen::kBefore);
  times_.running_ns = static_cast<uint64_t>(environment_.machine.enter(run_ ? kRunning : kPaused));
  MIGRATION_PROBE(destination_running);
  pass(FaultStep::kDestinationEnter, FaultWhen::kAfter);
  if (connection_->answers()) tell_the_source();
  for (const Extra& extra : environment_.extras) extra.movable->thaw();

  auto at = [](uint64_t ns) { return static_cast<int64_t>(ns); };
  timeline_.add("load", at(times_.received_ns), at(times_.loaded_ns));
  timeline_.add("own", at(times_.loaded_ns), at(times_.owned_ns));
  timeline_.add("enter", at(times_.owned_ns), at(times_.running_ns));
  // The source's clock reading is the peer's word: it is only reported, never computed with.  Another
  // host's clock says nothing here.
  downtime_ns_ = ownership_ ? at(times_.running_ns) - stop_asked_ns_ : 0;
  step_ = Step::kEnded;
  came_in_ = true;
  timeout_ = event::Watch();
  listener_.reset();
  connection_->close();
  ownership_.reset();
  environment_.machine.report_events();
  environment_.on_status(Status::kDevice, "");
  environment_.on_status(Status::kCompleted, "");
}

void Destination::tell_the_source() {
  pass(FaultStep::kDestinationRunning, FaultWhen::kBefore);
  if (auto sent = connection_->send(wire::MessageType::kRunning, times_); !sent) {
    log_info("the guest runs here; the source was not told: {}", sent.error().message());
  }
  pass(FaultStep::kDestinationRunning, FaultWhen::kAfter);
}

void Destination::end(const Error& why) {
  if (step_ == Step::kEnded || step_ == Step::kListening) return;
  timeout_ = event::Watch();
  bool untouched = step_ != Step::kReady && step_ != Step::kLoaded && listener_;
  step_ = Step::kEnded;
  turn_away(why);
  environment_.on_status(Status::kFailed, why.message());
  if (!untouched) return environment_.on_lost(why);
  if (auto result = listen(); !result) environment_.on_lost(result.error());
}

void Destination::turn_away(const Error& why) {
  // Best effort: the closed channel says it too, without the reason.
  if (connection_->answers())
    (void)connection_->send(wire::MessageType::kRefused, wire::Refused::because(why.message()));
  connection_->close();
}

std::vector<std::string> Destination::moved() const {
  if (!came_in_) return {};
  std::vector<std::string> moved;
  if (mode_ == wire::Mode::kLocal) moved.emplace_back("ram");
  moved.insert(moved.end(), transfer_.begin(), transfer_.end());
  return moved;
}

}  // namespace pagurus::migration
