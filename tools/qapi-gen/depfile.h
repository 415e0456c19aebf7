// What a build has to know about a run of the compiler: which files it read, in the form of a makefile.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "parser.h"

namespace pagurus::qapi_gen {

// "OUTPUT: FILE FILE...".  One output stands for all: they are made together.
std::string depfile_text(std::string_view output, const Parsed& parsed);

}  // namespace pagurus::qapi_gen
