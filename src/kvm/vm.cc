#include "kvm/vm.h"

#include <algorithm>
#include <vector>

#include "kvm/kvm_api.h"

namespace pagurus::kvm {
namespace {

// Four pages that KVM needs on processors without unrestricted guests, in the hole below 4 GiB.  The
// machine's memory map reserves them (machine/layout.h).
constexpr uint64_t kIdentityMap = 0xfeffc000;
constexpr uint64_t kTss = 0xfeffd000;

kvm_ioeventfd make_ioeventfd(memory::GuestAddress address, int eventfd, uint32_t flags) {
  kvm_ioeventfd request{};
  request.addr = address.value;
  request.len = 0;
  request.fd = eventfd;
  request.flags = flags;
  return request;
}

}  // namespace

Result<std::unique_ptr<Vm>> Vm::create(const System& system, const memory::GuestMemory* ram) {
  std::unique_ptr<Vm> vm(new Vm(system));
  vm->fd_.reset(TRY_DOING("creating a virtual machine", call(system.fd(), KVM_CREATE_VM, "KVM_CREATE_VM", 0)));
  vm->xsave_size_ = std::max<size_t>(sizeof(kvm_xsave), static_cast<size_t>(vm->capability(KVM_CAP_XSAVE2)));
  if (ram != nullptr) TRY(vm->map_ram(*ram));
  TRY_DOING("creating a virtual machine", vm->create_devices());
  TRY(vm->save_chips(vm->pristine_));
  return vm;
}

Result<void> Vm::create_devices() {
  TRY_KVM(fd(), KVM_SET_TSS_ADDR, kTss);
  uint64_t identity_map = kIdentityMap;
  TRY_KVM(fd(), KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
#ifdef KVM_CAP_PMU_CAPABILITY
  // The guest gets no performance counters: their values could not go on across a hand-over.
  if ((capability(KVM_CAP_PMU_CAPABILITY) & KVM_PMU_CAP_DISABLE) != 0) {
    kvm_enable_cap enable{};
    enable.cap = KVM_CAP_PMU_CAPABILITY;
    enable.args[0] = KVM_PMU_CAP_DISABLE;
    TRY_KVM(fd(), KVM_ENABLE_CAP, &enable);
  }
#endif
  TRY_KVM(fd(), KVM_CREATE_IRQCHIP, 0);
  // Port 0x61 is answered in the kernel too: Linux calibrates with it and expects no speaker.
  kvm_pit_config pit{};
  pit.flags = KVM_PIT_SPEAKER_DUMMY;
  TRY_KVM(fd(), KVM_CREATE_PIT2, &pit);
  return {};
}

int Vm::capability(unsigned number) const { return std::max(0, ::ioctl(fd(), KVM_CHECK_EXTENSION, number)); }

Result<void> Vm::map_ram(const memory::GuestMemory& memory) {
  CHECK(memory.present(), "only RAM with bytes can be mapped");
  CHECK(ram_ == nullptr, "RAM is mapped once");
  ram_ = &memory;
  TRY_DOING("giving the guest its RAM", set_ram_slots(0));
  return {};
}

// One slot for each range of the RAM, in their order.
Result<void> Vm::set_ram_slots(uint32_t flags) {
  uint32_t slot = 0;
  for (const memory::RamRange& range : ram_->ranges()) {
    kvm_userspace_memory_region region{};
    region.slot = slot++;
    region.flags = flags;
    region.guest_phys_addr = range.base.value;
    region.memory_size = range.size;
    region.userspace_addr = reinterpret_cast<uint64_t>(ram_->host_base() + range.offset);
    TRY_KVM(fd(), KVM_SET_USER_MEMORY_REGION, &region);
  }
  return {};
}

Result<void> Vm::start_dirty_log() {
  CHECK(ram_ != nullptr, "only RAM that the guest has can be written");
  TRY_DOING("starting the log of written pages", set_ram_slots(KVM_MEM_LOG_DIRTY_PAGES));
  return {};
}

Result<void> Vm::take_dirty(memory::PageBitmap& into) {
  CHECK(ram_ != nullptr, "the log has been started");
  uint32_t slot = 0;
  std::vector<uint64_t> words;
  for (const memory::RamRange& range : ram_->ranges()) {
    words.assign(range.size / memory::kPageSize / 64, 0);
    kvm_dirty_log log{};
    log.slot = slot++;
    log.dirty_bitmap = words.data();
    TRY_DOING("reading the log of written pages", call(fd(), KVM_GET_DIRTY_LOG, "KVM_GET_DIRTY_LOG", &log));
    into.add(range.offset / memory::kPageSize, words);
  }
  return {};
}

Result<void> Vm::stop_dirty_log() {
  CHECK(ram_ != nullptr, "the log has been started");
  TRY_DOING("stopping the log of written pages", set_ram_slots(0));
  return {};
}

Result<void> Vm::attach_ioeventfd(memory::GuestAddress address, int eventfd) {
  auto request = make_ioeventfd(address, eventfd, 0);
  TRY_KVM(fd(), KVM_IOEVENTFD, &request);
  return {};
}

Result<void> Vm::detach_ioeventfd(memory::GuestAddress address, int eventfd) {
  auto request = make_ioeventfd(address, eventfd, KVM_IOEVENTFD_FLAG_DEASSIGN);
  TRY_KVM(fd(), KVM_IOEVENTFD, &request);
  return {};
}

Result<void> Vm::pulse(Gsi gsi) {
  kvm_irq_level level{};
  level.irq = gsi.value;
  level.level = 1;
  TRY_KVM(fd(), KVM_IRQ_LINE, &level);
  level.level = 0;
  TRY_KVM(fd(), KVM_IRQ_LINE, &level);
  return {};
}

Result<void> Vm::signal_msi(uint64_t address, uint32_t data) {
  kvm_msi message{};
  message.address_lo = static_cast<uint32_t>(address);
  message.address_hi = static_cast<uint32_t>(address >> 32);
  message.data = data;
  TRY_KVM(fd(), KVM_SIGNAL_MSI, &message);
  return {};
}

}  // namespace pagurus::kvm
