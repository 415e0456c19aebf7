#include "kvm/vm_state.h"

namespace pagurus::kvm {

using vmstate::Description;
using vmstate::field;

const Description& ClockState::description() {
  static constexpr auto kFields = std::array{
      field<&ClockState::guest_ns>("guest-ns"),
      field<&ClockState::host_raw_ns>("host-raw-ns"),
      field<&ClockState::has_host_tsc>("has-host-tsc"),
      field<&ClockState::host_tsc>("host-tsc"),
  };
  static constexpr Description kDescription{"kvmclock", 1, kFields};
  return kDescription;
}

const Description& VmState::description() {
  static constexpr auto kFields = std::array{
      field<&VmState::pic_master>("pic-master"), field<&VmState::pic_slave>("pic-slave"),
      field<&VmState::ioapic>("ioapic"),         field<&VmState::pit>("pit"),
      field<&VmState::clock>("clock"),
  };
  static constexpr Description kDescription{"vm", 1, kFields};
  return kDescription;
}

}  // namespace pagurus::kvm
