#include "value.h"

#include <algorithm>

namespace pagurus::qapi_gen {

const Value* Value::find(std::string_view key) const {
  const auto member = std::ranges::find(object(), key, &Member::key);
  return member == object().end() ? nullptr : &member->value;
}

}  // namespace pagurus::qapi_gen
