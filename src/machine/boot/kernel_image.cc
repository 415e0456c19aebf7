#include "machine/boot/kernel_image.h"

#include "machine/boot/load_linux.h"
#include "machine/boot/load_pvh.h"

namespace pagurus::machine {

Result<KernelImage> KernelImage::open(const std::string& path) { return parse(TRY(BootFile::read(path, "kernel"))); }

Result<KernelImage> KernelImage::parse(BootFile file) {
  auto doing = fmt::format("the kernel '{}' cannot be booted", file.path());
  if (looks_like_elf(file.bytes())) {
    Layout layout = TRY_DOING(doing, parse_pvh_elf(file.bytes()));
    return KernelImage(std::move(file), std::move(layout));
  }
  if (looks_like_bzimage(file.bytes())) {
    Layout layout = TRY_DOING(doing, parse_bzimage(file.bytes()));
    return KernelImage(std::move(file), std::move(layout));
  }
  return fail("{}: it is not a kernel image; a Linux bzImage or an ELF file with a PVH entry is required", doing);
}

BootKind KernelImage::kind() const {
  return std::holds_alternative<BzImage>(layout_) ? BootKind::kLinux64 : BootKind::kPvh;
}

Result<BootState> KernelImage::load(const memory::GuestMemory& memory, const BootInputs& inputs) const {
  auto doing = fmt::format("loading the kernel '{}'", path());
  if (const auto* linux_image = std::get_if<BzImage>(&layout_)) {
    return TRY_DOING(doing, load_linux(*linux_image, file_.bytes(), memory, inputs));
  }
  return TRY_DOING(doing, load_pvh(std::get<PvhElf>(layout_), file_.bytes(), memory, inputs));
}

}  // namespace pagurus::machine
