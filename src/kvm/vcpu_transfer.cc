// Saving and loading the whole state of a vCPU.  The order is part of the contract with KVM:
//
//   save   MP state first (reading it carries out a pending INIT, which changes everything else)
//   load   CPUID                  decides which registers and MSRs exist
//          system registers       APIC base: the local APIC's mode; EFER, CR4: what xcrs may hold
//          registers, debug, xcrs, xsave
//          TSC offset             a TSC deadline is compared with the TSC
//          local APIC             its timer mode decides whether a TSC deadline is accepted
//          MSRs, TSC_DEADLINE last; 0 means "not armed", and is written, which disarms
//          events, MP state
#include <algorithm>
#include <cstddef>
#include <utility>

#include "kvm/kvm_api.h"
#include "kvm/msr_buffer.h"
#include "kvm/vcpu.h"

namespace pagurus::kvm {
namespace {

constexpr uint32_t kMsrTsc = 0x10;
constexpr uint32_t kMsrTscDeadline = 0x6e0;

static_assert(KVM_APIC_REG_SIZE == kLapicBytes);

Registers from_kernel(const kvm_regs& r) {
  return {.rax = r.rax,
          .rbx = r.rbx,
          .rcx = r.rcx,
          .rdx = r.rdx,
          .rsi = r.rsi,
          .rdi = r.rdi,
          .rsp = r.rsp,
          .rbp = r.rbp,
          .r8 = r.r8,
          .r9 = r.r9,
          .r10 = r.r10,
          .r11 = r.r11,
          .r12 = r.r12,
          .r13 = r.r13,
          .r14 = r.r14,
          .r15 = r.r15,
          .rip = r.rip,
          .rflags = r.rflags};
}

kvm_regs to_kernel(const Registers& r) {
  return {.rax = r.rax,
          .rbx = r.rbx,
          .rcx = r.rcx,
          .rdx = r.rdx,
          .rsi = r.rsi,
          .rdi = r.rdi,
          .rsp = r.rsp,
          .rbp = r.rbp,
          .r8 = r.r8,
          .r9 = r.r9,
          .r10 = r.r10,
          .r11 = r.r11,
          .r12 = r.r12,
          .r13 = r.r13,
          .r14 = r.r14,
          .r15 = r.r15,
          .rip = r.rip,
          .rflags = r.rflags};
}

Segment from_kernel(const kvm_segment& s) {
  return {.base = s.base,
          .limit = s.limit,
          .selector = s.selector,
          .type = s.type,
          .present = s.present,
          .dpl = s.dpl,
          .db = s.db,
          .s = s.s,
          .l = s.l,
          .g = s.g,
          .avl = s.avl,
          .unusable = s.unusable};
}

kvm_segment to_kernel(const Segment& s) {
  return {.base = s.base,
          .limit = s.limit,
          .selector = s.selector,
          .type = s.type,
          .present = s.present,
          .dpl = s.dpl,
          .db = s.db,
          .s = s.s,
          .l = s.l,
          .g = s.g,
          .avl = s.avl,
          .unusable = s.unusable,
          .padding = 0};
}

// kvm_sregs and kvm_sregs2 agree in everything copied here.
template <class Kernel>
SystemRegisters from_kernel(const Kernel& k) {
  return {.cs = from_kernel(k.cs),
          .ds = from_kernel(k.ds),
          .es = from_kernel(k.es),
          .fs = from_kernel(k.fs),
          .gs = from_kernel(k.gs),
          .ss = from_kernel(k.ss),
          .tr = from_kernel(k.tr),
          .ldt = from_kernel(k.ldt),
          .gdt = {k.gdt.base, k.gdt.limit},
          .idt = {k.idt.base, k.idt.limit},
          .cr0 = k.cr0,
          .cr2 = k.cr2,
          .cr3 = k.cr3,
          .cr4 = k.cr4,
          .cr8 = k.cr8,
          .efer = k.efer,
          .apic_base = k.apic_base};
}

template <class Kernel>
Kernel to_kernel(const SystemRegisters& s) {
  Kernel k{};
  k.cs = to_kernel(s.cs), k.ds = to_kernel(s.ds), k.es = to_kernel(s.es), k.fs = to_kernel(s.fs);
  k.gs = to_kernel(s.gs), k.ss = to_kernel(s.ss), k.tr = to_kernel(s.tr), k.ldt = to_kernel(s.ldt);
  k.gdt.base = s.gdt.base, k.gdt.limit = s.gdt.limit;
  k.idt.base = s.idt.base, k.idt.limit = s.idt.limit;
  k.cr0 = s.cr0, k.cr2 = s.cr2, k.cr3 = s.cr3, k.cr4 = s.cr4, k.cr8 = s.cr8;
  k.efer = s.efer, k.apic_base = s.apic_base;
  return k;
}

kvm_msr_entry to_kernel(const Msr& msr) { return {.index = msr.index, .reserved = 0, .data = msr.value}; }

Events from_kernel(const kvm_vcpu_events& e) {
  return {.exception_injected = e.exception.injected,
          .exception_nr = e.exception.nr,
          .exception_has_error_code = e.exception.has_error_code,
          .exception_pending = e.exception.pending,
          .exception_error_code = e.exception.error_code,
          .exception_has_payload = e.exception_has_payload,
          .exception_payload = e.exception_payload,
          .interrupt_injected = e.interrupt.injected,
          .interrupt_nr = e.interrupt.nr,
          .interrupt_soft = e.interrupt.soft,
          .interrupt_shadow = e.interrupt.shadow,
          .nmi_injected = e.nmi.injected,
          .nmi_pending = e.nmi.pending,
          .nmi_masked = e.nmi.masked,
          .sipi_vector = e.sipi_vector,
          .smm = e.smi.smm,
          .smi_pending = e.smi.pending,
          .smm_inside_nmi = e.smi.smm_inside_nmi,
          .smi_latched_init = e.smi.latched_init,
          .triple_fault_pending = e.triple_fault.pending,
          .flags = e.flags};
}

kvm_vcpu_events to_kernel(const Events& e, MpState mp_state) {
  kvm_vcpu_events k{};
  k.exception.injected = e.exception_injected, k.exception.nr = e.exception_nr;
  k.exception.has_error_code = e.exception_has_error_code, k.exception.pending = e.exception_pending;
  k.exception.error_code = e.exception_error_code, k.exception_has_payload = e.exception_has_payload;
  k.exception_payload = e.exception_payload;
  k.interrupt.injected = e.interrupt_injected, k.interrupt.nr = e.interrupt_nr, k.interrupt.soft = e.interrupt_soft;
  k.interrupt.shadow = e.interrupt_shadow;
  k.nmi.injected = e.nmi_injected, k.nmi.pending = e.nmi_pending, k.nmi.masked = e.nmi_masked;
  k.sipi_vector = e.sipi_vector;
  k.smi.smm = e.smm, k.smi.pending = e.smi_pending, k.smi.smm_inside_nmi = e.smm_inside_nmi;
  k.smi.latched_init = e.smi_latched_init;
  k.triple_fault.pending = e.triple_fault_pending;
  k.flags = e.flags;
  // KVM never reports this flag, and takes the vector only with it.
  if (mp_state == MpState::kSipiReceived) k.flags |= KVM_VCPUEVENT_VALID_SIPI_VECTOR;
  return k;
}

}  // namespace

Result<VcpuState> Vcpu::save() {
  int fd = fd_.get();
  // An INIT that is under way is carried out.
  rehearsed_.reset();
  VcpuState state{.id = id(), .cpuid = cpuid_};
  kvm_mp_state mp_state{};
  TRY_KVM(fd, KVM_GET_MP_STATE, &mp_state);
  if (mp_state.mp_state > static_cast<uint32_t>(MpState::kSipiReceived)) {
    return fail("vCPU {} is in MP state {}, which x86 does not have", id(), uint32_t{mp_state.mp_state});
  }
  state.mp_state = static_cast<MpState>(mp_state.mp_state);
  kvm_vcpu_events events{};
  TRY_KVM(fd, KVM_GET_VCPU_EVENTS, &events);
  state.events = from_kernel(events);
  kvm_regs registers{};
  TRY_KVM(fd, KVM_GET_REGS, &registers);
  state.registers = from_kernel(registers);
  state.system_registers = TRY(read_system_registers());
  kvm_debugregs debug{};
  TRY_KVM(fd, KVM_GET_DEBUGREGS, &debug);
  state.debug_registers = {
      .db = {debug.db[0], debug.db[1], debug.db[2], debug.db[3]}, .dr6 = debug.dr6, .dr7 = debug.dr7};
  kvm_xcrs xcrs{};
  TRY_KVM(fd, KVM_GET_XCRS, &xcrs);
  for (uint32_t i = 0; i < xcrs.nr_xcrs; ++i) state.xcrs.push_back({xcrs.xcrs[i].xcr, xcrs.xcrs[i].value});
  state.xsave.resize(vm_.xsave_size());
  if (state.xsave.size() > sizeof(kvm_xsave)) {
    TRY_KVM(fd, KVM_GET_XSAVE2, state.xsave.data());
  } else {
    TRY_KVM(fd, KVM_GET_XSAVE, state.xsave.data());
  }
  TRY_KVM(fd, KVM_GET_LAPIC, state.lapic.data());
  TRY(save_tsc(state));
  // The guest's TSC goes with the others: each ioctl in the pause counts.
  auto indices = msr_indices_;
  if (has_tsc_offset_) indices.push_back(kMsrTsc);
  state.msrs = TRY(read_msrs(indices));
  if (has_tsc_offset_) {
    state.guest_tsc = state.msrs.back().value;
    state.msrs.pop_back();
  }
  return state;
}

Result<void> Vcpu::check(const VcpuState& state) const {
  TRY(state.validate());
  if (state.id != id()) return fail("the state belongs to vCPU {}", state.id);
  if (state.cpuid != cpuid_) TRY(check_cpuid(state.cpuid, pristine_.cpuid));
  if (state.xsave.size() > vm_.xsave_size()) {
    return fail("the xsave area has {} bytes, this host's has {}", state.xsave.size(), vm_.xsave_size());
  }
  for (const Msr& msr : state.msrs) {
    if (!std::ranges::binary_search(vm_.system().msr_indices(), msr.index)) {
      return fail("MSR {:#x} is not one that this host's KVM lists", msr.index);
    }
  }
  TRY(check_tsc_frequency(state.tsc_khz));
  if (state.has_tsc_offset && !has_tsc_offset_) {
    auto error = fail("this host's KVM cannot set a TSC offset (KVM_VCPU_TSC_OFFSET)");
    return std::unexpected(std::move(error.error()).remedy("use Linux 5.16 or newer"));
  }
  return {};
}

Result<void> Vcpu::load(const VcpuState& state) {
  std::string doing = "loading vCPU " + std::to_string(id());
  TRY_DOING(doing, check(state));
  if (state.cpuid != cpuid_) {
    TRY_DOING(doing, set_cpuid(state.cpuid));
    TRY_DOING(doing, find_msrs());
  }
  TRY_DOING(doing, load_parts(state, LoadScope::kAll));
  return {};
}

Result<void> Vcpu::reset() {
  TRY(renew_tsc_offset());
  return load_parts(pristine_, LoadScope::kReset);
}

// Of the second load since the vCPU ran, which is the real one after a rehearsal, only what differs is set, where
// nothing else that is set has an effect on it.
Result<void> Vcpu::load_parts(const VcpuState& state, LoadScope scope) {
  int fd = fd_.get();
  auto held = std::exchange(rehearsed_, nullptr);
  if (scope == LoadScope::kReset) held.reset();
  TRY(write_system_registers(state.system_registers));
  TRY(write_registers(state.registers));
  if (!held || held->debug_registers != state.debug_registers) {
    kvm_debugregs debug{};
    std::ranges::copy(state.debug_registers.db, debug.db);
    debug.dr6 = state.debug_registers.dr6;
    debug.dr7 = state.debug_registers.dr7;
    TRY_KVM(fd, KVM_SET_DEBUGREGS, &debug);
  }
  if (!held || held->xcrs != state.xcrs) {
    kvm_xcrs xcrs{};
    CHECK(state.xcrs.size() <= std::size(xcrs.xcrs), "the declaration limits xcrs");
    for (const Xcr& xcr : state.xcrs) xcrs.xcrs[xcrs.nr_xcrs++] = {.xcr = xcr.index, .reserved = 0, .value = xcr.value};
    TRY_KVM(fd, KVM_SET_XCRS, &xcrs);
  }
  if (!held || held->xcrs != state.xcrs || held->xsave != state.xsave) {
    // The kernel reads as many bytes as its own area has.
    std::vector<uint8_t> xsave = state.xsave;
    xsave.resize(vm_.xsave_size());
    TRY_KVM(fd, KVM_SET_XSAVE, xsave.data());
  }
  if (scope == LoadScope::kAll) TRY(load_tsc(state));
  TRY_KVM(fd, KVM_SET_LAPIC, state.lapic.data());
  TRY(write_msrs(state.msrs, scope, held ? std::span(held->msrs) : std::span<const Msr>()));
  auto events = to_kernel(state.events, state.mp_state);
  TRY_KVM(fd, KVM_SET_VCPU_EVENTS, &events);
  kvm_mp_state mp_state{static_cast<uint32_t>(state.mp_state)};
  TRY_KVM(fd, KVM_SET_MP_STATE, &mp_state);
  if (!held && scope == LoadScope::kAll) rehearsed_ = std::make_unique<VcpuState>(state);
  return {};
}

Result<void> Vcpu::write_registers(const Registers& registers) {
  auto kernel = to_kernel(registers);
  TRY_KVM(fd_.get(), KVM_SET_REGS, &kernel);
  return {};
}

Result<SystemRegisters> Vcpu::read_system_registers() const {
  if (!has_sregs2_) {
    kvm_sregs kernel{};
    TRY_KVM(fd_.get(), KVM_GET_SREGS, &kernel);
    return from_kernel(kernel);
  }
  kvm_sregs2 kernel{};
  TRY_KVM(fd_.get(), KVM_GET_SREGS2, &kernel);
  auto registers = from_kernel(kernel);
  registers.flags = kernel.flags;
  std::ranges::copy(kernel.pdptrs, registers.pdptrs.begin());
  return registers;
}

Result<void> Vcpu::write_system_registers(const SystemRegisters& registers) {
  if (!has_sregs2_) {
    // KVM then reads the PDPTRs from RAM, as a processor does when CR3 is loaded.
    auto kernel = to_kernel<kvm_sregs>(registers);
    TRY_KVM(fd_.get(), KVM_SET_SREGS, &kernel);
    return {};
  }
  auto kernel = to_kernel<kvm_sregs2>(registers);
  kernel.flags = registers.flags;
  std::ranges::copy(registers.pdptrs, kernel.pdptrs);
  TRY_KVM(fd_.get(), KVM_SET_SREGS2, &kernel);
  return {};
}

// Which MSRs this vCPU has depends on its CPUID and on the host; asking is the only way to know.
// One that cannot be written back could not be loaded either.
Result<void> Vcpu::find_msrs() {
  std::vector<kvm_msr_entry> known;
  for (uint32_t index : vm_.system().msr_indices()) {
    if (index != kMsrTsc || !has_tsc_offset_) known.push_back({.index = index, .reserved = 0, .data = 0});
  }
  auto read = [this](MsrBuffer& buffer) -> Result<int> { return TRY_KVM(fd_.get(), KVM_GET_MSRS, &buffer); };
  auto write = [this](MsrBuffer& buffer) -> Result<int> { return TRY_KVM(fd_.get(), KVM_SET_MSRS, &buffer); };
  auto readable = TRY(taken_msrs(known, read));
  auto writable = TRY(taken_msrs(readable, write));
  msr_indices_.clear();
  for (const kvm_msr_entry& entry : writable) msr_indices_.push_back(entry.index);
  return {};
}

Result<std::vector<Msr>> Vcpu::read_msrs(std::span<const uint32_t> indices) const {
  MsrBuffer buffer;
  buffer.count = static_cast<uint32_t>(indices.size());
  for (size_t i = 0; i < indices.size(); ++i) buffer.entries[i] = {.index = indices[i], .reserved = 0, .data = 0};
  auto done = static_cast<size_t>(TRY_KVM(fd_.get(), KVM_GET_MSRS, &buffer));
  if (done < indices.size()) return fail("KVM cannot read MSR {:#x} any more", indices[done]);
  std::vector<Msr> msrs(done);
  for (size_t i = 0; i < done; ++i) msrs[i] = {buffer.entries[i].index, buffer.entries[i].data};
  return msrs;
}

// Without those that have the same value at the same place in `held`, but for clocks.
Result<void> Vcpu::write_msrs(std::span<const Msr> msrs, LoadScope scope, std::span<const Msr> held) {
  CHECK(msrs.size() <= kMaxMsrs, "the declaration limits MSRs");
  MsrBuffer buffer;
  uint32_t count = 0;
  const Msr* deadline = nullptr;
  for (size_t i = 0; i < msrs.size(); ++i) {
    const Msr& msr = msrs[i];
    if (msr.index == kMsrTscDeadline) {
      deadline = &msr;
    } else if (msr.index == kMsrTsc) {
      if (scope == LoadScope::kAll) buffer.entries[count++] = to_kernel(msr);
    } else if (i >= held.size() || held[i] != msr) {
      buffer.entries[count++] = to_kernel(msr);
    }
  }
  if (deadline != nullptr) buffer.entries[count++] = to_kernel(*deadline);
  if (count == 0) return {};
  buffer.count = count;
  auto done = static_cast<uint32_t>(TRY_KVM(fd_.get(), KVM_SET_MSRS, &buffer));
  if (done < count) {
    return fail("KVM refuses the value {:#x} of MSR {:#x}", uint64_t{buffer.entries[done].data},
                uint32_t{buffer.entries[done].index});
  }
  return {};
}

}  // namespace pagurus::kvm
