// Scalars as key=value text spells them.  Each returns nullopt for text that is none.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace pagurus::qapi {

// on and off, yes and no, true and false; also y, n.
std::optional<bool> bool_from_text(std::string_view text);

// A whole number, decimal or 0x..., and its sign apart, so that both ends of the 64 bits fit.
struct WholeNumber {
  uint64_t magnitude = 0;
  bool negative = false;
};
std::optional<WholeNumber> whole_number_from_text(std::string_view text);

// A finite number.
std::optional<double> number_from_text(std::string_view text);

// Bytes: a whole number, with B, K, M, G, T, P or E (powers of 1024, either case) behind it or without.
std::optional<uint64_t> size_from_text(std::string_view text);

}  // namespace pagurus::qapi
