// The interrupt descriptor table, the vectors in use and their counters.
#pragma once

#include <cstdint>

namespace pagurus::guest {

inline constexpr unsigned kQueueVectors = 16;  // of each kind, one for each queue pair
inline constexpr uint8_t kFirstRxVector = 0x60;
inline constexpr uint8_t kFirstTxVector = 0x70;
inline constexpr uint8_t kControlVector = 0x41;
inline constexpr uint8_t kConfigVector = 0x42;
inline constexpr uint8_t kTimerVector = 0x50;
inline constexpr uint8_t kApTimerVector = 0x51;
inline constexpr uint8_t kSpuriousVector = 0xff;

// Fills the table (once, on the boot processor).
void build_interrupt_table();

// Loads the table into the calling processor.
void load_interrupt_table();

}  // namespace pagurus::guest

extern "C" {
extern volatile uint64_t rx_interrupts[pagurus::guest::kQueueVectors];
extern volatile uint64_t tx_interrupts[pagurus::guest::kQueueVectors];
extern volatile uint64_t control_interrupts;
extern volatile uint64_t config_interrupts;
extern volatile uint64_t timer_interrupts;
extern volatile uint64_t spurious_interrupts;
}
