// What the reference says about a definition, the same for Markdown and man pages.
#pragma once

#include <string>
#include <vector>

#include "markup.h"
#include "schema.h"

namespace pagurus::qapi_gen {

// A name and what is said about it: a member, a value, a feature.
struct ReferenceItem {
  std::string name;
  std::string remark;          // "optional", "if CONFIG_X"; may be empty
  const Type* type = nullptr;  // null for values and features
  std::vector<Block> text;
};

// Members that depend on another member's value, or that come from another type.
struct ReferenceLink {
  std::string condition;  // "If type is tap"; empty: always
  const Type* type;
};

struct ReferenceEntry {
  const Entity* entity;
  std::string kind;  // "Command", "Event", "Struct", "Union", "Enum", "Alternate"
  std::vector<Block> text;
  std::string items_title;  // "Arguments", "Members", "Values"
  std::vector<ReferenceItem> items;
  std::vector<ReferenceLink> links;
  std::vector<ReferenceItem> features;
  const Type* returns = nullptr;
  std::vector<Block> returns_text;
  std::vector<Block> errors;
  std::vector<Block> more;           // sections after the tagged ones: examples, notes
  std::vector<std::string> remarks;  // "may be executed out of band", "if CONFIG_X"
  std::string since;
};

struct ReferenceModule {
  const SourceFile* file;
  std::string name;         // "migration"
  std::string title;        // of its first free-form comment, else the name
  std::vector<Block> text;  // of its free-form comments
  std::vector<ReferenceEntry> entries;
};

// The schema's root first; other modules without definitions are left out.
std::vector<ReferenceModule> reference_of(const Schema& schema);

// "string", "integer", "array of": how people call built-in types; the name of others.
std::string type_words(const Type& type);

}  // namespace pagurus::qapi_gen
