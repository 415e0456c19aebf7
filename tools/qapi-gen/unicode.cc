#include "unicode.h"

#include <algorithm>
#include <cstdint>

namespace pagurus::qapi_gen {
namespace {

uint8_t byte_at(std::string_view text, size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : 0; }
bool continues(uint8_t byte) { return (byte & 0xc0) == 0x80; }

// Bytes of the well-formed sequence at the start; 0 if there is none.
size_t sequence_length(std::string_view text) {
  const uint8_t lead = byte_at(text, 0);
  const uint8_t second = byte_at(text, 1);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return continues(second) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const bool overlong = lead == 0xe0 && second < 0xa0;
    const bool surrogate = lead == 0xed && second >= 0xa0;
    return continues(second) && !overlong && !surrogate && continues(byte_at(text, 2)) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const bool overlong = lead == 0xf0 && second < 0x90;
    const bool too_large = lead == 0xf4 && second >= 0x90;
    return continues(second) && !overlong && !too_large && continues(byte_at(text, 2)) && continues(byte_at(text, 3))
               ? 4
               : 0;
  }
  return 0;
}

}  // namespace

Character first_character(std::string_view text) {
  const uint8_t lead = byte_at(text, 0);
  const auto low = [&](size_t i) { return static_cast<char32_t>(byte_at(text, i) & 0x3f); };
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xe0) return {(static_cast<char32_t>(lead & 0x1f) << 6) | low(1), 2};
  if (lead < 0xf0) return {(static_cast<char32_t>(lead & 0x0f) << 12) | (low(1) << 6) | low(2), 3};
  return {(static_cast<char32_t>(lead & 0x07) << 18) | (low(1) << 12) | (low(2) << 6) | low(3), 4};
}

std::optional<size_t> find_bad_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t length = sequence_length(text.substr(i, 4));
    if (length == 0) return i;
    i += length;
  }
  return std::nullopt;
}

bool is_space(char32_t code) {
  if (code < 0x80) return code == ' ' || (code >= '\t' && code <= '\r') || (code >= 0x1c && code <= 0x1f);
  return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
         code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

bool is_word(char32_t code) {
  if (code < 0x80) {
    return (code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z') || code == '_';
  }
  if (code < 0xc0) {
    return code == 0xaa || code == 0xb2 || code == 0xb3 || code == 0xb5 ||
           (code >= 0xb9 && code != 0xbb && code != 0xbf);
  }
  if (code == 0xd7 || code == 0xf7) return false;
  const bool punctuation = (code >= 0x2000 && code <= 0x206f) || (code >= 0x20a0 && code <= 0x20ff) ||
                           (code >= 0x2190 && code <= 0x245f) || (code >= 0x2500 && code <= 0x2bff) ||
                           (code >= 0x3000 && code <= 0x3004) || (code >= 0x3008 && code <= 0x3020);
  const bool pictures = code >= 0x1f000 && code <= 0x1faff;
  return !punctuation && !pictures;
}

Indentation indentation(std::string_view text) {
  Indentation result;
  while (result.bytes < text.size()) {
    const Character next = first_character(text.substr(result.bytes));
    if (!is_space(next.code)) break;
    result.bytes += next.bytes;
    ++result.characters;
  }
  return result;
}

std::string_view without_trailing_space(std::string_view text) {
  while (!text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && continues(static_cast<uint8_t>(text[start]))) --start;
    if (!is_space(first_character(text.substr(start)).code)) break;
    text = text.substr(0, start);
  }
  return text;
}

size_t character_count(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(text, [](char c) { return !continues(static_cast<uint8_t>(c)); }));
}

}  // namespace pagurus::qapi_gen
