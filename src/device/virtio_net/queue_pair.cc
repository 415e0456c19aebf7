#include "device/virtio_net/queue_pair.h"

#include "base/log.h"
#include "device/virtio_net/features.h"

namespace pagurus::device {
namespace {

// Frames per wake-up, so that neither direction starves the other.
constexpr unsigned kBudget = 64;

}  // namespace

Result<std::unique_ptr<QueuePair>> QueuePair::create(unsigned index, PairContext& context) {
  std::unique_ptr<QueuePair> pair(new QueuePair(index, context));
  std::string name = "net/" + context.device_id;
  pair->worker_ = TRY(event::Worker::create(index == 0 ? name : fmt::format("{}.{}", name, index)));
  TRY(pair->set_kicks(Kicks::kWatched));
  return pair;
}

Result<void> QueuePair::set_kicks(Kicks kicks) {
  if (std::exchange(kicks_, kicks) == kicks) return {};
  for (Direction direction : {Direction::kReceive, Direction::kTransmit}) {
    if (kicks == Kicks::kLeft) {
      worker_->remove(kick_fd(direction));
    } else {
      TRY(worker_->add(kick_fd(direction), EPOLLIN, [this, direction](uint32_t) { on_kick(direction); }));
    }
  }
  return {};
}

Result<void> QueuePair::coalesce() {
  for (Direction direction : {Direction::kReceive, Direction::kTransmit}) {
    auto& queue = coalescing(direction);
    queue = TRY(Coalescing::create());
    TRY(worker_->add(queue->timer_fd(), EPOLLIN, [this, direction](uint32_t) { on_timer(direction); }));
  }
  return {};
}

void QueuePair::begin(virtio::Queue rx, virtio::Queue tx, uint64_t features, size_t likely_frame) {
  session_ = std::make_unique<Session>(std::move(rx), std::move(tx));
  bool header = context_.backend.vnet_header();
  bool reports_hash = (features & kNetHashReport) != 0;
  size_t driver_header = reports_hash ? Steering::kHashHeaderBytes : kNetHeaderBytes;
  Receiver::Mode mode{.mergeable = (features & kNetMrgRxbuf) != 0,
                      .backend_header = header,
                      .header = driver_header,
                      .likely_frame = likely_frame};
  session_->receiver.emplace(session_->rx, port(), context_.filter, mode, counters_);
  session_->transmitter.emplace(session_->tx, port(),
                                header ? Transmitter::Header::kVirtioNet : Transmitter::Header::kNone, driver_header,
                                counters_);
  if (!reports_hash && (features & kNetRss) == 0) return;
  session_->steering.emplace(Steering::Parts{.reader = index_,
                                             .port = port(),
                                             .filter = context_.filter,
                                             .rss = context_.rss,
                                             .backend_header = header,
                                             .reports_hash = reports_hash,
                                             .counters = counters_,
                                             .deliver = [this](unsigned pair, std::span<const uint8_t> frame) {
                                               filled_ |= 1u << pair;
                                               return context_.pairs[pair]->accept(index_, frame);
                                             }});
}

void QueuePair::end() {
  disable();
  restart_coalescing();
  session_.reset();
}

void QueuePair::disable() {
  unwatch();
  enabled_ = false;
}

void QueuePair::rouse() {
  if (!serving()) return;
  for (Direction direction : {Direction::kReceive, Direction::kTransmit}) look_again(direction);
  update_watch();
}

void QueuePair::interrupt_now() {
  for (Direction direction : {Direction::kReceive, Direction::kTransmit}) {
    if (coalescing(direction) && coalescing(direction)->take()) interrupt(direction);
  }
}

void QueuePair::go_on_counting(const std::array<uint64_t, PairCounters::kCount>& from) {
  counters_.go_on_from(from);
  restart_coalescing();
}

void QueuePair::restart_coalescing() {
  for (Direction direction : {Direction::kReceive, Direction::kTransmit}) {
    if (coalescing(direction)) coalescing(direction)->restart(moved(direction));
  }
}

uint64_t QueuePair::moved(Direction direction) const {
  if (direction == Direction::kReceive) return counters_.rx_packets;
  return counters_.tx_packets + counters_.tx_dropped;
}

std::vector<uint8_t> QueuePair::held_frame() const {
  if (!session_) return {};
  return session_->steering ? session_->steering->held_frame() : session_->receiver->held_frame();
}

void QueuePair::hold(std::vector<uint8_t> frame) {
  if (!session_) return;
  session_->steering ? session_->steering->hold(frame) : session_->receiver->hold(std::move(frame));
}

std::optional<virtio::QueuePosition> QueuePair::position(Direction direction) const {
  if (!session_) return std::nullopt;
  return direction == Direction::kReceive ? session_->rx.position() : session_->tx.position();
}

// ---- the worker's

void QueuePair::on_kick(Direction direction) {
  if (take_kicks(kick_fd(direction))) counters_.kicks.fetch_add(1, std::memory_order_relaxed);
  if (direction == Direction::kReceive && serving() && session_->steering) wake_waiting();
  serve(direction);
  update_watch();
}

void QueuePair::on_port(uint32_t events) {
  if ((events & EPOLLIN) != 0) serve(Direction::kReceive);
  if ((events & EPOLLOUT) != 0) serve(Direction::kTransmit);
  // Nothing to read and in error: watching on would spin.
  if ((events & (EPOLLERR | EPOLLHUP)) != 0 && (events & EPOLLIN) == 0) give_up_backend();
  update_watch();
}

void QueuePair::serve(Direction direction) {
  if (!serving()) return;
  direction == Direction::kReceive ? serve_receive() : serve_transmit();
}

void QueuePair::serve_receive() {
  Session& session = *session_;
  auto run = [&]() -> virtio::RingResult<Receiver::Outcome> {
    if (!context_.link_up) return session.receiver->discard(kBudget);
    return session.steering ? session.steering->run(kBudget) : session.receiver->run(kBudget);
  };
  auto outcome = run();
  for (QueuePair* pair : context_.pairs) {
    if ((filled_ >> pair->index_ & 1) != 0) pair->publish_accepted();
  }
  filled_ = 0;
  if (!outcome) return break_ring(outcome.error());
  if (!session.steering) notify(Direction::kReceive, session.receiver->take_interrupt());
  session.want_readable = *outcome != Receiver::Outcome::kStarved;
  if (*outcome == Receiver::Outcome::kFailed) give_up_backend();
}

virtio::RingResult<bool> QueuePair::accept(unsigned reader, std::span<const uint8_t> frame) {
  std::lock_guard lock(ring_lock_);
  auto accepted = session_->receiver->accept(frame);
  if (accepted && !*accepted) waiting_ |= 1u << reader;
  return accepted;
}

void QueuePair::publish_accepted() {
  std::lock_guard lock(ring_lock_);
  session_->receiver->publish();
  notify(Direction::kReceive, session_->receiver->take_interrupt());
}

// There is room: who waits for it looks again, as after a kick of its own.
void QueuePair::wake_waiting() {
  std::lock_guard lock(ring_lock_);
  for (QueuePair* pair : context_.pairs) {
    bool waits = (waiting_ >> pair->index_ & 1) != 0;
    if (waits) pair->look_again(Direction::kReceive);
  }
  waiting_ = 0;
}

void QueuePair::serve_transmit() {
  Session& session = *session_;
  auto link = context_.link_up ? Transmitter::Link::kUp : Transmitter::Link::kDown;
  auto outcome = session.transmitter->run(kBudget, link);
  if (!outcome) return break_ring(outcome.error());
  notify(Direction::kTransmit, session.transmitter->take_interrupt());
  session.want_writable = *outcome == Transmitter::Outcome::kBlocked;
  if (*outcome == Transmitter::Outcome::kMore) look_again(Direction::kTransmit);
}

void QueuePair::notify(Direction direction, bool wanted) {
  auto& queue = coalescing(direction);
  const CoalescingLimits& limits = context_.coalescing[static_cast<size_t>(direction)];
  if (queue ? queue->due(limits, wanted, moved(direction)) : wanted) interrupt(direction);
}

void QueuePair::on_timer(Direction direction) {
  std::lock_guard lock(ring_lock_);
  if (coalescing(direction)->expired()) interrupt(direction);
}

void QueuePair::interrupt(Direction direction) {
  counters_.interrupts.fetch_add(1, std::memory_order_relaxed);
  context_.transport->interrupt_queue(queue(direction));
}

void QueuePair::give_up_backend() {
  net::PortFailure failure = port().failure();
  if (failure == net::PortFailure::kPassing || std::exchange(backend_failed_, true)) return;
  if (failure == net::PortFailure::kConnectionOver) return;
  log_error("{}: the back end '{}' has failed and is not watched any more", context_.device_id, context_.backend.id());
}

// Brings epoll in line with what the queues wait for.
void QueuePair::update_watch() {
  if (!serving()) return unwatch();
  uint32_t events = 0;
  if (session_->want_readable) events |= EPOLLIN;
  if (session_->want_writable) events |= EPOLLOUT;
  int fd = port().fd();
  // An fd in error is reported even if no event is asked for, so silence means removal.
  if (events == 0 || backend_failed_ || fd < 0) return unwatch();
  if (fd == watched_fd_ && events == watched_events_) return;
  if (fd == watched_fd_) {
    worker_->modify(fd, events);
  } else {
    unwatch();
    auto added = worker_->add(fd, events, [this](uint32_t ready) { on_port(ready); });
    if (!added) {
      log_error("{}: {}", context_.device_id, added.error().message());
      backend_failed_ = true;
      return;
    }
  }
  watched_fd_ = fd;
  watched_events_ = events;
}

void QueuePair::unwatch() {
  if (watched_fd_ >= 0) worker_->remove(watched_fd_);
  watched_fd_ = -1;
  watched_events_ = 0;
}

void QueuePair::break_ring(const virtio::BrokenRing& why) {
  context_.broken = true;
  context_.transport->needs_reset(why.why);
}

}  // namespace pagurus::device
