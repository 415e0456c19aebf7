#include "machine/acpi/aml.h"

#include <algorithm>
#include <concepts>

#include "base/bytes.h"
#include "base/result.h"

namespace pagurus::machine::aml {
namespace {

// Opcodes (ACPI 6.5, 20.3).
constexpr uint8_t kZeroOp = 0x00;
constexpr uint8_t kOneOp = 0x01;
constexpr uint8_t kNameOp = 0x08;
constexpr uint8_t kBytePrefix = 0x0a;
constexpr uint8_t kWordPrefix = 0x0b;
constexpr uint8_t kDWordPrefix = 0x0c;
constexpr uint8_t kStringPrefix = 0x0d;
constexpr uint8_t kQWordPrefix = 0x0e;
constexpr uint8_t kScopeOp = 0x10;
constexpr uint8_t kBufferOp = 0x11;
constexpr uint8_t kPackageOp = 0x12;
constexpr uint8_t kMethodOp = 0x14;
constexpr uint8_t kDualNamePrefix = 0x2e;
constexpr uint8_t kMultiNamePrefix = 0x2f;
constexpr uint8_t kExtOpPrefix = 0x5b;
constexpr uint8_t kArg0Op = 0x68;
constexpr uint8_t kStoreOp = 0x70;
constexpr uint8_t kAndOp = 0x7b;
constexpr uint8_t kRegionOp = 0x80;  // after kExtOpPrefix
constexpr uint8_t kFieldOp = 0x81;   // after kExtOpPrefix
constexpr uint8_t kDeviceOp = 0x82;  // after kExtOpPrefix
constexpr uint8_t kNotifyOp = 0x86;
constexpr uint8_t kLEqualOp = 0x93;
constexpr uint8_t kIfOp = 0xa0;
constexpr uint8_t kSerialized = 0x08;

// Address space descriptors (6.4.3.5): producer, and both ends of the range fixed.
constexpr uint8_t kProducerMinMaxFixed = 0x0c;

template <std::integral T>
void append(Bytes& to, T value) {
  size_t at = to.size();
  to.resize(at + sizeof value);
  store_le(to.data() + at, value);
}

void append(Bytes& to, const Bytes& bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

// PkgLength counts its own bytes (20.2.4).
Bytes package_length(size_t content) {
  if (content + 1 < 0x40) return {static_cast<uint8_t>(content + 1)};
  size_t following = content + 2 < 0x1000 ? 1 : content + 3 < 0x10'0000 ? 2 : 3;
  size_t total = content + 1 + following;
  CHECK(total < 0x1000'0000, "our DSDT is small");
  Bytes result{static_cast<uint8_t>(following << 6 | (total & 0xf))};
  for (size_t i = 0; i < following; ++i) result.push_back(static_cast<uint8_t>(total >> (4 + 8 * i)));
  return result;
}

Bytes with_length(std::initializer_list<uint8_t> opcode, const Bytes& content) {
  Bytes result(opcode);
  append(result, package_length(content.size()));
  append(result, content);
  return result;
}

void append_segment(Bytes& to, std::string_view segment) {
  auto allowed = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; };
  CHECK(!segment.empty() && segment.size() <= 4 && std::ranges::all_of(segment, allowed), "an AML name segment");
  for (size_t i = 0; i < 4; ++i) to.push_back(i < segment.size() ? static_cast<uint8_t>(segment[i]) : '_');
}

Bytes name_string(std::string_view path) {
  Bytes result;
  if (path.starts_with('\\')) {
    result.push_back('\\');
    path.remove_prefix(1);
  }
  auto segments = 1 + std::ranges::count(path, '.');
  if (segments == 2) result.push_back(kDualNamePrefix);
  if (segments > 2) {
    result.push_back(kMultiNamePrefix);
    result.push_back(static_cast<uint8_t>(segments));
  }
  for (; segments > 0; --segments) {
    size_t dot = path.find('.');
    append_segment(result, path.substr(0, dot));
    path = dot == std::string_view::npos ? "" : path.substr(dot + 1);
  }
  return result;
}

uint8_t hex_digit(char c) {
  CHECK((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'), "an EISA id ends in hexadecimal digits");
  return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'A' + 10);
}

struct Window {
  uint8_t kind;   // 0 memory, 2 bus numbers
  uint8_t flags;  // depends on kind
};

// 6.4.3.5.2 and 6.4.3.5.3: granularity, minimum, maximum, translation, length, all of one width.
template <std::unsigned_integral T>
Bytes address_space(uint8_t tag, Window window, T base, T size) {
  Bytes result{tag};
  append<uint16_t>(result, 3 + 5 * sizeof(T));
  append(result, Bytes{window.kind, kProducerMinMaxFixed, window.flags});
  for (T value : {T{0}, base, static_cast<T>(base + (size - 1)), T{0}, size}) append(result, value);
  return result;
}

}  // namespace

Bytes concatenate(Terms terms) {
  Bytes result;
  for (const Bytes& term : terms) append(result, term);
  return result;
}

Bytes integer(uint64_t value) {
  if (value == 0) return {kZeroOp};
  if (value == 1) return {kOneOp};
  Bytes result;
  if (value <= 0xff) {
    result = {kBytePrefix, static_cast<uint8_t>(value)};
  } else if (value <= 0xffff) {
    result = {kWordPrefix};
    append(result, static_cast<uint16_t>(value));
  } else if (value <= 0xffff'ffff) {
    result = {kDWordPrefix};
    append(result, static_cast<uint32_t>(value));
  } else {
    result = {kQWordPrefix};
    append(result, value);
  }
  return result;
}

Bytes string(std::string_view text) {
  Bytes result{kStringPrefix};
  // Not insert(): g++ 12 sees an overflow in it that is not there.
  for (char c : text) result.push_back(static_cast<uint8_t>(c));
  result.push_back(0);
  return result;
}

Bytes eisa_id(std::string_view id) {
  CHECK(id.size() == 7, "an EISA id is three letters and four digits");
  unsigned a = id[0] - '@', b = id[1] - '@', c = id[2] - '@';
  return {kDWordPrefix, static_cast<uint8_t>(a << 2 | b >> 3), static_cast<uint8_t>(b << 5 | c),
          static_cast<uint8_t>(hex_digit(id[3]) << 4 | hex_digit(id[4])),
          static_cast<uint8_t>(hex_digit(id[5]) << 4 | hex_digit(id[6]))};
}

Bytes package(Terms elements) {
  Bytes content{static_cast<uint8_t>(elements.size())};
  append(content, concatenate(elements));
  return with_length({kPackageOp}, content);
}

Bytes name(std::string_view path, const Bytes& value) { return concatenate({{kNameOp}, name_string(path), value}); }

Bytes scope(std::string_view path, Terms terms) {
  return with_length({kScopeOp}, concatenate({name_string(path), concatenate(terms)}));
}

Bytes device(std::string_view path, Terms terms) {
  return with_length({kExtOpPrefix, kDeviceOp}, concatenate({name_string(path), concatenate(terms)}));
}

Bytes method(std::string_view path, unsigned arguments, Terms terms) {
  Bytes flags{static_cast<uint8_t>(arguments | kSerialized)};
  return with_length({kMethodOp}, concatenate({name_string(path), flags, concatenate(terms)}));
}

Bytes port_registers(std::string_view path, uint16_t base, std::initializer_list<std::string_view> registers) {
  constexpr uint8_t kSystemIo = 1;
  constexpr uint8_t kDWordAccess = 3;
  // A PkgLength of its own kind: what it counts is the bits of the register.
  constexpr uint8_t kRegisterBits = 32;
  Bytes result{kExtOpPrefix, kRegionOp};
  append(result, concatenate({name_string(path), {kSystemIo}, integer(base), integer(4 * registers.size())}));
  Bytes fields = concatenate({name_string(path), {kDWordAccess}});
  for (std::string_view name : registers) {
    append_segment(fields, name);
    fields.push_back(kRegisterBits);
  }
  append(result, with_length({kExtOpPrefix, kFieldOp}, fields));
  return result;
}

Bytes argument(unsigned index) { return {static_cast<uint8_t>(kArg0Op + index)}; }

Bytes if_equal(const Bytes& left, const Bytes& right, Terms then) {
  return with_length({kIfOp}, concatenate({{kLEqualOp}, left, right, concatenate(then)}));
}

Bytes if_any_bit(const Bytes& value, const Bytes& mask, Terms then) {
  constexpr uint8_t kNoTarget = 0;
  return with_length({kIfOp}, concatenate({{kAndOp}, value, mask, {kNoTarget}, concatenate(then)}));
}

Bytes store(const Bytes& value, std::string_view to) { return concatenate({{kStoreOp}, value, name_string(to)}); }

Bytes value_of(std::string_view path, Terms arguments) {
  return concatenate({name_string(path), concatenate(arguments)});
}

Bytes notify(std::string_view path, const Bytes& event) { return concatenate({{kNotifyOp}, name_string(path), event}); }

Bytes resources(Terms descriptors) {
  Bytes content = concatenate(descriptors);
  // End tag (6.4.2.9); a checksum of 0 means "not checked".
  append(content, Bytes{0x79, 0x00});
  return with_length({kBufferOp}, concatenate({integer(content.size()), content}));
}

Bytes io_ports(uint16_t base, uint8_t count) {
  Bytes result{0x47, 1};  // 6.4.2.5, decodes 16 address bits
  append(result, base);
  append(result, base);
  append(result, Bytes{1, count});
  return result;
}

Bytes edge_interrupt(uint32_t gsi) {
  Bytes result{0x89};  // 6.4.3.6
  append<uint16_t>(result, 6);
  append(result, Bytes{0x03, 1});  // consumer, edge-triggered; one interrupt
  append(result, gsi);
  return result;
}

Bytes fixed_memory(uint32_t base, uint32_t size) {
  Bytes result{0x86};  // 6.4.3.4
  append<uint16_t>(result, 9);
  append<uint8_t>(result, 1);  // writable
  append(result, base);
  append(result, size);
  return result;
}

Bytes bus_window(uint8_t first, uint8_t last) {
  return address_space<uint16_t>(0x88, {.kind = 2, .flags = 0}, first, static_cast<uint16_t>(last - first + 1));
}

Bytes memory_window(uint32_t base, uint32_t size) {
  // flags: read-write, not cacheable.
  return address_space<uint32_t>(0x87, {.kind = 0, .flags = 1}, base, size);
}

}  // namespace pagurus::machine::aml
