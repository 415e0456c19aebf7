#include "kvm/cpu_types.h"

namespace pagurus::kvm {

using vmstate::Description;
using vmstate::field;

const Description& CpuidEntry::description() {
  static constexpr auto kFields = std::array{
      field<&CpuidEntry::function>("function"),
      field<&CpuidEntry::index>("index"),
      field<&CpuidEntry::flags>("flags", {.max = 7}),
      field<&CpuidEntry::eax>("eax"),
      field<&CpuidEntry::ebx>("ebx"),
      field<&CpuidEntry::ecx>("ecx"),
      field<&CpuidEntry::edx>("edx"),
  };
  static constexpr Description kDescription{"cpuid", 1, kFields};
  return kDescription;
}

const Description& Msr::description() {
  static constexpr auto kFields = std::array{field<&Msr::index>("index"), field<&Msr::value>("value")};
  static constexpr Description kDescription{"msr", 1, kFields};
  return kDescription;
}

const Description& Registers::description() {
  static constexpr auto kFields = std::array{
      field<&Registers::rax>("rax"), field<&Registers::rbx>("rbx"), field<&Registers::rcx>("rcx"),
      field<&Registers::rdx>("rdx"), field<&Registers::rsi>("rsi"), field<&Registers::rdi>("rdi"),
      field<&Registers::rsp>("rsp"), field<&Registers::rbp>("rbp"), field<&Registers::r8>("r8"),
      field<&Registers::r9>("r9"),   field<&Registers::r10>("r10"), field<&Registers::r11>("r11"),
      field<&Registers::r12>("r12"), field<&Registers::r13>("r13"), field<&Registers::r14>("r14"),
      field<&Registers::r15>("r15"), field<&Registers::rip>("rip"), field<&Registers::rflags>("rflags"),
  };
  static constexpr Description kDescription{"registers", 1, kFields};
  return kDescription;
}

const Description& Segment::description() {
  static constexpr auto kFields = std::array{
      field<&Segment::base>("base"),
      field<&Segment::limit>("limit"),
      field<&Segment::selector>("selector"),
      field<&Segment::type>("type", {.max = 15}),
      field<&Segment::present>("present", {.max = 1}),
      field<&Segment::dpl>("dpl", {.max = 3}),
      field<&Segment::db>("db", {.max = 1}),
      field<&Segment::s>("s", {.max = 1}),
      field<&Segment::l>("l", {.max = 1}),
      field<&Segment::g>("g", {.max = 1}),
      field<&Segment::avl>("avl", {.max = 1}),
      field<&Segment::unusable>("unusable", {.max = 1}),
  };
  static constexpr Description kDescription{"segment", 1, kFields};
  return kDescription;
}

const Description& TableRegister::description() {
  static constexpr auto kFields =
      std::array{field<&TableRegister::base>("base"), field<&TableRegister::limit>("limit")};
  static constexpr Description kDescription{"table-register", 1, kFields};
  return kDescription;
}

const Description& SystemRegisters::description() {
  static constexpr auto kFields = std::array{
      field<&SystemRegisters::cs>("cs"),
      field<&SystemRegisters::ds>("ds"),
      field<&SystemRegisters::es>("es"),
      field<&SystemRegisters::fs>("fs"),
      field<&SystemRegisters::gs>("gs"),
      field<&SystemRegisters::ss>("ss"),
      field<&SystemRegisters::tr>("tr"),
      field<&SystemRegisters::ldt>("ldt"),
      field<&SystemRegisters::gdt>("gdt"),
      field<&SystemRegisters::idt>("idt"),
      field<&SystemRegisters::cr0>("cr0"),
      field<&SystemRegisters::cr2>("cr2"),
      field<&SystemRegisters::cr3>("cr3"),
      field<&SystemRegisters::cr4>("cr4"),
      field<&SystemRegisters::cr8>("cr8", {.max = 15}),
      field<&SystemRegisters::efer>("efer"),
      field<&SystemRegisters::apic_base>("apic-base"),
      field<&SystemRegisters::flags>("flags", {.max = 1}),
      field<&SystemRegisters::pdptrs>("pdptrs"),
  };
  static constexpr Description kDescription{"system-registers", 1, kFields};
  return kDescription;
}

const Description& DebugRegisters::description() {
  static constexpr auto kFields = std::array{field<&DebugRegisters::db>("db"), field<&DebugRegisters::dr6>("dr6"),
                                             field<&DebugRegisters::dr7>("dr7")};
  static constexpr Description kDescription{"debug-registers", 1, kFields};
  return kDescription;
}

const Description& Xcr::description() {
  static constexpr auto kFields = std::array{field<&Xcr::index>("index"), field<&Xcr::value>("value")};
  static constexpr Description kDescription{"xcr", 1, kFields};
  return kDescription;
}

const Description& Events::description() {
  static constexpr auto kFields = std::array{
      field<&Events::exception_injected>("exception-injected", {.max = 1}),
      field<&Events::exception_nr>("exception-nr", {.max = 31}),
      field<&Events::exception_has_error_code>("exception-has-error-code", {.max = 1}),
      field<&Events::exception_pending>("exception-pending", {.max = 1}),
      field<&Events::exception_error_code>("exception-error-code"),
      field<&Events::exception_has_payload>("exception-has-payload", {.max = 1}),
      field<&Events::exception_payload>("exception-payload"),
      field<&Events::interrupt_injected>("interrupt-injected", {.max = 1}),
      field<&Events::interrupt_nr>("interrupt-nr"),
      field<&Events::interrupt_soft>("interrupt-soft", {.max = 1}),
      field<&Events::interrupt_shadow>("interrupt-shadow", {.max = 3}),
      field<&Events::nmi_injected>("nmi-injected", {.max = 1}),
      field<&Events::nmi_pending>("nmi-pending", {.max = 2}),
      field<&Events::nmi_masked>("nmi-masked", {.max = 1}),
      field<&Events::sipi_vector>("sipi-vector", {.max = 255}),
      field<&Events::smm>("smm", {.max = 1}),
      field<&Events::smi_pending>("smi-pending", {.max = 1}),
      field<&Events::smm_inside_nmi>("smm-inside-nmi", {.max = 1}),
      field<&Events::smi_latched_init>("smi-latched-init", {.max = 1}),
      field<&Events::triple_fault_pending>("triple-fault-pending", {.max = 1}),
      field<&Events::flags>("flags", {.max = 0x3f}),
  };
  static constexpr Description kDescription{"events", 1, kFields};
  return kDescription;
}

}  // namespace pagurus::kvm
