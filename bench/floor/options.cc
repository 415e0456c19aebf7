#include "options.h"

#include <getopt.h>

#include <charconv>
#include <cstring>

namespace pagurus::floor {

const char kHelp[] =
    R"(usage: floor [options]

Moves all of KVM's state of a virtual machine from one process to another by nothing but ioctls and one sendmsg,
and tells how long that takes: from the first ioctl that reads the stopped machine's state to the moment every
vCPU has left the guest for the first time in the other process.  The other machine is ready before: created, its
memory mapped and populated, its CPUID set.  No VMM can be faster on this KVM.

  -c, --count N     how many times (default 100, at most 100000)
  -v, --vcpus N     vCPUs; each has a thread of its own in both processes (default 1, at most 64)
  -m, --memory MIB  RAM, a memfd that both processes map (default 256)
  -f, --fds N       descriptors that go with the state (default 16, at most 250)
  -j, --json        print one JSON object, with every single time
  -h, --help        this text
)";

namespace {

struct Number {
  char option;
  const char* name;
  unsigned Options::*member;
  unsigned least, most;
};
constexpr Number kNumbers[] = {
    {'c', "--count", &Options::count, 1, 100'000},
    {'v', "--vcpus", &Options::vcpus, 1, 64},
    {'m', "--memory", &Options::memory_mib, 2, 1u << 20},
    {'f', "--fds", &Options::descriptors, 0, 250},
};

Result<void> apply(Options& options, int option, const char* argument) {
  for (const Number& number : kNumbers) {
    if (number.option != option) continue;
    unsigned value = 0;
    const char* end = argument + std::strlen(argument);
    auto [parsed, error] = std::from_chars(argument, end, value);
    if (error != std::errc() || parsed != end || value < number.least || value > number.most) {
      return fail("{} takes a number from {} to {}, not '{}'", number.name, number.least, number.most, argument);
    }
    options.*number.member = value;
    return {};
  }
  if (option == 'j') options.json = true;
  if (option == 'h') options.help = true;
  return {};
}

}  // namespace

Result<Options> parse_options(int argc, char** argv) {
  static const option kLong[] = {{"count", required_argument, nullptr, 'c'},
                                 {"vcpus", required_argument, nullptr, 'v'},
                                 {"memory", required_argument, nullptr, 'm'},
                                 {"fds", required_argument, nullptr, 'f'},
                                 {"json", no_argument, nullptr, 'j'},
                                 {"help", no_argument, nullptr, 'h'},
                                 {nullptr, 0, nullptr, 0}};
  Options options;
  for (int c; (c = getopt_long(argc, argv, "c:v:m:f:jh", kLong, nullptr)) != -1;) {
    if (c == '?') return fail("try floor --help");
    TRY(apply(options, c, optarg));
  }
  if (optind < argc) return fail("'{}' is no option; try floor --help", argv[optind]);
  return options;
}

}  // namespace pagurus::floor
