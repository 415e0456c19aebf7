// What a machine provides to PCI devices, recorded: for unit tests.
#pragma once

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "bus/interrupt.h"

namespace pagurus::pci::testing {

class RecordingMsi final : public bus::MsiSink {
 public:
  void send(const bus::MsiMessage& message) override {
    std::lock_guard lock(lock_);
    sent_.push_back(message);
  }
  std::vector<bus::MsiMessage> take() {
    std::lock_guard lock(lock_);
    return std::exchange(sent_, {});
  }
  size_t count(uint32_t data) const {
    std::lock_guard lock(lock_);
    return static_cast<size_t>(std::ranges::count(sent_, data, &bus::MsiMessage::data));
  }

 private:
  mutable std::mutex lock_;
  std::vector<bus::MsiMessage> sent_;
};

class RecordingDoorbells final : public bus::Doorbells {
 public:
  Result<void> attach(memory::GuestAddress address, int eventfd) override {
    if (refuse) return fail("no room for another doorbell");
    attached.emplace_back(address.value, eventfd);
    ++changes;
    return {};
  }
  void detach(memory::GuestAddress address, int eventfd) override {
    size_t erased = std::erase(attached, std::pair(address.value, eventfd));
    CHECK(erased == 1, "what is detached was attached");
    ++changes;
  }

  std::vector<std::pair<uint64_t, int>> attached;
  int changes = 0;
  bool refuse = false;
};

}  // namespace pagurus::pci::testing
