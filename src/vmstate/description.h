// Device state is declared, not written by hand.
//
// A device's state is a plain struct with default member initializers and a list of fields:
//
//   struct TimerState {
//     uint64_t deadline_ns = 0;
//     std::vector<uint32_t> channels;
//     static const vmstate::Description& description();
//   };
//   const vmstate::Description& TimerState::description() {
//     static constexpr auto kFields = std::array{
//         vmstate::field<&TimerState::deadline_ns>("deadline-ns"),
//         vmstate::field<&TimerState::channels>("channels", {.max = 3, .since = 2}),
//     };
//     static constexpr vmstate::Description kDescription{"timer", 2, kFields};
//     return kDescription;
//   }
//   // optional, called after reading: what the types and limits cannot say
//   Result<void> TimerState::validate() const;
//
// That list writes, reads, validates and describes the state.  Names are never reused with another
// meaning.  A field added later carries `since`, the section version that has it; a reader of an
// older section leaves it at its default, a writer for an older version leaves it out.
//
// Or it is `optional`: then it follows the others with its name, if its value is not the default, and
// who does not know the name passes over it.  The declarations of whole sections and messages may have
// optional fields, those of structs inside others not.
//
// Types: unsigned and signed integers, bool, enum (give .max), std::array of these,
// std::vector of these (give .max, elements), std::string (give .max, bytes), vmstate::Fd, and
// structs that are declared themselves.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "vmstate/stream.h"

namespace pagurus::vmstate {

struct Description;

// A file descriptor as a field: lent when saving, owned after loading.
class Fd {
 public:
  Fd() = default;
  static Fd lend(int fd) {
    Fd result;
    result.lent_ = fd;
    return result;
  }
  static Fd own(UniqueFd fd) {
    Fd result;
    result.owned_ = std::move(fd);
    return result;
  }
  int get() const { return owned_ ? owned_.get() : lent_; }
  UniqueFd take() { return std::move(owned_); }

