// Posting commands and taking their answers.

#include "guest/control_queue.h"

namespace pagurus::guest {
namespace {

constexpr uint8_t kNoAnswer = 255;

[[gnu::section(".noinit"), gnu::aligned(64)]] uint8_t question[ControlQueue::kMaxCommand];
[[gnu::section(".noinit"), gnu::aligned(64)]] volatile uint8_t answer;

}  // namespace

const uint8_t* ControlQueue::command() const { return question; }

bool ControlQueue::post(const uint8_t* command, uint32_t size, uint64_t times, Notify notify) {
  if (!usable_ || pending_ || size < 2 || size > kMaxCommand || times == 0) return false;
  __builtin_memcpy(question, command, size);
  size_ = size;
  times_ = times;
  submit();
  if (notify == Notify::now) queue_.kick();
  return true;
}

void ControlQueue::submit() {
  answer = kNoAnswer;
  pending_ = true;
  queue_.post_request(0, {reinterpret_cast<uint64_t>(question), size_, reinterpret_cast<uint64_t>(&answer), 1});
}

void ControlQueue::complete() {
  const Used used = queue_.take_used();
  acknowledgement_ = used.length == 1 ? answer : kNoAnswer;
  ++completed_;
  if (acknowledgement_ != 0) ++failed_;
  pending_ = false;
  if (--times_ == 0) return;
  submit();
  queue_.kick();
}

bool ControlQueue::wait() {
  for (unsigned i = 0; i < 1000000 && pending_; ++i) {
    poll();
    relax();
  }
  return !pending_;
}

}  // namespace pagurus::guest
