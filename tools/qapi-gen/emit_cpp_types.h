// Parts of emit_cpp: declarations and definitions of single types.
#pragma once

#include <string_view>

#include "cpp_model.h"
#include "cpp_writer.h"

namespace pagurus::qapi_gen {

// The type and its functions, as in the header.
void declare_type(CppWriter& out, const CppModel& model, const Type& type);
// Its functions, as in the source.
void define_type(CppWriter& out, const Type& type);

// The same for the struct that holds a command's or event's own arguments.
void declare_arguments(CppWriter& out, const ObjectType& type, std::string_view name);
void define_arguments(CppWriter& out, const ObjectType& type, std::string_view name);

}  // namespace pagurus::qapi_gen
