// Options in QEMU's key=value form, as in "tap,id=n0,ifname=tap0": parsed once, then consumed key by
// key, so that what nobody asked for is refused by name.
//
//   auto options = TRY(Options::parse(text, "type", "-netdev"));
//   config.ifname = TRY(options.take_string("ifname")).value_or("");
//   TRY(options.finish());
//
// "," separates, ",," is a literal comma; the first element may omit its key if `implied` is given;
// a bare word elsewhere is refused.  A key given twice is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace pagurus::qapi {

class Options {
 public:
  // context: what the option is called in messages, e.g. "-netdev".
  static Result<Options> parse(std::string_view text, std::string_view implied, std::string context);

  const std::string& context() const { return context_; }
  bool has(std::string_view key) const;

  // Each removes the key.  Absent: nullopt.  Malformed or out of range: an error that names the
  // context, the key, the value and what is expected.
  Result<std::optional<std::string>> take_string(std::string_view key);
  Result<std::optional<bool>> take_bool(std::string_view key);  // on/off, yes/no, true/false
  Result<std::optional<uint64_t>> take_uint(std::string_view key, uint64_t min, uint64_t max);
  // Bytes, with QEMU's suffixes k M G T (powers of 1024); without a suffix in `unit` bytes.
  Result<std::optional<uint64_t>> take_size(std::string_view key, uint64_t unit = 1);
  // Refuses what is left: "-netdev: unknown option 'foo'".
  Result<void> finish() const;
  // Everything left, in order.
  std::vector<std::pair<std::string, std::string>> take_rest();

 private:
  std::string context_;
  std::vector<std::pair<std::string, std::string>> values_;
};

// "256M" -> bytes; see take_size.
Result<uint64_t> parse_size(std::string_view text, uint64_t unit);

}  // namespace pagurus::qapi
