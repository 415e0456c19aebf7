#include "device/pci_hotplug/pci_hotplug.h"

#include <utility>

namespace pagurus::device {
namespace {

constexpr uint32_t bit(unsigned slot) { return uint32_t{1} << slot; }

}  // namespace

const vmstate::Description& PciHotplugState::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&PciHotplugState::up>("up"),
      vmstate::field<&PciHotplugState::down>("down"),
      vmstate::field<&PciHotplugState::ejected>("ejected"),
  };
  static constexpr vmstate::Description kDescription{"pci-hotplug", 1, kFields};
  return kDescription;
}

void PciHotplug::announce_up(unsigned slot) {
  {
    std::lock_guard lock(lock_);
    state_.up |= bit(slot);
  }
  event_line_.pulse();
}

void PciHotplug::request_down(unsigned slot) {
  {
    std::lock_guard lock(lock_);
    state_.down |= bit(slot);
  }
  event_line_.pulse();
}

bool PciHotplug::going_down(unsigned slot) const {
  std::lock_guard lock(lock_);
  return ((state_.down | state_.ejected) & bit(slot)) != 0;
}

bool PciHotplug::any_ejected() const {
  std::lock_guard lock(lock_);
  return state_.ejected != 0;
}

uint32_t PciHotplug::take_ejected() {
  std::lock_guard lock(lock_);
  return std::exchange(state_.ejected, 0);
}

void PciHotplug::reset() {
  std::lock_guard lock(lock_);
  state_ = {.ejected = state_.ejected | state_.down};
}

uint64_t PciHotplug::io_read(uint64_t offset, unsigned size) {
  if (size != 4) return ~uint64_t{0};
  std::lock_guard lock(lock_);
  switch (offset) {
    case kUpRegister: return std::exchange(state_.up, 0);
    case kDownRegister: return state_.down;
    case kEjectRegister: return 0;
    default: return ~uint64_t{0};
  }
}

void PciHotplug::io_write(uint64_t offset, unsigned size, uint64_t value) {
  auto slots = static_cast<uint32_t>(value);
  if (offset != kEjectRegister || size != 4 || slots == 0) return;
  bool news = false;
  {
    std::lock_guard lock(lock_);
    news = state_.ejected == 0;
    state_.ejected |= slots;
    state_.up &= ~slots;
    state_.down &= ~slots;
  }
  if (news) sink_.guest_ejected();
}

void PciHotplug::save(vmstate::Writer& writer) const {
  std::lock_guard lock(lock_);
  vmstate::write_state(writer, state_);
}

Result<void> PciHotplug::load(vmstate::Reader& reader) {
  auto state = TRY_DOING("PCI hot-plug", vmstate::read_state<PciHotplugState>(reader));
  std::lock_guard lock(lock_);
  state_ = state;
  return {};
}

}  // namespace pagurus::device
