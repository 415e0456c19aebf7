#include "device/virtio_net/control_queue.h"

#include <array>

#include "virtio/iovec.h"

namespace pagurus::device {
namespace {

constexpr size_t kHeaderBytes = 2;

}  // namespace

virtio::RingResult<ControlQueue::Outcome> ControlQueue::run(unsigned budget) {
  auto outcome = answer(budget);
  if (queue_.publish_used()) interrupt_ = true;
  return outcome;
}

virtio::RingResult<ControlQueue::Outcome> ControlQueue::answer(unsigned budget) {
  for (unsigned answered = 0; answered < budget; ++answered) {
    bool popped = TRY(queue_.pop_or_enable_kicks(chain_));
    if (!popped) return Outcome::kIdle;
    if (chain_.writable_bytes() < 1) return virtio::broken("a control command without room for the answer");
    std::array<uint8_t, 1> answer{static_cast<uint8_t>(carry_out(chain_))};
    virtio::copy_to(chain_.writable(), 0, answer);
    queue_.push_used(chain_, 1);
  }
  return Outcome::kMore;
}

ControlAnswer ControlQueue::carry_out(virtio::DescriptorChain& chain) {
  uint64_t bytes = chain.readable_bytes();
  if (bytes < kHeaderBytes || bytes > kHeaderBytes + kMaxData) return ControlAnswer::kError;
  command_.resize(bytes);
  virtio::copy_from(chain.readable(), command_);
  return execute_({.group = command_[0], .code = command_[1], .data = std::span(command_).subspan(kHeaderBytes)});
}

}  // namespace pagurus::device
