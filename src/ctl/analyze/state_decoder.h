// Bytes of a state as JSON, by a type that was not known when this program was built.
//
// Bytes and type are a stranger's: memory and time are bounded by kMaxValues for each decoder, and nothing
// is believed that the bytes at hand cannot hold.  After the first problem everything that is decoded is
// null, so that what came before it is still shown.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ctl/analyze/state_type.h"
#include "qapi/json.h"

namespace pagurus::ctl {

// Up to 64 bytes as a string of hexadecimal digits, more as {"bytes": N, "hex-begin": "..."}.
qapi::Json bytes_json(std::span<const uint8_t> bytes);

class StateDecoder {
 public:
  static constexpr uint64_t kMaxValues = 1'000'000;

  // values_left: counted down, so that several decoders may share it.  fds: what the descriptors are that came
  // with the bytes, by their index; empty if they did not come.
  StateDecoder(std::span<const uint8_t> bytes, std::span<const std::string> fds, uint64_t& values_left)
      : rest_(bytes), fds_(fds), values_left_(values_left) {}

  // version: of a struct; it has the fields of that version.
  qapi::Json decode(const StateType& type, uint16_t version = UINT16_MAX);
  // The number of elements of a list, which follow; 0 after a problem.
  uint32_t decode_count(const StateType& list);
  // A list of bytes, as they are.
  std::span<const uint8_t> decode_bytes(const StateType& list);
  // The optional fields that may follow a state, by their names, up to the end; null, and nothing is taken, if
  // what follows is something else.
  qapi::Json decode_named_fields();

  bool failed() const { return !problem_.empty(); }
  // A sentence; empty if there was no problem.
  const std::string& problem() const { return problem_; }
  void fail_with(std::string problem);
  std::span<const uint8_t> rest() const { return rest_; }

 private:
  std::span<const uint8_t> take(uint64_t size);
  qapi::Json decode_number(const StateType& type);
  qapi::Json decode_string(const StateType& type);
  qapi::Json decode_elements(const StateType& element, uint64_t count);
  qapi::Json shown(std::span<const uint8_t> bytes) const;
  qapi::Json decode_struct(const StateType& type, uint16_t version);

  std::span<const uint8_t> rest_;
  std::span<const std::string> fds_;
  uint64_t& values_left_;
  std::string problem_;
};

}  // namespace pagurus::ctl
