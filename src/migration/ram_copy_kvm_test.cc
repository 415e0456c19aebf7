// A guest that runs while its RAM is copied, and goes on in a second VM with RAM of its own.  Needs KVM.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/clock.h"
#include "kvm/testing/tiny_guest.h"
#include "kvm/vcpu_set.h"
#include "migration/ram_sink.h"
#include "migration/ram_source.h"

namespace pagurus::migration {
namespace {

using namespace kvm::testing;
using memory::GuestMemory;

// Checks that the guest counts on by one, whichever VM it is in.
class Devices final : public kvm::ExitHandler {
 public:
  uint64_t pio_read(uint16_t, unsigned) override { return counter; }
  void pio_write(uint16_t port, unsigned, uint64_t value) override {
    if (port != kCounterPort) return;
    if (value != counter + 1u) ++wrong;
    counter = static_cast<uint32_t>(value);
  }
  uint64_t mmio_read(uint64_t, unsigned) override { return static_cast<uint32_t>(~counter.load()); }
  void mmio_write(uint64_t, unsigned, uint64_t) override { ++wrong; }
  void shutdown(uint32_t) override { ++wrong; }
  void system_event(uint32_t, uint32_t) override { ++wrong; }
  void internal_error(uint32_t, const std::string&) override { ++wrong; }

  bool counts_beyond(uint32_t value) {
    for (int64_t end = monotonic_ns() + 20'000'000'000; monotonic_ns() < end && counter <= value && wrong == 0;) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return counter > value && wrong == 0;
  }

  std::atomic<uint32_t> counter{0};
  std::atomic<unsigned> wrong{0};
};

struct TestMachine final : machine::LoggedRam {
  TestMachine(const kvm::System& system, kvm::ExitHandler& devices)
      : memory(*GuestMemory::create(memory::kMinRam, memory::Pages::kSmall)) {
    EXPECT_TRUE(memory.allocate());
    vm = *kvm::Vm::create(system);
    vcpus = *kvm::VcpuSet::create(*vm, 2, devices);
    EXPECT_TRUE(vm->map_ram(memory));
  }
  GuestMemory& ram() override { return memory; }
  Result<void> start_dirty_log() override {
    TRY(memory.start_dirty_log());
    return vm->start_dirty_log();
  }
  Result<void> collect_dirty(memory::PageBitmap& into) override {
    memory.take_dirty(into);
    return vm->take_dirty(into);
  }
  void stop_dirty_log() override {
    memory.stop_dirty_log();
    EXPECT_TRUE(vm->stop_dirty_log());
  }

  GuestMemory memory;
  std::unique_ptr<kvm::Vm> vm;
  std::unique_ptr<kvm::VcpuSet> vcpus;
};

TEST(RamCopyOnKvm, a_running_guest_goes_on_in_a_copy_of_its_ram) {
  auto system = kvm::System::open();
  if (!system) GTEST_SKIP() << "needs KVM: " << system.error().message();
  Devices devices;
  TestMachine from(*system, devices);
  TestMachine to(*system, devices);
  write_tiny_guest(from.memory, true);
  from.memory.write({20 * memory::kMiB}, std::vector<uint8_t>(8 * memory::kMiB, 0x77));
  ASSERT_TRUE(from.vcpus->set_boot(tiny_guest_boot()));
  from.vcpus->resume();
  ASSERT_TRUE(devices.counts_beyond(5));

  RamSource source(from);
  RamSink sink(to.memory);
  auto send_all = [&] {
    while (auto message = source.next(256 * 1024)) ASSERT_TRUE(sink.apply(*message));
  };
  ASSERT_TRUE(source.begin(monotonic_ns()));
  for (int round = 0; round < 5; ++round) {
    send_all();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    // A device's write, meanwhile.
    from.memory.write_value({(30 + round) * memory::kMiB}, round + 1);
    ASSERT_TRUE(source.sync(monotonic_ns()));
  }
  EXPECT_TRUE(source.converged(300, source.bandwidth())) << "a guest that writes to a handful of pages";
  from.vcpus->request_pause();
  from.vcpus->wait_paused();
  auto vcpus = from.vcpus->save_all();
  auto vm = from.vm->save();
  ASSERT_TRUE(vcpus && vm);
  source.begin_pause();
  ASSERT_TRUE(source.sync(monotonic_ns()));
  EXPECT_GT(source.remaining_pages(), 0u);
  EXPECT_LT(source.remaining_pages(), 20u);
  send_all();
  ASSERT_EQ(std::memcmp(from.memory.host_base(), to.memory.host_base(), memory::kMinRam), 0);

  uint32_t at_pause = devices.counter;
  auto second_counter = [&] { return *to.memory.read_value<uint32_t>({kSecondCounter}); };
  uint32_t second_at_pause = second_counter();
  auto loaded = to.vcpus->load_all(*vcpus, kvm::Origin::kElsewhere);
  ASSERT_TRUE(loaded) << loaded.error().message();
  auto loaded_vm = to.vm->load(*vm, kvm::Origin::kElsewhere);
  ASSERT_TRUE(loaded_vm) << loaded_vm.error().message();
  to.vcpus->resume();
  EXPECT_TRUE(devices.counts_beyond(at_pause + 20));
  to.vcpus->request_pause();
  to.vcpus->wait_paused();
  EXPECT_GT(second_counter(), second_at_pause);
  EXPECT_EQ(devices.wrong, 0u);
}

}  // namespace
}  // namespace pagurus::migration
