// INIT, start-up, and the loop of an application processor.

#include "guest/smp.h"

#include "guest/acpi.h"
#include "guest/boot_info.h"
#include "guest/cpu.h"
#include "guest/interrupts.h"
#include "guest/lapic.h"

extern "C" {
extern const uint8_t ap_trampoline[];
extern const uint8_t ap_trampoline_end[];
uint32_t ap_boot_stack;
uint32_t ap_boot_index;
}

namespace pagurus::guest {
namespace {

constexpr uint64_t kStackSize = 8192;
[[gnu::section(".noinit"), gnu::aligned(4096)]] uint8_t stacks[kMaxAps][kStackSize];
GapTracker trackers[kMaxAps];
volatile unsigned online = 1;

bool start_one(uint8_t apic_id, uint8_t page) {
  const unsigned before = online;
  ap_boot_index = before - 1;
  ap_boot_stack = static_cast<uint32_t>(reinterpret_cast<uint64_t>(stacks[before - 1] + kStackSize));
  send_init(apic_id);
  delay_us(10000);
  send_startup(apic_id, page);
  // An emulated processor needs its time; a second start-up IPI to a running one would be ignored.
  const uint64_t start = read_tsc();
  const uint64_t patience = clock().from_us(100000);
  while (online == before && read_tsc() - start < patience) relax();
  return online != before;
}

[[noreturn]] void spin(GapTracker& gaps) {
  uint64_t previous = read_tsc();
  for (;;) {
    const uint64_t now = read_tsc();
    gaps.observe(previous, now);
    previous = now;
    relax();
  }
}

[[noreturn]] void sleep(GapTracker& gaps, uint64_t period) {
  TickTimer timer;
  timer.init(kApTimerVector, period);
  timer.rearm(read_tsc());
  for (;;) {
    wait_for_interrupt();
    const uint64_t now = read_tsc();
    if (static_cast<int64_t>(now - timer.next()) < 0) continue;
    gaps.observe(timer.next(), now);
    timer.rearm(now);
  }
}

}  // namespace

unsigned online_processors() { return online; }

GapTracker& ap_gaps(unsigned i) { return trackers[i]; }

unsigned start_application_processors(unsigned wanted) {
  const uint64_t page = boot_info().number("trampoline", 0x8000) & ~uint64_t{0xfff};
  __builtin_memcpy(reinterpret_cast<void*>(page), ap_trampoline,
                   static_cast<uint64_t>(ap_trampoline_end - ap_trampoline));
  const uint8_t self = lapic_id();
  const AcpiFacts& facts = acpi();
  for (unsigned i = 0; i < facts.cpu_count && online - 1 < wanted && online <= kMaxAps; ++i) {
    if (facts.apic_ids[i] != self) start_one(facts.apic_ids[i], static_cast<uint8_t>(page >> 12));
  }
  return online - 1;
}

}  // namespace pagurus::guest

extern "C" [[noreturn]] void ap_main(uint32_t index) {
  using namespace pagurus::guest;
  load_interrupt_table();
  enable_lapic();
  GapTracker& gaps = trackers[index];
  gaps.init(read_tsc(), boot_info().number("gap_us", 1000));
  online = index + 2;
  if (boot_info().word("ap") == "halt") {
    uint64_t hz = boot_info().number("hz", 1000);
    if (hz == 0) hz = 1;
    sleep(gaps, clock().khz() * 1000 / hz);
  }
  spin(gaps);
}
