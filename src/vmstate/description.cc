#include "vmstate/description.h"

namespace pagurus::vmstate {
namespace {

std::string type_signature(const Type& type, const Limits& limits) {
  switch (type.kind) {
    case Kind::kUnsigned: return fmt::format("u{}", type.size * 8);
    case Kind::kSigned: return fmt::format("i{}", type.size * 8);
    case Kind::kBool: return "bool";
    case Kind::kFd: return "fd";
    case Kind::kString: return fmt::format("str<={}", limits.max);
    case Kind::kArray: return fmt::format("[{};{}]", type_signature(*type.element, {}), type.count);
    case Kind::kList:
      return fmt::format("[{};<={}]", type_signature(*type.element, {.max = limits.element_max}), limits.max);
    case Kind::kStruct: return signature(type.nested());
  }
  return "?";
}

}  // namespace

void write_fields(const Description& description, Writer& writer, const void* state, uint16_t version) {
  uint16_t wanted = version == 0 ? description.version : version;
  for (const Field& field : description.fields) {
    if (field.limits.since <= wanted) field.write(writer, state);
  }
}

Result<void> read_fields(const Description& description, Reader& reader, void* state, uint16_t version) {
  uint16_t present = version == 0 ? description.version : version;
  for (const Field& field : description.fields) {
    if (field.limits.since > present) continue;
    auto result = field.read(reader, field.limits, state);
    if (!result) {
      return std::unexpected(std::move(result.error()).while_doing(fmt::format("{}.{}", description.name, field.name)));
    }
  }
  return {};
}

std::string signature(const Description& description) {
  std::string text = fmt::format("{}/{}{{", description.name, description.version);
  for (const Field& field : description.fields) {
    if (&field != description.fields.data()) text += ',';
    text += fmt::format("{}:{}", field.name, type_signature(field.type, field.limits));
    if (field.limits.since > 1) text += fmt::format("@{}", field.limits.since);
  }
  return text + '}';
}

}  // namespace pagurus::vmstate
