// From a documentation comment to its sections.
#pragma once

#include <memory>

#include "doc.h"
#include "lexer.h"

namespace pagurus::qapi_gen {

// The lexer's token is the comment's first line, "##"; afterwards it is what follows the comment.
Checked<std::unique_ptr<Doc>> read_doc(Lexer& lexer);

}  // namespace pagurus::qapi_gen
