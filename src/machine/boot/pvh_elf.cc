#include "machine/boot/pvh_elf.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/bytes.h"

namespace pagurus::machine {
namespace {

constexpr uint32_t kXenElfNotePhys32Entry = 18;
// Linux has five; a bound keeps a hostile file from making us load for ever.
constexpr unsigned kMaxProgramHeaders = 64;
constexpr uint64_t kAddressLimit = uint64_t{1} << 32;

std::optional<std::span<const uint8_t>> piece(std::span<const uint8_t> file, uint64_t offset, uint64_t size) {
  if (offset > file.size() || size > file.size() - offset) return std::nullopt;
  return file.subspan(offset, size);
}

uint64_t align_up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

// Walks "name size, descriptor size, type, name, descriptor" records.
std::optional<uint32_t> entry_in_notes(std::span<const uint8_t> notes, uint64_t alignment) {
  while (notes.size() >= sizeof(Elf64_Nhdr)) {
    auto name_size = load_le<uint32_t>(notes.data());
    auto desc_size = load_le<uint32_t>(notes.data() + 4);
    auto type = load_le<uint32_t>(notes.data() + 8);
    uint64_t desc_at = align_up(sizeof(Elf64_Nhdr) + name_size, alignment);
    auto desc = piece(notes, desc_at, desc_size);
    if (!desc) return std::nullopt;
    bool xen = name_size == 4 && std::memcmp(notes.data() + sizeof(Elf64_Nhdr), "Xen", 4) == 0;
    if (xen && type == kXenElfNotePhys32Entry) {
      if (desc_size == 4) return load_le<uint32_t>(desc->data());
      if (desc_size != 8) return std::nullopt;
      auto wide = load_le<uint64_t>(desc->data());
      return wide < kAddressLimit ? std::optional(static_cast<uint32_t>(wide)) : std::nullopt;
    }
    uint64_t next = align_up(desc_at + desc_size, alignment);
    notes = notes.subspan(std::min<uint64_t>(next, notes.size()));
  }
  return std::nullopt;
}

Result<PvhElf::Segment> check_segment(std::span<const uint8_t> file, const Elf64_Phdr& header) {
  if (header.p_filesz > header.p_memsz) return fail("a segment is larger in the file than in memory");
  if (!piece(file, header.p_offset, header.p_filesz)) {
    return fail("it is truncated: a segment of {} bytes at {} is not in the file", header.p_filesz, header.p_offset);
  }
  if (header.p_paddr >= kAddressLimit || header.p_memsz > kAddressLimit - header.p_paddr) {
    return fail("a segment lies above 4 GiB, at {:#x}", header.p_paddr);
  }
  return PvhElf::Segment{.file_offset = header.p_offset,
                         .file_size = header.p_filesz,
                         .address = header.p_paddr,
                         .memory_size = header.p_memsz};
}

Result<void> check_layout(PvhElf& elf) {
  if (elf.segments.empty()) return fail("it has nothing to load");
  std::ranges::sort(elf.segments, {}, &PvhElf::Segment::address);
  bool entry_inside = false;
  uint64_t end = 0;
  for (const auto& segment : elf.segments) {
    if (segment.address < end) return fail("two segments overlap at {:#x}", segment.address);
    end = segment.address + segment.memory_size;
    entry_inside |= elf.entry >= segment.address && elf.entry < end;
  }
  if (!entry_inside) return fail("its PVH entry {:#x} is in no segment", elf.entry);
  return {};
}

Result<Elf64_Ehdr> read_header(std::span<const uint8_t> file) {
  Elf64_Ehdr header{};
  if (file.size() < sizeof header) return fail("it ends inside the ELF header");
  std::memcpy(&header, file.data(), sizeof header);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != EM_X86_64) {
    return fail("it is an ELF file, but not for 64-bit x86");
  }
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN) return fail("it is an ELF file, but not an executable");
  if (header.e_phentsize != sizeof(Elf64_Phdr)) {
    return fail("its program headers have {} bytes instead of {}", header.e_phentsize, sizeof(Elf64_Phdr));
  }
  if (header.e_phnum > kMaxProgramHeaders) return fail("it has too many program headers: {}", header.e_phnum);
  return header;
}

}  // namespace

bool looks_like_elf(std::span<const uint8_t> file) {
  return file.size() >= SELFMAG && std::memcmp(file.data(), ELFMAG, SELFMAG) == 0;
}

Result<PvhElf> parse_pvh_elf(std::span<const uint8_t> file) {
  if (!looks_like_elf(file)) return fail("it is no ELF file");
  auto header = TRY(read_header(file));
  auto table = piece(file, header.e_phoff, uint64_t{header.e_phnum} * sizeof(Elf64_Phdr));
  if (!table) return fail("it is truncated: its program headers are not in the file");

  PvhElf elf;
  std::optional<uint32_t> entry;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr program{};
    std::memcpy(&program, table->data() + i * sizeof program, sizeof program);
    if (program.p_type == PT_LOAD && program.p_memsz != 0) {
      elf.segments.push_back(TRY(check_segment(file, program)));
    } else if (program.p_type == PT_NOTE && !entry) {
      auto notes = piece(file, program.p_offset, program.p_filesz);
      if (notes) entry = entry_in_notes(*notes, program.p_align == 8 ? 8 : 4);
    }
  }
  if (!entry) return fail("it is an ELF file without a PVH entry note (a Linux kernel needs CONFIG_PVH)");
  elf.entry = *entry;
  TRY(check_layout(elf));
  return elf;
}

}  // namespace pagurus::machine
