// A guest of a few dozen instructions for the tests of this directory: it sleeps until its local
// APIC's timer wakes it, counts, and tells its counter by every kind of access there is.
//
// Processor 0, in 64-bit mode, forever: halt until the timer interrupt; counter += 1; write
// the counter to kCounterPort; read it back from there, and write what was read to kEchoPort; the
// same with an MMIO read and kMmioEchoPort; write the TSC's low half to kTscPort; write "wave" as a
// string to kStringPort.  Processor 1, started by 0 with INIT and SIPI, counts at kSecondCounter in
// real mode.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "kvm/boot.h"
#include "memory/guest_memory.h"

namespace pagurus::kvm::testing {

inline constexpr uint32_t kEntry = 0x10000;
inline constexpr uint32_t kCounter = 0x20000;
inline constexpr uint32_t kText = 0x20100;
inline constexpr uint32_t kSecondCounter = 0x9000;
inline constexpr uint32_t kMmio = 0xd0000000;
inline constexpr uint16_t kCounterPort = 0x1230;
inline constexpr uint16_t kEchoPort = 0x1234;
inline constexpr uint16_t kMmioEchoPort = 0x1238;
inline constexpr uint16_t kTscPort = 0x123c;
inline constexpr uint16_t kStringPort = 0x1240;
inline constexpr std::string_view kString = "wave";

class Assembler {
 public:
  void bytes(std::initializer_list<uint8_t> code) { code_.insert(code_.end(), code); }
  void dword(uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) code_.push_back(static_cast<uint8_t>(value >> shift));
  }
  void point(uint32_t address) {  // mov edi, address
    bytes({0xbf});
    dword(address);
  }
  void store(uint32_t address, uint32_t value) {  // edi = address; mov dword [rdi], value
    point(address);
    bytes({0xc7, 0x07});
    dword(value);
  }
  void load(uint32_t address) {  // edi = address; mov eax, [rdi]
    point(address);
    bytes({0x8b, 0x07});
  }
  void out_eax(uint16_t port) {  // mov edx, port; out dx, eax
    bytes({0xba});
    dword(port);
    bytes({0xef});
  }
  uint32_t here() const { return kEntry + static_cast<uint32_t>(code_.size()); }
  const std::vector<uint8_t>& code() const { return code_; }

 private:
  std::vector<uint8_t> code_;
};

// How the guest wants to be entered.
inline Linux64Boot tiny_guest_boot(uint32_t entry = kEntry) {
  return {.entry = entry, .page_tables = {0x30000}, .gdt = {0x11000}};
}

inline constexpr uint32_t kIdtPointer = 0x13000;

// Writes the guest and its tables into RAM.
inline void write_tiny_guest(const memory::GuestMemory& memory, bool start_second) {
  constexpr uint32_t kIdt = 0x12000, kHandler = 0x14000, kApic = 0xfee00000, kVector = 0x40;
  auto put = [&memory](uint32_t at, const std::vector<uint8_t>& bytes) { memory.write({at}, bytes); };

  auto tables = write_linux64_tables(memory, tiny_guest_boot());
  CHECK(tables.has_value(), "the tables lie in RAM");
  memory.write_value({kIdt + 16 * kVector},
                     uint64_t{kHandler & 0xffff} | 0x10ull << 16 | 0x8e00ull << 32 | uint64_t{kHandler >> 16} << 48);
  memory.write_value({kIdtPointer}, uint16_t{16 * kVector + 15});
  memory.write_value({kIdtPointer + 2}, uint64_t{kIdt});
  put(kText, {kString.begin(), kString.end()});
  // The interrupt handler: end of interrupt; iretq.
  Assembler handler;
  handler.store(kApic + 0xb0, 0);
  handler.bytes({0x48, 0xcf});
  put(kHandler, handler.code());
  // Processor 1, real mode at 0x8000, whose CS is 0x800: inc dword [0x9000]; pause; jmp.
  put(0x8000, {0x66, 0xff, 0x06, 0x00, 0x90, 0xf3, 0x90, 0xeb, 0xf7});

  Assembler code;
  code.bytes({0xbc});  // mov esp, 0x1f000
  code.dword(0x1f000);
  code.bytes({0x0f, 0x01, 0x1c, 0x25});  // lidt
  code.dword(kIdtPointer);
  code.store(kApic + 0xf0, 0x1ff);  // enable the local APIC
  if (start_second) {
    code.store(kApic + 0x310, 1u << 24);
    code.store(kApic + 0x300, 0x4500);      // INIT
    code.store(kApic + 0x300, 0x4600 | 8);  // SIPI: 0x8000
  }
  code.store(kApic + 0x3e0, 0xb);                 // divide by 1
  code.store(kApic + 0x320, 1u << 17 | kVector);  // periodic
  code.store(kApic + 0x380, 500'000);
  uint32_t loop = code.here();
  code.bytes({0xfb, 0xf4, 0xfa});  // sti; hlt; cli
  code.point(kCounter);
  code.bytes({0xff, 0x07});  // inc dword [rdi]
  code.load(kCounter);
  code.out_eax(kCounterPort);
  code.bytes({0xed});  // in eax, dx
  code.out_eax(kEchoPort);
  code.load(kMmio);
  code.out_eax(kMmioEchoPort);
  code.bytes({0x0f, 0x31});  // rdtsc
  code.out_eax(kTscPort);
  code.bytes({0xbe});  // mov esi, kText
  code.dword(kText);
  code.bytes({0xb9});  // mov ecx, length
  code.dword(static_cast<uint32_t>(kString.size()));
  code.bytes({0xba});  // mov edx, kStringPort
  code.dword(kStringPort);
  code.bytes({0xfc, 0xf3, 0x6e, 0xe9});  // cld; rep outsb; jmp loop
  code.dword(loop - (code.here() + 4));
  put(kEntry, code.code());
}

}  // namespace pagurus::kvm::testing
