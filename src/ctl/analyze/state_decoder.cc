#include "ctl/analyze/state_decoder.h"

#include "base/bytes.h"

namespace pagurus::ctl {

using qapi::Json;
using vmstate::Kind;

namespace {

constexpr size_t kShownWhole = 64;
constexpr size_t kShownBegin = 32;

bool is_bytes(const StateType& type) {
  return type.element != nullptr && type.element->kind == Kind::kUnsigned && type.element->size == 1;
}

std::string hex(std::span<const uint8_t> bytes) {
  std::string text;
  for (uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

// As vmstate::Description demands it of a name.
bool proper_name(std::string_view name) {
  return !name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

}  // namespace

Json bytes_json(std::span<const uint8_t> bytes) {
  if (bytes.size() <= kShownWhole) return hex(bytes);
  return Json::object({{"bytes", bytes.size()}, {"hex-begin", hex(bytes.first(kShownBegin))}});
}

void StateDecoder::fail_with(std::string problem) {
  if (problem_.empty()) problem_ = std::move(problem);
}

std::span<const uint8_t> StateDecoder::take(uint64_t size) {
  if (failed()) return {};
  if (size > rest_.size()) {
    fail_with(fmt::format("{} bytes follow where {} are declared", rest_.size(), size));
    return {};
  }
  auto bytes = rest_.first(size);
  rest_ = rest_.subspan(size);
  return bytes;
}

Json StateDecoder::decode(const StateType& type, uint16_t version) {
  if (values_left_ == 0) fail_with(fmt::format("there are more than {} values", kMaxValues));
  if (failed()) return {};
  --values_left_;
  switch (type.kind) {
    case Kind::kUnsigned:
    case Kind::kSigned:
    case Kind::kBool:
    case Kind::kFd: return decode_number(type);
    case Kind::kString: return decode_string(type);
    case Kind::kArray:
      if (!is_bytes(type)) return decode_elements(*type.element, type.count);
      return shown(take(type.count));
    case Kind::kList:
      if (!is_bytes(type)) return decode_elements(*type.element, decode_count(type));
      return shown(decode_bytes(type));
    case Kind::kStruct: return decode_struct(type, version);
  }
  return {};
}

Json StateDecoder::decode_number(const StateType& type) {
  auto bytes = take(type.size);
  if (failed()) return {};
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i) value |= uint64_t{bytes[i]} << (8 * i);
  if (type.kind == Kind::kBool && value <= 1) return value == 1;
  if (type.kind == Kind::kSigned) {
    int unused_bits = 64 - 8 * type.size;
    return static_cast<int64_t>(value << unused_bits) >> unused_bits;
  }
  if (type.kind != Kind::kFd) return value;
  Json fd = Json::object({{"fd", value}});
  if (value < fds_.size()) fd.set("file", fds_[value]);
  return fd;
}

uint32_t StateDecoder::decode_count(const StateType& list) {
  auto bytes = take(sizeof(uint32_t));
  if (failed()) return 0;
  auto count = load_le<uint32_t>(bytes.data());
  if (count <= list.count) return count;
  fail_with(fmt::format("there are {} elements where at most {} are declared", count, list.count));
  return 0;
}

std::span<const uint8_t> StateDecoder::decode_bytes(const StateType& list) { return take(decode_count(list)); }

Json StateDecoder::decode_string(const StateType& type) {
  auto bytes = decode_bytes(type);
  if (failed()) return {};
  return std::string(bytes.begin(), bytes.end());
}

Json StateDecoder::shown(std::span<const uint8_t> bytes) const { return failed() ? Json() : bytes_json(bytes); }

Json StateDecoder::decode_elements(const StateType& element, uint64_t count) {
  Json::Array array;
  for (uint64_t i = 0; i < count && !failed(); ++i) {
    Json value = decode(element);
    if (!failed() || !value.is_null()) array.push_back(std::move(value));
  }
  return array;
}

Json StateDecoder::decode_struct(const StateType& type, uint16_t version) {
  Json::Object object;
  for (const StateField& field : type.fields) {
    if (field.since > version) continue;
    Json value = decode(field.type);
    if (!failed() || !value.is_null()) object.push_back({field.name, std::move(value)});
    if (failed()) break;
  }
  return object;
}

Json StateDecoder::decode_named_fields() {
  Json::Object fields;
  StateDecoder ahead(rest_, fds_, values_left_);
  while (!ahead.rest_.empty()) {
    auto name_size = ahead.take(1);
    auto name_bytes = ahead.take(name_size[0]);
    auto size = ahead.take(sizeof(uint32_t));
    auto bytes = ahead.take(ahead.failed() ? 0 : load_le<uint32_t>(size.data()));
    std::string name(name_bytes.begin(), name_bytes.end());
    if (ahead.failed() || !proper_name(name) || values_left_ == 0) return {};
    --values_left_;
    fields.push_back({std::move(name), bytes_json(bytes)});
  }
  rest_ = {};
  return fields;
}

}  // namespace pagurus::ctl
