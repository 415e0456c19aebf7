// TSC frequency and pvclock (Linux, Documentation/virt/kvm/x86/msr.rst and cpuid.rst).

#include "guest/clock.h"

#include "guest/boot_info.h"
#include "guest/cpu.h"

namespace pagurus::guest {
namespace {

struct PvclockPage {
  volatile uint32_t version;
  uint32_t padding;
  uint64_t tsc_timestamp;
  uint64_t system_time;
  uint32_t tsc_to_system_mul;
  int8_t tsc_shift;
  uint8_t flags;
  uint8_t padding2[2];
};
static_assert(sizeof(PvclockPage) == 32);

[[gnu::aligned(64)]] PvclockPage pvclock;

constexpr uint32_t kMsrKvmSystemTimeNew = 0x4b564d01;
constexpr uint32_t kKvmFeatureClocksource2 = 1u << 3;

bool runs_on_kvm() {
  if ((cpuid(1).ecx & (1u << 31)) == 0) return false;
  const CpuidResult r = cpuid(0x40000000);
  return r.ebx == 0x4b4d564b && r.ecx == 0x564b4d56 && r.edx == 0x4d;  // "KVMKVMKVM"
}

uint64_t frequency_by_leaf_0x15() {
  if (cpuid(0).eax < 0x15) return 0;
  const CpuidResult r = cpuid(0x15);
  if (r.eax == 0 || r.ebx == 0 || r.ecx == 0) return 0;
  return uint64_t{r.ecx} * r.ebx / r.eax / 1000;
}

uint64_t frequency_by_hypervisor_leaf() {
  if ((cpuid(1).ecx & (1u << 31)) == 0 || cpuid(0x40000000).eax < 0x40000010) return 0;
  return cpuid(0x40000010).eax;
}

constinit Clock the_clock;

}  // namespace

Clock& clock() { return the_clock; }

void Clock::use(uint64_t khz, TextView source) {
  khz_ = khz;
  source_ = source;
  ns_multiplier_ = (uint64_t{1000000} << 32) / khz;
}

void Clock::init() {
  const bool pvclock_works = boot_info().number("kvmclock", 1) != 0 && try_pvclock();
  if (const uint64_t khz = boot_info().number("tsc_khz", 0); khz != 0) return use(khz, "word");
  if (const uint64_t khz = frequency_by_leaf_0x15(); khz != 0) return use(khz, "cpuid-0x15");
  if (pvclock_works) {
    const uint64_t scaled = (uint64_t{1000000} << 32) / pvclock.tsc_to_system_mul;
    const int shift = pvclock.tsc_shift;
    return use(shift < 0 ? scaled << -shift : scaled >> shift, "pvclock");
  }
  if (const uint64_t khz = frequency_by_hypervisor_leaf(); khz != 0) return use(khz, "cpuid-0x40000010");
  calibrate_by_pit();
}

bool Clock::try_pvclock() {
  if (!runs_on_kvm() || (cpuid(0x40000001).eax & kKvmFeatureClocksource2) == 0) return false;
  write_msr(kMsrKvmSystemTimeNew, reinterpret_cast<uint64_t>(&pvclock) | 1);
  // The page is filled when the vCPU next enters the guest, which need not be at once.
  for (unsigned i = 0; i < 1000 && pvclock.tsc_to_system_mul == 0; ++i) {
    in8(0x61);
    compiler_barrier();
  }
  has_pvclock_ = pvclock.tsc_to_system_mul != 0;
  return has_pvclock_;
}

void Clock::calibrate_by_pit() {
  constexpr unsigned kTicks = 11932;  // 10 ms of 1193182 Hz
  out8(0x61, static_cast<uint8_t>((in8(0x61) & ~0x02) | 0x01));
  out8(0x43, 0xb0);  // channel 2, both bytes, mode 0: the output rises at the end
  out8(0x42, kTicks & 0xff);
  out8(0x42, kTicks >> 8);
  const uint64_t start = read_tsc();
  unsigned polls = 0;
  while ((in8(0x61) & 0x20) == 0 && polls < 10000000) ++polls;
  const uint64_t elapsed = read_tsc() - start;
  // Without a PIT the bit reads as set at once; a guess that says so is better than nonsense that does not.
  if (polls < 2) return use(1000000, "guess");
  use(elapsed / 10, "pit");
}

uint64_t Clock::kvmclock_ns() const {
  if (!has_pvclock_) return 0;
  for (;;) {
    const uint32_t version = pvclock.version;
    compiler_barrier();
    uint64_t delta = read_tsc() - pvclock.tsc_timestamp;
    delta = pvclock.tsc_shift < 0 ? delta >> -pvclock.tsc_shift : delta << pvclock.tsc_shift;
    const uint64_t ns =
        pvclock.system_time +
        static_cast<uint64_t>((static_cast<unsigned __int128>(delta) * pvclock.tsc_to_system_mul) >> 32);
    compiler_barrier();
    if (version == pvclock.version && (version & 1) == 0) return ns;
  }
}

void delay_us(uint64_t us) {
  const uint64_t end = read_tsc() + clock().from_us(us);
  while (static_cast<int64_t>(read_tsc() - end) < 0) relax();
}

}  // namespace pagurus::guest
