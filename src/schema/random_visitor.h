// A visitor that reads values nobody wrote: random ones, every alternative and every absence among them.
#pragma once

#include <random>

#include "qapi/visitor.h"

namespace pagurus::schema {

class RandomVisitor final : public qapi::Visitor {
 public:
  // What the values are for: in key=value text, there is no null, no empty list and no empty object.
  enum class For { kJson, kKeyval };
  RandomVisitor(uint32_t seed, For purpose) : Visitor(Direction::kRead), random_(seed), purpose_(purpose) {}

  // Whether key=value text can say all of the value.
  bool fits_keyval() const { return fits_keyval_; }

  Result<void> start_object(std::string_view name) override;
  Result<void> end_object() override;
  Result<size_t> start_list(std::string_view name, size_t size) override;
  Result<void> end_list() override;
  Result<bool> present(std::string_view name, bool present) override;
  Result<size_t> choose(std::string_view name, std::span<const qapi::Alternative> alternatives, size_t chosen) override;
  Result<void> boolean(std::string_view name, bool& value) override;
  Result<void> integer(std::string_view name, int64_t& value, int64_t min, int64_t max) override;
  Result<void> natural(std::string_view name, uint64_t& value, uint64_t max) override;
  Result<void> size(std::string_view name, uint64_t& bytes) override;
  Result<void> number(std::string_view name, double& value) override;
  Result<void> string(std::string_view name, std::string& value) override;
  Result<void> enumeration(std::string_view name, size_t& index, qapi::Names names) override;
  Result<void> null(std::string_view name) override;
  Result<void> any(std::string_view name, qapi::Json& value) override;

 private:
  size_t below(size_t end) { return random_() % end; }
  uint64_t wide() { return uint64_t{random_()} << 32 | random_(); }
  void note_member();

  std::mt19937 random_;
  For purpose_;
  size_t depth_ = 0;
  std::vector<size_t> members_;  // of the open objects, so far
  bool fits_keyval_ = true;
};

}  // namespace pagurus::schema
