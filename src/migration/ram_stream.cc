#include "migration/ram_stream.h"

#include <algorithm>

#include "base/clock.h"

namespace pagurus::migration {
namespace {

constexpr size_t kChunk = 1024 * 1024;
// A file has no peer whose pause must be short: what is written during the first round goes into the
// second, and the guest stops anyway.
constexpr uint64_t kRoundsOfFile = 2;

}  // namespace

Result<void> RamStream::start() {
  TRY(source_.begin(monotonic_ns()));
  TRY(watch_progress());
  return pump_later(0);
}

Result<void> RamStream::finish() {
  phase_ = Phase::kRest;
  // A bandwidth that was measured in the rounds is none of the pause.
  source_.begin_pause();
  TRY(source_.sync(monotonic_ns()));
  pump();
  return {};
}

void RamStream::stop() {
  phase_ = Phase::kFinished;
  next_ = event::Watch();
  stall_ = event::Watch();
  environment_.ram.stop_dirty_log();
}

void RamStream::on_drained() {
  if (!next_) pump();
}

void RamStream::set_limits(uint64_t max_bandwidth, uint64_t downtime_limit_ms) {
  rate_.set(max_bandwidth);
  environment_.downtime_limit_ms = downtime_limit_ms;
  // It may be waiting under the old limit.
  if (phase_ != Phase::kRounds || !next_) return;
  if (auto pumping = pump_later(0); !pumping) environment_.on_failed(pumping.error());
}

uint64_t RamStream::expected_downtime_ms() const {
  uint64_t bandwidth = source_.bandwidth();
  return bandwidth == 0 ? 0 : source_.remaining_pages() * memory::kPageSize * 1000 / bandwidth;
}

// One message, or the end of a round; then the loop has its turn.
void RamStream::pump() {
  next_ = event::Watch();
  bool busy = !environment_.connection.drained();
  if (busy || phase_ == Phase::kConverged || phase_ == Phase::kFinished) return;
  auto sent = send_next();
  if (!sent) return environment_.on_failed(sent.error());
}

Result<void> RamStream::send_next() {
  if (phase_ == Phase::kRounds) {
    int64_t wait_ns = rate_.wait_ns(monotonic_ns());
    if (wait_ns > 0) return pump_later(static_cast<uint64_t>(wait_ns) / 1000 + 1);
    TRY(environment_.faults.reach(FaultStep::kSourceCopy, FaultWhen::kBefore, &environment_.connection));
  }
  auto message = source_.next(kChunk);
  if (!message) return end_round();
  TRY(environment_.connection.send(wire::MessageType::kRam, *message));
  if (phase_ == Phase::kRounds) {
    rate_.spend(message->data.size(), monotonic_ns());
    TRY(environment_.faults.reach(FaultStep::kSourceCopy, FaultWhen::kAfter, &environment_.connection));
  }
  // What has not left yet calls on_drained().
  return environment_.connection.drained() ? pump_later(0) : Result<void>();
}

Result<void> RamStream::end_round() {
  if (phase_ == Phase::kRest) {
    phase_ = Phase::kFinished;
    stall_ = event::Watch();
    environment_.on_finished();
    return {};
  }
  TRY(source_.sync(monotonic_ns()));
  bool to_file = !environment_.connection.answers();
  bool enough = to_file && source_.statistics().dirty_sync_count > kRoundsOfFile;
  if (!enough && !source_.converged(environment_.downtime_limit_ms / 2, source_.bandwidth())) return pump_later(0);
  phase_ = Phase::kConverged;
  environment_.on_converged();
  return {};
}

Result<void> RamStream::pump_later(uint64_t delay_us) {
  RamStream* self = this;
  next_ = TRY(environment_.loop.after(delay_us, [self] { self->pump(); }));
  return {};
}

Result<void> RamStream::watch_progress() {
  sent_bytes_ = environment_.connection.sent_bytes();
  RamStream* self = this;
  stall_ = TRY(environment_.loop.after(environment_.stall_ms * 1000, [self] {
    bool waits = !self->environment_.connection.drained();
    bool stalled = waits && self->environment_.connection.sent_bytes() == self->sent_bytes_;
    auto watching = stalled ? Result<void>(fail("the destination did not read on in time")) : self->watch_progress();
    if (!watching) self->environment_.on_failed(watching.error());
  }));
  return {};
}

}  // namespace pagurus::migration
