// JSON to values of the schema's types: from_json<T>(json), and the same for the tree of strings that
// key=value text becomes (keyval.h).
//
// Both give the same sentence for the same mistake, and the sentence names the member by its whole path,
// as in "Parameter 'backends[1].id' is missing".  Nothing is accepted silently: members that the type
// does not have are refused, and so is a number outside its type's range.
//
// The nesting of the value bounds the recursion; parse_json() and parse_keyval() bound the nesting.
#pragma once

#include "qapi/visitor.h"

namespace pagurus::qapi {

class JsonInput final : public Visitor {
 public:
  // kKeyval: every scalar is a string that spells it (scalars.h), sizes may have suffixes.
  enum class Scalars { kJson, kKeyval };
  // `root` must outlive this.  `root_name`: what messages call it if it is wrong by itself.
  JsonInput(const Json& root, Scalars scalars, std::string_view root_name);

  Result<void> start_object(std::string_view name) override;
  Result<void> end_object() override;
  Result<size_t> start_list(std::string_view name, size_t size) override;
  Result<void> end_list() override;
  Result<bool> present(std::string_view name, bool present) override;
  Result<size_t> choose(std::string_view name, std::span<const Alternative> alternatives, size_t chosen) override;
  Result<void> boolean(std::string_view name, bool& value) override;
  Result<void> integer(std::string_view name, int64_t& value, int64_t min, int64_t max) override;
  Result<void> natural(std::string_view name, uint64_t& value, uint64_t max) override;
  Result<void> size(std::string_view name, uint64_t& bytes) override;
  Result<void> number(std::string_view name, double& value) override;
  Result<void> string(std::string_view name, std::string& value) override;
  Result<void> enumeration(std::string_view name, size_t& index, Names names) override;
  Result<void> null(std::string_view name) override;
  Result<void> any(std::string_view name, Json& value) override;

 private:
  // An object or list that is being read.
  struct Level {
    const Json* value;
    std::string_view name;   // in the level below; elements have none
    size_t next = 0;         // the next element; one more than the current one
    std::vector<bool> used;  // the members that were asked for
  };

  // The value a call is about, marked as used.
  Result<const Json*> take(std::string_view name);
  const Json* peek(std::string_view name) const;
  // The whole path of what a call is about.
  std::string path(std::string_view name) const;
  std::unexpected<Error> wrong_type(std::string_view name, std::string_view expected) const;
  bool keyval() const { return scalars_ == Scalars::kKeyval; }

  const Json& root_;
  Scalars scalars_;
  std::string_view root_name_;
  std::vector<Level> open_;
};

template <class T>
Result<T> read_value(const Json& json, JsonInput::Scalars scalars, std::string_view name) {
  JsonInput input(json, scalars, name);
  T value{};
  TRY(visit(input, {}, value));
  return value;
}

template <class T>
Result<T> from_json(const Json& json) {
  return read_value<T>(json, JsonInput::Scalars::kJson, "value");
}

// A command's: no other names stand in front of the members'.
template <class T>
Result<T> read_arguments(const Json& json) {
  return read_value<T>(json, JsonInput::Scalars::kJson, "arguments");
}

}  // namespace pagurus::qapi
