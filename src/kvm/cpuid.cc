#include "kvm/cpuid.h"

#include <algorithm>
#include <array>
#include <bit>

namespace pagurus::kvm {
namespace {

constexpr uint32_t kSignificantIndex = 1;  // KVM_CPUID_FLAG_SIGNIFCANT_INDEX

constexpr uint32_t bit(unsigned number) { return 1u << number; }

constexpr uint32_t kLeaf1EcxVmx = bit(5);
constexpr uint32_t kLeaf1EcxPdcm = bit(15);
constexpr uint32_t kLeaf1EcxX2apic = bit(21);
constexpr uint32_t kLeaf1EcxTscDeadline = bit(24);
constexpr uint32_t kLeaf1EcxOsxsave = bit(27);
constexpr uint32_t kLeaf1EcxHypervisor = bit(31);
constexpr uint32_t kLeaf1EdxApic = bit(9);
constexpr uint32_t kLeaf1EdxHtt = bit(28);
constexpr uint32_t kLeaf7EbxSgx = bit(2);
constexpr uint32_t kLeaf7EcxOspke = bit(4);
constexpr uint32_t kLeaf7EcxSgxLc = bit(30);
constexpr uint32_t kExt1EcxCmpLegacy = bit(1);
constexpr uint32_t kExt1EcxSvm = bit(2);
constexpr uint32_t kExt1EcxPerfctr = bit(23) | bit(24) | bit(28);
constexpr uint32_t kExt1EdxApic = bit(9);

// Bits that KVM keeps equal to guest registers (CR4, APIC_BASE); what a table says is nothing.
constexpr uint32_t kLeaf1EcxDynamic = kLeaf1EcxOsxsave;
constexpr uint32_t kLeaf7EcxDynamic = kLeaf7EcxOspke;

// Leaves emptied: performance counters, SGX, processor trace, SVM, memory encryption, AMD's
// performance counters and its second topology leaf.
constexpr std::array kEmptied = {0xau, 0x12u, 0x14u, 0x8000000au, 0x8000001fu, 0x80000022u, 0x80000026u};

constexpr uint32_t with_field(uint32_t value, unsigned shift, unsigned width, uint32_t field) {
  uint32_t mask = ((1u << width) - 1) << shift;
  return (value & ~mask) | ((field << shift) & mask);
}

// How many bits of an APIC id number the cores of the socket.
uint32_t id_bits(uint32_t count) { return static_cast<uint32_t>(std::bit_width(count - 1)); }

// SDM volume 2, CPUID leaf 4, and AMD's 0x8000001D, which has the same first register: levels 1
// and 2 belong to one core, the last level to the socket.
void adjust_cache(CpuidEntry& entry, uint32_t count) {
  if ((entry.eax & 0x1f) == 0) return;
  uint32_t level = (entry.eax >> 5) & 7;
  uint32_t sharing = level >= 3 ? (1u << id_bits(count)) - 1 : 0;
  entry.eax = with_field(entry.eax, 14, 12, sharing);
  if (entry.function == 4) entry.eax = with_field(entry.eax, 26, 6, (1u << id_bits(count)) - 1);
}

void adjust_leaf1(CpuidEntry& entry, Topology topology, CpuidExtras extras) {
  entry.ebx = with_field(entry.ebx, 24, 8, topology.id);
  entry.ebx = with_field(entry.ebx, 16, 8, topology.count);
  entry.ecx &= ~(kLeaf1EcxVmx | kLeaf1EcxPdcm | kLeaf1EcxOsxsave);
  entry.ecx |= kLeaf1EcxHypervisor | kLeaf1EcxX2apic;
  if (extras.tsc_deadline) entry.ecx |= kLeaf1EcxTscDeadline;
  entry.edx = (entry.edx | kLeaf1EdxApic) & ~kLeaf1EdxHtt;
  if (topology.count > 1) entry.edx |= kLeaf1EdxHtt;
}

void adjust(CpuidEntry& entry, Topology topology, CpuidExtras extras) {
  if (std::ranges::find(kEmptied, entry.function) != kEmptied.end()) {
    entry.eax = entry.ebx = entry.ecx = entry.edx = 0;
    return;
  }
  switch (entry.function) {
    case 1: adjust_leaf1(entry, topology, extras); break;
    case 4:
    case 0x8000001d: adjust_cache(entry, topology.count); break;
    case 7:
      if (entry.index == 0) {
        entry.ebx &= ~kLeaf7EbxSgx;
        entry.ecx &= ~(kLeaf7EcxSgxLc | kLeaf7EcxOspke);
      }
      break;
    case 0x80000001:
      entry.ecx &= ~(kExt1EcxSvm | kExt1EcxPerfctr);
      if (topology.count == 1) entry.ecx &= ~kExt1EcxCmpLegacy;
      entry.edx |= kExt1EdxApic;
      break;
    case 0x80000008:
      entry.ecx = with_field(entry.ecx, 0, 8, topology.count - 1);
      entry.ecx = with_field(entry.ecx, 12, 4, id_bits(topology.count));
      break;
    case 0x8000001e:
      entry.eax = topology.id;
      entry.ebx = topology.id;  // core id; threads per core - 1 = 0
      entry.ecx = 0;            // node 0, one node
      break;
    default: break;
  }
}

// SDM volume 2, CPUID leaf 0xB: level 0 is the thread, level 1 the core, level 2 ends the list.
void append_topology(std::vector<CpuidEntry>& entries, uint32_t leaf, Topology topology) {
  constexpr uint32_t kThread = 1u << 8;
  constexpr uint32_t kCore = 2u << 8;
  entries.push_back({leaf, 0, kSignificantIndex, 0, 1, kThread | 0, topology.id});
  entries.push_back({leaf, 1, kSignificantIndex, id_bits(topology.count), topology.count, kCore | 1, topology.id});
  entries.push_back({leaf, 2, kSignificantIndex, 0, 0, 2, topology.id});
}

bool is_topology(const CpuidEntry& entry) { return entry.function == 0xb || entry.function == 0x1f; }

const CpuidEntry* find(std::span<const CpuidEntry> entries, uint32_t function, uint32_t index) {
  auto at = std::ranges::find_if(
      entries, [=](const CpuidEntry& entry) { return entry.function == function && entry.index == index; });
  return at == entries.end() ? nullptr : &*at;
}

// A register of CPUID whose bits are features: a bit that is set must be offered.
struct FeatureWord {
  uint32_t function;
  uint32_t index;
  uint32_t CpuidEntry::*value;
  const char* name;
  uint32_t ignored = 0;
};

constexpr std::array kFeatureWords = {
    FeatureWord{1, 0, &CpuidEntry::ecx, "ECX", kLeaf1EcxDynamic},
    FeatureWord{1, 0, &CpuidEntry::edx, "EDX"},
    FeatureWord{6, 0, &CpuidEntry::eax, "EAX"},
    FeatureWord{7, 0, &CpuidEntry::ebx, "EBX"},
    FeatureWord{7, 0, &CpuidEntry::ecx, "ECX", kLeaf7EcxDynamic},
    FeatureWord{7, 0, &CpuidEntry::edx, "EDX"},
    FeatureWord{7, 1, &CpuidEntry::eax, "EAX"},
    FeatureWord{7, 1, &CpuidEntry::edx, "EDX"},
    FeatureWord{7, 2, &CpuidEntry::edx, "EDX"},
    FeatureWord{0xd, 0, &CpuidEntry::eax, "EAX"},
    FeatureWord{0xd, 0, &CpuidEntry::edx, "EDX"},
    FeatureWord{0xd, 1, &CpuidEntry::eax, "EAX"},
    FeatureWord{0xd, 1, &CpuidEntry::ecx, "ECX"},
    FeatureWord{0x40000001, 0, &CpuidEntry::eax, "EAX"},
    FeatureWord{0x80000001, 0, &CpuidEntry::ecx, "ECX"},
    FeatureWord{0x80000001, 0, &CpuidEntry::edx, "EDX"},
    FeatureWord{0x80000007, 0, &CpuidEntry::edx, "EDX"},
    FeatureWord{0x80000008, 0, &CpuidEntry::ebx, "EBX"},
    FeatureWord{0x8000000a, 0, &CpuidEntry::edx, "EDX"},
    FeatureWord{0x80000021, 0, &CpuidEntry::eax, "EAX"},
};

}  // namespace

std::vector<CpuidEntry> host_cpuid(std::span<const CpuidEntry> supported, Topology topology, CpuidExtras extras) {
  std::vector<CpuidEntry> entries;
  for (CpuidEntry entry : supported) {
    if (is_topology(entry)) continue;
    adjust(entry, topology, extras);
    entries.push_back(entry);
  }
  const CpuidEntry* basic = find(supported, 0, 0);
  uint32_t max_basic = basic == nullptr ? 0 : basic->eax;
  if (max_basic >= 0xb) append_topology(entries, 0xb, topology);
  if (max_basic >= 0x1f) append_topology(entries, 0x1f, topology);
  return entries;
}

Result<void> check_cpuid(std::span<const CpuidEntry> wanted, std::span<const CpuidEntry> offered) {
  for (const FeatureWord& word : kFeatureWords) {
    const CpuidEntry* want = find(wanted, word.function, word.index);
    if (want == nullptr) continue;
    const CpuidEntry* offer = find(offered, word.function, word.index);
    uint32_t have = offer == nullptr ? 0 : offer->*word.value;
    uint32_t missing = want->*word.value & ~have & ~word.ignored;
    if (missing == 0) continue;
    return fail(
        "the guest was started with processor feature CPUID {:#x}.{} {} bit {}, which this host's "
        "KVM does not offer",
        word.function, word.index, word.name, std::countr_zero(missing));
  }
  return {};
}

}  // namespace pagurus::kvm
