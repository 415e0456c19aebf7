#include "kvm/vcpu.h"

#include <fmt/core.h>
#include <signal.h>

#include <algorithm>
#include <atomic>

#include "kvm/kick_signal.h"
#include "kvm/kvm_api.h"

namespace pagurus::kvm {
namespace {

constexpr uint32_t kMsrMiscEnable = 0x1a0;
constexpr uint32_t kMsrMtrrDefType = 0x2ff;
constexpr uint64_t kFastStrings = 1;
constexpr uint64_t kMtrrEnabledWriteBack = 0x806;

constexpr uint64_t kCr0Pe = 1u << 0;
constexpr uint64_t kCr0Et = 1u << 4;
constexpr uint64_t kCr0Pg = 1u << 31;
constexpr uint64_t kCr4Pae = 1u << 5;
constexpr uint64_t kEferLme = 1u << 8;
constexpr uint64_t kEferLma = 1u << 10;
constexpr uint8_t kCodeExecuteReadAccessed = 11;
constexpr uint8_t kDataReadWriteAccessed = 3;
constexpr uint8_t kBusyTss = 11;

Segment flat(uint16_t selector, uint8_t type) {
  return {.base = 0, .limit = 0xffffffff, .selector = selector, .type = type, .present = 1, .db = 1, .s = 1, .g = 1};
}

void set_flat_segments(SystemRegisters& registers, uint16_t code, uint16_t data) {
  registers.cs = flat(code, kCodeExecuteReadAccessed);
  for (Segment* segment : {&registers.ds, &registers.es, &registers.fs, &registers.gs, &registers.ss}) {
    *segment = flat(data, kDataReadWriteAccessed);
  }
  registers.tr = {.base = 0, .limit = 0x67, .selector = 0, .type = kBusyTss, .present = 1};
}

}  // namespace

Result<std::unique_ptr<Vcpu>> Vcpu::create(Vm& vm, Topology topology) {
  std::unique_ptr<Vcpu> vcpu(new Vcpu(vm, topology));
  TRY_DOING(fmt::format("creating vCPU {}", topology.id), vcpu->initialize());
  return vcpu;
}

Result<void> Vcpu::initialize() {
  fd_.reset(TRY_KVM(vm_.fd(), KVM_CREATE_VCPU, topology_.id));
  const System& system = vm_.system();
  area_ = TRY(Mapping::of_fd(fd_.get(), 0, system.run_size(), Mapping::Sharing::kShared));
  run_ = reinterpret_cast<kvm_run*>(area_.data());
  has_sregs2_ = vm_.capability(KVM_CAP_SREGS2) > 0;
  kvm_device_attr attribute{};
  attribute.group = KVM_VCPU_TSC_CTRL;
  attribute.attr = KVM_VCPU_TSC_OFFSET;
  has_tsc_offset_ = ::ioctl(fd_.get(), KVM_HAS_DEVICE_ATTR, &attribute) == 0;
  tsc_khz_ = static_cast<uint32_t>(TRY_KVM(fd_.get(), KVM_GET_TSC_KHZ, 0));
  vm_.set_host_tsc_khz(tsc_khz_);

  CpuidExtras extras{.tsc_deadline = system.capability(KVM_CAP_TSC_DEADLINE_TIMER) > 0};
  TRY(set_cpuid(host_cpuid(system.supported_cpuid(), topology_, extras)));
  TRY(find_msrs());
  TRY(set_default_msrs());
  pristine_ = TRY(save());
  return {};
}

Result<void> Vcpu::set_cpuid(const std::vector<CpuidEntry>& entries) {
  std::vector<uint8_t> buffer(sizeof(kvm_cpuid2) + entries.size() * sizeof(kvm_cpuid_entry2));
  auto* list = reinterpret_cast<kvm_cpuid2*>(buffer.data());
  list->nent = static_cast<uint32_t>(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    const CpuidEntry& entry = entries[i];
    list->entries[i] = {.function = entry.function,
                        .index = entry.index,
                        .flags = entry.flags,
                        .eax = entry.eax,
                        .ebx = entry.ebx,
                        .ecx = entry.ecx,
                        .edx = entry.edx,
                        .padding = {}};
  }
  TRY_KVM(fd_.get(), KVM_SET_CPUID2, list);
  cpuid_ = entries;
  rehearsed_.reset();
  return {};
}

Result<void> Vcpu::set_default_msrs() {
  std::vector<Msr> defaults;
  for (Msr msr : {Msr{kMsrMiscEnable, kFastStrings}, Msr{kMsrMtrrDefType, kMtrrEnabledWriteBack}}) {
    if (std::ranges::binary_search(msr_indices_, msr.index)) defaults.push_back(msr);
  }
  return write_msrs(defaults, LoadScope::kAll, {});
}

Result<void> Vcpu::set_boot(const Linux64Boot& boot) {
  auto system_registers = TRY(read_system_registers());
  set_flat_segments(system_registers, 0x10, 0x18);
  system_registers.cs.db = 0;
  system_registers.cs.l = 1;
  system_registers.gdt = {.base = boot.gdt.value, .limit = kGdtBytes - 1};
  system_registers.idt = {};
  system_registers.cr0 = kCr0Pe | kCr0Et | kCr0Pg;
  system_registers.cr3 = boot.page_tables.value;
  system_registers.cr4 = kCr4Pae;
  system_registers.efer = kEferLme | kEferLma;
  TRY(write_system_registers(system_registers));
  return write_registers({.rsi = boot.boot_params, .rip = boot.entry});
}

Result<void> Vcpu::set_boot(const PvhBoot& boot) {
  auto system_registers = TRY(read_system_registers());
  set_flat_segments(system_registers, 0x8, 0x10);
  system_registers.gdt = system_registers.idt = {};
  system_registers.cr0 = kCr0Pe | kCr0Et;
  system_registers.cr4 = 0;
  system_registers.efer = 0;
  TRY(write_system_registers(system_registers));
  return write_registers({.rbx = boot.start_info, .rip = boot.entry});
}

Exit Vcpu::run() {
  rehearsed_.reset();
  if (::ioctl(fd_.get(), KVM_RUN, 0) == 0) return decode_exit(*run_, {area_.data(), area_.size()});
  // EAGAIN: a processor that waited for the guest to start it has been started.
  if (errno == EINTR || errno == EAGAIN) return InterruptedExit{};
  return InternalErrorExit{fail_errno(errno, "KVM cannot run the guest").error().message(), {}};
}

Exit Vcpu::finish_exit() {
  std::atomic_ref(run_->immediate_exit).store(1);
  return run();
}

void Vcpu::kick(pthread_t thread) {
  std::atomic_ref(run_->immediate_exit).store(1);
  ::pthread_kill(thread, kick_signal());
}

void Vcpu::clear_kick() { std::atomic_ref(run_->immediate_exit).store(0); }

bool Vcpu::pre_fault(memory::GuestAddress base, uint64_t size) {
  if (vm_.capability(KVM_CAP_PRE_FAULT_MEMORY) == 0) return false;
  kvm_pre_fault_memory range{};
  range.gpa = base.value;
  range.size = size;
  // KVM advances the range as far as it got; a signal may stop it early.
  while (range.size > 0) {
    if (::ioctl(fd_.get(), KVM_PRE_FAULT_MEMORY, &range) < 0 && errno != EINTR && errno != EAGAIN) return false;
  }
  return true;
}

void Vcpu::mark_paused() {
  // Fails if the guest does not use kvmclock, and then there is nothing to tell.
  ::ioctl(fd_.get(), KVM_KVMCLOCK_CTRL, 0);
}

std::string Vcpu::describe() const {
  kvm_regs r{};
  kvm_sregs s{};
  if (::ioctl(fd_.get(), KVM_GET_REGS, &r) < 0 || ::ioctl(fd_.get(), KVM_GET_SREGS, &s) < 0) return "registers unknown";
  return fmt::format(
      "RIP={:016x} RFL={:08x} RSP={:016x} CS={:04x} base={:x}\n"
      "RAX={:016x} RBX={:016x} RCX={:016x} RDX={:016x}\n"
      "RSI={:016x} RDI={:016x} RBP={:016x} R8={:016x}\n"
      "CR0={:08x} CR2={:016x} CR3={:016x} CR4={:08x} EFER={:x}",
      uint64_t{r.rip}, uint64_t{r.rflags}, uint64_t{r.rsp}, uint16_t{s.cs.selector}, uint64_t{s.cs.base},
      uint64_t{r.rax}, uint64_t{r.rbx}, uint64_t{r.rcx}, uint64_t{r.rdx}, uint64_t{r.rsi}, uint64_t{r.rdi},
      uint64_t{r.rbp}, uint64_t{r.r8}, uint64_t{s.cr0}, uint64_t{s.cr2}, uint64_t{s.cr3}, uint64_t{s.cr4},
      uint64_t{s.efer});
}

std::string Vcpu::explain(const InternalErrorExit& exit) const {
  std::string text = fmt::format("vCPU {}: {}", id(), exit.what);
  if (!exit.instruction.empty()) {
    text += "; instruction bytes";
    for (uint8_t byte : exit.instruction) text += fmt::format(" {:02x}", byte);
  }
  if (!host_has_hardware_virtualization()) {
    text +=
        "; this host's processor shows neither VMX nor SVM, so its KVM emulates guest code and "
        "cannot run stock "
        "kernels (run the guest with lab/run, or on a host with hardware virtualization)";
  }
  return text + "\n" + describe();
}

}  // namespace pagurus::kvm
