// The reference for people: Markdown, one page for each file of the schema and an index, and a man page.
//
// Writes reference/README.md, reference/<module>.md and man/pagurus-qmp.7.
#pragma once

#include <vector>

#include "output_file.h"
#include "schema.h"

namespace pagurus::qapi_gen {

Checked<std::vector<OutputFile>> emit_docs(const Schema& schema);

}  // namespace pagurus::qapi_gen
