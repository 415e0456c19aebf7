#include "qapi/scalars.h"

#include <charconv>
#include <cmath>
#include <system_error>

namespace pagurus::qapi {
namespace {

std::optional<uint64_t> digits_from_text(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  }
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<bool> bool_from_text(std::string_view text) {
  if (text == "on" || text == "yes" || text == "true" || text == "y") return true;
  if (text == "off" || text == "no" || text == "false" || text == "n") return false;
  return std::nullopt;
}

std::optional<WholeNumber> whole_number_from_text(std::string_view text) {
  WholeNumber number{.negative = text.starts_with('-')};
  auto magnitude = digits_from_text(text.substr(number.negative ? 1 : 0));
  if (!magnitude) return std::nullopt;
  number.magnitude = *magnitude;
  return number;
}

std::optional<double> number_from_text(std::string_view text) {
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<uint64_t> size_from_text(std::string_view text) {
  constexpr std::string_view kSuffixes = "bkmgtpe";
  unsigned shift = 0;
  // 0x1b and 0x1e end in digits, not in suffixes.
  bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  if (!text.empty()) {
    char last = static_cast<char>(text.back() | 0x20);
    size_t place = kSuffixes.find(last);
    if (place != std::string_view::npos && !(hexadecimal && (last == 'b' || last == 'e'))) {
      shift = static_cast<unsigned>(10 * place);
      text.remove_suffix(1);
    }
  }
  auto number = digits_from_text(text);
  if (!number || *number > UINT64_MAX >> shift) return std::nullopt;
  return *number << shift;
}

}  // namespace pagurus::qapi
