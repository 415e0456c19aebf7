// One option of the command line, and what its value does to the result.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "app/command_line.h"

namespace pagurus::app {

// What is collected while the options are read; some of it only makes sense once all are known.
struct Draft {
  Invocation invocation;
  std::set<std::string_view> seen;
  bool dump_vmstate = false;

  std::string memory_backend;  // -machine memory-backend=
  struct MemoryObject {
    std::string id;
    uint64_t size;
    memory::Pages pages;
  };
  std::vector<MemoryObject> memory_objects;  // -object
  std::vector<std::string> mon_chardevs;     // -mon chardev=
};

struct Option {
  enum class Count { kOnce, kMany };

  std::string_view name;      // without the dash
  std::string_view argument;  // how --help shows the value; empty: the option takes none
  std::string_view help;      // one line
  Count count;
  Result<void> (*apply)(Draft& draft, const std::string& value);
};

// By subject, in the order of --help.
std::vector<Option> machine_options();
std::vector<Option> device_options();
std::vector<Option> process_options();

// What only all options together tell: references between them, conflicts.
Result<void> finish_machine(Draft& draft);
Result<void> finish_devices(Draft& draft);
Result<void> finish_process(Draft& draft);

}  // namespace pagurus::app
