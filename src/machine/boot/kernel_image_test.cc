#include "machine/boot/kernel_image.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <random>

#include "base/bytes.h"
#include "machine/boot/memory_map.h"
#include "machine/layout.h"

namespace pagurus::machine {
namespace {

using Bytes = std::vector<uint8_t>;
constexpr uint64_t kPref = 16 * memory::kMiB;

// The smallest file that is a sound bzImage: one setup sector, then 4 KiB of "kernel".
Bytes make_bzimage() {
  Bytes file(1024 + 4096);
  file[0x1f1] = 1;
  store_le<uint16_t>(&file[0x1fe], 0xaa55);
  file[0x201] = 0x6a;
  std::memcpy(&file[0x202], "HdrS", 4);
  store_le<uint16_t>(&file[0x206], 0x20f);
  file[0x211] = 1;
  store_le<uint32_t>(&file[0x22c], 0x7fff'ffff);
  store_le<uint16_t>(&file[0x236], 3);
  store_le<uint32_t>(&file[0x238], 2047);
  store_le<uint64_t>(&file[0x258], kPref);
  store_le<uint32_t>(&file[0x260], 8 * memory::kMiB);
  for (size_t i = 1024; i < file.size(); ++i) file[i] = static_cast<uint8_t>(i * 7);
  return file;
}

struct Elf {
  Elf64_Ehdr header{};
  Elf64_Phdr load{};
  Elf64_Phdr note{};
  Elf64_Nhdr note_header{};
  char note_name[4] = {'X', 'e', 'n', 0};
  uint32_t note_entry = 0x10'0010;
  uint8_t code[64]{};

  Elf() {
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_phoff = offsetof(Elf, load);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 2;
    load = {.p_type = PT_LOAD,
            .p_flags = 5,
            .p_offset = offsetof(Elf, code),
            .p_vaddr = 0xffff'ffff'8010'0000,
            .p_paddr = 0x10'0000,
            .p_filesz = sizeof code,
            .p_memsz = 8192,
            .p_align = 4096};
    note = {.p_type = PT_NOTE,
            .p_flags = 4,
            .p_offset = offsetof(Elf, note_header),
            .p_vaddr = 0,
            .p_paddr = 0,
            .p_filesz = sizeof note_header + 8,
            .p_memsz = 0,
            .p_align = 4};
    note_header = {.n_namesz = 4, .n_descsz = 4, .n_type = 18};
    std::memset(code, 0x90, sizeof code);
  }
  Bytes bytes() const {
    Bytes result(sizeof *this);
    std::memcpy(result.data(), this, sizeof *this);
    return result;
  }
};

std::string parse_error(Bytes file) {
  auto image = KernelImage::parse(BootFile::of_bytes("k", std::move(file)));
  return image ? "" : image.error().message();
}

struct KernelImageTest : testing::Test {
  void SetUp() override { make_ram(128); }
  void make_ram(uint64_t mib) {
    ram.emplace(std::move(*memory::GuestMemory::create(mib * memory::kMiB, memory::Pages::kSmall)));
    ASSERT_TRUE(ram->allocate());
  }
  Result<BootState> load(Bytes file, const BootInputs& inputs) {
    return TRY(KernelImage::parse(BootFile::of_bytes("k", std::move(file)))).load(*ram, inputs);
  }
  std::string read_text(uint64_t at) {
    std::string text;
    while (char c = static_cast<char>(*ram->read_value<uint8_t>({at++}))) text += c;
    return text;
  }
  std::optional<memory::GuestMemory> ram;
};

TEST_F(KernelImageTest, bzimage_is_placed_with_zero_page_command_line_and_initrd) {
  auto initrd = BootFile::of_bytes("i", Bytes(10000, 0xab));
  auto boot = load(make_bzimage(), {.command_line = "console=ttyS0", .initrd = &initrd, .rsdp = {0xe0000}});
  ASSERT_TRUE(boot) << boot.error().message();
  EXPECT_EQ(boot->kind, BootKind::kLinux64);
  EXPECT_EQ(boot->entry.value, kPref + 0x200);
  EXPECT_EQ(ram->read_value<uint8_t>({kPref}), make_bzimage()[1024]);

  uint64_t zero_page = boot->info.value;
  auto u32 = [&](uint64_t at) { return *ram->read_value<uint32_t>({zero_page + at}); };
  EXPECT_EQ(u32(0x202), load_le<uint32_t>("HdrS"));
  EXPECT_EQ(*ram->read_value<uint8_t>({zero_page + 0x210}), 0xff);
  EXPECT_EQ(read_text(u32(0x228)), "console=ttyS0");
  EXPECT_EQ(u32(0x70), 0xe0000u);
  EXPECT_EQ(u32(0x21c), 10000u);
  uint64_t at = u32(0x218);
  EXPECT_EQ(at % 4096, 0u);
  EXPECT_LT(ram->size() - (at + 10000), 4096u) << "as high in low RAM as possible";
  EXPECT_EQ(*ram->read_value<uint8_t>({at + 9999}), 0xab);

  size_t entries = *ram->read_value<uint8_t>({zero_page + 0x1e8});
  ASSERT_EQ(entries, memory_map(ram->size()).size());
  EXPECT_EQ(*ram->read_value<uint64_t>({zero_page + 0x2d0 + 3 * 20}), memory::kMiB);
}

TEST_F(KernelImageTest, boot_page_tables_map_4_gib_one_to_one) {
  auto boot = load(make_bzimage(), {});
  ASSERT_TRUE(boot);
  auto walk = [&](uint64_t address) {
    constexpr uint64_t kMask = 0x000f'ffff'ffff'f000;
    uint64_t table = boot->page_tables.value;
    for (unsigned shift : {39u, 30u}) {
      auto entry = *ram->read_value<uint64_t>({table + (address >> shift & 511) * 8});
      EXPECT_EQ(entry & 0x83, 3u);
      table = entry & kMask;
    }
    auto page = *ram->read_value<uint64_t>({table + (address >> 21 & 511) * 8});
    EXPECT_EQ(page & 0x83, 0x83u);
    return (page & 0x000f'ffff'ffe0'0000) | (address & 0x1f'ffff);
  };
  for (uint64_t address : {0x7000ul, kPref + 0x200, 0xbfff'ffffUL, 0xffff'ffffUL}) EXPECT_EQ(walk(address), address);
  EXPECT_EQ(*ram->read_value<uint64_t>({boot->gdt.value + 0x10}) >> 53 & 1, 1u) << "selector 0x10 is 64-bit code";
}

TEST_F(KernelImageTest, what_is_no_bootable_kernel_is_refused_in_words) {
  EXPECT_NE(parse_error(Bytes(4096, 0)).find("not a kernel image"), std::string::npos);
  auto patched = [](size_t at, uint8_t value) {
    auto file = make_bzimage();
    file[at] = value;
    return parse_error(file);
  };
  EXPECT_NE(patched(0x206, 0x0b).find("boot protocol is 2.11"), std::string::npos);
  EXPECT_NE(patched(0x236, 0).find("not a 64-bit kernel"), std::string::npos);
  EXPECT_NE(patched(0x211, 0).find("zImage"), std::string::npos);
  EXPECT_NE(patched(0x1fe, 0).find("signature"), std::string::npos);
  EXPECT_NE(patched(0x1f1, 64).find("truncated"), std::string::npos);
}

TEST_F(KernelImageTest, what_does_not_fit_names_sizes_and_remedy) {
  auto initrd = BootFile::of_bytes("big", Bytes(120 * memory::kMiB));
  auto boot = load(make_bzimage(), {.initrd = &initrd});
  ASSERT_FALSE(boot);
  EXPECT_NE(boot.error().message().find("has 120 MiB"), std::string::npos) << boot.error().message();
  EXPECT_NE(boot.error().message().find("-m 145M"), std::string::npos) << boot.error().message();
  make_ram(146);
  EXPECT_TRUE(load(make_bzimage(), {.initrd = &initrd}));

  std::string long_line(2048, 'x');
  boot = load(make_bzimage(), {.command_line = long_line});
  ASSERT_FALSE(boot);
  EXPECT_NE(boot.error().message().find("2048 bytes, this kernel takes 2047"), std::string::npos);

  auto greedy = make_bzimage();
  store_le<uint32_t>(&greedy[0x260], 200 * memory::kMiB);
  boot = load(greedy, {});
  ASSERT_FALSE(boot);
  EXPECT_NE(boot.error().message().find("-m 216M"), std::string::npos) << boot.error().message();
}

TEST_F(KernelImageTest, hostile_load_addresses_are_refused) {
  for (uint64_t address : {uint64_t{0}, uint64_t{0x7000}, uint64_t{0xc000'0000}, ~uint64_t{0}, ~uint64_t{0} - 4096}) {
    auto file = make_bzimage();
    store_le<uint64_t>(&file[0x258], address);
    EXPECT_FALSE(load(file, {})) << address;
  }
}

TEST_F(KernelImageTest, pvh_elf_is_placed_with_start_info) {
  ASSERT_TRUE(ram->write_value({0x10'0000 + 5000}, ~uint64_t{0}));
  auto initrd = BootFile::of_bytes("i", Bytes(5000, 0xcd));
  auto boot = load(Elf().bytes(), {.command_line = "probe", .initrd = &initrd, .rsdp = {0xe0000}});
  ASSERT_TRUE(boot) << boot.error().message();
  EXPECT_EQ(boot->kind, BootKind::kPvh);
  EXPECT_EQ(boot->entry.value, 0x10'0010u);
  EXPECT_EQ(*ram->read_value<uint8_t>({0x10'0000 + 63}), 0x90);
  EXPECT_EQ(*ram->read_value<uint64_t>({0x10'0000 + 5000}), 0u) << "the rest of a segment is zero";

  uint64_t info = boot->info.value;
  EXPECT_EQ(*ram->read_value<uint32_t>({info}), 0x336ec578u);
  EXPECT_EQ(*ram->read_value<uint32_t>({info + 4}), 1u);
  EXPECT_EQ(*ram->read_value<uint32_t>({info + 12}), 1u);
  EXPECT_EQ(read_text(*ram->read_value<uint64_t>({info + 24})), "probe");
  EXPECT_EQ(*ram->read_value<uint64_t>({info + 32}), 0xe0000u);
  EXPECT_EQ(*ram->read_value<uint32_t>({info + 48}), memory_map(ram->size()).size());
  uint64_t module = *ram->read_value<uint64_t>({info + 16});
  EXPECT_EQ(*ram->read_value<uint64_t>({module + 8}), 5000u);
  EXPECT_EQ(*ram->read_value<uint8_t>({*ram->read_value<uint64_t>({module}) + 4999}), 0xcd);
}

TEST_F(KernelImageTest, unsound_elf_files_are_refused_in_words) {
  auto error_with = [](auto change) {
    Elf elf;
    change(elf);
    return parse_error(elf.bytes());
  };
  EXPECT_EQ(error_with([](Elf&) {}), "");
  EXPECT_NE(error_with([](Elf& e) { e.header.e_machine = EM_AARCH64; }).find("not for 64-bit x86"), std::string::npos);
  EXPECT_NE(error_with([](Elf& e) { e.note_header.n_type = 1; }).find("PVH"), std::string::npos);
  EXPECT_NE(error_with([](Elf& e) { e.note_entry = 0x20'0000; }).find("in no segment"), std::string::npos);
  EXPECT_NE(error_with([](Elf& e) { e.load.p_memsz = 1; }).find("larger in the file"), std::string::npos);
  EXPECT_NE(error_with([](Elf& e) { e.load.p_offset = ~uint64_t{0} - 8; }).find("truncated"), std::string::npos);
  EXPECT_NE(error_with([](Elf& e) { e.load.p_memsz = ~uint64_t{0}; }).find("above 4 GiB"), std::string::npos);
  EXPECT_NE(error_with([](Elf& e) { e.header.e_phoff = ~uint64_t{0} - 8; }).find("truncated"), std::string::npos);
  EXPECT_NE(error_with([](Elf& e) { e.header.e_phnum = 0xffff; }).find("too many"), std::string::npos);
  EXPECT_NE(error_with([](Elf& e) { e.note_header.n_namesz = ~0u; }).find("PVH"), std::string::npos);
}

TEST_F(KernelImageTest, an_elf_segment_below_1_mib_or_above_ram_is_refused) {
  for (uint64_t address : {uint64_t{0x6000}, uint64_t{0xf'f000}, ram->size() - 4096, uint64_t{0xc000'0000}}) {
    Elf elf;
    elf.load.p_paddr = address;
    elf.note_entry = static_cast<uint32_t>(address);
    EXPECT_FALSE(load(elf.bytes(), {})) << address;
  }
}

TEST_F(KernelImageTest, every_truncation_is_refused_or_sound) {
  for (const Bytes& whole : {make_bzimage(), Elf().bytes()}) {
    for (size_t size = 0; size < whole.size(); size += 3) {
      Bytes part(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
      auto image = KernelImage::parse(BootFile::of_bytes("k", part));
      if (image) {
        EXPECT_TRUE(image->load(*ram, {})) << size;
      }
    }
  }
}

TEST_F(KernelImageTest, random_damage_never_escapes_the_bounds) {
  std::mt19937 random(1);  // fixed: a failure repeats
  for (const Bytes& sound : {make_bzimage(), Elf().bytes()}) {
    for (int round = 0; round < 3000; ++round) {
      Bytes file = sound;
      for (int i = 0; i < 4; ++i) {
        size_t header = sound.size() > 4096 ? 0x1f1 + random() % 0x80 : random() % 240;
        file[header] = static_cast<uint8_t>(random());
      }
      // ASan and the CHECKs are the judges.
      (void)load(std::move(file), {.command_line = "x"});
    }
  }
}

TEST(MemoryMap, is_ascending_without_overlap_and_holds_all_ram) {
  for (uint64_t mib : {64u, 3072u, 3074u, 8192u}) {
    uint64_t end = 0;
    uint64_t usable = 0;
    for (const auto& region : memory_map(mib * memory::kMiB)) {
      EXPECT_GE(region.base, end);
      EXPECT_GT(region.size, 0u);
      end = region.base + region.size;
      if (region.kind == MemoryKind::kUsable) usable += region.size;
    }
    // Between EBDA and 1 MiB there is RAM that no one may use.
    EXPECT_EQ(usable, mib * memory::kMiB - (memory::kMiB - layout::kEbda.base));
  }
}

TEST(BootFile, unreadable_files_are_named) {
  for (const char* path : {"/nonexistent", "/dev/zero", "/"}) {
    auto file = BootFile::read(path, "initrd");
    ASSERT_FALSE(file) << path;
    EXPECT_NE(file.error().message().find(std::string("initrd '") + path), std::string::npos);
  }
}

}  // namespace
}  // namespace pagurus::machine
