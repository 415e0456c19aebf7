// What an emitter hands to main(): a file to be written below the output directory.
#pragma once

#include <string>

namespace pagurus::qapi_gen {

struct OutputFile {
  std::string path;  // relative to the output directory, as "schema/net.h"
  std::string text;
};

}  // namespace pagurus::qapi_gen
