// The reference as a man page of section 7.
#pragma once

#include <vector>

#include "output_file.h"
#include "reference.h"

namespace pagurus::qapi_gen {

OutputFile man_page_of(const std::vector<ReferenceModule>& modules);

}  // namespace pagurus::qapi_gen
