// The first worker's side of VirtioNet, beside its queue pair: the control queue and the machine's own
// announcement.
#include "device/virtio_net/features.h"
#include "device/virtio_net/rarp.h"
#include "device/virtio_net/virtio_net.h"
#include "virtio/iovec.h"

namespace pagurus::device {
namespace {

// Commands per wake-up.
constexpr unsigned kBudget = 64;

// virtio 1.2, 5.1.6.5
constexpr uint8_t kControlClassAnnounce = 3;
constexpr uint8_t kControlAnnounceAck = 0;

}  // namespace

// Lost if the back end takes nothing now: the machine asks more than once.
void VirtioNet::on_announce() {
  drain_eventfd(announce_event_.get());
  if (!context_.link_up) return;
  std::array<uint8_t, kNetHeaderBytes> header{};
  RarpFrame frame = make_rarp(config_.mac);
  std::array parts{iovec{header.data(), header.size()}, iovec{frame.data(), frame.size()}};
  (void)backend_.port(0).transmit(virtio::skip_front(parts, backend_.vnet_header() ? 0 : kNetHeaderBytes));
}

void VirtioNet::on_control_kick() {
  drain_eventfd(transport_->kick_fd(control_index_));
  control_kicks_.fetch_add(1, std::memory_order_relaxed);
  if (serving()) serve_control();
}

void VirtioNet::serve_control() {
  if (!control_) return;
  auto outcome = control_->run(kBudget);
  if (control_->take_interrupt()) transport_->interrupt_queue(control_index_);
  if (!outcome) {
    context_.broken = true;
    transport_->needs_reset(outcome.error().why);
    return;
  }
  if (*outcome == ControlQueue::Outcome::kMore) signal_eventfd(transport_->kick_fd(control_index_));
}

ControlAnswer VirtioNet::execute(const ControlCommand& command) {
  if (command.group != kControlClassAnnounce || command.code != kControlAnnounceAck) return ControlAnswer::kError;
  announce_ = false;
  return ControlAnswer::kOk;
}

}  // namespace pagurus::device
