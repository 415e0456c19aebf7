#include "qapi/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/result.h"

namespace pagurus::qapi {
namespace {

// The length of the well-formed UTF-8 sequence at the front of `text`, 0 if there is none
// (Unicode 15, table 3-7).
size_t utf8_length(std::string_view text) {
  auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0}; };
  auto tail = [&](size_t i, uint8_t low = 0x80, uint8_t high = 0xbf) { return byte(i) >= low && byte(i) <= high; };
  uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    uint8_t low = first == 0xe0 ? 0xa0 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : 0xbf;
    return tail(1, low, high) && tail(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    uint8_t low = first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xf4 ? 0x8f : 0xbf;
    return tail(1, low, high) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

class Printer {
 public:
  enum class Layout { kLine, kIndented };
  explicit Printer(Layout layout) : layout_(layout) {}

  void print(const Json& value) {
    if (value.is_null())
      out_ += "null";
    else if (value.is_bool())
      out_ += value.as_bool() ? "true" : "false";
    else if (value.fits_int64())
      out_ += fmt::to_string(value.as_int64());
    else if (value.is_integer())
      out_ += fmt::to_string(value.as_uint64());
    else if (value.is_number())
      print_double(value.as_double());
    else if (value.is_string())
      print_string(value.as_string());
    else if (value.is_array())
      print_array(value.as_array());
    else
      print_object(value.as_object());
  }

  std::string take() { return std::move(out_); }

 private:
  void print_double(double value) {
    CHECK(std::isfinite(value), "JSON has no infinity and no NaN");
    out_ += fmt::format("{}", value);
  }

  void print_string(std::string_view text) {
    out_ += '"';
    while (!text.empty()) {
      size_t length = utf8_length(text);
      if (length == 0)
        out_ += "\\ufffd";
      else if (length == 1)
        print_ascii(text[0]);
      else
        out_ += text.substr(0, length);
      text.remove_prefix(std::max<size_t>(length, 1));
    }
    out_ += '"';
  }

  void print_ascii(char c) {
    switch (c) {
      case '"': out_ += "\\\""; return;
      case '\\': out_ += "\\\\"; return;
      case '\n': out_ += "\\n"; return;
      case '\r': out_ += "\\r"; return;
      case '\t': out_ += "\\t"; return;
      default: break;
    }
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f)
      out_ += fmt::format("\\u{:04x}", c);
    else
      out_ += c;
  }

  void print_array(const Json::Array& array) {
    out_ += '[';
    ++depth_;
    const char* separator = "";
    for (const Json& element : array) {
      out_ += std::exchange(separator, comma());
      new_line();
      print(element);
    }
    --depth_;
    if (!array.empty()) new_line();
    out_ += ']';
  }

  void print_object(const Json::Object& object) {
    out_ += '{';
    ++depth_;
    const char* separator = "";
    for (const Json::Member& member : object) {
      out_ += std::exchange(separator, comma());
      new_line();
      print_string(member.name);
      out_ += ": ";
      print(member.value);
    }
    --depth_;
    if (!object.empty()) new_line();
    out_ += '}';
  }

  const char* comma() const { return layout_ == Layout::kLine ? ", " : ","; }
  void new_line() {
    if (layout_ == Layout::kIndented) out_ += '\n' + std::string(2 * depth_, ' ');
  }

  Layout layout_;
  size_t depth_ = 0;
  std::string out_;
};

}  // namespace

Json::Json(Object value) : value_(std::move(value)) {}

Json Json::object(std::initializer_list<Member> members) { return Json(Object(members)); }

Json Json::strings(const std::vector<std::string>& values) { return Json(Array(values.begin(), values.end())); }

double Json::as_double() const {
  if (is<int64_t>()) return static_cast<double>(as_int64());
  if (is<uint64_t>()) return static_cast<double>(std::get<uint64_t>(value_));
  return std::get<double>(value_);
}

uint64_t Json::as_uint64() const {
  return is<uint64_t>() ? std::get<uint64_t>(value_) : static_cast<uint64_t>(as_int64());
}

const Json* Json::find(std::string_view name) const {
  if (!is_object()) return nullptr;
  for (const Member& member : as_object()) {
    if (member.name == name) return &member.value;
  }
  return nullptr;
}

void Json::set(std::string name, Json value) {
  if (is_null()) value_ = Object();
  for (Member& member : as_object()) {
    if (member.name == name) {
      member.value = std::move(value);
      return;
    }
  }
  as_object().push_back({std::move(name), std::move(value)});
}

std::string Json::text() const {
  Printer printer(Printer::Layout::kLine);
  printer.print(*this);
  return printer.take();
}

std::string Json::pretty_text() const {
  Printer printer(Printer::Layout::kIndented);
  printer.print(*this);
  return printer.take();
}

bool Json::operator==(const Json& other) const { return value_ == other.value_; }

}  // namespace pagurus::qapi
