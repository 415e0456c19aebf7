#include "migration/destination.h"

#include <algorithm>

#include "base/log.h"
#include "migration/manifest.h"

namespace pagurus::migration {
namespace {

constexpr int64_t kSendTimeoutNs = 5'000'000'000;
// A source sends HELLO as soon as it is connected, PREPARE when it is welcome, and STATE when we are
// ready; these are for one that hangs.  The first is shorter than a source's patience with us, so
// that the next in the queue is still there.
constexpr uint64_t kHelloTimeoutUs = 2'000'000;
constexpr uint64_t kPrepareTimeoutUs = 30'000'000;
constexpr uint64_t kStateTimeoutUs = 60'000'000;

}  // namespace

Result<std::unique_ptr<Destination>> Destination::start(Environment environment, const std::string& path) {
  auto listener = TRY(chardev::UnixListener::bind(path));
  std::unique_ptr<Destination> destination(new Destination(std::move(environment), std::move(listener)));
  TRY(destination->listen());
  return destination;
}

Result<void> Destination::listen() {
  step_ = Step::kListening;
  channel_.reset();
  // The loop takes a descriptor once.
  listen_watch_ = event::Watch();
  Destination* self = this;
  listen_watch_ =
      TRY(environment_.loop.watch_fd(listener_->fd(), EPOLLIN, [self](uint32_t) { self->on_connection(); }));
  return {};
}

void Destination::on_connection() {
  auto socket = listener_->accept();
  if (!socket) return log_warning("cannot accept a hand-over: {}", socket.error().message());
  if (!*socket) return;
  if (auto result = accept(std::move(**socket)); !result) {
    log_warning("a hand-over was not accepted: {}", result.error().message());
    socket_watch_ = event::Watch();
    death_watch_ = event::Watch();
    if (auto listening = listen(); !listening) environment_.on_lost(listening.error());
  }
}

Result<void> Destination::accept(UniqueFd socket) {
  channel_.emplace(TRY(wire::Channel::of_socket(std::move(socket))));
  Destination* self = this;
  socket_watch_ = TRY(environment_.loop.watch_fd(channel_->fd(), EPOLLIN, [self](uint32_t) { self->on_readable(); }));
  death_watch_ =
      TRY(environment_.loop.watch_fd(channel_->peer_pidfd(), EPOLLIN, [self](uint32_t) { self->on_peer_death(); }));
  // One source at a time; others wait in the backlog.
  listen_watch_ = event::Watch();
  timeline_ = Timeline(monotonic_ns());
  return await(Step::kHello, kHelloTimeoutUs, "HELLO");
}

Result<void> Destination::await(Step step, uint64_t timeout_us, const char* what) {
  step_ = step;
  Destination* self = this;
  timeout_ = TRY(environment_.loop.after(
      timeout_us, [self, what] { self->end(Error(fmt::format("the source did not send {} in time", what))); }));
  return {};
}

void Destination::on_readable() {
  while (step_ != Step::kEnded && step_ != Step::kListening) {
    auto message = channel_->try_receive();
    int64_t received_ns = monotonic_ns();
    if (!message) return end(message.error());
    if (!*message) return;
    if (auto result = handle(std::move(**message), received_ns); !result) end(explain(std::move(result.error())));
  }
}

// A source that gave up has said why before it hung up on us.
Error Destination::explain(Error error) {
  auto last = channel_->try_receive();
  if (!last || !*last || (*last)->type != wire::MessageType::kRefused) return error;
  auto refused = std::move(**last).as<wire::Refused>();
  return refused ? Error(fmt::format("the source ended the hand-over: {}", refused->reason)) : error;
}

void Destination::on_peer_death() {
  // A source that died after it sent STATE has left the guest to us.
  on_readable();
  if (step_ != Step::kEnded && step_ != Step::kListening) end(Error("the source process died"));
}

Result<void> Destination::handle(wire::Message message, int64_t received_ns) {
  if (message.type == wire::MessageType::kRefused) {
    auto refused = TRY(std::move(message).as<wire::Refused>());
    return fail("the source ended the hand-over: {}", refused.reason);
  }
  if (step_ == Step::kHello && message.type == wire::MessageType::kHello) {
    return on_hello(TRY(std::move(message).as<wire::Hello>()));
  }
  if (step_ == Step::kWelcomed && message.type == wire::MessageType::kPrepare) {
    return on_prepare(TRY(std::move(message).as<wire::Prepare>()));
  }
  if (step_ == Step::kReady && message.type == wire::MessageType::kState) {
    return on_state(TRY(std::move(message).as<wire::State>()), received_ns);
  }
  return fail("the source sent message {} out of turn", static_cast<unsigned>(message.type));
}

Result<void> Destination::on_hello(const wire::Hello& hello) {
  Settings settings = environment_.settings();
  transfer_ = TRY(compare(hello, make_hello(environment_.machine, settings.parameters, {})));
  TRY(check_announced(environment_.machine, settings, transfer_));
  for (const Extra& extra : environment_.extras) {
    if (std::ranges::count(hello.extras, extra.name) == 0) {
      return fail("{} is in use by a process that is not the source", extra.name);
    }
    transfer_.insert(extra.name);
  }
  environment_.on_status(Status::kActive, "");
  TRY(await(Step::kWelcomed, kPrepareTimeoutUs, "PREPARE"));
  wire::Welcome welcome{.vmm_version = vmm_version(), .wanted = {transfer_.begin(), transfer_.end()}};
  return channel_->send(wire::MessageType::kWelcome, welcome, monotonic_ns() + kSendTimeoutNs);
}

Result<void> Destination::on_prepare(wire::Prepare prepare) {
  int64_t begin_ns = monotonic_ns();
  // From here on this process holds a part of the guest: a failure ends it.
  TRY(await(Step::kReady, kStateTimeoutUs, "STATE"));
  ownership_.emplace(TRY(Ownership::adopt(prepare.ownership.take())));
  TRY(environment_.machine.attach_ram(prepare.ram.take()));
  TRY(environment_.machine.open_untransferred(transfer_));
  TRY_DOING("rehearsing the state", environment_.machine.load_rehearsal(to_sections(std::move(prepare.rehearsal))));
  int64_t now = monotonic_ns();
  timeline_.add("prepare", begin_ns, now);
  return channel_->send(wire::MessageType::kReady, wire::Ready{.prepared_ns = static_cast<uint64_t>(now - begin_ns)},
                        now + kSendTimeoutNs);
}

// The pause.
Result<void> Destination::on_state(wire::State state, int64_t received_ns) {
  TRY(load(std::move(state.sections)));
  wire::Running times{.received_ns = static_cast<uint64_t>(received_ns),
                      .loaded_ns = static_cast<uint64_t>(monotonic_ns())};
  if (!ownership_->claim_for_destination()) return fail("the source has taken the guest back");
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
      continue;
    }
    if (!extra->movable->pending()) return fail("state section '{}' arrived twice", extra->name);
    std::vector<UniqueFd> fds;
    for (auto& fd : section.fds) fds.push_back(fd.take());
    vmstate::Reader reader(section.bytes, std::move(fds));
    TRY_DOING(extra->name, extra->movable->adopt(reader));
    if (reader.unclaimed_fds() != 0) return fail("{}: a file descriptor arrived that it does not claim", extra->name);
  }
  for (const Extra& extra : environment_.extras) {
    if (extra.movable->pending()) return fail("state section '{}' is missing", extra.name);
  }
  std::set<std::string> of_devices = transfer_;
  for (const Extra& extra : environment_.extras) of_devices.erase(extra.name);
  return environment_.machine.load(to_sections(std::move(of_machine)), of_devices);
}

