// The worker's side of VirtioNet: serving the queues and the back end.
#include "device/virtio_net/features.h"
#include "device/virtio_net/rarp.h"
#include "device/virtio_net/virtio_net.h"
#include "virtio/iovec.h"

namespace pagurus::device {
namespace {

constexpr unsigned kReceiveQueue = 0;
constexpr unsigned kTransmitQueue = 1;
constexpr unsigned kControlQueue = 2;
// Frames per wake-up, so that neither direction starves the other.
constexpr unsigned kBudget = 64;

// virtio 1.2, 5.1.6.5
constexpr uint8_t kControlClassAnnounce = 3;
constexpr uint8_t kControlAnnounceAck = 0;
constexpr uint8_t kControlOk = 0;
constexpr uint8_t kControlError = 1;

}  // namespace

void VirtioNet::on_kick(unsigned queue) {
  drain_eventfd(transport_->kick_fd(queue));
  counters_.kicks.fetch_add(1, std::memory_order_relaxed);
  if (!serving()) return;
  switch (queue) {
    case kReceiveQueue: serve_receive(); break;
    case kTransmitQueue: serve_transmit(); break;
    default: serve_control(); break;
  }
  if (serving()) update_watch();
}

void VirtioNet::on_backend(uint32_t events) {
  if ((events & EPOLLIN) != 0 && serving()) serve_receive();
  if ((events & EPOLLOUT) != 0 && serving()) serve_transmit();
  // Nothing to read and in error: watching on would spin.
  if ((events & (EPOLLERR | EPOLLHUP)) != 0 && (events & EPOLLIN) == 0) give_up_backend();
  if (serving()) update_watch();
}

// Lost if the back end takes nothing now: the machine asks more than once.
void VirtioNet::on_announce() {
  drain_eventfd(announce_event_.get());
  if (!link_up_) return;
  std::array<uint8_t, kNetHeaderBytes> header{};
  RarpFrame frame = make_rarp(config_.mac);
  std::array parts{iovec{header.data(), header.size()}, iovec{frame.data(), frame.size()}};
  (void)backend_.port(0).transmit(virtio::skip_front(parts, backend_.vnet_header() ? 0 : kNetHeaderBytes));
}

void VirtioNet::serve_receive() {
  Session& session = *session_;
  auto outcome = link_up_ ? session.receiver->run(kBudget)
                          : virtio::RingResult<Receiver::Outcome>(session.receiver->discard(kBudget));
  if (!outcome) return break_ring(outcome.error());
  if (session.receiver->take_interrupt()) transport_->interrupt_queue(kReceiveQueue);
  session.want_readable = *outcome != Receiver::Outcome::kStarved;
  if (*outcome == Receiver::Outcome::kFailed) give_up_backend();
}

void VirtioNet::give_up_backend() {
  if (std::exchange(backend_failed_, true)) return;
  log_error("{}: the back end '{}' has failed and is not watched any more", config_.id, backend_.id());
}

void VirtioNet::serve_transmit() {
  Session& session = *session_;
  auto link = link_up_ ? Transmitter::Link::kUp : Transmitter::Link::kDown;
  auto outcome = session.transmitter->run(kBudget, link);
  if (!outcome) return break_ring(outcome.error());
  if (session.transmitter->take_interrupt()) transport_->interrupt_queue(kTransmitQueue);
  session.want_writable = *outcome == Transmitter::Outcome::kBlocked;
  if (*outcome == Transmitter::Outcome::kMore) signal_eventfd(transport_->kick_fd(kTransmitQueue));
}

void VirtioNet::serve_control() {
  if (!session_->control) return;
  virtio::Queue& queue = *session_->control;
  auto answered = answer_control(queue);
  if (queue.publish_used()) transport_->interrupt_queue(kControlQueue);
  if (!answered) break_ring(answered.error());
}

virtio::RingResult<void> VirtioNet::answer_control(virtio::Queue& queue) {
  virtio::DescriptorChain chain;
  for (unsigned i = 0; i < kBudget; ++i) {
    auto popped = queue.pop(chain);
    if (!popped) return std::unexpected(popped.error());
    if (!*popped) {
      auto more = queue.enable_kicks();
      if (!more) return std::unexpected(more.error());
      if (!*more) return {};
      continue;
    }
    std::array<uint8_t, 2> command{};
    if (chain.writable_bytes() < 1) return virtio::broken("a control command without room for the answer");
    bool whole = virtio::copy_from(chain.readable(), command) == command.size();
    bool known = whole && command[0] == kControlClassAnnounce && command[1] == kControlAnnounceAck;
    if (known) announce_ = false;
    std::array<uint8_t, 1> answer{known ? kControlOk : kControlError};
    virtio::copy_to(chain.writable(), 0, answer);
    queue.push_used(chain, 1);
  }
  signal_eventfd(transport_->kick_fd(kControlQueue));
  return {};
}

// Brings epoll in line with what the queues wait for.  On the worker, or while it is frozen.
void VirtioNet::update_watch() {
  uint32_t events = 0;
  if (session_->want_readable) events |= EPOLLIN;
  if (session_->want_writable) events |= EPOLLOUT;
  int fd = backend_.port(0).fd();
  // An fd in error is reported even if no event is asked for, so silence means removal.
  if (events == 0 || backend_failed_ || fd < 0) return unwatch();
  if (fd == watched_fd_ && events == watched_events_) return;
  if (fd == watched_fd_) {
    worker_->modify(fd, events);
  } else {
    unwatch();
    auto added = worker_->add(fd, events, [this](uint32_t ready) { on_backend(ready); });
    if (!added) {
      log_error("{}: {}", config_.id, added.error().message());
      backend_failed_ = true;
      return;
    }
  }
  watched_fd_ = fd;
  watched_events_ = events;
}

void VirtioNet::unwatch() {
  if (watched_fd_ >= 0) worker_->remove(watched_fd_);
  watched_fd_ = -1;
  watched_events_ = 0;
}

void VirtioNet::break_ring(const virtio::BrokenRing& why) {
  session_->broken = true;
  unwatch();
  transport_->needs_reset(why.why);
}

}  // namespace pagurus::device
