#include "migration/source.h"

#include <algorithm>

#include "base/log.h"
#include "migration/manifest.h"

namespace pagurus::migration {
namespace {

// Before the pause the guest runs, so these only bound how long an operator waits for a peer that
// hangs.  PREPARE includes mapping and pre-faulting all of RAM.
constexpr uint64_t kHelloTimeoutUs = 5'000'000;
constexpr uint64_t kPrepareTimeoutUs = 60'000'000;
constexpr int64_t kSendTimeoutNs = 5'000'000'000;

// The times are the peer's word: used only if they lie in order within the pause.
bool plausible(const wire::Running& times, int64_t stop_ns) {
  const uint64_t moments[] = {
      static_cast<uint64_t>(stop_ns),       times.received_ns, times.loaded_ns, times.owned_ns, times.running_ns,
      static_cast<uint64_t>(monotonic_ns())};
  return std::ranges::is_sorted(moments);
}

}  // namespace

Result<std::unique_ptr<Source>> Source::start(Environment environment, const std::string& path) {
  TRY(check_movable(environment.machine, environment.parameters));
  auto channel = TRY(wire::Channel::connect(path));
  std::unique_ptr<Source> source(new Source(std::move(environment), std::move(channel)));
  TRY(source->send_hello());
  return source;
}

Result<void> Source::send_hello() {
  Source* self = this;
  socket_watch_ = TRY(environment_.loop.watch_fd(channel_.fd(), EPOLLIN, [self](uint32_t) { self->on_readable(); }));
  death_watch_ =
      TRY(environment_.loop.watch_fd(channel_.peer_pidfd(), EPOLLIN, [self](uint32_t) { self->on_peer_death(); }));
  std::vector<std::string> extras;
  for (const Extra& extra : environment_.extras) extras.push_back(extra.name);
  TRY(await(Step::kHello, kHelloTimeoutUs));
  return channel_.send(wire::MessageType::kHello, make_hello(environment_.machine, environment_.parameters, extras),
                       monotonic_ns() + kSendTimeoutNs);
}

Result<void> Source::await(Step step, uint64_t timeout_us) {
  step_ = step;
  step_began_ns_ = monotonic_ns();
  const char* complaint = step == Step::kHello ? "the destination did not answer HELLO in time"
                                               : "the destination did not get ready in time";
  Source* self = this;
  timeout_ = TRY(environment_.loop.after(timeout_us, [self, complaint] { self->end(Status::kFailed, complaint); }));
  return {};
}

void Source::on_readable() {
  while (step_ != Step::kEnded) {
    auto message = channel_.try_receive();
    if (!message) return end(Status::kFailed, message.error().message());
    if (!*message) return;
    if (auto result = handle(std::move(**message)); !result) end(Status::kFailed, result.error().message());
  }
}

void Source::on_peer_death() {
  // What it said before it died may tell why.
  on_readable();
  end(Status::kFailed, "the destination process died");
}

Result<void> Source::handle(wire::Message message) {
  if (message.type == wire::MessageType::kRefused) {
    auto refused = TRY(std::move(message).as<wire::Refused>());
    return fail("the destination refused: {}", refused.reason);
  }
  int64_t now = monotonic_ns();
  if (step_ == Step::kHello && message.type == wire::MessageType::kWelcome) {
    timeline_.add("hello", step_began_ns_, now);
    return on_welcome(TRY(std::move(message).as<wire::Welcome>()));
  }
  if (step_ == Step::kPrepare && message.type == wire::MessageType::kReady) {
    TRY(std::move(message).as<wire::Ready>());
    timeline_.add("prepare", step_began_ns_, now);
    hand_over();
    return {};
  }
  return fail("the destination sent message {} out of turn", static_cast<unsigned>(message.type));
}

Result<void> Source::on_welcome(wire::Welcome welcome) {
  for (const auto& movable : environment_.machine.movables()) {
    bool wanted = std::ranges::count(welcome.wanted, movable.name) != 0;
    if (wanted != (movable.takes_part && environment_.parameters.transfer.includes(movable.target))) {
      return fail("the two sides disagree about whether {} is transferred", movable.name);
    }
    if (wanted) transfer_.insert(movable.name);
  }
  for (const Extra& extra : environment_.extras) {
    if (std::ranges::count(welcome.wanted, extra.name) != 0) transfer_.insert(extra.name);
  }
  if (transfer_.size() != welcome.wanted.size()) return fail("the destination wants what this process has not");

  environment_.on_status(Status::kActive, "");
  ownership_ = TRY(Ownership::create());
  wire::Prepare prepare{.ram = vmstate::Fd::lend(environment_.machine.ram_fd()),
                        .ownership = vmstate::Fd::lend(ownership_->fd()),
                        .rehearsal = to_messages(environment_.machine.save_rehearsal())};
  TRY(await(Step::kPrepare, kPrepareTimeoutUs));
  return channel_.send(wire::MessageType::kPrepare, prepare, monotonic_ns() + kSendTimeoutNs);
}

// The pause.
void Source::hand_over() {
  timeout_ = event::Watch();
  if (ownership_->owner() != Owner::kSource) {
    return end(Status::kFailed, "the destination took the guest before it was given");
  }
  // It ran on until now: it may have met its end, or somebody may have ended it.
  if (auto guest = environment_.machine.check_guest(); !guest) return end(Status::kFailed, guest.error().message());
  int64_t stop_ns = monotonic_ns();
  int64_t deadline_ns = stop_ns + static_cast<int64_t>(environment_.parameters.downtime_limit_ms) * 1'000'000;
  auto state = freeze_and_save(stop_ns);
  if (!state) return roll_back(state.error());
  auto running = send_state(*state, deadline_ns);
  // Not what the destination says decides, but the word: it may own the guest although its answer did
  // not arrive, and it may say that it runs what it has not taken.
  if (ownership_->claim_back_for_source()) {
    return roll_back(running ? Error("the destination says that it runs the guest, but has not taken it")
                             : running.error());
  }
  if (!running) {
    log_warning("the hand-over is complete, but the destination's answer got lost: {}", running.error().message());
  }
  commit(stop_ns, running ? &*running : nullptr);
}

Result<wire::State> Source::freeze_and_save(int64_t stop_ns) {
  environment_.machine.freeze();
  for (const Extra& extra : environment_.extras) {
    if (transfer_.contains(extra.name)) extra.movable->freeze();
  }
  int64_t frozen_ns = monotonic_ns();
  auto sections = TRY(environment_.machine.save(transfer_));
  for (const Extra& extra : environment_.extras) {
    if (!transfer_.contains(extra.name)) continue;
    vmstate::Writer writer;
    TRY(extra.movable->save(writer));
    sections.push_back({.name = extra.name, .version = 1, .bytes = writer.bytes(), .fds = writer.fds()});
  }
  timeline_.add("stop", stop_ns, frozen_ns);
  timeline_.add("save", frozen_ns, monotonic_ns());
  return wire::State{.run = environment_.machine.was_running(),
                     .stop_asked_ns = static_cast<uint64_t>(stop_ns),
                     .sections = to_messages(std::move(sections))};
}

Result<wire::Running> Source::send_state(const wire::State& state, int64_t deadline_ns) {
  int64_t begin_ns = monotonic_ns();
  TRY(channel_.send(wire::MessageType::kState, state, deadline_ns));
  timeline_.add("send", begin_ns, monotonic_ns());
  wire::Message answer = TRY(channel_.receive(deadline_ns));
  if (answer.type == wire::MessageType::kRefused) {
    auto refused = TRY(std::move(answer).as<wire::Refused>());
    return fail("the destination refused: {}", refused.reason);
  }
  if (answer.type != wire::MessageType::kRunning) {
    return fail("the destination sent message {} in the pause", static_cast<unsigned>(answer.type));
  }
  return std::move(answer).as<wire::Running>();
}

void Source::commit(int64_t stop_ns, const wire::Running* running) {
  environment_.machine.release();
  for (const Extra& extra : environment_.extras) {
    if (transfer_.contains(extra.name)) extra.movable->release();
  }
  if (running != nullptr && plausible(*running, stop_ns)) {
    auto at = [](uint64_t ns) { return static_cast<int64_t>(ns); };
    timeline_.add("load", at(running->received_ns), at(running->loaded_ns));
    timeline_.add("own", at(running->loaded_ns), at(running->owned_ns));
    timeline_.add("enter", at(running->owned_ns), at(running->running_ns));
    downtime_ns_ = at(running->running_ns) - stop_ns;
  } else {
    downtime_ns_ = monotonic_ns() - stop_ns;
  }
  environment_.machine.report_events();
  environment_.on_status(Status::kDevice, "");
  end(Status::kCompleted, "");
}

void Source::roll_back(const Error& why) {
  // The word has been taken back, or STATE was never sent: nobody else can run the guest.
  for (const Extra& extra : environment_.extras) {
    if (transfer_.contains(extra.name)) extra.movable->thaw();
  }
  environment_.machine.resume();
  environment_.machine.report_events();
  end(Status::kFailed, why.message());
}

void Source::cancel() { end(Status::kCancelled, "cancelled"); }

void Source::end(Status status, const std::string& why) {
  if (step_ == Step::kEnded) return;
  step_ = Step::kEnded;
  socket_watch_ = event::Watch();
  death_watch_ = event::Watch();
  timeout_ = event::Watch();
  if (status != Status::kCompleted) {
    if (ownership_) ownership_->claim_back_for_source();
    // Best effort: it tells the destination's operator why; the closed channel tells the process.
    (void)channel_.send(wire::MessageType::kRefused, wire::Refused{why}, monotonic_ns() + 10'000'000);
  }
  channel_.close();
  ownership_.reset();
  environment_.on_status(status, why);
}

std::vector<std::string> Source::moved() const {
  if (step_ != Step::kEnded || downtime_ns_ == 0) return {};
  std::vector<std::string> moved{"ram"};
  moved.insert(moved.end(), transfer_.begin(), transfer_.end());
  return moved;
}

}  // namespace pagurus::migration
