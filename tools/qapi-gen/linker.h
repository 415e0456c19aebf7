// From definitions to a schema: makes the entities, the implicit ones included, finds out what each name
// means, and applies the rules that need more than one definition.
//
// Everything is done in the order in which the definitions were written, so that of several mistakes the
// first is reported, except that what a type is made of (its base, its branches) is looked at before it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "definition.h"
#include "doc_links.h"
#include "schema.h"

namespace pagurus::qapi_gen {

// An entity on its way into the schema.
struct Draft {
  enum class State { kNew, kRunning, kDone };

  std::unique_ptr<Entity> entity;
  const Definition* definition = nullptr;              // what it comes from; null: built in
  const std::vector<MemberDraft>* members = nullptr;   // of an object, without its base's; may be null
  const std::vector<MemberDraft>* branches = nullptr;  // of a union or an alternate
  std::string base;                                    // of an object; may be empty
  std::string element;                                 // of an array
  std::string arguments;                               // of a command or an event; may be empty
  State state = State::kNew;
  // Identifiers of all members, those of branches included; filled when a union first needs them.
  std::vector<std::string> identifiers;
  bool has_identifiers = false;

  const Place& place() const { return definition->place; }
  // Made by the compiler, not by a definition of that name.
  bool implicit_object() const { return entity->name.starts_with("q_"); }
};

class Linker {
 public:
  // The schema holds what was parsed; definitions and schema must outlive the linker.
  explicit Linker(Schema& schema) : schema_(schema), docs_(schema.parsed) {}

  Checked<> link(const std::vector<Definition>& definitions);

 private:
  using Seen = std::unordered_map<std::string, const Member*>;  // by identifier

  // linker_define.cc
  void define_built_in();
  void define_built_in_type(std::string_view name, std::string_view json_type);
  Checked<> define(const Definition& definition);
  Checked<> define_enum(const Definition& definition);
  Checked<> define_struct(const Definition& definition);
  Checked<> define_union(const Definition& definition);
  Checked<> define_alternate(const Definition& definition);
  Checked<> define_command(const Definition& definition);
  Checked<> define_event(const Definition& definition);
  void define_array(const std::string& element, const Definition* definition);
  void define_arrays(const std::vector<MemberDraft>& members, const Definition& definition);
  // The implicit type's name; empty if there are no members.
  std::string define_implicit(std::string_view role, const std::vector<MemberDraft>& members,
                              const Definition& definition);
  Draft& add(std::unique_ptr<Entity> entity, std::string name, const Definition* definition);
  // An entity of the definition's own name, with what all kinds have in common.
  Checked<Draft*> add_named(std::unique_ptr<Entity> entity, const Definition& definition);
  void count_features(const Definition& definition);
  void count_features(const std::vector<Feature>& features, const Definition& definition);

  // linker.cc
  Draft* find(std::string_view name) const;
  // `what` uses the type, for the message.
  Checked<Draft*> find_type(const std::string& name, const Draft& user, std::string_view what) const;
  // The type of a value: any but the compiler's own objects, which have no name in generated code.
  Checked<Draft*> find_value_type(const std::string& name, const Draft& user, std::string_view what) const;
  Checked<> check(Draft& draft);
  Checked<> check_features(const Draft& draft) const;
  Checked<> check_enum(const Draft& draft) const;
  Checked<> check_array(Draft& draft) const;
  Checked<> check_feature_count() const;
  void finish();

  // linker_alternate.cc
  Checked<> check_alternate(Draft& draft) const;

  // linker_command.cc
  Checked<> check_command(Draft& draft);
  Checked<> check_event(Draft& draft);
  Checked<const ObjectType*> check_arguments(const Draft& draft, bool boxed);
  Checked<const Type*> check_returns(const Draft& draft) const;

  // linker_object.cc, linker_union.cc
  Checked<> check_object(Draft& draft);
  Checked<> check_base(Draft& draft, Seen& seen);
  Checked<> check_members(Draft& draft, Seen& seen);
  Checked<> spend(size_t members, const Draft& draft);
  Checked<> check_union(Draft& draft, const Seen& seen);
  Checked<> check_discriminator(Draft& draft, const Seen& seen) const;
  Checked<> check_branches(Draft& draft);
  Checked<Branch> check_branch(const Draft& draft, const MemberDraft& written);
  Checked<> check_branch_clashes(const Draft& draft, const Seen& seen);
  Checked<const std::vector<std::string>*> identifiers(Draft& draft, const Draft& user);

  // linker_docs.cc
  Checked<> connect_docs(const Draft& draft);
  Checked<> connect_members(const Draft& draft, const Doc& doc, const Place& place);
  Checked<> connect_arguments(const Draft& draft, const Doc& doc);
  Checked<> connect(const Doc& doc, std::string_view name, std::string_view role, const std::vector<Feature>& features,
                    const Place& place);
  Checked<> connect_features(const Doc& doc, const std::vector<Feature>& features, const Place& place);

  Schema& schema_;
  DocLinks docs_;
  std::vector<std::unique_ptr<Draft>> drafts_;
  std::unordered_map<std::string_view, Draft*> by_name_;
  std::unordered_set<std::string_view> features_;
  const Definition* one_feature_too_many_ = nullptr;  // the one that made them too many
  size_t depth_ = 0;
  size_t spent_ = 0;
};

// How messages call a type: "struct type 'Foo'", "array type ['Foo']".
std::string describe(const Draft& draft);
// A feature whose name clashes with that of one before it; null if none does.
const Feature* repeated(const std::vector<Feature>& features);

}  // namespace pagurus::qapi_gen
