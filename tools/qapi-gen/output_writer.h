// Writes what emitters made.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "output_file.h"
#include "parser.h"

namespace pagurus::qapi_gen {

// Below the directory, which is created.  A file that would not change is not touched, so that nothing is built
// again because of it.
Result<void> write_files(const std::string& directory, const std::vector<OutputFile>& files);

// For make and ninja: all that was written depends on all that was read.
std::string depfile_text(const std::string& directory, const std::vector<OutputFile>& written, const Parsed& read);

}  // namespace pagurus::qapi_gen
