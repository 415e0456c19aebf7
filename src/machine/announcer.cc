#include "machine/announcer.h"

#include <algorithm>

#include "base/log.h"

namespace pagurus::machine {
namespace {

constexpr unsigned kRounds = 5;
constexpr uint64_t kInitialMs = 50;
constexpr uint64_t kStepMs = 100;
constexpr uint64_t kMaxMs = 550;

}  // namespace

void Announcer::start(std::function<void()> announce) {
  announce_ = std::move(announce);
  rounds_left_ = kRounds;
  wait(0);
}

void Announcer::wait(uint64_t delay_ms) {
  auto timer = loop_.after(delay_ms * 1000, [this] { announce_once(); });
  if (!timer) return log_warning("the network is not told where the guest is: {}", timer.error().message());
  timer_ = *std::move(timer);
}

void Announcer::announce_once() {
  announce_();
  timer_ = event::Watch();
  if (--rounds_left_ == 0) return;
  wait(std::min(kMaxMs, kInitialMs + (kRounds - rounds_left_ - 1) * kStepMs));
}

}  // namespace pagurus::machine
