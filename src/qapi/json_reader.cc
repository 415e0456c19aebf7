#include "qapi/json_reader.h"

#include <boost/json/basic_parser_impl.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <system_error>
#include <vector>

namespace pagurus::qapi {
namespace {

constexpr char kResync = '\xff';

}  // namespace

// Builds a Json from the events of Boost's parser, which owns grammar, UTF-8 and depth; duplicate
// keys are ours to find.
class JsonReader::Handler {
 public:
  using error_code = boost::json::error_code;
  using view = boost::json::string_view;
  static constexpr size_t max_array_size = 65536;
  static constexpr size_t max_object_size = 4096;
  static constexpr size_t max_string_size = size_t(-1);  // JsonReader limits the whole
  static constexpr size_t max_key_size = 4096;

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_array_begin(error_code&) { return open(Json(Json::Array())); }
  bool on_array_end(size_t, error_code& ec) { return close(ec); }
  bool on_object_begin(error_code&) { return open(Json(Json::Object())); }
  bool on_object_end(size_t, error_code& ec) { return close(ec); }
  bool on_string_part(view part, size_t, error_code&) { return append(part); }
  bool on_string(view part, size_t, error_code& ec) {
    append(part);
    return place(Json(std::exchange(text_, {})), ec);
  }
  bool on_key_part(view part, size_t, error_code&) { return append(part); }
  bool on_key(view part, size_t, error_code& ec) {
    append(part);
    if (open_.back().value.find(text_) != nullptr) {
      complaint_ = "duplicate key '" + text_ + "'";
      return refuse(ec);
    }
    open_.back().key = std::exchange(text_, {});
    return true;
  }
  bool on_number_part(view part, error_code&) { return append(part); }
  bool on_int64(int64_t value, view, error_code& ec) {
    text_.clear();
    return place(Json(value), ec);
  }
  bool on_uint64(uint64_t value, view, error_code& ec) {
    text_.clear();
    return place(Json(value), ec);
  }
  // Boost 1.81 may be off by the last bit, so the number is read again.
  bool on_double(double approximation, view part, error_code& ec) {
    append(part);
    std::string text = std::exchange(text_, {});
    double value = approximation;
    auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    bool too_small = problem == std::errc::result_out_of_range && std::abs(approximation) < 1;
    if (!std::isfinite(approximation) || (problem != std::errc() && !too_small)) {
      complaint_ = "a number is too large";
      return refuse(ec);
    }
    return place(Json(too_small ? 0.0 : value), ec);
  }
  bool on_bool(bool value, error_code& ec) { return place(Json(value), ec); }
  bool on_null(error_code& ec) { return place(Json(), ec); }
  bool on_comment_part(view, error_code&) { return true; }
  bool on_comment(view, error_code&) { return true; }

  Json take() { return std::exchange(result_, Json()); }
  const std::string& complaint() const { return complaint_; }
  void reset() { *this = Handler(); }

 private:
  struct Level {
    Json value;
    std::string key;  // of the member that comes next
  };

  static bool refuse(error_code& ec) {
    ec = boost::json::error::syntax;
    return false;
  }
  bool append(view part) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool open(Json value) {
    open_.push_back({std::move(value), {}});
    return true;
  }
  bool close(error_code& ec) {
    Json value = std::move(open_.back().value);
    open_.pop_back();
    return place(std::move(value), ec);
  }
  bool place(Json value, error_code&) {
    if (open_.empty()) {
      result_ = std::move(value);
    } else if (Level& level = open_.back(); level.value.is_array()) {
      level.value.as_array().push_back(std::move(value));
    } else {
      level.value.as_object().push_back({std::exchange(level.key, {}), std::move(value)});
    }
    return true;
  }

  std::vector<Level> open_;
  std::string text_;  // of the string, key or number in progress
  std::string complaint_;
  Json result_;
};

struct JsonReader::Parser {
  explicit Parser(size_t max_depth) : core(options(max_depth)) {}
  static boost::json::parse_options options(size_t max_depth) {
    boost::json::parse_options result;
    result.max_depth = max_depth;
    return result;
  }
  void reset() {
    core.reset();
    core.handler().reset();
  }

  boost::json::basic_parser<Handler> core;
};

JsonReader::JsonReader() : JsonReader(Limits()) {}
JsonReader::JsonReader(Limits limits) : limits_(limits), parser_(std::make_unique<Parser>(limits.max_depth)) {}
JsonReader::~JsonReader() = default;
JsonReader::JsonReader(JsonReader&&) noexcept = default;
JsonReader& JsonReader::operator=(JsonReader&&) noexcept = default;

bool JsonReader::idle() const {
  return value_bytes_ == 0 && input_.find_first_not_of(" \t\r\n\xff") == std::string::npos;
}

void JsonReader::drop_broken_line() {
  size_t end = input_.find_first_of("\n\xff");
  dropping_ = end == std::string::npos;
  input_.erase(0, dropping_ ? input_.size() : end + 1);
}

std::unexpected<Error> JsonReader::give_up(const std::string& why) {
  parser_->reset();
  value_bytes_ = 0;
  drop_broken_line();
  return fail("JSON parse error, {}", why);
}

std::optional<Result<Json>> JsonReader::next() {
  if (dropping_) drop_broken_line();
  if (value_bytes_ == 0) input_.erase(0, input_.find_first_not_of(" \t\r\n\xff"));
  if (input_.empty()) return std::nullopt;

  size_t size = std::min(input_.find(kResync), input_.size());
  size_t allowed = limits_.max_bytes - value_bytes_;
  boost::json::error_code error;
  size_t used = parser_->core.write_some(true, input_.data(), std::min(size, allowed), error);
  value_bytes_ += used;
  // Boost stops in front of the offending byte: leave it there, it may be the newline.
  if (!error && !parser_->core.done() && size == used && size < input_.size()) {
    input_.erase(0, size);
    return give_up("the value was cut short by a 0xFF byte");
  }
  input_.erase(0, used);
  if (error) {
    const std::string& complaint = parser_->core.handler().complaint();
    return give_up(complaint.empty() ? error.message() : complaint);
  }
  if (parser_->core.done()) {
    Json value = parser_->core.handler().take();
    parser_->reset();
    value_bytes_ = 0;
    return value;
  }
  if (value_bytes_ >= limits_.max_bytes) {
    return give_up(fmt::format("the value is larger than {} bytes", limits_.max_bytes));
  }
  return std::nullopt;
}

Result<Json> parse_json(std::string_view text) {
  JsonReader reader({.max_bytes = std::max<size_t>(text.size() + 2, 1), .max_depth = 64});
  reader.feed(text);
  // A number at the top level ends only with what follows it.
  reader.feed("\n");
  auto value = reader.next();
  if (!value) return fail("JSON parse error, the text ends in the middle of a value");
  if (*value && !reader.idle()) return fail("JSON parse error, something follows the value");
  return std::move(*value);
}

}  // namespace pagurus::qapi
