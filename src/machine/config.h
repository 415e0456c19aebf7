// What a person asked for: the command line's machine part, checked as far as that is possible
// without touching the host.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "machine/machine_type.h"
#include "memory/guest_memory.h"
#include "schema/char.h"
#include "schema/machine.h"
#include "schema/net.h"

namespace pagurus::machine {

inline constexpr unsigned kMaxVcpus = 8;

struct Config {
  std::string machine_type = std::string(default_machine_type());
  std::string cpu_model = "host";
  unsigned vcpus = 1;                      // 1..kMaxVcpus
  uint64_t ram_size = 128 * memory::kMiB;  // bytes
  memory::Pages ram_pages = memory::Pages::kSmall;

  std::string kernel;  // paths; kernel is required
  std::string initrd;
  std::string append;

  std::vector<schema::Netdev> netdevs;
  std::vector<schema::DeviceOptions> devices;
  std::vector<schema::ChardevOptions> chardevs;
  std::vector<std::string> serials;  // -serial: the id of a chardev in `chardevs`, at most one

  bool incoming = false;  // -incoming: built, but waiting for the state of a running guest
  enum class OnReset { kReset, kShutdown } on_reset = OnReset::kReset;  // kShutdown: -no-reboot

  std::string name;  // -name, may be empty
  std::string uuid = "00000000-0000-0000-0000-000000000000";
};

}  // namespace pagurus::machine
