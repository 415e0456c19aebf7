// Sentences from documentation comments, as plain text: for comments in generated code and for help.
#pragma once

#include <string>
#include <string_view>

#include "doc.h"

namespace pagurus::qapi_gen {

// Joined to one line and without markup.  Empty if there is no text.
std::string plain_text(std::string_view text);
// What a definition's introduction begins with.  `doc` may be null.
std::string first_sentence(const Doc* doc);
// The same for a member or a feature.
std::string first_sentence_about(const Doc* doc, DocSection::Kind kind, std::string_view name);
// Lines of at most `width` columns.
std::string wrapped(std::string_view text, std::string_view line_start, size_t width);

}  // namespace pagurus::qapi_gen