// From here on nothing may fail: the guest is ours.
void Destination::enter(const wire::State& state, wire::Running times) {
  bool run = state.run && !environment_.stay_paused;
  times.running_ns = static_cast<uint64_t>(
      environment_.machine.enter(run ? machine::Handover::Enter::kRunning : machine::Handover::Enter::kPaused));
  if (auto sent = channel_->send(wire::MessageType::kRunning, times, monotonic_ns() + kSendTimeoutNs); !sent) {
    log_info("the guest runs here; the source was not told: {}", sent.error().message());
  }
  for (const Extra& extra : environment_.extras) extra.movable->thaw();

  auto at = [](uint64_t ns) { return static_cast<int64_t>(ns); };
  timeline_.add("load", at(times.received_ns), at(times.loaded_ns));
  timeline_.add("own", at(times.loaded_ns), at(times.owned_ns));
  timeline_.add("enter", at(times.owned_ns), at(times.running_ns));
  // The source's clock reading is the peer's word: it is only reported, never computed with.
  downtime_ns_ = at(times.running_ns - state.stop_asked_ns);
  step_ = Step::kEnded;
  socket_watch_ = event::Watch();
  death_watch_ = event::Watch();
  timeout_ = event::Watch();
  listener_.reset();
  channel_->close();
  ownership_.reset();
  environment_.machine.report_events();
  environment_.on_status(Status::kDevice, "");
  environment_.on_status(Status::kCompleted, "");
}

void Destination::end(const Error& why) {
  if (step_ == Step::kEnded) return;
  // Best effort: the closed channel says it too, without the reason.
  (void)channel_->send(wire::MessageType::kRefused, wire::Refused{why.message()}, monotonic_ns() + 10'000'000);
  socket_watch_ = event::Watch();
  death_watch_ = event::Watch();
  timeout_ = event::Watch();
  bool untouched = step_ != Step::kReady;
  step_ = Step::kEnded;
  channel_->close();
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
