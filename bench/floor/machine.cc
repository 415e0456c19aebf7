#include "machine.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <array>
#include <cstring>

#include "state.h"

namespace pagurus::floor {
namespace {

// In the hole below 4 GiB.
constexpr uint64_t kIdentityMap = 0xfeffc000;
constexpr uint64_t kTss = 0xfeffd000;
// In RAM.
constexpr uint64_t kPageTables = 0x1000;  // three of them: one entry, one entry, 1 GiB in pages of 2 MiB
constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kCounters = 0x20000;  // a cache line for each vCPU

constexpr uint32_t kMsrTsc = 0x10;
constexpr uint32_t kMaxCpuidEntries = 256;

template <class T>
void put(char* ram, uint64_t at, T value) {
  std::memcpy(ram + at, &value, sizeof value);
}

}  // namespace

Result<void> Vcpu::step() {
  // A signal or another interruption is no step.
  for (;;) {
    if (::ioctl(fd.get(), KVM_RUN, 0) != 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return fail_errno(errno, "KVM_RUN");
    }
    if (run->exit_reason == KVM_EXIT_IO) return {};
    if (run->exit_reason != KVM_EXIT_INTR)
      return fail("the guest left with exit reason {}", uint32_t{run->exit_reason});
  }
}

Result<void> Vcpu::finish_step() {
  run->immediate_exit = 1;
  int result = ::ioctl(fd.get(), KVM_RUN, 0);
  int error = errno;
  run->immediate_exit = 0;
  if (result != 0 && error == EINTR) return {};
  return fail("a vCPU that was to leave at once did something else");
}

Result<std::unique_ptr<Machine>> Machine::create(unsigned vcpus, int ram, uint64_t ram_bytes, Populate populate) {
  auto machine = std::make_unique<Machine>();
  machine->kvm_.reset(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (!machine->kvm_) return fail_errno(errno, "cannot open /dev/kvm");
  machine->vm_.reset(TRY_KVM(machine->kvm_.get(), KVM_CREATE_VM, 0));
  TRY(machine->create_devices());
  TRY(machine->map(ram, ram_bytes, populate));
  for (unsigned id = 0; id < vcpus; ++id) TRY(machine->create_vcpu(id));
  return machine;
}

Result<void> Machine::create_devices() {
  TRY_KVM(fd(), KVM_SET_TSS_ADDR, kTss);
  uint64_t identity_map = kIdentityMap;
  TRY_KVM(fd(), KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
  TRY_KVM(fd(), KVM_CREATE_IRQCHIP, 0);
  kvm_pit_config pit{};
  TRY_KVM(fd(), KVM_CREATE_PIT2, &pit);
  return {};
}

Result<void> Machine::map(int ram, uint64_t bytes, Populate populate) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ram, 0);
  if (at == MAP_FAILED) return fail_errno(errno, "cannot map {} bytes of RAM", bytes);
  ram_ = static_cast<char*>(at);
  kvm_userspace_memory_region slot{};
  slot.memory_size = bytes;
  slot.userspace_addr = reinterpret_cast<uintptr_t>(at);
  TRY_KVM(fd(), KVM_SET_USER_MEMORY_REGION, &slot);
  if (populate == Populate::kYes && ::madvise(at, bytes, MADV_POPULATE_WRITE) != 0) {
    return fail_errno(errno, "cannot populate RAM");
  }
  return {};
}

Result<void> Machine::create_vcpu(unsigned id) {
  Vcpu vcpu;
  vcpu.fd.reset(TRY_KVM(fd(), KVM_CREATE_VCPU, id));
  auto run_bytes = static_cast<size_t>(TRY_KVM(kvm_.get(), KVM_GET_VCPU_MMAP_SIZE, 0));
  void* run = ::mmap(nullptr, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu.fd.get(), 0);
  if (run == MAP_FAILED) return fail_errno(errno, "cannot map a vCPU's shared area");
  vcpu.run = static_cast<kvm_run*>(run);

  // kvm_cpuid2, with room.
  struct {
    uint32_t count = kMaxCpuidEntries;
    uint32_t padding = 0;
    kvm_cpuid_entry2 entries[kMaxCpuidEntries] = {};
  } cpuid;
  TRY_KVM(kvm_.get(), KVM_GET_SUPPORTED_CPUID, &cpuid);
  TRY_KVM(vcpu.fd.get(), KVM_SET_CPUID2, &cpuid);
  vcpu.has_tsc_offset = has_tsc_offset(vcpu.fd.get());
  TRY(find_msrs(vcpu));
  vcpus_.push_back(std::move(vcpu));
  return {};
}

Result<void> Machine::find_msrs(Vcpu& vcpu) {
  struct {
    uint32_t count = kMaxMsrs;
    uint32_t indices[kMaxMsrs];
  } list;
  TRY_KVM(kvm_.get(), KVM_GET_MSR_INDEX_LIST, &list);
  for (uint32_t i = 0; i < list.count; ++i) {
    if (list.indices[i] == kMsrTsc && vcpu.has_tsc_offset) continue;
    MsrBuffer one{.count = 1, .padding = 0, .entries = {{.index = list.indices[i], .reserved = 0, .data = 0}}};
    if (TRY_KVM(vcpu.fd.get(), KVM_GET_MSRS, &one) != 1) continue;
    if (TRY_KVM(vcpu.fd.get(), KVM_SET_MSRS, &one) != 1) continue;
    vcpu.msr_indices.push_back(list.indices[i]);
  }
  return {};
}

Result<void> Machine::boot() {
  constexpr uint64_t kPresentWritable = 3, kLarge = 0x80;
  put(ram_, kPageTables, kPageTables + 0x1000 + kPresentWritable);
  put(ram_, kPageTables + 0x1000, kPageTables + 0x2000 + kPresentWritable);
  for (uint64_t i = 0; i < 512; ++i) put(ram_, kPageTables + 0x2000 + 8 * i, (i << 21) + kLarge + kPresentWritable);
  // inc dword [rdi]; out 0x10, al; jmp to the first
  put(ram_, kCode, std::to_array<uint8_t>({0xff, 0x07, 0xe6, 0x10, 0xeb, 0xfa}));
  for (size_t id = 0; id < vcpus_.size(); ++id) TRY(boot_vcpu(vcpus_[id], id));
  return {};
}

Result<void> Machine::boot_vcpu(Vcpu& vcpu, uint64_t id) {
  int fd = vcpu.fd.get();
  kvm_sregs system{};
  TRY_KVM(fd, KVM_GET_SREGS, &system);
  constexpr uint64_t kProtectedPaging = 0x80000011, kPae = 0x20, kLongMode = 0x500;
  system.cr0 = kProtectedPaging;
  system.cr3 = kPageTables;
  system.cr4 = kPae;
  system.efer = kLongMode;
  kvm_segment flat{};
  flat.limit = ~0u;
  flat.present = flat.s = flat.g = 1;
  system.cs = flat;
  system.cs.selector = 0x10;
  system.cs.type = 0xb;
  system.cs.l = 1;
  flat.selector = 0x18;
  flat.type = 3;
  flat.db = 1;
  system.ds = system.es = system.fs = system.gs = system.ss = flat;
  TRY_KVM(fd, KVM_SET_SREGS, &system);
  kvm_regs registers{};
  registers.rip = kCode;
  registers.rdi = kCounters + 64 * id;
  registers.rflags = 2;
  TRY_KVM(fd, KVM_SET_REGS, &registers);
  kvm_mp_state runnable{KVM_MP_STATE_RUNNABLE};
  TRY_KVM(fd, KVM_SET_MP_STATE, &runnable);
  return {};
}

}  // namespace pagurus::floor
