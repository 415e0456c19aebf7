// From the files on the command line to a guest that is ready to take its first instruction.
//
//   auto kernel = TRY(KernelImage::open(config.kernel));
//   auto initrd = TRY(BootFile::read(config.initrd, "initrd"));
//   ...at power-on and at every reset:
//   BootState boot = TRY(kernel.load(memory, {.command_line = config.append, .initrd = &initrd, .rsdp = tables.rsdp}));
//
// Two kinds of image: Linux's bzImage, entered in 64-bit mode (Documentation/arch/x86/boot.rst), and
// an ELF with a PVH note, entered in 32-bit protected mode without paging (Xen's
// docs/misc/pvh.pandoc).  open() validates everything that does not depend on RAM; load() writes
// kernel, initrd, command line, memory map, and for Linux the page tables and GDT.
//
// Threads: load() only while no vCPU runs; otherwise immutable.
#pragma once

#include <string>
#include <variant>

#include "base/result.h"
#include "machine/boot/boot_file.h"
#include "machine/boot/boot_state.h"
#include "machine/boot/bzimage.h"
#include "machine/boot/pvh_elf.h"
#include "memory/guest_memory.h"

namespace pagurus::machine {

class KernelImage {
 public:
  static Result<KernelImage> open(const std::string& path);
  static Result<KernelImage> parse(BootFile file);

  BootKind kind() const;
  const std::string& path() const { return file_.path(); }
  // Fails, in words, if RAM is too small or the command line too long; memory may then be partly
  // written.
  Result<BootState> load(const memory::GuestMemory& memory, const BootInputs& inputs) const;

 private:
  using Layout = std::variant<BzImage, PvhElf>;
  KernelImage(BootFile file, Layout layout) : file_(std::move(file)), layout_(std::move(layout)) {}

  BootFile file_;
  Layout layout_;
};

}  // namespace pagurus::machine
