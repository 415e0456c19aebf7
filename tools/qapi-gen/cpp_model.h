// A linked schema, arranged as C++ needs it: modules that include each other without cycles, types in an
// order in which each is complete before another holds it, and boxes where a type contains itself.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "schema.h"

namespace pagurus::qapi_gen {

struct CppModule {
  const SourceFile* file = nullptr;
  std::string stem;                // of its files
  std::vector<const Type*> types;  // enums first, then in order of completeness
  std::vector<const Command*> commands;
  std::vector<const Event*> events;
  std::set<std::string> uses;  // stems of the modules whose types its own types hold
};

struct CppModel {
  const Schema* schema = nullptr;
  std::vector<CppModule> modules;                       // in the order of inclusion
  std::set<std::pair<const Type*, const Type*>> boxed;  // holder and held

  bool is_boxed(const Type& holder, const Type& held) const { return boxed.contains({&holder, &held}); }
};

// Fails where C++ has no form for what the schema says: modules that use each other's types, two names
// that C++ spells alike.
Checked<CppModel> make_cpp_model(const Schema& schema);

// The types whose values a value of this type holds, without built-in ones; those in lists, too.
std::vector<const Type*> held_types(const Type& type);

// The struct of a command's or event's arguments: the schema's if it has a name there, else
// MigrateArguments or StopEvent.
std::string arguments_name(const Command& command);
std::string arguments_name(const Event& event);

}  // namespace pagurus::qapi_gen
