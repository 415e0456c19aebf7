// Made from a declaration alone: the bytes of a state in which nothing has its default value, and every way
// in which these bytes can be broken in one field.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "vmstate/description.h"

namespace pagurus::vmstate::testing {

// What validate() asks for beyond types and limits.
struct Choice {
  std::string_view field;         // "vcpu.xsave"
  std::optional<uint32_t> count;  // lists: elements
  std::optional<uint64_t> value;  // integers, also those in lists
};

// Another number at a place, or an end before its time.
struct Break {
  std::string what;
  size_t at = 0;
  uint8_t size = 0;  // of the number that is written, 0: none
  uint64_t value = 0;
  size_t keep = SIZE_MAX;  // bytes that stay

  std::vector<uint8_t> apply(std::vector<uint8_t> bytes) const {
    for (uint8_t i = 0; i < size; ++i) bytes[at + i] = static_cast<uint8_t>(value >> (8 * i));
    bytes.resize(std::min(keep, bytes.size()));
    return bytes;
  }
};

struct SampleField {
  std::string path;  // as an error names it: "vcpus.vcpus: vcpu.mp-state"
  std::vector<Break> breaks;
};

struct Sample {
  std::vector<uint8_t> bytes;
  uint32_t fds = 0;
  std::vector<SampleField> fields;  // those in lists once, for the last element
};

// Whether the optional fields are there.
enum class Optional { kWithout, kWith };

class SampleMaker {
 public:
  SampleMaker(std::span<const Choice> choices, uint16_t version) : choices_(choices), version_(version) {}

  Sample make(const Description& description, Optional optional = Optional::kWithout) {
    add_fields(description, version_, "");
    for (const Field& field : description.fields) {
      if (optional == Optional::kWith && is_named(field.limits, version_)) add_named_field(description, field);
    }
    return {.bytes = writer_.bytes(), .fds = fds_, .fields = std::move(fields_)};
  }

 private:
  static constexpr uint32_t kCount = 2;

  void add_fields(const Description& description, uint16_t version, const std::string& place) {
    for (const Field& field : description.fields) {
      if (is_fixed(field.limits, version)) add_field(description, field, place);
    }
  }

  void add_field(const Description& description, const Field& field, const std::string& place) {
    std::string name = fmt::format("{}.{}", description.name, field.name);
    auto choice = std::ranges::find(choices_, name, &Choice::field);
    choice_ = choice == choices_.end() ? Choice{} : *choice;
    Writer usual;
    field.write_default(usual);
    SampleField sample{.path = place.empty() ? name : place + ": " + name, .breaks = {}};
    add_value(field.type, field.limits, usual.bytes(), sample);
    size_t end = writer_.bytes().size();
    if (end > 0) sample.breaks.push_back({.what = "an end inside the field", .keep = end - 1});
    auto former = std::ranges::find(fields_, sample.path, &SampleField::path);
    if (former == fields_.end()) {
      fields_.push_back(std::move(sample));
    } else {
      former->breaks = std::move(sample.breaks);
    }
  }

  void add_named_field(const Description& description, const Field& field) {
    put(1, field.name.size());
    writer_.put_bytes({reinterpret_cast<const uint8_t*>(field.name.data()), field.name.size()});
    size_t at = writer_.bytes().size();
    // The size is not known before the value has been written.
    SampleMaker value(*this);
    value.put(4, 0);
    value.add_field(description, field, "");
    auto size = static_cast<uint32_t>(value.writer_.bytes().size() - at - 4);
    put(4, size);
    add_field(description, field, "");
    fields_.back().breaks.push_back({"a value that is too short", at, 4, size - 1});
    fields_.back().breaks.push_back({"a value that is too long", at, 4, size + 1});
  }

  void add_value(const Type& type, const Limits& limits, std::span<const uint8_t> usual, SampleField& field) {
    size_t at = writer_.bytes().size();
    switch (type.kind) {
      case Kind::kUnsigned:
      case Kind::kSigned: {
        uint64_t largest = type.size == 8 ? UINT64_MAX : (uint64_t{1} << (8 * type.size)) - 1;
        if (limits.max != 0 && limits.max < largest) {
          field.breaks.push_back({"a value over its maximum", at, type.size, limits.max + 1});
        }
        return put(type.size, choice_.value.value_or(number(limits.max == 0 ? largest : limits.max, usual)));
      }
      case Kind::kBool:
        field.breaks.push_back({"a bool of 2", at, 1, 2});
        return put(1, usual.empty() || usual[0] == 0);
      case Kind::kFd:
        field.breaks.push_back({"a descriptor that is not there", at, 4, UINT32_MAX});
        if (fds_ > 0) field.breaks.push_back({"a descriptor taken twice", at, 4, fds_ - 1});
        return put(4, fds_++);
      case Kind::kArray:
        for (uint32_t i = 0; i < type.count; ++i) add_element(*type.element, {.max = limits.max}, i, field);
        return;
      case Kind::kString: {
        auto count = put_count(limits, field);
        for (uint32_t i = 0; i < count; ++i) put(1, 'a' + i % 26);
        return;
      }
      case Kind::kList: {
        auto count = put_count(limits, field);
        for (uint32_t i = 0; i < count; ++i) add_element(*type.element, {.max = limits.element_max}, i, field);
        return;
      }
      case Kind::kStruct: return add_fields(type.nested(), type.nested().version, field.path);
    }
  }

  uint32_t put_count(const Limits& limits, SampleField& field) {
    size_t at = writer_.bytes().size();
    auto count = std::min(choice_.count.value_or(kCount), static_cast<uint32_t>(limits.max));
    field.breaks.push_back({"a count over its maximum", at, 4, limits.max + 1});
    if (limits.max > 0) field.breaks.push_back({"a count larger than the bytes", at, 4, limits.max, at + 4});
    put(4, count);
    return count;
  }

  // What can be broken in an element is broken in the first.
  void add_element(const Type& type, const Limits& limits, uint32_t index, SampleField& field) {
    SampleField unused{.path = field.path, .breaks = {}};
    Choice choice = choice_;
    add_value(type, limits, {}, index == 0 ? field : unused);
    choice_ = choice;
  }

  // Neither 0 nor the default, if there is such a number, and rarely the same twice.
  uint64_t number(uint64_t largest, std::span<const uint8_t> usual) {
    constexpr uint64_t kFactor = 0x9e37'79b9'7f4a'7c15;
    uint64_t default_value = 0;
    for (size_t i = 0; i < std::min<size_t>(usual.size(), 8); ++i) default_value |= uint64_t{usual[i]} << (8 * i);
    for (uint64_t mixed = ++counter_ * kFactor;; mixed = mixed * kFactor + 1) {
      uint64_t value = largest == UINT64_MAX ? mixed : mixed % (largest + 1);
      if (value != default_value && (value != 0 || largest == 1)) return value;
    }
  }

  void put(uint8_t size, uint64_t value) {
    for (uint8_t i = 0; i < size; ++i) writer_.put<uint8_t>(static_cast<uint8_t>(value >> (8 * i)));
  }

  std::span<const Choice> choices_;
  uint16_t version_;
  Choice choice_;  // for the field that is being added
  Writer writer_;
  uint32_t fds_ = 0;
  uint64_t counter_ = 0;
  std::vector<SampleField> fields_;
};

}  // namespace pagurus::vmstate::testing
