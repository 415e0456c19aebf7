// How the schema's names are spelt in generated C++.
#pragma once

#include <string>
#include <string_view>

#include "schema.h"

namespace pagurus::qapi_gen {

// Of members, commands and methods: 'backend-transfer' is backend_transfer, 'default' is default_.
std::string cpp_name(std::string_view name);
// Of types; the schema's are camel case already.
std::string cpp_type_name(std::string_view name);
// 'migrate-set-parameters' and 'MIGRATE_SET_PARAMETERS' are MigrateSetParameters.
std::string camel_name(std::string_view name);
// Of an enum's value: 'pagurus-1.0' is kPagurus1_0.
std::string enumerator(std::string_view name);
// Of a module's files: 'qapi/run-state.json' is run_state.
std::string module_stem(const SourceFile& module);
// The C++ type of a value: std::vector<int64_t> for 'intList'.
std::string cpp_type(const Type& type);
// An array's element, or the type itself.
const Type& element_type(const Type& type);
// Written with suffixes in key=value text: 'size' and lists of it.
bool is_size(const Type& type);

// Escaped, with its quotes.
std::string cpp_string(std::string_view text);

}  // namespace pagurus::qapi_gen
