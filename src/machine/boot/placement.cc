#include "machine/boot/placement.h"

#include <algorithm>
#include <vector>

#include "machine/layout.h"

namespace pagurus::machine {
namespace {

constexpr uint64_t kPage = 4096;

uint64_t round_up_mib(uint64_t bytes) { return bytes / memory::kMiB + (bytes % memory::kMiB != 0 ? 1 : 0); }

}  // namespace

Result<memory::GuestAddress> place_initrd(uint64_t size, const InitrdSpace& space) {
  uint64_t top = std::min({space.limit, space.ram_size, memory::kLowRamLimit});
  uint64_t room = top > space.kernel_end ? top - space.kernel_end : 0;
  // One page of slack for the alignment.
  if (size > room || room - size < kPage) {
    auto error =
        Error(fmt::format("the initrd does not fit: it has {} MiB, between the kernel and the end of usable "
                          "RAM there are {} MiB",
                          round_up_mib(size), room / memory::kMiB));
    if (top < space.ram_size) return std::unexpected(std::move(error).remedy("use a smaller initrd"));
    return std::unexpected(std::move(error).remedy(
        fmt::format("use a smaller initrd, or at least -m {}M", round_up_mib(space.kernel_end + size + kPage))));
  }
  return memory::GuestAddress{(top - size) / kPage * kPage};
}

Result<void> check_kernel_fits(uint64_t address, uint64_t size, uint64_t ram_size) {
  if (address < layout::kKernelBase) {
    return fail("the kernel wants to be loaded at {:#x}, below 1 MiB, where the boot data is", address);
  }
  uint64_t top = std::min(ram_size, memory::kLowRamLimit);
  if (address <= top && size <= top - address) return {};
  auto error = Error(fmt::format("the kernel does not fit: it needs {} MiB of RAM from {} MiB on, there are {} MiB",
                                 round_up_mib(size), address / memory::kMiB, ram_size / memory::kMiB));
  bool more_ram_helps = address <= memory::kLowRamLimit && size <= memory::kLowRamLimit - address;
  if (!more_ram_helps) return std::unexpected(std::move(error));
  return std::unexpected(std::move(error).remedy(fmt::format("use at least -m {}M", round_up_mib(address + size))));
}

Result<void> write_command_line(const memory::GuestMemory& memory, std::string_view text, uint64_t max) {
  max = std::min(max, layout::kCommandLineSize - 1);
  if (text.size() > max) {
    return fail("the kernel command line is too long: {} bytes, this kernel takes {}", text.size(), max);
  }
  std::vector<uint8_t> bytes(text.begin(), text.end());
  bytes.push_back(0);
  CHECK(memory.write(layout::kCommandLine, bytes), "the smallest RAM holds the command line");
  return {};
}

}  // namespace pagurus::machine
