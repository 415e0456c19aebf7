// Identity mapping above 4 GiB with 2 MiB pages, tables from a small pool.

#include "guest/paging.h"

extern "C" {
extern uint64_t boot_pml4[512];
}

namespace pagurus::guest {
namespace {

constexpr uint64_t kPresentWritable = 3;
constexpr uint64_t kLargePage = 0x80;
constexpr uint64_t kCacheDisable = 0x10;
constexpr uint64_t kAddressMask = 0x000ffffffffff000;
constexpr uint64_t kLargePageSize = 2 << 20;

constexpr unsigned kPoolTables = 16;
[[gnu::section(".noinit"), gnu::aligned(4096)]] uint64_t pool[kPoolTables][512];
unsigned pool_used = 0;

// The table that `entry` points to, made if there is none; nullptr if the pool is used up.
uint64_t* next_table(uint64_t& entry) {
  if (entry == 0) {
    if (pool_used == kPoolTables) return nullptr;
    uint64_t* fresh = pool[pool_used++];
    for (unsigned i = 0; i < 512; ++i) fresh[i] = 0;
    entry = reinterpret_cast<uint64_t>(fresh) | kPresentWritable;
  }
  return reinterpret_cast<uint64_t*>(entry & kAddressMask);
}

bool map_large_page(uint64_t address) {
  uint64_t* pdpt = next_table(boot_pml4[(address >> 39) & 511]);
  if (pdpt == nullptr) return false;
  uint64_t* directory = next_table(pdpt[(address >> 30) & 511]);
  if (directory == nullptr) return false;
  uint64_t& entry = directory[(address >> 21) & 511];
  if (entry == 0) entry = address | kPresentWritable | kLargePage | kCacheDisable;
  return true;
}

}  // namespace

bool map_device(MemoryRange range) {
  if (range.base + range.size < range.base || range.base + range.size > uint64_t{1} << 47) return false;
  const uint64_t first = range.base & ~(kLargePageSize - 1);
  for (uint64_t at = first; at < range.base + range.size; at += kLargePageSize) {
    if (at >= uint64_t{4} << 30 && !map_large_page(at)) return false;
  }
  return true;
}

}  // namespace pagurus::guest
