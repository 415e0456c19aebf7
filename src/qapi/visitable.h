// The little that a header of generated types needs to know: the names in their declarations.  What
// reads, writes or walks values includes visitor.h.
#pragma once

#include <cstddef>
#include <string_view>
#include <type_traits>
#include <variant>

#include "base/result.h"
#include "qapi/box.h"

namespace pagurus::qapi {

class Visitor;

// What a union's value without members of its own adds, and a command without arguments takes.
struct Empty {
  bool operator==(const Empty&) const = default;
};
// JSON's null, where the schema allows nothing else.
struct Null {
  bool operator==(const Null&) const = default;
};

inline Result<void> visit_members(Visitor&, Empty&) { return {}; }

// The alternative of that number (or enum value), nullptr if the variant holds another; seen through a Box.
template <auto kIndex, class... T>
const auto* get_branch(const std::variant<T...>& branch) {
  auto* held = std::get_if<static_cast<size_t>(kIndex)>(&branch);
  if constexpr (kIsBox<std::remove_cvref_t<decltype(*held)>>)
    return held != nullptr ? held->get() : nullptr;
  else
    return held;
}

}  // namespace pagurus::qapi
