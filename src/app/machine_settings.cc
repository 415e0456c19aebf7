#include <algorithm>
#include <cctype>

#include "app/settings.h"
#include "machine/machine.h"

namespace pagurus::app {
namespace {

using memory::kMiB;
using memory::Pages;

Result<void> settle_type(const schema::MachineOptions& options, machine::Config& config) {
  config.machine_type = options.type.value_or(config.machine_type);
  auto types = machine::machine_types();
  if (std::ranges::find(types, config.machine_type, &machine::MachineTypeInfo::name) == types.end()) {
    return fail("-machine: machine type '{}' is not known ('-machine help' lists them)", config.machine_type);
  }
  return {};
}

Result<void> check_memory_object(const schema::ObjectOptions& object) {
  const schema::MemoryBackendMemfdProperties& memory = *object.as_memory_backend_memfd();
  if (!memory.share.value_or(true)) {
    return fail("-object: share=off is not supported: a hand-over passes the memory to another process");
  }
  bool huge = memory.hugetlb.value_or(false);
  if (memory.hugetlbsize && !huge) return fail("-object: hugetlbsize= needs hugetlb=on");
  if (memory.hugetlbsize.value_or(2 * kMiB) != 2 * kMiB) {
    return fail("-object: hugetlbsize= is 2M, the only size supported");
  }
  return {};
}

Result<void> settle_memory(const schema::CommandLineOptions& options, machine::Config& config) {
  if (options.m) {
    // As QEMU reads "-m 512"; no machine has less than 1 MiB.
    uint64_t size = options.m->size;
    config.ram_size = size < kMiB ? size * kMiB : size;
  }
  if (config.ram_size < memory::kMinRam || config.ram_size > memory::kMaxRam || config.ram_size % (2 * kMiB) != 0) {
    return fail("-m: {} bytes of RAM are not supported; give a multiple of 2 MiB from {} MiB to {} GiB",
                config.ram_size, memory::kMinRam / kMiB, memory::kMaxRam / memory::kGiB);
  }
  std::string wanted = options.machine ? options.machine->memory_backend.value_or("") : "";
  auto objects = options.object.value_or(std::vector<schema::ObjectOptions>());
  for (const schema::ObjectOptions& object : objects) {
    TRY(check_memory_object(object));
    const schema::MemoryBackendMemfdProperties& memory = *object.as_memory_backend_memfd();
    if (object.id != wanted) {
      return fail("-object: '{}' is used by nothing (name it with -machine memory-backend={})", object.id, object.id);
    }
    if (memory.size != config.ram_size) {
      return fail("-object: '{}' has {} MiB, but the machine has {} MiB of RAM (-m)", object.id, memory.size / kMiB,
                  config.ram_size / kMiB);
    }
    config.ram_pages = memory.hugetlb.value_or(false) ? Pages::kHuge2M : Pages::kSmall;
  }
  if (objects.size() > 1) return fail("-object: the id '{}' is given twice", wanted);
  if (!wanted.empty() && objects.empty()) {
    return fail("-machine: there is no memory backend '{}' (create it with -object)", wanted);
  }
  return {};
}

Result<std::string> settle_uuid(std::string_view text) {
  constexpr std::string_view kShape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  bool good = text.size() == kShape.size();
  for (size_t i = 0; good && i < kShape.size(); ++i) {
    good = kShape[i] == 'x' ? std::isxdigit(static_cast<unsigned char>(text[i])) != 0 : text[i] == '-';
  }
  if (!good) return fail("-uuid: '{}' is no UUID; write it as {}", text, kShape);
  std::string uuid(text);
  for (char& c : uuid) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return uuid;
}

Result<void> settle_boot(const schema::CommandLineOptions& options, machine::Config& config) {
  config.kernel = options.kernel.value_or("");
  config.initrd = options.initrd.value_or("");
  config.append = options.append.value_or("");
  if (!config.kernel.empty()) return {};
  if (!config.initrd.empty()) return fail("-initrd needs -kernel");
  if (!config.append.empty()) return fail("-append needs -kernel");
  return fail("there is nothing to boot: -kernel is missing");
}

}  // namespace

Result<void> settle_machine(const schema::CommandLineOptions& options, machine::Config& config) {
  if (options.machine) TRY(settle_type(*options.machine, config));
  int64_t vcpus = options.smp ? options.smp->cpus : 1;
  if (vcpus < 1 || vcpus > int64_t{machine::kMaxVcpus}) {
    return fail("-smp: {} CPUs are not supported; give 1 to {}", vcpus, machine::kMaxVcpus);
  }
  config.vcpus = static_cast<unsigned>(vcpus);
  if (options.name) config.name = options.name->guest;
  if (options.uuid) config.uuid = TRY(settle_uuid(*options.uuid));
  if (options.no_reboot.value_or(false)) config.on_reset = machine::Config::OnReset::kShutdown;
  TRY(settle_boot(options, config));
  return settle_memory(options, config);
}

}  // namespace pagurus::app
