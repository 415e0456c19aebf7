// Small declared values that make up the state of a vCPU.  They mirror the kernel's structures
// field by field, so that this header, and who includes it, does not need <linux/kvm.h>.
#pragma once

#include <array>
#include <cstdint>

#include "vmstate/description.h"

namespace pagurus::kvm {

struct CpuidEntry {
  uint32_t function = 0;
  uint32_t index = 0;
  uint32_t flags = 0;  // KVM_CPUID_FLAG_SIGNIFCANT_INDEX
  uint32_t eax = 0;
  uint32_t ebx = 0;
  uint32_t ecx = 0;
  uint32_t edx = 0;
  bool operator==(const CpuidEntry&) const = default;
  static const vmstate::Description& description();
};

struct Msr {
  uint32_t index = 0;
  uint64_t value = 0;
  bool operator==(const Msr&) const = default;
  static const vmstate::Description& description();
};

struct Registers {
  uint64_t rax = 0, rbx = 0, rcx = 0, rdx = 0, rsi = 0, rdi = 0, rsp = 0, rbp = 0;
  uint64_t r8 = 0, r9 = 0, r10 = 0, r11 = 0, r12 = 0, r13 = 0, r14 = 0, r15 = 0;
  uint64_t rip = 0;
  uint64_t rflags = 2;
  bool operator==(const Registers&) const = default;
  static const vmstate::Description& description();
};

struct Segment {
  uint64_t base = 0;
  uint32_t limit = 0;
  uint16_t selector = 0;
  uint8_t type = 0;
  uint8_t present = 0, dpl = 0, db = 0, s = 0, l = 0, g = 0, avl = 0, unusable = 0;
  bool operator==(const Segment&) const = default;
  static const vmstate::Description& description();
};

struct TableRegister {
  uint64_t base = 0;
  uint16_t limit = 0;
  bool operator==(const TableRegister&) const = default;
  static const vmstate::Description& description();
};

// What KVM_GET_SREGS2 tells.  A KVM without it leaves flags and pdptrs at 0; a pending external
// interrupt, which the old call reports here, is part of Events.
struct SystemRegisters {
  Segment cs, ds, es, fs, gs, ss, tr, ldt;
  TableRegister gdt, idt;
  uint64_t cr0 = 0, cr2 = 0, cr3 = 0, cr4 = 0, cr8 = 0, efer = 0, apic_base = 0;
  uint64_t flags = 0;  // KVM_SREGS2_FLAGS_PDPTRS_VALID
  std::array<uint64_t, 4> pdptrs{};
  bool operator==(const SystemRegisters&) const = default;
  static const vmstate::Description& description();
};

struct DebugRegisters {
  std::array<uint64_t, 4> db{};
  uint64_t dr6 = 0;
  uint64_t dr7 = 0;
  bool operator==(const DebugRegisters&) const = default;
  static const vmstate::Description& description();
};

struct Xcr {
  uint32_t index = 0;
  uint64_t value = 0;
  bool operator==(const Xcr&) const = default;
  static const vmstate::Description& description();
};

// Exceptions, interrupts, NMIs and SMIs on their way into the vCPU.
struct Events {
  uint8_t exception_injected = 0, exception_nr = 0, exception_has_error_code = 0;
  uint8_t exception_pending = 0;
  uint32_t exception_error_code = 0;
  uint8_t exception_has_payload = 0;
  uint64_t exception_payload = 0;
  uint8_t interrupt_injected = 0, interrupt_nr = 0, interrupt_soft = 0, interrupt_shadow = 0;
  uint8_t nmi_injected = 0, nmi_pending = 0, nmi_masked = 0;
  uint32_t sipi_vector = 0;
  uint8_t smm = 0, smi_pending = 0, smm_inside_nmi = 0, smi_latched_init = 0;
  uint8_t triple_fault_pending = 0;
  uint32_t flags = 0;  // KVM_VCPUEVENT_VALID_*: which of the above count
  bool operator==(const Events&) const = default;
  static const vmstate::Description& description();
};

}  // namespace pagurus::kvm
