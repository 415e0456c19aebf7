// An event of the schema, ready to be sent: what the generated functions (schema/net_events.h) return.
#pragma once

#include <string_view>

#include "qapi/json.h"

namespace pagurus::qapi {

struct Event {
  std::string_view name;  // as in the schema, a literal
  Json data;              // null: the event has none
};

}  // namespace pagurus::qapi
