// The control queue of a network device (virtio 1.2, 5.1.6.5): takes the driver's commands out of the ring,
// lets somebody carry them out, and answers.
//
// A command is one chain: class and code, a byte each, then its data, which the device reads; then a byte
// for the answer.
//
// Threads: one at a time, as virtio::Queue.  Between two calls of run() no command is in flight.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "virtio/queue.h"

namespace pagurus::device {

struct ControlCommand {
  uint8_t group;
  uint8_t code;
  std::span<const uint8_t> data;
};

enum class ControlAnswer : uint8_t { kOk = 0, kError = 1 };

class ControlQueue {
 public:
  // Data beyond this is no command that we know.
  static constexpr size_t kMaxData = 65536;

  enum class Outcome {
    kIdle,  // the ring is empty; the driver was asked to kick
    kMore,  // the budget is used up
  };

  using Execute = std::function<ControlAnswer(const ControlCommand&)>;

  ControlQueue(virtio::Queue queue, Execute execute) : queue_(std::move(queue)), execute_(std::move(execute)) {}

  // Answers up to `budget` commands and publishes the answers.
  virtio::RingResult<Outcome> run(unsigned budget);
  // Whether the driver wants an interrupt; reads and clears.
  bool take_interrupt() { return std::exchange(interrupt_, false); }
  virtio::QueuePosition position() const { return queue_.position(); }

 private:
  virtio::RingResult<Outcome> answer(unsigned budget);
  ControlAnswer carry_out(virtio::DescriptorChain& chain);

  virtio::Queue queue_;
  Execute execute_;
  virtio::DescriptorChain chain_;
  std::vector<uint8_t> command_;
  bool interrupt_ = false;
};

}  // namespace pagurus::device
