// The type of a state, read from the signature that a stream carries in HELLO (vmstate::signature()): what is
// needed to understand bytes whose declaration this program does not have.
//
//   type    u8 u16 u32 u64  i8 i16 i32 i64  bool  fd  str<=BYTES  [TYPE;COUNT]  [TYPE;<=COUNT]  struct
//   struct  NAME/VERSION{FIELD,...}
//   FIELD   NAME:TYPE, with @VERSION behind it if it came later than version 1
//
// A signature is a stranger's text.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "vmstate/description.h"

namespace pagurus::ctl {

struct StateField;

struct StateType {
  vmstate::Kind kind{};
  uint8_t size = 0;                    // numbers: bytes
  uint64_t count = 0;                  // arrays: elements; lists and strings: the most there may be
  std::unique_ptr<StateType> element;  // arrays and lists
  std::string name;                    // structs
  uint16_t version = 0;                // structs
  std::vector<StateField> fields;      // structs: with different names
};

struct StateField {
  std::string name;
  StateType type;
  uint16_t since = 1;
};

// The whole text is one type.
Result<StateType> parse_signature(std::string_view text);

}  // namespace pagurus::ctl
