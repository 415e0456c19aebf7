#include "device/virtio_net/ring_service.h"

namespace pagurus::device {

Result<std::unique_ptr<RingService>> RingService::create(net::RingServer& server, virtio::Transport& transport,
                                                         unsigned queues) {
  std::unique_ptr<RingService> service(new RingService(server, transport));
  service->error_ = TRY(make_eventfd());
  service->interrupts_ = std::vector<std::atomic<uint64_t>>(queues);
  for (unsigned i = 0; i < queues; ++i) service->calls_.push_back(TRY(make_eventfd()));
  return service;
}

Result<void> RingService::watch(event::Worker& worker, unsigned queue) {
  return worker.add(calls_[queue].get(), EPOLLIN, [this, queue](uint32_t) { send_interrupt(queue); });
}

void RingService::send_interrupt(unsigned queue) {
  if (!drain_eventfd(calls_[queue].get())) return;
  interrupts_[queue].fetch_add(1, std::memory_order_relaxed);
  transport_.interrupt_queue(queue);
}

net::Ring RingService::describe(unsigned queue, const virtio::Queue& rings) const {
  const virtio::QueueConfig& config = rings.config();
  virtio::QueuePosition position = rings.position();
  return {.queue = queue,
          .size = config.size,
          .descriptors = config.descriptors,
          .driver = config.avail,
          .device = config.used,
          .position = {.avail = position.avail, .used = position.used},
          .kick_fd = transport_.kick_fd(queue),
          .call_fd = calls_[queue].get(),
          .error_fd = error_.get()};
}

Result<void> RingService::start(const std::vector<net::Ring>& rings, uint64_t features, virtio::Origin origin) {
  if (serving_) pause(net::PauseReason::kStop);
  rings_ = rings;
  ring_features_ = {.packed = (features & virtio::kFeatureRingPacked) != 0};
  return server_.start(rings, features,
                       origin == virtio::Origin::kDriver ? net::RingOrigin::kDriver : net::RingOrigin::kRestored);
}

Result<void> RingService::take_signals(unsigned queue, event::Worker& worker) {
  if (UniqueFd kick = server_.take_kick(queue)) transport_.replace_kick(queue, std::move(kick));
  if (UniqueFd call = server_.take_call(queue)) {
    worker.remove(calls_[queue].get());
    calls_[queue] = std::move(call);
    TRY(watch(worker, queue));
  }
  return {};
}

Result<void> RingService::resume() {
  if (serving_ || rings_.empty()) return {};
  serving_ = true;
  TRY(server_.resume());
  // A kick may have been consumed where nobody served.
  for (const net::Ring& ring : rings_) signal_eventfd(transport_.kick_fd(ring.queue));
  return {};
}

void RingService::pause(net::PauseReason reason) {
  bool served = std::exchange(serving_, false);
  // One that goes on unaware since a hand-over is still to be stopped.
  if (!served && reason == net::PauseReason::kHandover) return;
  server_.pause(reason);
  for (const net::Ring& ring : rings_) send_interrupt(ring.queue);
}

void RingService::stop() {
  pause(net::PauseReason::kStop);
  server_.stop();
  drain_eventfd(error_.get());
  rings_.clear();
}

Result<void> RingService::start_log() {
  pause(net::PauseReason::kStop);
  return server_.start_log();
}

void RingService::stop_log() {
  pause(net::PauseReason::kStop);
  server_.stop_log();
}

std::optional<virtio::QueuePosition> RingService::position(unsigned queue) const {
  auto position = server_.position(queue);
  if (!position) return std::nullopt;
  return virtio::QueuePosition{.avail = position->avail, .used = position->used};
}

Result<void> RingService::check_rings() {
  if (drain_eventfd(error_.get())) return fail("{}", kGivenUp);
  for (const net::Ring& ring : rings_) {
    auto at = position(ring.queue);
    if (at) TRY(virtio::Queue::check_position(ring.size, ring_features_, *at));
  }
  return {};
}

}  // namespace pagurus::device
