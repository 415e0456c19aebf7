// Command line of floor.
#pragma once

#include "base/result.h"

namespace pagurus::floor {

struct Options {
  unsigned count = 100;
  unsigned vcpus = 1;
  unsigned memory_mib = 256;
  unsigned descriptors = 16;
  bool json = false;
  bool help = false;
};

Result<Options> parse_options(int argc, char** argv);

extern const char kHelp[];

}  // namespace pagurus::floor
