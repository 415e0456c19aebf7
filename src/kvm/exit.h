// Why a vCPU came out of the guest, and who is told.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>

struct kvm_run;

namespace pagurus::kvm {

// One or more accesses of `size` bytes to one port (more than one: a string instruction).  `data`
// lies in the area shared with the kernel: what a read puts there the guest gets.
struct PioExit {
  uint16_t port;
  uint8_t size;  // 1, 2 or 4
  bool write;
  std::span<uint8_t> data;  // a multiple of size
};

struct MmioExit {
  uint64_t address;
  bool write;
  std::span<uint8_t> data;  // 1 to 8 bytes
};

// A triple fault.
struct ShutdownExit {};

struct SystemEventExit {
  uint32_t type;  // KVM_SYSTEM_EVENT_*
};

// KVM cannot go on: it met an instruction that it cannot emulate, or the processor refused the
// guest's state.  `instruction` holds the bytes at the instruction pointer, if KVM tells them.
struct InternalErrorExit {
  std::string what;
  std::span<const uint8_t> instruction;
};

// Nothing to do: a signal, or an application processor that has been started.
struct InterruptedExit {};

using Exit = std::variant<InterruptedExit, PioExit, MmioExit, ShutdownExit, SystemEventExit, InternalErrorExit>;

// The exit that KVM_RUN left in `run` when it returned 0.  `area` is the whole shared area of the
// vCPU, which the data of a port access must lie in.
Exit decode_exit(kvm_run& run, std::span<uint8_t> area);

// What the machine does about exits.  Called on the vCPU's thread, from several at a time.
// size: 1, 2, 4 or 8 bytes.
class ExitHandler {
 public:
  virtual ~ExitHandler() = default;
  virtual uint64_t pio_read(uint16_t port, unsigned size) = 0;
  virtual void pio_write(uint16_t port, unsigned size, uint64_t value) = 0;
  virtual uint64_t mmio_read(uint64_t address, unsigned size) = 0;
  virtual void mmio_write(uint64_t address, unsigned size, uint64_t value) = 0;
  // After these three the vCPU has stopped by itself, until its state is loaded or reset.
  virtual void shutdown(uint32_t vcpu) = 0;
  virtual void system_event(uint32_t vcpu, uint32_t type) = 0;
  virtual void internal_error(uint32_t vcpu, const std::string& text) = 0;
};

// Carries out a PioExit or MmioExit.
void handle(const PioExit& exit, ExitHandler& handler);
void handle(const MmioExit& exit, ExitHandler& handler);

}  // namespace pagurus::kvm
