// A JSON text as C++ string literals, parts of which are there only if the preprocessor says so.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "schema.h"

namespace pagurus::qapi_gen {

class JsonPieces {
 public:
  // JSON as it is written.
  void add(std::string_view json) { pending_ += json; }
  void add_string(std::string_view text);
  void add(const JsonPieces& other);
  // `write(item)` adds an item, `condition_of(item)` says when it is there.  Between those items that are, and
  // only there, is a comma.
  template <class Item, class Write, class ConditionOf>
  void add_list(const std::vector<Item>& items, Write write, ConditionOf condition_of);
  // One literal or preprocessor line each.
  std::string lines(std::string_view indentation) const;

 private:
  struct Piece {
    std::string text;
    bool directive = false;
  };

  void add_directive(std::string text);
  void open_if(const Condition& condition);
  void close_if(const Condition& condition);
  // A comma if any of these is there.
  void add_comma_if_any(const std::vector<Condition>& conditions);

  std::vector<Piece> pieces_;
  std::string pending_;
};

template <class Item, class Write, class ConditionOf>
void JsonPieces::add_list(const std::vector<Item>& items, Write write, ConditionOf condition_of) {
  // An item that is always there decides where commas go: behind the items before it, before those behind it.
  const size_t anchor =
      std::ranges::find_if(items, [&](const Item& item) { return condition_of(item).always(); }) - items.begin();
  std::vector<Condition> before;
  add("[");
  for (size_t i = 0; i < items.size(); ++i) {
    const Condition& condition = condition_of(items[i]);
    open_if(condition);
    if (anchor == items.size()) {
      add_comma_if_any(before);
      before.push_back(condition);
    } else if (i > anchor) {
      add(",");
    }
    write(items[i]);
    if (anchor != items.size() && i < anchor) add(",");
    close_if(condition);
  }
  add("]");
}

}  // namespace pagurus::qapi_gen