 private:
  int lent_ = -1;
  UniqueFd owned_;
};

enum class Kind : uint8_t { kUnsigned, kSigned, kBool, kArray, kList, kString, kStruct, kFd };

// The shape of a field, for printing, comparing and analysing a stream without its C++ type.
struct Type {
  Kind kind;
  uint8_t size = 0;                          // kUnsigned, kSigned: bytes
  uint32_t count = 0;                        // kArray: elements
  const Type* element = nullptr;             // kArray, kList
  const Description& (*nested)() = nullptr;  // kStruct
};

struct Limits {
  // Integers and enums: the largest value; lists: elements; strings: bytes.  0: the type's own.
  uint64_t max = 0;
  // Lists: the same for each element; strings in a list need it.
  uint64_t element_max = 0;
  // The first section version that has the field.
  uint16_t since = 1;
  // In versions before `since` the field travels by name, if its value is not the default; in every
  // version if `since` is 1.  Not for descriptors.
  bool optional = false;
};

// Whether the field has a fixed place in a section of this version, and whether it may follow by name.
constexpr bool is_fixed(const Limits& limits, uint16_t version) {
  return version >= limits.since && !(limits.optional && limits.since == 1);
}
constexpr bool is_named(const Limits& limits, uint16_t version) {
  return limits.optional && !is_fixed(limits, version);
}

struct Field {
  std::string_view name;
  Type type;
  Limits limits;
  void (*write)(Writer&, const void* state);
  void (*write_default)(Writer&);
  Result<void> (*read)(Reader&, const Limits&, void* state);
};

struct Description {
  std::string_view name;
  uint16_t version;
  std::span<const Field> fields;
};

// Writes the fields with a fixed place in `version`; version 0 means the newest.
void write_fields(const Description& description, Writer& writer, const void* state, uint16_t version = 0);
// Reads them.  Fails with the name of the field that is wrong.
Result<void> read_fields(const Description& description, Reader& reader, void* state, uint16_t version = 0);
// Writes the optional fields that differ from their defaults, behind the others.
void write_named_fields(const Description& description, Writer& writer, const void* state);
// Reads them to the end of the bytes.
Result<void> read_named_fields(const Description& description, Reader& reader, void* state);
// Fails for a version that this declaration does not have (yet).
Result<void> check_version(const Description& description, uint16_t version);
// A canonical one-line form, e.g. "timer/2{deadline-ns:u64,channels:[u32;<=3]@2}": equal texts
// mean equal bytes, optional fields apart.  This is what HELLO compares.
std::string signature(const Description& description, uint16_t version = 0);

template <class T>
concept Described = requires {
  { T::description() } -> std::same_as<const Description&>;
};

namespace detail {

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsArray : std::false_type {};
template <class T, size_t N>
struct IsArray<std::array<T, N>> : std::true_type {};

template <class T>
struct TypeOf;

template <class T>
constexpr Type make_type() {
  if constexpr (std::is_same_v<T, bool>) {
    return {.kind = Kind::kBool, .size = 1};
  } else if constexpr (std::is_enum_v<T>) {
    return {.kind = Kind::kUnsigned, .size = sizeof(T)};
  } else if constexpr (std::is_integral_v<T>) {
    return {.kind = std::is_signed_v<T> ? Kind::kSigned : Kind::kUnsigned, .size = sizeof(T)};
  } else if constexpr (std::is_same_v<T, Fd>) {
    return {.kind = Kind::kFd};
  } else if constexpr (std::is_same_v<T, std::string>) {
    return {.kind = Kind::kString};
  } else if constexpr (IsVector<T>::value) {
    return {.kind = Kind::kList, .element = &TypeOf<typename T::value_type>::value};
  } else if constexpr (IsArray<T>::value) {
    return {.kind = Kind::kArray, .count = std::tuple_size_v<T>, .element = &TypeOf<typename T::value_type>::value};
  } else {
    static_assert(Described<T>, "a state field is a number, bool, enum, Fd, string, array, list or declared struct");
    return {.kind = Kind::kStruct, .nested = &T::description};
  }
}

template <class T>
struct TypeOf {
  static constexpr Type value = make_type<T>();
};

template <class T>
void encode(Writer& writer, const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    writer.put<uint8_t>(value ? 1 : 0);
  } else if constexpr (std::is_enum_v<T>) {
    writer.put(static_cast<std::make_unsigned_t<std::underlying_type_t<T>>>(value));
  } else if constexpr (std::is_integral_v<T>) {
    writer.put(value);
  } else if constexpr (std::is_same_v<T, Fd>) {
    writer.put_fd(value.get());
  } else if constexpr (std::is_same_v<T, std::string>) {
    writer.put<uint32_t>(static_cast<uint32_t>(value.size()));
    writer.put_bytes({reinterpret_cast<const uint8_t*>(value.data()), value.size()});
  } else if constexpr (IsVector<T>::value) {
    writer.put<uint32_t>(static_cast<uint32_t>(value.size()));
    if constexpr (std::is_same_v<typename T::value_type, uint8_t>) {
      writer.put_bytes(value);
    } else {
      for (const auto& element : value) encode(writer, element);
    }
  } else if constexpr (IsArray<T>::value) {
    if constexpr (std::is_same_v<typename T::value_type, uint8_t>) {
      writer.put_bytes(value);
    } else {
      for (const auto& element : value) encode(writer, element);
    }
  } else {
    write_fields(T::description(), writer, &value);
  }
}

template <class T>
Result<void> decode(Reader& reader, const Limits& limits, T& value);

template <class T>
Result<void> decode_elements(Reader& reader, const Limits& limits, T& values) {
  // A list's max counts its elements; an array's is that of its elements' values.
  Limits element_limits{.max = IsVector<T>::value ? limits.element_max : limits.max};
  for (auto& element : values) TRY(decode(reader, element_limits, element));
  return {};
}

template <class T>
Result<void> decode(Reader& reader, const Limits& limits, T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    auto byte = TRY(reader.get<uint8_t>());
    if (byte > 1) return fail("{} is neither 0 nor 1", byte);
    value = byte != 0;
  } else if constexpr (std::is_enum_v<T> || std::is_integral_v<T>) {
    using Raw = decltype([] {
      if constexpr (std::is_enum_v<T>)
        return std::make_unsigned_t<std::underlying_type_t<T>>{};
      else
        return T{};
    }());
    auto raw = TRY(reader.get<Raw>());
    if (limits.max != 0 && static_cast<uint64_t>(raw) > limits.max) {
      return fail("{} is larger than {}", static_cast<uint64_t>(raw), limits.max);
    }
    value = static_cast<T>(raw);
  } else if constexpr (std::is_same_v<T, Fd>) {
    value = Fd::own(TRY(reader.take_fd()));
  } else if constexpr (std::is_same_v<T, std::string> || IsVector<T>::value) {
    auto count = TRY(reader.get<uint32_t>());
    if (count > limits.max) return fail("{} elements where at most {} fit", count, limits.max);
    using Element = typename T::value_type;
    if constexpr (sizeof(Element) == 1 && std::is_integral_v<Element> && !std::is_same_v<Element, bool>) {
      auto bytes = TRY(reader.get_bytes(count));
      value.assign(bytes.begin(), bytes.end());
    } else {
      // Every element takes at least one byte, so a short state cannot make us allocate much.
      if (count > reader.remaining()) return fail("{} elements in {} bytes", count, reader.remaining());
      value = T(count);
      TRY(decode_elements(reader, limits, value));
    }
  } else if constexpr (IsArray<T>::value) {
    if constexpr (std::is_same_v<typename T::value_type, uint8_t>) {
      auto bytes = TRY(reader.get_bytes(value.size()));
      std::copy(bytes.begin(), bytes.end(), value.begin());
    } else {
      TRY(decode_elements(reader, limits, value));
    }
  } else {
    TRY(read_fields(T::description(), reader, &value));
    if constexpr (requires { value.validate(); }) TRY(value.validate());
  }
  return {};
}

