// Introspection: what a running server says of its commands and their types (query-qmp-schema).
//
// The names of types are the server's own and mean nothing beyond finding them here.  The text comes
// from outside: what is missing or of an unknown kind is kUnknown and never an error, so that a server
// of a later version can be used.
//
// Threads: read only once made.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "qapi/json.h"

namespace pagurus::ctl {

class Introspection {
 public:
  enum class Kind { kUnknown, kString, kInteger, kNumber, kBoolean, kNull, kEnum, kArray, kObject, kAlternate };

  struct Member {
    std::string name;
    std::string type;
    bool optional = false;
    bool deprecated = false;
  };
  struct Variant {
    std::string value;  // of the discriminator
    std::string type;
  };
  struct Type {
    Kind kind = Kind::kUnknown;
    std::vector<Member> members;        // kObject: without those of the variants
    std::string discriminator;          // kObject: empty if it has no variants
    std::vector<Variant> variants;      // kObject
    std::vector<std::string> values;    // kEnum
    std::string element;                // kArray
    std::vector<std::string> branches;  // kAlternate
  };
  struct Command {
    std::string arguments;  // a type
    std::string result;     // a type
    bool oob = false;
    bool deprecated = false;
  };

  // Fails if `schema` is no list.
  static Result<Introspection> from(const qapi::Json& schema);

  std::vector<std::string> command_names() const;       // sorted
  const Command* command(std::string_view name) const;  // nullptr if there is none
  const Type& type(std::string_view name) const;        // of kind kUnknown if there is none
  // The members that an object of that type may have: with those of the variant that `given`, the
  // object as far as it is known, selects.  Of an alternate: those of its object branch.
  std::vector<Member> members(std::string_view type_name, const qapi::Json& given) const;
  // The texts that stand for a value of that type, if they can be counted: of an enum, a boolean, or
  // an alternate with such branches.
  std::vector<std::string> choices(std::string_view type_name) const;
  // In words: "integer", "one of a, b", "list of strings".
  std::string description(std::string_view type_name) const;

 private:
  std::map<std::string, Command, std::less<>> commands_;
  std::map<std::string, Type, std::less<>> types_;
};

}  // namespace pagurus::ctl
