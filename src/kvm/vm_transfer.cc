// Saving and loading a VM's in-kernel devices and its clock.
#include <x86intrin.h>

#include <cstring>

#include "base/clock.h"
#include "kvm/kvm_api.h"
#include "kvm/vm.h"

namespace pagurus::kvm {
namespace {

// The TSC's frequency is known to one part in ten million, so this is how long it beats reading two
// clocks one after the other.
constexpr uint64_t kExactForMs = 5000;
constexpr uint64_t kIoapicBase = 0xfec00000;

static_assert(sizeof(kvm_pic_state) == std::tuple_size_v<decltype(VmState::pic_master)>);
static_assert(sizeof(kvm_ioapic_state) == std::tuple_size_v<decltype(VmState::ioapic)>);
static_assert(sizeof(kvm_pit_state2) == std::tuple_size_v<decltype(VmState::pit)>);

template <size_t N>
Result<void> get_chip(int fd, uint32_t id, std::array<uint8_t, N>& bytes) {
  kvm_irqchip chip{};
  chip.chip_id = id;
  TRY_KVM(fd, KVM_GET_IRQCHIP, &chip);
  std::memcpy(bytes.data(), chip.chip.dummy, N);
  return {};
}

template <size_t N>
Result<void> set_chip(int fd, uint32_t id, const std::array<uint8_t, N>& bytes) {
  kvm_irqchip chip{};
  chip.chip_id = id;
  std::memcpy(chip.chip.dummy, bytes.data(), N);
  TRY_KVM(fd, KVM_SET_IRQCHIP, &chip);
  return {};
}

uint64_t raw_now() { return static_cast<uint64_t>(clock_ns(CLOCK_MONOTONIC_RAW)); }

}  // namespace

Result<VmState> Vm::save() const {
  VmState state;
  TRY(save_chips(state));
  state.clock = TRY(save_clock());
  return state;
}

Result<void> Vm::load(const VmState& state, Origin origin) {
  TRY_DOING("loading the interrupt controllers", load_chips(state));
  TRY_DOING("loading the guest's clock",
            origin == Origin::kThisHost ? load_clock(state.clock) : set_clock(state.clock.guest_ns));
  return {};
}

Result<void> Vm::reset() { return load_chips(pristine_); }

Result<void> Vm::save_chips(VmState& state) const {
  TRY(get_chip(fd(), KVM_IRQCHIP_PIC_MASTER, state.pic_master));
  TRY(get_chip(fd(), KVM_IRQCHIP_PIC_SLAVE, state.pic_slave));
  TRY(get_chip(fd(), KVM_IRQCHIP_IOAPIC, state.ioapic));
  TRY_KVM(fd(), KVM_GET_PIT2, state.pit.data());
  return {};
}

Result<void> Vm::load_chips(const VmState& state) {
  kvm_ioapic_state ioapic;
  std::memcpy(&ioapic, state.ioapic.data(), sizeof ioapic);
  if (ioapic.base_address != kIoapicBase) {
    return fail("the state places the IOAPIC at {:#x} where only {:#x} is possible", uint64_t{ioapic.base_address},
                kIoapicBase);
  }
  TRY(set_chip(fd(), KVM_IRQCHIP_PIC_MASTER, state.pic_master));
  TRY(set_chip(fd(), KVM_IRQCHIP_PIC_SLAVE, state.pic_slave));
  TRY(set_chip(fd(), KVM_IRQCHIP_IOAPIC, state.ioapic));
  kvm_pit_state2 pit;
  std::memcpy(&pit, state.pit.data(), sizeof pit);
  TRY_KVM(fd(), KVM_SET_PIT2, &pit);
  return {};
}

Result<ClockState> Vm::save_clock() const {
  kvm_clock_data data{};
  uint64_t raw = raw_now();
  TRY_KVM(fd(), KVM_GET_CLOCK, &data);
  bool exact = (data.flags & KVM_CLOCK_HOST_TSC) != 0;
  return ClockState{
      .guest_ns = data.clock, .host_raw_ns = raw, .has_host_tsc = exact, .host_tsc = exact ? data.host_tsc : 0};
}

Result<void> Vm::set_clock(uint64_t guest_ns) {
  kvm_clock_data data{};
  data.clock = guest_ns;
  TRY_KVM(fd(), KVM_SET_CLOCK, &data);
  return {};
}

Result<void> Vm::load_clock(const ClockState& state) {
  uint64_t raw = raw_now();
  if (state.host_raw_ns > raw || (state.has_host_tsc && state.host_tsc > __rdtsc())) {
    return fail("the state's clock is from the future: it was not saved on this host");
  }
  // First close, then exact.  What the kernel adds between reading its clock and ours is a
  // microsecond or less, forward or backward.
  TRY(set_clock(state.guest_ns + (raw - state.host_raw_ns)));
  if (!state.has_host_tsc) return {};

  // KVM tells its clock, the host's TSC and CLOCK_REALTIME of one and the same instant.  The
  // guest's clock at that TSC is known, and the kernel itself adds what has passed of
  // CLOCK_REALTIME since, so nothing that delays this thread gets into the guest's clock, and it
  // never steps back.
  kvm_clock_data now{};
  TRY_KVM(fd(), KVM_GET_CLOCK, &now);
  constexpr uint32_t kBoth = KVM_CLOCK_HOST_TSC | KVM_CLOCK_REALTIME;
  if ((now.flags & kBoth) != kBoth || host_tsc_khz_ == 0) return {};
  uint64_t ticks = now.host_tsc - state.host_tsc;
  if (ticks / host_tsc_khz_ > kExactForMs) return {};
  kvm_clock_data data{};
  data.clock = state.guest_ns + ticks * 1'000'000 / host_tsc_khz_;
  data.realtime = now.realtime;
  data.flags = KVM_CLOCK_REALTIME;
  TRY_KVM(fd(), KVM_SET_CLOCK, &data);
  return {};
}

}  // namespace pagurus::kvm
