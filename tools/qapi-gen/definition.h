// A definition as it was written, with its short forms resolved and the rules applied that need no other
// definition.  Types are still names; the linker finds out what they mean.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema.h"

namespace pagurus::qapi_gen {

// Where messages about a definition point: the line it starts at.
struct Place {
  Position at;
  std::string context;  // "struct 'Foo'"; empty until the name is known

  std::unexpected<Diagnostic> refuse(std::string message) const;
};

struct TypeReference {
  std::string name;
  bool array = false;  // of `name`

  // Of the type itself: ['Foo'] is called FooList.
  std::string type_name() const { return array ? name + "List" : name; }
};

// Of an object, or a branch of a union or an alternate.
struct MemberDraft {
  std::string name;  // without '*'
  TypeReference type;
  bool optional = false;
  Condition condition;
  std::vector<Feature> features;
  Position at;
};

enum class Meta { kEnum, kStruct, kUnion, kAlternate, kCommand, kEvent };
std::string_view to_string(Meta meta);

struct Definition {
  Meta meta = Meta::kEnum;
  std::string name;
  Place place;
  const SourceFile* module = nullptr;
  const Doc* doc = nullptr;
  Condition condition;
  std::vector<Feature> features;

  std::vector<EnumMember> values;         // enum
  std::string prefix;                     // enum
  std::string base;                       // struct, union: a type's name; may be empty
  std::vector<MemberDraft> base_members;  // union: a base that is written where it is used
  std::string discriminator;              // union
  std::vector<MemberDraft> members;       // struct; command and event: arguments; union and alternate: branches
  std::string arguments;                  // command, event: a type's name; may be empty
  std::optional<TypeReference> returns;   // command
  bool boxed = false;
  bool gen = true;
  bool success_response = true;
  bool allow_oob = false;
  bool allow_preconfig = false;
  bool coroutine = false;
};

}  // namespace pagurus::qapi_gen
