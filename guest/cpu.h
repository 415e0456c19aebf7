// The processor instructions the probe guest needs, one function each.
//
// Some KVMs emulate guest code instruction by instruction and know only the common ones.  The guest therefore
// stays with plain integer instructions; full_barrier() for example is a locked add because MFENCE is not emulated.
#pragma once

#include <cstdint>

namespace pagurus::guest {

inline void out8(uint16_t port, uint8_t value) { asm volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
inline void out16(uint16_t port, uint16_t value) { asm volatile("outw %0, %1" ::"a"(value), "Nd"(port)); }
inline void out32(uint16_t port, uint32_t value) { asm volatile("outl %0, %1" ::"a"(value), "Nd"(port)); }

inline uint8_t in8(uint16_t port) {
  uint8_t value;
  asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

inline uint16_t in16(uint16_t port) {
  uint16_t value;
  asm volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

inline uint32_t in32(uint16_t port) {
  uint32_t value;
  asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

template <typename T>
inline T read_mmio(uint64_t address) {
  return *reinterpret_cast<volatile T*>(address);
}

template <typename T>
inline void write_mmio(uint64_t address, T value) {
  *reinterpret_cast<volatile T*>(address) = value;
}

inline uint64_t read_tsc() {
  uint32_t low;
  uint32_t high;
  asm volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
  return uint64_t{high} << 32 | low;
}

inline uint64_t read_msr(uint32_t index) {
  uint32_t low;
  uint32_t high;
  asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
  return uint64_t{high} << 32 | low;
}

inline void write_msr(uint32_t index, uint64_t value) {
  asm volatile("wrmsr" ::"c"(index), "a"(static_cast<uint32_t>(value)), "d"(static_cast<uint32_t>(value >> 32))
               : "memory");
}

struct CpuidResult {
  uint32_t eax, ebx, ecx, edx;
};

inline CpuidResult cpuid(uint32_t leaf) {
  CpuidResult r;
  asm volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(0));
  return r;
}

// Orders for the compiler only; enough on x86 except store-then-load.
inline void compiler_barrier() { asm volatile("" ::: "memory"); }

// Orders an earlier store before a later load.
inline void full_barrier() { asm volatile("lock; addl $0, (%%rsp)" ::: "memory", "cc"); }

inline void relax() { asm volatile("pause" ::: "memory"); }

// Sleeps until an interrupt has been handled.  To be called with interrupts disabled, returns with them disabled.
inline void wait_for_interrupt() { asm volatile("sti; hlt; cli" ::: "memory"); }

[[noreturn]] inline void halt_forever() {
  for (;;) asm volatile("cli; hlt");
}

}  // namespace pagurus::guest
