#include "qapi/visitor.h"

namespace pagurus::qapi {
namespace {

template <class T>
Result<void> visit_integer(Visitor& visitor, std::string_view name, T& value) {
  int64_t wide = value;
  TRY(visitor.integer(name, wide, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
  if (visitor.reads()) value = static_cast<T>(wide);
  return {};
}

template <class T>
Result<void> visit_natural(Visitor& visitor, std::string_view name, T& value) {
  uint64_t wide = value;
  TRY(visitor.natural(name, wide, std::numeric_limits<T>::max()));
  if (visitor.reads()) value = static_cast<T>(wide);
  return {};
}

}  // namespace

Result<void> visit(Visitor& visitor, std::string_view name, bool& value) { return visitor.boolean(name, value); }
Result<void> visit(Visitor& visitor, std::string_view name, int8_t& value) {
  return visit_integer(visitor, name, value);
}
Result<void> visit(Visitor& visitor, std::string_view name, int16_t& value) {
  return visit_integer(visitor, name, value);
}
Result<void> visit(Visitor& visitor, std::string_view name, int32_t& value) {
  return visit_integer(visitor, name, value);
}
Result<void> visit(Visitor& visitor, std::string_view name, int64_t& value) {
  return visit_integer(visitor, name, value);
}
Result<void> visit(Visitor& visitor, std::string_view name, uint8_t& value) {
  return visit_natural(visitor, name, value);
}
Result<void> visit(Visitor& visitor, std::string_view name, uint16_t& value) {
  return visit_natural(visitor, name, value);
}
Result<void> visit(Visitor& visitor, std::string_view name, uint32_t& value) {
  return visit_natural(visitor, name, value);
}
Result<void> visit(Visitor& visitor, std::string_view name, uint64_t& value) {
  return visit_natural(visitor, name, value);
}
Result<void> visit(Visitor& visitor, std::string_view name, double& value) { return visitor.number(name, value); }
Result<void> visit(Visitor& visitor, std::string_view name, std::string& value) { return visitor.string(name, value); }
Result<void> visit(Visitor& visitor, std::string_view name, Json& value) { return visitor.any(name, value); }
Result<void> visit(Visitor& visitor, std::string_view name, Null&) { return visitor.null(name); }

Result<void> visit_size(Visitor& visitor, std::string_view name, uint64_t& value) { return visitor.size(name, value); }
Result<void> visit_size(Visitor& visitor, std::string_view name, std::vector<uint64_t>& value) {
  return visit_elements(visitor, name, value, [&](uint64_t& element) { return visitor.size({}, element); });
}
Result<void> visit_size(Visitor& visitor, std::string_view name, std::optional<uint64_t>& value) {
  return visit_if_present(visitor, name, value, [&](uint64_t& bytes) { return visitor.size(name, bytes); });
}
Result<void> visit_size(Visitor& visitor, std::string_view name, std::optional<std::vector<uint64_t>>& value) {
  return visit_if_present(visitor, name, value,
                          [&](std::vector<uint64_t>& list) { return visit_size(visitor, name, list); });
}

}  // namespace pagurus::qapi
