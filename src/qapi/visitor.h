// Visitor: what walks over a value of a schema's type.
//
// For each type there is one generated function, `visit(visitor, name, value)`, which shows the visitor
// everything that is in the value, in the order of the schema.  A visitor that reads (from JSON, from
// key=value text, from a random generator) fills the value in; one that writes only looks, and may be shown a constant.
// So reading and writing cannot disagree, and a new format is one class.
//
// The calls follow the nesting of the value.  `name` is the member's name inside an object, and ignored
// for elements of a list and for the outermost value.  After a call has failed, a visitor must not be
// used again.
//
// Threads: none of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "base/result.h"
#include "qapi/json.h"
#include "qapi/visitable.h"

namespace pagurus::qapi {

using Names = std::span<const std::string_view>;

// One of the forms that an alternate may take.
struct Alternative {
  enum class Kind { kNull, kBool, kInteger, kNumber, kString, kEnum, kList, kObject };
  Kind kind;
  Names names = {};  // kEnum: its values
};

class Visitor {
 public:
  enum class Direction { kRead, kWrite };

  virtual ~Visitor() = default;
  bool reads() const { return direction_ == Direction::kRead; }

  virtual Result<void> start_object(std::string_view name) = 0;
  // A reader refuses members that nobody asked for.
  virtual Result<void> end_object() = 0;
  // A writer is told how many elements there are, a reader tells.
  virtual Result<size_t> start_list(std::string_view name, size_t size) = 0;
  virtual Result<void> end_list() = 0;
  // Whether the optional member is there: a writer is told, a reader tells.
  virtual Result<bool> present(std::string_view name, bool present) = 0;
  // Which alternative is there: a writer is told, a reader tells.
  virtual Result<size_t> choose(std::string_view name, std::span<const Alternative> alternatives, size_t chosen) = 0;

  virtual Result<void> boolean(std::string_view name, bool& value) = 0;
  virtual Result<void> integer(std::string_view name, int64_t& value, int64_t min, int64_t max) = 0;
  virtual Result<void> natural(std::string_view name, uint64_t& value, uint64_t max) = 0;
  virtual Result<void> size(std::string_view name, uint64_t& bytes) = 0;
  virtual Result<void> number(std::string_view name, double& value) = 0;
  virtual Result<void> string(std::string_view name, std::string& value) = 0;
  // `index`: into `names`.
  virtual Result<void> enumeration(std::string_view name, size_t& index, Names names) = 0;
  virtual Result<void> null(std::string_view name) = 0;
  virtual Result<void> any(std::string_view name, Json& value) = 0;

 protected:
  explicit Visitor(Direction direction) : direction_(direction) {}

 private:
  Direction direction_;
};

// The schema language's own types.
Result<void> visit(Visitor& visitor, std::string_view name, bool& value);
Result<void> visit(Visitor& visitor, std::string_view name, int8_t& value);
Result<void> visit(Visitor& visitor, std::string_view name, int16_t& value);
Result<void> visit(Visitor& visitor, std::string_view name, int32_t& value);
Result<void> visit(Visitor& visitor, std::string_view name, int64_t& value);
Result<void> visit(Visitor& visitor, std::string_view name, uint8_t& value);
Result<void> visit(Visitor& visitor, std::string_view name, uint16_t& value);
Result<void> visit(Visitor& visitor, std::string_view name, uint32_t& value);
Result<void> visit(Visitor& visitor, std::string_view name, uint64_t& value);
Result<void> visit(Visitor& visitor, std::string_view name, double& value);
Result<void> visit(Visitor& visitor, std::string_view name, std::string& value);
Result<void> visit(Visitor& visitor, std::string_view name, Json& value);
Result<void> visit(Visitor& visitor, std::string_view name, Null& value);

// `size` is the same C++ type as uint64 but written differently, so it goes by another name.
Result<void> visit_size(Visitor& visitor, std::string_view name, uint64_t& value);
Result<void> visit_size(Visitor& visitor, std::string_view name, std::vector<uint64_t>& value);
Result<void> visit_size(Visitor& visitor, std::string_view name, std::optional<uint64_t>& value);
Result<void> visit_size(Visitor& visitor, std::string_view name, std::optional<std::vector<uint64_t>>& value);

// `visit_element(element)` for each; elements are read one by one, so that a list which is wrong costs
// no more than what is right of it.
template <class T, class Visit>
Result<void> visit_elements(Visitor& visitor, std::string_view name, std::vector<T>& list, Visit visit_element) {
  size_t size = TRY(visitor.start_list(name, list.size()));
  if (visitor.reads()) list.clear();
  for (size_t i = 0; i < size; ++i) {
    if (visitor.reads()) {
      T element{};
      TRY(visit_element(element));
      list.push_back(std::move(element));
    } else if constexpr (std::is_same_v<T, bool>) {
      bool element = list[i];
      TRY(visit_element(element));
    } else {
      TRY(visit_element(list[i]));
    }
  }
  return visitor.end_list();
}

template <class T>
Result<void> visit(Visitor& visitor, std::string_view name, std::vector<T>& list) {
  return visit_elements(visitor, name, list, [&](T& element) { return visit(visitor, {}, element); });
}

template <class T, class Visit>
Result<void> visit_if_present(Visitor& visitor, std::string_view name, std::optional<T>& value, Visit visit_value) {
  bool present = TRY(visitor.present(name, value.has_value()));
  if (visitor.reads()) value.reset();
  if (!present) return {};
  return visit_value(visitor.reads() ? value.emplace() : *value);
}

template <class T>
Result<void> visit(Visitor& visitor, std::string_view name, std::optional<T>& value) {
  return visit_if_present(visitor, name, value, [&](T& present) { return visit(visitor, name, present); });
}

template <class T>
Result<void> visit(Visitor& visitor, std::string_view name, Box<T>& box) {
  return visit(visitor, name, visitor.reads() ? box.emplace() : *box);
}

// For generated visits of structs and unions.
template <class T>
Result<void> visit_object(Visitor& visitor, std::string_view name, T& value) {
  TRY(visitor.start_object(name));
  TRY(visit_members(visitor, value));
  return visitor.end_object();
}

// For generated visits of enums.
template <class E>
Result<void> visit_enum(Visitor& visitor, std::string_view name, E& value, Names names) {
  auto index = static_cast<size_t>(value);
  CHECK(visitor.reads() || index < names.size(), "an enum has one of its values");
  TRY(visitor.enumeration(name, index, names));
  if (visitor.reads()) value = static_cast<E>(index);
  return {};
}

// The value of that name.
template <class E>
std::optional<E> enum_value(std::string_view name) {
  Names names = enum_names(E());
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return static_cast<E>(i);
  }
  return std::nullopt;
}

// For generated visits of unions and alternates: the branch of that number, made first by a reader.
template <auto kIndex, class... T>
auto& visited_branch(Visitor& visitor, std::variant<T...>& branch) {
  constexpr auto kPlace = static_cast<size_t>(kIndex);
  auto& held = visitor.reads() ? branch.template emplace<kPlace>() : std::get<kPlace>(branch);
  if constexpr (kIsBox<std::remove_cvref_t<decltype(held)>>)
    return visitor.reads() ? held.emplace() : *held;
  else
    return held;
}

}  // namespace pagurus::qapi
