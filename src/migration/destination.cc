#include "migration/destination.h"

#include <algorithm>

#include "base/log.h"
#include "migration/manifest.h"

namespace pagurus::migration {

Result<std::unique_ptr<Destination>> Destination::start(Environment environment, const Address& address) {
  std::unique_ptr<Destination> destination(new Destination(std::move(environment)));
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
  return after(FaultStep::kDestinationAccept);
}

Result<void> Destination::await(Step step, uint64_t timeout_ms, const char* what) {
  step_ = step;
  Destination* self = this;
  timeout_ = TRY(environment_.loop.after(
      timeout_ms * 1000, [self, what] { self->end(Error(fmt::format("the source did not send {} in time", what))); }));
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
  if (step_ == Step::kWelcomed && message.type == kPrepare) {
    return on_prepare(TRY(std::move(message).as<wire::Prepare>()));
  }
  if (step_ == Step::kReady && message.type == kState) {
    return on_state(TRY(std::move(message).as<wire::State>()), received_ns);
  }
  return fail("the source sent {} out of turn", wire::name_of(message.type));
}

Result<void> Destination::on_hello(const wire::Hello& hello) {
  TRY(before(FaultStep::kDestinationHello));
  Settings settings = environment_.settings();
  transfer_ = TRY(compare(hello, make_hello(environment_.machine, settings.parameters, {})));
  TRY(check_announced(environment_.machine, settings, transfer_));
  for (const Extra& extra : environment_.extras) {
    if (std::ranges::count(hello.extras, extra.name) == 0) {
      return fail("{} is in use by a process that is not the source", extra.name);
    }
    transfer_.insert(extra.name);
  }
  source_may_wait_ = hello.waits_before_state;
  TRY(after(FaultStep::kDestinationHello));
  environment_.on_status(Status::kActive, "");
  TRY(await(Step::kWelcomed, parameters_.prepare_timeout_ms / 2, "PREPARE"));
  wire::Welcome welcome{.vmm_version = vmm_version(), .wanted = {transfer_.begin(), transfer_.end()}, .unknown = {}};
  TRY(before(FaultStep::kDestinationWelcome));
  TRY(connection_->send(wire::MessageType::kWelcome, welcome));
  return after(FaultStep::kDestinationWelcome);
}

Result<void> Destination::on_prepare(wire::Prepare prepare) {
  int64_t begin_ns = monotonic_ns();
  // From here on this process holds a part of the guest: a failure ends it.
  step_ = Step::kReady;
  timeout_ = event::Watch();
  TRY(before(FaultStep::kDestinationPrepare));
  ownership_.emplace(TRY(Ownership::adopt(prepare.ownership.take())));
  TRY(environment_.machine.attach_ram(prepare.ram.take()));
  TRY(environment_.machine.open_untransferred(transfer_));
  TRY_DOING("rehearsing the state", environment_.machine.load_rehearsal(to_sections(std::move(prepare.rehearsal))));
  TRY(after(FaultStep::kDestinationPrepare));
  int64_t now = monotonic_ns();
  timeline_.add("prepare", begin_ns, now);
  // A source that waits for its operator may take any time; its death and a broken channel are noticed.
  if (!source_may_wait_) TRY(await(Step::kReady, parameters_.stall_timeout_ms, "STATE"));
  return connection_->send(wire::MessageType::kReady,
                           wire::Ready{.prepared_ns = static_cast<uint64_t>(now - begin_ns)});
}

// The pause.
Result<void> Destination::on_state(wire::State state, int64_t received_ns) {
  TRY(before(FaultStep::kDestinationLoad));
  TRY(load(std::move(state.sections)));
  TRY(after(FaultStep::kDestinationLoad));
  wire::Running times{.received_ns = static_cast<uint64_t>(received_ns),
                      .loaded_ns = static_cast<uint64_t>(monotonic_ns())};
  pass(FaultStep::kDestinationOwn, FaultWhen::kBefore);
  if (!ownership_->claim_for_destination()) return fail("the source has taken the guest back");
  pass(FaultStep::kDestinationOwn, FaultWhen::kAfter);
  times.owned_ns = static_cast<uint64_t>(monotonic_ns());
  enter(state, times);
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
  return environment_.machine.load(to_sections(std::move(of_machine)), of_devices);
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
void Destination::enter(const wire::State& state, wire::Running times) {
  bool run = state.run && !environment_.stay_paused;
  pass(FaultStep::kDestinationEnter, FaultWhen::kBefore);
  times.running_ns = static_cast<uint64_t>(
      environment_.machine.enter(run ? machine::Handover::Enter::kRunning : machine::Handover::Enter::kPaused));
  pass(FaultStep::kDestinationEnter, FaultWhen::kAfter);
  pass(FaultStep::kDestinationRunning, FaultWhen::kBefore);
  if (auto sent = connection_->send(wire::MessageType::kRunning, times); !sent) {
    log_info("the guest runs here; the source was not told: {}", sent.error().message());
  }
  pass(FaultStep::kDestinationRunning, FaultWhen::kAfter);
  for (const Extra& extra : environment_.extras) extra.movable->thaw();

  auto at = [](uint64_t ns) { return static_cast<int64_t>(ns); };
  timeline_.add("load", at(times.received_ns), at(times.loaded_ns));
  timeline_.add("own", at(times.loaded_ns), at(times.owned_ns));
  timeline_.add("enter", at(times.owned_ns), at(times.running_ns));
  // The source's clock reading is the peer's word: it is only reported, never computed with.
  downtime_ns_ = at(times.running_ns - state.stop_asked_ns);
  step_ = Step::kEnded;
  timeout_ = event::Watch();
  listener_.reset();
  connection_->close();
  ownership_.reset();
  environment_.machine.report_events();
  environment_.on_status(Status::kDevice, "");
  environment_.on_status(Status::kCompleted, "");
}

void Destination::end(const Error& why) {
  if (step_ == Step::kEnded || step_ == Step::kListening) return;
  // Best effort: the closed channel says it too, without the reason.
  (void)connection_->send(wire::MessageType::kRefused, wire::Refused{why.message()});
  timeout_ = event::Watch();
  bool untouched = step_ != Step::kReady;
  step_ = Step::kEnded;
  connection_->close();
  environment_.on_status(Status::kFailed, why.message());
  if (!untouched) return environment_.on_lost(why);
  if (auto result = listen(); !result) environment_.on_lost(result.error());
}

std::vector<std::string> Destination::moved() const {
  if (downtime_ns_ == 0) return {};
  std::vector<std::string> moved{"ram"};
  moved.insert(moved.end(), transfer_.begin(), transfer_.end());
  return moved;
}

}  // namespace pagurus::migration
