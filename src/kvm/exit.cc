#include "kvm/exit.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "kvm/kvm_api.h"

namespace pagurus::kvm {
namespace {

Exit decode_pio(kvm_run& run, std::span<uint8_t> area) {
  size_t bytes = size_t{run.io.size} * run.io.count;
  CHECK(run.io.data_offset <= area.size() && bytes <= area.size() - run.io.data_offset,
        "KVM places port data into the shared area");
  return PioExit{.port = run.io.port,
                 .size = run.io.size,
                 .write = run.io.direction == KVM_EXIT_IO_OUT,
                 .data = area.subspan(run.io.data_offset, bytes)};
}

Exit decode_mmio(kvm_run& run) {
  return MmioExit{.address = run.mmio.phys_addr,
                  .write = run.mmio.is_write != 0,
                  .data = {run.mmio.data, std::min<size_t>(run.mmio.len, sizeof run.mmio.data)}};
}

Exit decode_internal_error(kvm_run& run) {
  if (run.internal.suberror != KVM_INTERNAL_ERROR_EMULATION) {
    return InternalErrorExit{fmt::format("KVM internal error {}", uint32_t{run.internal.suberror}), {}};
  }
  InternalErrorExit exit{"KVM cannot emulate an instruction of the guest", {}};
  const auto& failure = run.emulation_failure;
  if (failure.ndata >= 1 && (failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) != 0) {
    exit.instruction = {failure.insn_bytes, std::min<size_t>(failure.insn_size, sizeof failure.insn_bytes)};
  }
  return exit;
}

uint64_t load(std::span<const uint8_t> bytes) {
  uint64_t value = 0;
  std::memcpy(&value, bytes.data(), bytes.size());
  return value;
}

void store(std::span<uint8_t> bytes, uint64_t value) { std::memcpy(bytes.data(), &value, bytes.size()); }

// MMIO of 3, 5, 6 or 7 bytes (an unaligned access that crosses a page) becomes accesses of the
// sizes that devices know.
size_t part_size(size_t rest) { return rest >= 8 ? 8 : rest >= 4 ? 4 : rest >= 2 ? 2 : 1; }

}  // namespace

Exit decode_exit(kvm_run& run, std::span<uint8_t> area) {
  switch (run.exit_reason) {
    case KVM_EXIT_INTR: return InterruptedExit{};
    case KVM_EXIT_IO: return decode_pio(run, area);
    case KVM_EXIT_MMIO: return decode_mmio(run);
    case KVM_EXIT_SHUTDOWN: return ShutdownExit{};
    case KVM_EXIT_SYSTEM_EVENT: return SystemEventExit{run.system_event.type};
    case KVM_EXIT_INTERNAL_ERROR: return decode_internal_error(run);
    case KVM_EXIT_FAIL_ENTRY:
      return InternalErrorExit{fmt::format("the processor refused to enter the guest, reason {:#x}",
                                           uint64_t{run.fail_entry.hardware_entry_failure_reason}),
                               {}};
    default:
      return InternalErrorExit{
          fmt::format("KVM left the guest for reason {}, which is not expected here", uint32_t{run.exit_reason}), {}};
  }
}

void handle(const PioExit& exit, ExitHandler& handler) {
  for (size_t at = 0; at < exit.data.size(); at += exit.size) {
    auto item = exit.data.subspan(at, exit.size);
    if (exit.write) {
      handler.pio_write(exit.port, exit.size, load(item));
    } else {
      store(item, handler.pio_read(exit.port, exit.size));
    }
  }
}

void handle(const MmioExit& exit, ExitHandler& handler) {
  for (size_t at = 0; at < exit.data.size();) {
    auto item = exit.data.subspan(at, part_size(exit.data.size() - at));
    unsigned size = static_cast<unsigned>(item.size());
    if (exit.write) {
      handler.mmio_write(exit.address + at, size, load(item));
    } else {
      store(item, handler.mmio_read(exit.address + at, size));
    }
    at += item.size();
  }
}

}  // namespace pagurus::kvm
