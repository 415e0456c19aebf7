#include "vmstate/json.h"

namespace pagurus::vmstate {
namespace {

std::string blanks(unsigned indent) { return std::string(indent * 2, ' '); }

// The members that describe a type, without the braces around them.  Names are ours: no character
// in them needs an escape.
std::string type_members(const Type& type, const Limits& limits, unsigned indent) {
  switch (type.kind) {
    case Kind::kUnsigned: {
      std::string maximum = limits.max != 0 ? fmt::format(", \"maximum\": {}", limits.max) : "";
      return fmt::format("\"type\": \"uint{}\"{}", type.size * 8, maximum);
    }
    case Kind::kSigned: return fmt::format("\"type\": \"int{}\"", type.size * 8);
    case Kind::kBool: return "\"type\": \"bool\"";
    case Kind::kFd: return "\"type\": \"fd\"";
    case Kind::kString: return fmt::format("\"type\": \"string\", \"max-bytes\": {}", limits.max);
    case Kind::kArray:
      return fmt::format("\"type\": \"array\", \"elements\": {}, \"element\": {{{}}}", type.count,
                         type_members(*type.element, {}, indent));
    case Kind::kList:
      return fmt::format("\"type\": \"list\", \"max-elements\": {}, \"element\": {{{}}}", limits.max,
                         type_members(*type.element, {.max = limits.element_max}, indent));
    case Kind::kStruct: return fmt::format("\"type\": \"struct\", \"struct\": {}", to_json(type.nested(), 0, indent));
  }
  return "";
}

}  // namespace

std::string to_json(const Description& description, uint16_t version, unsigned indent) {
  uint16_t wanted = version == 0 ? description.version : version;
  std::string inner = blanks(indent + 1);
  std::string text = fmt::format("{{\n{}\"name\": \"{}\",\n{}\"version\": {},\n{}\"fields\": [", inner,
                                 description.name, inner, wanted, inner);
  const char* separator = "";
  for (const Field& field : description.fields) {
    bool named = is_named(field.limits, wanted);
    if (!named && !is_fixed(field.limits, wanted)) continue;
    text += fmt::format("{}\n{}{{\"name\": \"{}\", {}", separator, blanks(indent + 2), field.name,
                        type_members(field.type, field.limits, indent + 2));
    if (field.limits.since > 1) text += fmt::format(", \"since\": {}", field.limits.since);
    text += named ? ", \"optional\": true}" : "}";
    separator = ",";
  }
  return text + fmt::format("\n{}]\n{}}}", inner, blanks(indent));
}

}  // namespace pagurus::vmstate