template <class M>
struct MemberOf;
template <class S, class T>
struct MemberOf<T S::*> {
  using Struct = S;
  using Value = T;
};

}  // namespace detail

template <auto kMember>
constexpr Field field(std::string_view name, Limits limits = {}) {
  using Struct = typename detail::MemberOf<decltype(kMember)>::Struct;
  using Value = typename detail::MemberOf<decltype(kMember)>::Value;
  return {
      .name = name,
      .type = detail::make_type<Value>(),
      .limits = limits,
      .write = [](Writer& writer,
                  const void* state) { detail::encode(writer, static_cast<const Struct*>(state)->*kMember); },
      .write_default = [](Writer& writer) { detail::encode(writer, Struct{}.*kMember); },
      .read = [](Reader& reader, const Limits& field_limits,
                 void* state) { return detail::decode(reader, field_limits, static_cast<Struct*>(state)->*kMember); }};
}

// Writes a whole declared state, in the version of the writer.
template <Described T>
void write_state(Writer& writer, const T& state) {
  write_fields(T::description(), writer, &state, writer.version());
  write_named_fields(T::description(), writer, &state);
}

// Reads a whole declared state of the reader's version, checks every field, and that nothing is left over.
template <Described T>
Result<T> read_state(Reader& reader) {
  T state{};
  if (reader.version() != 0) TRY(check_version(T::description(), reader.version()));
  TRY(read_fields(T::description(), reader, &state, reader.version()));
  TRY(read_named_fields(T::description(), reader, &state));
  if constexpr (requires { state.validate(); }) TRY(state.validate());
  return state;
}

}  // namespace pagurus::vmstate
