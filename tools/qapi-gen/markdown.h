// The reference as Markdown.
#pragma once

#include <vector>

#include "output_file.h"
#include "reference.h"

namespace pagurus::qapi_gen {

std::vector<OutputFile> markdown_of(const std::vector<ReferenceModule>& modules);

}  // namespace pagurus::qapi_gen
