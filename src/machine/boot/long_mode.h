// What the 64-bit Linux entry point expects to find: page tables and a GDT.
#pragma once

#include <cstdint>

#include "memory/guest_memory.h"

namespace pagurus::machine {

// 4 GiB mapped one to one with 2 MiB pages, at layout::kPageTables.
void write_page_tables(const memory::GuestMemory& memory);
// At layout::kGdt, 64-bit code at 0x10 and data at 0x18 (boot.rst, "64-bit Boot Protocol").
// Returns its limit.
uint16_t write_gdt(const memory::GuestMemory& memory);

}  // namespace pagurus::machine
