#include "vmstate/description.h"

#include <algorithm>

namespace pagurus::vmstate {
namespace {

// Optional fields that one state may bring, known or not.
constexpr size_t kMaxNamedFields = 256;

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

uint16_t version_or_newest(const Description& description, uint16_t version) {
  return version == 0 ? description.version : version;
}

Result<void> in_field(const Description& description, std::string_view field, Result<void> result) {
  if (result) return result;
  return std::unexpected(std::move(result.error()).while_doing(fmt::format("{}.{}", description.name, field)));
}

Result<std::string> read_name(Reader& reader) {
  auto length = TRY(reader.get<uint8_t>());
  auto name = TRY(reader.get_bytes(length));
  auto belongs = [](uint8_t c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  if (name.empty() || !std::ranges::all_of(name, belongs)) return fail("a field without a proper name");
  return std::string(name.begin(), name.end());
}

Result<void> read_named_field(const Description& description, const std::string& name, Reader& reader, void* state) {
  auto size = TRY(reader.get<uint32_t>());
  auto bytes = TRY(reader.get_bytes(size));
  auto field = std::ranges::find(description.fields, name, &Field::name);
  if (field == description.fields.end()) {
    reader.pass_over(name);
    return {};
  }
  uint16_t version = version_or_newest(description, reader.version());
  if (!is_named(field->limits, version)) return fail("not an optional field of version {}", version);
  Reader value(bytes, {});
  TRY(field->read(value, field->limits, state));
  return value.finish();
}

}  // namespace

void write_fields(const Description& description, Writer& writer, const void* state, uint16_t version) {
  uint16_t wanted = version_or_newest(description, version);
  for (const Field& field : description.fields) {
    if (is_fixed(field.limits, wanted)) field.write(writer, state);
  }
}

Result<void> read_fields(const Description& description, Reader& reader, void* state, uint16_t version) {
  uint16_t present = version_or_newest(description, version);
  for (const Field& field : description.fields) {
    if (!is_fixed(field.limits, present)) continue;
    TRY(in_field(description, field.name, field.read(reader, field.limits, state)));
  }
  return {};
}

void write_named_fields(const Description& description, Writer& writer, const void* state) {
  uint16_t version = version_or_newest(description, writer.version());
  for (const Field& field : description.fields) {
    if (!is_named(field.limits, version)) continue;
    Writer value, usual;
    field.write(value, state);
    field.write_default(usual);
    CHECK(value.fds().empty(), "an optional field holds no descriptor");
    if (value.bytes() == usual.bytes()) continue;
    writer.put<uint8_t>(static_cast<uint8_t>(field.name.size()));
    writer.put_bytes({reinterpret_cast<const uint8_t*>(field.name.data()), field.name.size()});
    writer.put<uint32_t>(static_cast<uint32_t>(value.bytes().size()));
    writer.put_bytes(value.bytes());
  }
}

Result<void> read_named_fields(const Description& description, Reader& reader, void* state) {
  std::vector<std::string> seen;
  while (reader.remaining() != 0) {
    size_t left = reader.remaining();
    auto name =
        TRY_DOING(fmt::format("{}: {} bytes more than its declaration", description.name, left), read_name(reader));
    bool twice = std::ranges::count(seen, name) != 0;
    if (twice) return in_field(description, name, fail("it is there twice"));
    if (seen.size() == kMaxNamedFields) return fail("{}: more than {} optional fields", description.name, seen.size());
    TRY(in_field(description, name, read_named_field(description, name, reader, state)));
    seen.push_back(std::move(name));
  }
  return {};
}

Result<void> check_version(const Description& description, uint16_t version) {
  if (version >= 1 && version <= description.version) return {};
  return fail("version {} of '{}' where this version of pagurus knows 1 to {}", version, description.name,
              description.version);
}

std::string signature(const Description& description, uint16_t version) {
  uint16_t wanted = version_or_newest(description, version);
  std::string text = fmt::format("{}/{}{{", description.name, wanted);
  const char* separator = "";
  for (const Field& field : description.fields) {
    if (!is_fixed(field.limits, wanted)) continue;
    text += fmt::format("{}{}:{}", separator, field.name, type_signature(field.type, field.limits));
    if (field.limits.since > 1) text += fmt::format("@{}", field.limits.since);
    separator = ",";
  }
  return text + '}';
}

}  // namespace pagurus::vmstate
