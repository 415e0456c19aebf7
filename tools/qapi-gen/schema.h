// A whole schema, checked and linked: every name resolved to the type it means.  What the emitters
// work from.
//
// Entities live as long as the Schema; pointers between them are never null unless a comment says so.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "doc.h"
#include "parser.h"
#include "source.h"

namespace pagurus::qapi_gen {

// 'if': a C preprocessor condition as a tree.
struct Condition {
  enum class Kind { kAlways, kName, kAll, kAny, kNot };
  Kind kind = Kind::kAlways;
  std::string name;                 // kName
  std::vector<Condition> operands;  // kAll, kAny; one for kNot

  bool always() const { return kind == Kind::kAlways; }
  // As after #if: "(defined(A) && !defined(B))".
  std::string text() const;
};

struct Feature {
  std::string name;
  Condition condition;
  Position at;
};

struct Entity {
  enum class Kind { kBuiltin, kEnum, kArray, kObject, kAlternate, kCommand, kEvent };
  Kind kind;
  std::string name;
  Position at;                         // no file for built-in and implicit ones
  const SourceFile* module = nullptr;  // null for built-in ones
  const Doc* doc = nullptr;            // may be null
  Condition condition;
  std::vector<Feature> features;

  explicit Entity(Kind k) : kind(k) {}
  Entity(const Entity&) = delete;
  Entity& operator=(const Entity&) = delete;
  virtual ~Entity() = default;
  bool is_type() const { return kind != Kind::kCommand && kind != Kind::kEvent; }
  bool has_feature(std::string_view feature) const;
};

struct Type : Entity {
  using Entity::Entity;
};

// str, number, int, int8..int64, uint8..uint64, size, bool, any, null, and QType as an enum.
struct BuiltinType : Type {
  BuiltinType() : Type(Kind::kBuiltin) {}
  // What it is in JSON: "string", "number", "int", "boolean", "null", "value".
  std::string json_type;
};

struct EnumMember {
  std::string name;
  Condition condition;
  std::vector<Feature> features;
  Position at;
};

struct EnumType : Type {
  EnumType() : Type(Kind::kEnum) {}
  std::vector<EnumMember> members;
  std::string prefix;
};

struct ArrayType : Type {  // name: element's + "List"
  ArrayType() : Type(Kind::kArray) {}
  const Type* element = nullptr;
};

struct Member {
  std::string name;  // without '*'
  const Type* type = nullptr;
  bool optional = false;
  Condition condition;
  std::vector<Feature> features;
  Position at;
};

struct ObjectType;

// Of a union or an alternate.
struct Branch {
  std::string name;
  const Type* type = nullptr;  // of a union: an ObjectType, the empty one for values without a branch
  Condition condition;
  Position at;
  bool implicit = false;  // a discriminator's value that the definition does not mention
};

// struct, union, and the implicit types of commands' and events' arguments ("q_obj_NAME-arg").
struct ObjectType : Type {
  ObjectType() : Type(Kind::kObject) {}
  bool implicit = false;
  const ObjectType* base = nullptr;       // may be null
  std::vector<Member> local_members;      // without the base's
  std::vector<const Member*> members;     // the base's first; without the branches'
  const Member* discriminator = nullptr;  // of a union, one of `members`; else null
  std::vector<Branch> branches;           // of a union: one for each value, in the enum's order

  bool is_union() const { return discriminator != nullptr; }
  bool empty() const { return members.empty() && branches.empty(); }
};

struct AlternateType : Type {
  AlternateType() : Type(Kind::kAlternate) {}
  std::vector<Branch> branches;
};

struct Command : Entity {
  Command() : Entity(Kind::kCommand) {}
  const ObjectType* arguments = nullptr;  // null: none
  const Type* returns = nullptr;          // null: nothing
  bool boxed = false;
  bool gen = true;
  bool success_response = true;
  bool allow_oob = false;
  bool allow_preconfig = false;
  bool coroutine = false;
};

struct Event : Entity {
  Event() : Entity(Kind::kEvent) {}
  const ObjectType* arguments = nullptr;  // null: none
  bool boxed = false;
};

struct Schema {
  Parsed parsed;
  std::vector<std::unique_ptr<Entity>> entities;  // built-in ones first, then as defined
  std::map<std::string, const Entity*, std::less<>> by_name;
  const ObjectType* empty_object = nullptr;  // "q_empty": what a union's value without a branch adds

  // Definitions of one file, in order; built-in and implicit ones are left out.
  std::vector<const Entity*> defined_in(const SourceFile& module) const;
};

// Parses the file and what it includes, and applies every rule of the language.
Checked<std::unique_ptr<Schema>> load_schema(const std::string& root, Dialect dialect,
                                             const FileReader& reader = DiskReader());

}  // namespace pagurus::qapi_gen
