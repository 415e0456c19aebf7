// Local APIC registers (Intel SDM volume 3, chapter 11).

#include "guest/lapic.h"

#include "guest/boot_info.h"
#include "guest/clock.h"
#include "guest/cpu.h"
#include "guest/interrupts.h"

namespace pagurus::guest {
namespace {

constexpr uint64_t kBase = 0xfee00000;
constexpr uint64_t kId = kBase + 0x20;
constexpr uint64_t kTaskPriority = kBase + 0x80;
constexpr uint64_t kSpurious = kBase + 0xf0;
constexpr uint64_t kCommandLow = kBase + 0x300;
constexpr uint64_t kCommandHigh = kBase + 0x310;
constexpr uint64_t kTimerEntry = kBase + 0x320;
constexpr uint64_t kLint0 = kBase + 0x350;
constexpr uint64_t kLint1 = kBase + 0x360;
constexpr uint64_t kTimerInitial = kBase + 0x380;
constexpr uint64_t kTimerCurrent = kBase + 0x390;
constexpr uint64_t kTimerDivide = kBase + 0x3e0;

constexpr uint32_t kMasked = 1u << 16;
constexpr uint32_t kDeliveryPending = 1u << 12;
constexpr uint32_t kMsrTscDeadline = 0x6e0;
constexpr uint32_t kMsrApicBase = 0x1b;

void send_ipi(uint8_t apic_id, uint32_t command) {
  write_mmio<uint32_t>(kCommandHigh, uint32_t{apic_id} << 24);
  write_mmio<uint32_t>(kCommandLow, command);
  for (unsigned i = 0; i < 100000 && (read_mmio<uint32_t>(kCommandLow) & kDeliveryPending) != 0; ++i) relax();
}

}  // namespace

void enable_lapic() {
  const uint64_t base = read_msr(kMsrApicBase);
  if ((base & (1u << 11)) == 0) write_msr(kMsrApicBase, base | 1u << 11);
  write_mmio<uint32_t>(kTaskPriority, 0);
  write_mmio<uint32_t>(kLint0, kMasked);
  write_mmio<uint32_t>(kLint1, kMasked);
  write_mmio<uint32_t>(kTimerEntry, kMasked);
  write_mmio<uint32_t>(kSpurious, 0x100u | kSpuriousVector);
}

uint8_t lapic_id() { return static_cast<uint8_t>(read_mmio<uint32_t>(kId) >> 24); }

void send_init(uint8_t apic_id) { send_ipi(apic_id, 0x00004500); }

void send_startup(uint8_t apic_id, uint8_t page) { send_ipi(apic_id, 0x00004600u | page); }

void TickTimer::init(uint8_t vector, uint64_t period_tsc) {
  period_ = period_tsc;
  const bool has_deadline = (cpuid(1).ecx & (1u << 24)) != 0;
  mode_ = has_deadline && !(boot_info().word("timer") == "oneshot") ? Mode::deadline : Mode::oneshot;
  if (mode_ == Mode::deadline) {
    write_mmio<uint32_t>(kTimerEntry, 2u << 17 | vector);
    // The switch of the mode must reach the APIC before the first deadline does (SDM 3, 11.5.4.1).
    full_barrier();
    return;
  }
  write_mmio<uint32_t>(kTimerEntry, kMasked | vector);
  write_mmio<uint32_t>(kTimerDivide, 0x3);  // by 16
  write_mmio<uint32_t>(kTimerInitial, 0xffffffff);
  const uint64_t start = read_tsc();
  const uint32_t first = read_mmio<uint32_t>(kTimerCurrent);
  delay_us(2000);
  const uint32_t last = read_mmio<uint32_t>(kTimerCurrent);
  const uint64_t elapsed = read_tsc() - start;
  write_mmio<uint32_t>(kTimerInitial, 0);
  counts_per_tsc_ = (uint64_t{first - last} << 32) / elapsed;
  write_mmio<uint32_t>(kTimerEntry, vector);
}

void TickTimer::rearm(uint64_t now) {
  next_ = now + period_;
  if (mode_ == Mode::deadline) {
    write_msr(kMsrTscDeadline, next_);
  } else {
    const uint64_t counts = static_cast<uint64_t>((static_cast<unsigned __int128>(period_) * counts_per_tsc_) >> 32);
    write_mmio<uint32_t>(kTimerInitial, counts == 0 ? 1 : static_cast<uint32_t>(counts));
  }
}

}  // namespace pagurus::guest
