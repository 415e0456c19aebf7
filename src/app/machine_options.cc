// Options that say what the guest's machine is: type, processors, memory, kernel, identity.
#include <algorithm>
#include <cctype>

#include "app/option.h"
#include "machine/machine.h"

namespace pagurus::app {
namespace {

using memory::kMiB;
using memory::Pages;
using Count = Option::Count;

std::string machine_help() {
  std::string text = "Machine types:\n";
  for (const auto& type : machine::machine_types()) {
    text += fmt::format("{:<14} {}\n", type.name, type.description);
  }
  return text;
}

Result<void> set_machine(Draft& draft, const std::string& value) {
  if (value == "help") {
    draft.invocation.print = machine_help();
    return {};
  }
  auto options = TRY(qapi::Options::parse(value, "type", "-machine"));
  std::string& type = draft.invocation.config.machine_type;
  type = TRY(options.take_string("type")).value_or(type);
  auto types = machine::machine_types();
  if (std::ranges::find(types, type, &machine::MachineTypeInfo::name) == types.end()) {
    return fail("-machine: machine type '{}' is not known ('-machine help' lists them)", type);
  }
  std::string accelerator = TRY(options.take_string("accel")).value_or("kvm");
  if (accelerator != "kvm") {
    return fail("-machine: accelerator '{}' is not supported; 'kvm' is the only one", accelerator);
  }
  draft.memory_backend = TRY(options.take_string("memory-backend")).value_or("");
  return options.finish();
}

Result<void> set_cpu(Draft& draft, const std::string& value) {
  if (value == "help") {
    draft.invocation.print = "CPU models:\nhost           the host's processor, as far as KVM can offer it\n";
    return {};
  }
  if (value != "host") {
    return fail("-cpu: CPU model '{}' is not supported; 'host', without features, is the only one", value);
  }
  return {};
}

Result<void> set_smp(Draft& draft, const std::string& value) {
  auto options = TRY(qapi::Options::parse(value, "cpus", "-smp"));
  auto count = TRY(options.take_uint("cpus", 1, machine::kMaxVcpus));
  if (!count) return fail("-smp: the number of CPUs is missing: -smp N");
  draft.invocation.config.vcpus = static_cast<unsigned>(*count);
  return options.finish();
}

Result<void> set_memory(Draft& draft, const std::string& value) {
  auto options = TRY(qapi::Options::parse(value, "size", "-m"));
  auto size = TRY(options.take_size("size", kMiB));
  if (!size) return fail("-m: the size is missing: -m SIZE");
  draft.invocation.config.ram_size = *size;
  return options.finish();
}

Result<void> add_object(Draft& draft, const std::string& value) {
  auto options = TRY(qapi::Options::parse(value, "qom-type", "-object"));
  auto type = TRY(options.take_string("qom-type")).value_or("");
  if (type != "memory-backend-memfd") {
    return fail("-object: type '{}' is not supported; 'memory-backend-memfd' is the only one", type);
  }
  auto id = TRY(options.take_string("id"));
  if (!id) return fail("-object: memory-backend-memfd needs id=");
  auto size = TRY(options.take_size("size", 1));
  if (!size) return fail("-object: memory-backend-memfd needs size=");
  if (!TRY(options.take_bool("share")).value_or(true)) {
    return fail("-object: share=off is not supported: a hand-over passes the memory to another process");
  }
  bool huge = TRY(options.take_bool("hugetlb")).value_or(false);
  auto huge_size = TRY(options.take_size("hugetlbsize"));
  if (huge_size && !huge) return fail("-object: hugetlbsize= needs hugetlb=on");
  if (huge_size && *huge_size != 2 * kMiB) return fail("-object: hugetlbsize= is 2M, the only size supported");
  TRY(options.finish());
  draft.memory_objects.push_back({*id, *size, huge ? Pages::kHuge2M : Pages::kSmall});
  return {};
}

Result<void> set_name(Draft& draft, const std::string& value) {
  auto options = TRY(qapi::Options::parse(value, "guest", "-name"));
  draft.invocation.config.name = TRY(options.take_string("guest")).value_or("");
  return options.finish();
}

Result<void> set_uuid(Draft& draft, const std::string& value) {
  constexpr std::string_view kShape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  bool good = value.size() == kShape.size();
  for (size_t i = 0; good && i < kShape.size(); ++i) {
    good = kShape[i] == 'x' ? std::isxdigit(static_cast<unsigned char>(value[i])) != 0 : value[i] == '-';
  }
  if (!good) return fail("-uuid: '{}' is no UUID; write it as {}", value, kShape);
  std::string& uuid = draft.invocation.config.uuid;
  uuid.clear();
  for (char c : value) uuid += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return {};
}

}  // namespace

std::vector<Option> machine_options() {
  return {
      {"machine", "TYPE[,key=value...]", "machine type ('help' lists them); keys: accel=kvm, memory-backend=ID",
       Count::kOnce, set_machine},
      {"cpu", "host", "CPU model ('help' lists them)", Count::kOnce, set_cpu},
      {"smp", "[cpus=]N", "number of virtual CPUs, 1 to 8 (default 1)", Count::kOnce, set_smp},
      {"m", "[size=]SIZE", "RAM in MiB, or with a suffix as in 2G (default 128M)", Count::kOnce, set_memory},
      {"object", "memory-backend-memfd,id=ID,...",
       "RAM's pages: size=SIZE, hugetlb=on, hugetlbsize=2M, share=on; see -machine memory-backend=", Count::kMany,
       add_object},
      {"kernel", "FILE", "bzImage, or an ELF image with a PVH entry", Count::kOnce,
       [](Draft& draft, const std::string& value) -> Result<void> {
         draft.invocation.config.kernel = value;
         return {};
       }},
      {"initrd", "FILE", "initial RAM disk", Count::kOnce,
       [](Draft& draft, const std::string& value) -> Result<void> {
         draft.invocation.config.initrd = value;
         return {};
       }},
      {"append", "TEXT", "the kernel's command line", Count::kOnce,
       [](Draft& draft, const std::string& value) -> Result<void> {
         draft.invocation.config.append = value;
         return {};
       }},
      {"name", "[guest=]NAME", "name of the guest, as query-name reports it", Count::kOnce, set_name},
      {"uuid", "UUID", "UUID of the guest, as query-uuid reports it", Count::kOnce, set_uuid},
      {"no-reboot", "", "end the process when the guest resets its machine", Count::kOnce,
       [](Draft& draft, const std::string&) -> Result<void> {
         draft.invocation.config.on_reset = machine::Config::OnReset::kShutdown;
         return {};
       }},
      {"S", "", "do not start the guest; QMP 'cont' does", Count::kOnce,
       [](Draft& draft, const std::string&) -> Result<void> {
         draft.invocation.start_paused = true;
         return {};
       }},
  };
}

Result<void> finish_machine(Draft& draft) {
  machine::Config& config = draft.invocation.config;
  if (config.kernel.empty()) {
    if (!config.initrd.empty()) return fail("-initrd needs -kernel");
    if (!config.append.empty()) return fail("-append needs -kernel");
    return fail("there is nothing to boot: -kernel is missing");
  }
  for (const Draft::MemoryObject& object : draft.memory_objects) {
    if (object.id != draft.memory_backend) {
      return fail("-object: '{}' is used by nothing (name it with -machine memory-backend={})", object.id, object.id);
    }
    if (object.size != config.ram_size) {
      return fail("-object: '{}' has {} MiB, but the machine has {} MiB of RAM (-m)", object.id, object.size / kMiB,
                  config.ram_size / kMiB);
    }
    config.ram_pages = object.pages;
  }
  if (draft.memory_objects.size() > 1) return fail("-object: the id '{}' is given twice", draft.memory_backend);
  if (!draft.memory_backend.empty() && draft.memory_objects.empty()) {
    return fail("-machine: there is no memory backend '{}' (create it with -object)", draft.memory_backend);
  }
  if (config.ram_size < memory::kMinRam || config.ram_size > memory::kMaxRam || config.ram_size % (2 * kMiB) != 0) {
    return fail("-m: {} bytes of RAM are not supported; give a multiple of 2 MiB from {} MiB to {} GiB",
                config.ram_size, memory::kMinRam / kMiB, memory::kMaxRam / memory::kGiB);
  }
  return {};
}

}  // namespace pagurus::app
