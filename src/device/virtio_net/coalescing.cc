#include "device/virtio_net/coalescing.h"

#include <sys/timerfd.h>

#include <cerrno>

#include "base/bytes.h"

namespace pagurus::device {

std::optional<CoalescingLimits> CoalescingLimits::parse(std::span<const uint8_t> data) {
  if (data.size() != 8) return std::nullopt;
  return CoalescingLimits{.max_packets = load_le<uint32_t>(data.data()), .max_usecs = load_le<uint32_t>(&data[4])};
}

Result<Coalescing> Coalescing::create() {
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) return fail_errno(errno, "cannot create a timer");
  return Coalescing(std::move(timer));
}

bool Coalescing::due(const CoalescingLimits& limits, bool wanted, uint64_t packets) {
  uint64_t passed = packets - std::exchange(packets_, packets);
  if (!waits_ && !wanted) return false;
  held_ = (waits_ ? held_ : 0) + passed;
  bool enough = limits.max_packets != 0 && held_ >= limits.max_packets;
  if (enough || limits.max_usecs == 0) {
    waits_ = false;
    return true;
  }
  if (!std::exchange(waits_, true)) set_timer(limits.max_usecs);
  return false;
}

// Setting the timer takes back that it has run before.
bool Coalescing::expired() { return drain_eventfd(timer_.get()) && take(); }

void Coalescing::restart(uint64_t packets) {
  waits_ = false;
  packets_ = packets;
}

void Coalescing::set_timer(uint32_t usecs) const {
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(usecs / 1'000'000);
  when.it_value.tv_nsec = static_cast<long>(usecs % 1'000'000) * 1000;
  int result = ::timerfd_settime(timer_.get(), 0, &when, nullptr);
  CHECK(result == 0, "a timer of our own can be set to any time");
}

}  // namespace pagurus::device
