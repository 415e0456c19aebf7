// Fills and loads the interrupt descriptor table; prints an exception and stops.

#include "guest/interrupts.h"

#include "guest/cpu.h"
#include "guest/serial.h"
#include "guest/text.h"

extern "C" {
volatile uint64_t rx_interrupts[pagurus::guest::kQueueVectors];
volatile uint64_t tx_interrupts[pagurus::guest::kQueueVectors];
volatile uint64_t control_interrupts;
volatile uint64_t config_interrupts;
volatile uint64_t timer_interrupts;
volatile uint64_t spurious_interrupts;

void control_interrupt();
void config_interrupt();
void timer_interrupt();
void ap_timer_interrupt();
void spurious_interrupt();
extern const uint8_t exception_stubs[32 * 16];
extern const uint8_t rx_interrupt_handlers[pagurus::guest::kQueueVectors * 32];
extern const uint8_t tx_interrupt_handlers[pagurus::guest::kQueueVectors * 32];
}

namespace pagurus::guest {
namespace {

struct Gate {
  uint16_t offset_low;
  uint16_t selector;
  uint8_t ist;
  uint8_t type;
  uint16_t offset_middle;
  uint32_t offset_high;
  uint32_t reserved;
};
static_assert(sizeof(Gate) == 16);

struct [[gnu::packed]] TablePointer {
  uint16_t limit;
  uint64_t base;
};

Gate table[256];

void set_gate(uint8_t vector, uint64_t handler) {
  constexpr uint8_t kPresentInterruptGate = 0x8e;
  constexpr uint16_t kCodeSelector = 0x08;
  table[vector] = {.offset_low = static_cast<uint16_t>(handler),
                   .selector = kCodeSelector,
                   .ist = 0,
                   .type = kPresentInterruptGate,
                   .offset_middle = static_cast<uint16_t>(handler >> 16),
                   .offset_high = static_cast<uint32_t>(handler >> 32),
                   .reserved = 0};
}

void set_gate(uint8_t vector, void (*handler)()) { set_gate(vector, reinterpret_cast<uint64_t>(handler)); }

// What exception_common finds on the stack.
struct ExceptionFrame {
  uint64_t vector, error_code, rip, cs, rflags, rsp, ss;
};

}  // namespace

void build_interrupt_table() {
  for (unsigned v = 0; v < 32; ++v) {
    set_gate(static_cast<uint8_t>(v), reinterpret_cast<uint64_t>(exception_stubs) + v * 16);
  }
  for (unsigned i = 0; i < kQueueVectors; ++i) {
    set_gate(static_cast<uint8_t>(kFirstRxVector + i), reinterpret_cast<uint64_t>(rx_interrupt_handlers) + i * 32);
    set_gate(static_cast<uint8_t>(kFirstTxVector + i), reinterpret_cast<uint64_t>(tx_interrupt_handlers) + i * 32);
  }
  set_gate(kControlVector, control_interrupt);
  set_gate(kConfigVector, config_interrupt);
  set_gate(kTimerVector, timer_interrupt);
  set_gate(kApTimerVector, ap_timer_interrupt);
  set_gate(kSpuriousVector, spurious_interrupt);
}

void load_interrupt_table() {
  const TablePointer pointer{sizeof(table) - 1, reinterpret_cast<uint64_t>(table)};
  asm volatile("lidt %0" ::"m"(pointer));
}

}  // namespace pagurus::guest

extern "C" [[noreturn]] void report_exception(const pagurus::guest::ExceptionFrame* frame, uint64_t cr2) {
  using namespace pagurus::guest;
  Text<256> line;
  line.put("PROBE EXCEPTION vector=").dec(frame->vector).put(" code=").hex(frame->error_code);
  line.put(" rip=").hex(frame->rip).put(" rsp=").hex(frame->rsp).put(" cr2=").hex(cr2).put("\n");
  serial().write_now(line.view());
  halt_forever();
}
