#include "qapi/options.h"

#include <algorithm>
#include <charconv>

namespace pagurus::qapi {
namespace {

// Splits at single commas; ",," becomes one comma.
std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != ',') {
      parts.back() += text[i];
    } else if (i + 1 < text.size() && text[i + 1] == ',') {
      parts.back() += ',';
      ++i;
    } else {
      parts.emplace_back();
    }
  }
  return parts;
}

std::optional<uint64_t> parse_number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x")) {
    base = 16;
    text.remove_prefix(2);
  }
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

int suffix_shift(char suffix) {
  switch (suffix) {
    case 'b':
    case 'B': return 0;
    case 'k':
    case 'K': return 10;
    case 'm':
    case 'M': return 20;
    case 'g':
    case 'G': return 30;
    case 't':
    case 'T': return 40;
    default: return -1;
  }
}

}  // namespace

Result<uint64_t> parse_size(std::string_view text, uint64_t unit) {
  std::string_view digits = text;
  if (!digits.empty()) {
    int shift = suffix_shift(digits.back());
    if (shift >= 0) {
      unit = uint64_t{1} << shift;
      digits.remove_suffix(1);
    }
  }
  auto number = parse_number(digits);
  if (!number || *number > UINT64_MAX / unit) {
    return fail("'{}' is not a size; write a whole number, with k, M, G or T after it", text);
  }
  return *number * unit;
}

Result<Options> Options::parse(std::string_view text, std::string_view implied, std::string context) {
  Options options;
  options.context_ = std::move(context);
  bool first = true;
  for (std::string& part : split(text)) {
    size_t equals = part.find('=');
    std::string key = part.substr(0, equals);
    std::string value = equals == std::string::npos ? "" : part.substr(equals + 1);
    if (equals == std::string::npos) {
      if (!first || implied.empty()) {
        return fail("{}: expected key=value, found '{}'", options.context_, part);
      }
      key = implied;
      value = part;
    }
    first = false;
    if (key.empty()) return fail("{}: an option has no name in '{}'", options.context_, text);
    if (options.has(key)) return fail("{}: option '{}' is given twice", options.context_, key);
    options.values_.emplace_back(std::move(key), std::move(value));
  }
  return options;
}

bool Options::has(std::string_view key) const {
  return std::ranges::any_of(values_, [&](const auto& entry) { return entry.first == key; });
}

Result<std::optional<std::string>> Options::take_string(std::string_view key) {
  auto found = std::ranges::find(values_, key, [](const auto& entry) { return entry.first; });
  if (found == values_.end()) return std::nullopt;
  std::string value = std::move(found->second);
  values_.erase(found);
  return value;
}

Result<std::optional<bool>> Options::take_bool(std::string_view key) {
  auto text = TRY(take_string(key));
  if (!text) return std::nullopt;
  if (*text == "on" || *text == "yes" || *text == "true") return true;
  if (*text == "off" || *text == "no" || *text == "false") return false;
  return fail("{}: option '{}' is 'on' or 'off', not '{}'", context_, key, *text);
}

Result<std::optional<uint64_t>> Options::take_uint(std::string_view key, uint64_t min, uint64_t max) {
  auto text = TRY(take_string(key));
  if (!text) return std::nullopt;
  auto number = parse_number(*text);
  if (!number || *number < min || *number > max) {
    return fail("{}: option '{}' is a number from {} to {}, not '{}'", context_, key, min, max, *text);
  }
  return number;
}

Result<std::optional<uint64_t>> Options::take_size(std::string_view key, uint64_t unit) {
  auto text = TRY(take_string(key));
  if (!text) return std::nullopt;
  return TRY_DOING(fmt::format("{}: option '{}'", context_, key), parse_size(*text, unit));
}

Result<void> Options::finish() const {
  if (values_.empty()) return {};
  return fail("{}: unknown option '{}'", context_, values_.front().first);
}

std::vector<std::pair<std::string, std::string>> Options::take_rest() { return std::exchange(values_, {}); }

}  // namespace pagurus::qapi
